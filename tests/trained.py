"""A small trained run and its images, for tests of what is done with a model after its training: fixtures ``trained``
(made once) and ``home`` (a fresh copy, as the working folder)."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.training import train as training

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


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train once for all tests: photos/, runs/small. No curves, which would take most of the time."""
    root = tmp_path_factory.mktemp("trained")
    write_images(root / "photos", CLASSES, EACH, seed=0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "_draw", lambda run, observer: None)
        cnncli.train(str(root / "photos"), arch="lenet5", epochs=2, name="small", runs=str(root / "runs"))
    return root


@pytest.fixture
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a fresh copy of the images and the run, as the working folder; the run says that it was trained there."""
    here = tmp_path / "here"
    shutil.copytree(trained, here, symlinks=True)
    monkeypatch.chdir(here)
    config = here / "runs" / "small" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "data": os.fspath(here / "photos")}))
    return here
