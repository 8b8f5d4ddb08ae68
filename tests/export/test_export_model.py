"""cnncli.export_model: the form is what the file's name asks for, and what does not go together is refused before
anything is written."""

import os
from pathlib import Path

import pytest

import cnncli
from cnncli.errors import ModelError, UsageError
from cnncli.export import export_model, to_c
from cnncli.model.checkpoint import save_model

from ..small_model import CLASSES, small_model


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_c_file_of_a_model_in_memory_or_in_a_file(here: Path) -> None:
    model = small_model()
    save_model("m.safetensors", model)
    for named in (model, "m.safetensors", Path("m.safetensors")):
        made = cnncli.export_model(named, here / "net.c")
        assert Path("net.c").read_text(encoding="ascii") == to_c(model)
        assert made.as_json() == {"path": str(here / "net.c"), "bytes": os.stat("net.c").st_size,
                                  "classes": len(CLASSES), "raw": False}
        assert "Compile it" in made.note


@pytest.mark.parametrize("raw", [False, True])
def test_an_onnx_file(here: Path, raw: bool) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    assert export_model(small_model(), "net.onnx", raw=raw).raw == raw
    assert onnx.load("net.onnx").graph.input[0].name == ("input" if raw else "image")


@pytest.mark.parametrize(("path", "options", "words"), [
    ("m.tflite", {}, "ends in .onnx or .c"),
    ("m.html", {}, "cnn page writes a web page"),
    ("m.safetensors", {}, "with torch_names"),
    ("m.c", {"raw": True}, "raw is only for .onnx files; leave it out"),
    ("m.onnx", {"torch_names": True}, "in .safetensors with torch_names"),
    ("m.safetensors", {"torch_names": True}, "torchvision or timm"),
    ("no/m.c", {}, "there is no folder no"),
])
def test_refusals(here: Path, path: str, options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        export_model(small_model(), path, **options)
    assert list(here.iterdir()) == []
    with pytest.raises((UsageError, ModelError)):
        export_model("nowhere", path, **options)
