"""What the tests of the commands that look at a model share: a small trained run, and ways to call `cnn` in it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli import cli

CLASSES = ["check", "new\nline", "帽子 $x$", "stripe"]
SIDE, EACH = 20, 24


def draw(kind: int, rng: np.random.Generator) -> np.ndarray:
    """One image of a class: uint8 (h, w, 3)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    shift = rng.integers(0, 6)
    shape = [((x + shift) // 3 + y // 3) % 2 == 0, y > x, (y - 10) ** 2 + (x - 10) ** 2 < 36, (x + shift) // 3 % 2 == 0]
    return (shape[kind][..., None] * rng.integers(120, 255, 3) + rng.normal(20, 30, (SIDE, SIDE, 3))).clip(0, 255)


def write_images(folder: Path, classes: list[str], each: int, seed: int) -> Path:
    """Write a folder per class with so many images."""
    rng = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(each):
            kind = CLASSES.index(name) if name in CLASSES else 0
            Image.fromarray(draw(kind, rng).astype(np.uint8)).save(folder / name / f"{name[0]} {i}.png")
    return folder


class Place:
    """A folder with images (photos/) and a run trained on them (runs/small), and `cnn` in it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self.run = path, path / "runs" / "small"
        self._capsys = capsys

    def cnn(self, *arguments: object, code: int = 0) -> tuple[str, str]:
        """Run a command here; return (stdout, stderr) after checking its exit code and that it is no traceback."""
        self._capsys.readouterr()
        got = cli.main([str(a) for a in arguments])
        out, err = self._capsys.readouterr()
        assert got == code, f"exit code {got}, not {code}: {out}{err}"
        assert "Traceback" not in out + err
        assert "should not happen" not in err
        return out, err

    def json(self, *arguments: object, code: int = 0):
        """Run a command with --json and return what it printed."""
        return json.loads(self.cnn(*arguments, "--json", code=code)[0])

    def fails(self, code: int, *arguments: object) -> str:
        """Run a command that must fail: return its sentence, the only line, with nothing on stdout."""
        out, err = self.cnn(*arguments, code=code)
        assert out == ""
        lines = err.splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("cnn: ")
        return lines[0]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train once for all tests."""
    root = tmp_path_factory.mktemp("trained")
    write_images(root / "photos", CLASSES, EACH, seed=0)
    cnncli.train(str(root / "photos"), arch="lenet5", epochs=2, name="small", runs=str(root / "runs"))
    return root


@pytest.fixture
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    """Give a fresh copy of the images and the run, as the working folder."""
    shutil.copytree(trained, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    config = tmp_path / "here" / "runs" / "small" / "config.json"
    settings = json.loads(config.read_text())
    settings["data"] = os.fspath(tmp_path / "here" / "photos")
    config.write_text(json.dumps(settings))
    return Place(tmp_path / "here", capsys)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file under a folder with its bytes: nothing of the user's may change."""
    return {os.fspath(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
