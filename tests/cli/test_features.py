"""cnn features: the file, what is said, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.cli import main
from cnncli.model.checkpoint import save_model

from ..pictures import make_folder
from ..small_model import small_model


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "data", each=2)
    model = small_model()
    save_model(tmp_path / "m.safetensors", model)
    return tmp_path


def test_the_file_and_the_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "m.safetensors", "data", "-o", "out.npz", "--json"]) == 0
    said = capsys.readouterr()
    with np.load("out.npz") as file:
        assert file["features"].shape == (6, 6 * 5 * 4)
        assert sorted(file["paths"].tolist()) == sorted(str(p) for p in Path("data").rglob("*.png"))
    assert json.loads(said.out) == {"path": "out.npz", "images": 6, "features": 120, "skipped": []}
    assert "out.npz: 6 images, 120 features each." in said.err


def test_some_cannot_be_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.png").write_bytes(b"bad")
    assert main(["features", "m.safetensors", "bad.png", "data"]) == 3
    with np.load("features.npz") as file:
        assert len(file["paths"]) == 6
    Path("features.npz").unlink()
    assert main(["features", "m.safetensors", "bad.png"]) == 1
    assert not Path("features.npz").exists()
    assert "bad.png" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["m.safetensors", "data", "-o", "out.csv"], 2, "ends in .npz"),
    (["m.safetensors", "data", "-o", "no/out.npz"], 2, "there is no folder no"),
    (["nothing", "data"], 4, "there is no model nothing"),
    (["m.safetensors"], 2, "IMAGE"),
    (["data", "data"], 4, "holds no model"),
])
def test_refusals(here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str) -> None:
    assert main(["features", *arguments]) == code
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert not list(here.glob("*.npz"))
