"""cnncli.export_model: the form is what the file's name asks for, and what does not go together is refused before
anything is written."""

import os
from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.architectures import architecture
from cnncli.errors import ModelError, UsageError
from cnncli.export import export_model, to_c, to_integer_c
from cnncli.model.checkpoint import save_model

from ..small_model import CLASSES, small_model
from .quantised import quantised


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


def test_c_without_floats_and_its_memory_is_told_before_it_is_written(here: Path, rng: np.random.Generator) -> None:
    small = small_model()
    model = quantised(small.network, rng)
    model.training = small.training
    save_model("m.safetensors", small)
    save_model("m-int8.safetensors", model)
    made = to_integer_c(model)
    said = []

    def told(sentence: str) -> None:
        said.append((sentence, Path("net.c").exists()))

    for named in (model, "m-int8.safetensors", "m.safetensors"):
        said.clear()
        written = cnncli.export_model(named, "net.c", int8=True, note=told)
        assert said == [(str(made), False)]
        assert Path("net.c").read_text(encoding="ascii") == made.source
        assert written.as_json() == {"path": "net.c", "bytes": os.stat("net.c").st_size, "classes": len(CLASSES),
                                     "raw": False, "ram": made.ram, "flash": made.flash}
        assert "-lm" not in written.note
        Path("net.c").unlink()


@pytest.mark.parametrize("raw", [False, True])
def test_an_onnx_file(here: Path, raw: bool) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    assert export_model(small_model(), "net.onnx", raw=raw).raw == raw
    assert onnx.load("net.onnx").graph.input[0].name == ("input" if raw else "image")


def test_a_quantised_model_in_c_computes_in_floats(here: Path, rng: np.random.Generator) -> None:
    model = quantised(small_model().network, rng)
    assert "float32" not in export_model(small_model(), "float.c").note
    made = export_model(model, "int8.c")
    assert made.note.endswith(" It computes in float32, with the numbers that the int8 weights stand for.")
    assert Path("int8.c").read_text(encoding="ascii") == to_c(model.in_floats())


def test_a_quantised_model_has_no_torch_names(here: Path, rng: np.random.Generator) -> None:
    model = quantised(architecture("squeezenet1_1", (32, 32, 3), 4, seed=1), rng)
    model.training["architecture"] = "squeezenet1_1"
    with pytest.raises(UsageError, match=r"not for quantised models, .*; export the model that this one was made of"):
        export_model(model, "m.safetensors", torch_names=True)
    export_model(model.in_floats(), "m.safetensors", torch_names=True)


@pytest.mark.parametrize(("path", "options", "words"), [
    ("m.tflite", {}, "ends in .onnx or .c"),
    ("m.html", {}, "cnn page writes a web page"),
    ("m.safetensors", {}, "with torch_names"),
    ("m.c", {"raw": True}, "raw is only for .onnx files; leave it out"),
    ("m.onnx", {"torch_names": True}, "in .safetensors with torch_names"),
    ("m.safetensors", {"torch_names": True}, "torchvision or timm"),
    ("m.onnx", {"int8": True}, "int8 is only for .c files; leave it out"),
    ("m.c", {"int8": True}, "has no quantised model beside it"),
    ("no/m.c", {}, "there is no folder no"),
])
def test_refusals(here: Path, path: str, options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        export_model(small_model(), path, **options)
    assert list(here.iterdir()) == []
    with pytest.raises((UsageError, ModelError)):
        export_model("nowhere", path, **options)
