"""cnn export: what is written, what is said, and what is refused."""

import json
from pathlib import Path

import pytest

from cnncli.checkpoint import save_model
from cnncli.cli import main

from ..small_model import small_model


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "m.safetensors", small_model())
    return tmp_path


@pytest.mark.parametrize("raw", [False, True])
def test_an_onnx_file(here: Path, capsys: pytest.CaptureFixture[str], raw: bool) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    assert main(["export", "m.safetensors", "m.onnx", "--json", *["--raw"] * raw]) == 0
    said = capsys.readouterr()
    made = onnx.load("m.onnx")
    assert made.graph.input[0].name == ("input" if raw else "image")
    assert json.loads(said.out) == {"path": "m.onnx", "bytes": Path("m.onnx").stat().st_size, "classes": 3, "raw": raw}


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["m.safetensors", "m.tflite"], 2, "ends in .onnx"),
    (["m.safetensors", "no/m.onnx"], 2, "there is no folder no"),
    (["nothing", "m.onnx"], 4, "there is no model nothing"),
    (["m.safetensors"], 2, "FILE.onnx"),
])
def test_refusals(here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str) -> None:
    assert main(["export", *arguments]) == code
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert sorted(path.name for path in here.iterdir()) == ["m.safetensors"]
