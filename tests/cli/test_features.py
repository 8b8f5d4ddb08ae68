"""cnn features: the file, what is said, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


@pytest.mark.slow
def test_what_is_passed_over_in_a_file_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.full((8, 8), 100, np.uint16)).save("deep.png")
    image = next(Path("data").rglob("*.png"))
    Path("cut.png").write_bytes(image.read_bytes()[:-12])
    for command in (["features", "m.safetensors"], ["visualize-filters", "-m", "m.safetensors"]):
        assert main([*command, "cut.png", "deep.png"]) == 0
        said = capsys.readouterr().err
        assert "1 image is damaged, but no pixel of it, and used all the same: cut.png (its end is missing)." in said
        assert ("1 of these images is deeper than 8 bits and has values up to 100, where the model takes 65,535 for "
                "white, so that it is nearly black to it") in said


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["m.safetensors", "data", "-o", "out.csv"], 2, "ends in .npz"),
    (["m.safetensors", "data", "-o", "no/out.npz"], 2, "there is no folder no"),
    (["nothing", "data"], 4, "there is no model nothing"),
    (["m.safetensors"], 2, "add images"),
    (["data", "data"], 4, "holds no model"),
])
def test_refusals(here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str) -> None:
    assert main(["features", *arguments]) == code
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert not list(here.glob("*.npz"))
