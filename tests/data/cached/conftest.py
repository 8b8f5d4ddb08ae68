"""A folder of images of every kind, and a way to load them that keeps what is said and how many are decoded."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Images, Preprocessing, Sample, cached, load_images

HOW = Preprocessing((6, 5))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for decoded images, which is not there yet."""
    monkeypatch.setenv(cached.VARIABLE, str(tmp_path / "decoded"))
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return tmp_path / "decoded"


@pytest.fixture
def samples(tmp_path: Path, rng: np.random.Generator, place: Path) -> list[Sample]:
    """Twelve images: 2 and 7 are deeper than 8 bits, 3 (text) and 11 (missing) cannot be used, of 5 the end is missing,
    and 8 has two frames."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(11):
        path, pixels = folder / f"{i:02}.png", rng.integers(0, 256, (6, 5, 3), np.uint8)
        if i in (2, 7):
            Image.fromarray(rng.integers(0, 4096, (6, 5), np.uint16)).save(path)
        elif i == 8:
            Image.fromarray(pixels).save(path, save_all=True, append_images=[Image.fromarray(255 - pixels)])
        else:
            Image.fromarray(pixels).save(path)
    (folder / "03.png").write_text("text")
    whole = (folder / "05.png").read_bytes()
    (folder / "05.png").write_bytes(whole[:-12])
    long_ago(folder)
    return [Sample(str(folder / f"{i:02}.png"), f"{i:02}.png", i % 3) for i in range(12)]


def long_ago(folder: Path) -> None:
    """Make files as old as photos are: of new ones their content is compared."""
    for path in folder.iterdir():
        os.utime(path, ns=(10**18, 10**18))


class Load:
    """Loads images, and keeps what is said and how many images are decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        self.decoded = 0
        prepare = Preprocessing.prepare

        def counted(*given: Any, **named: Any) -> Any:
            self.decoded += 1
            return prepare(*given, **named)

        monkeypatch.setattr(Preprocessing, "prepare", counted)

    def __call__(self, samples: list[Sample], how: Preprocessing = HOW, cache: str = "disk", **options: Any) -> Images:
        self.said.clear()
        self.decoded = 0
        return load_images(samples, how, 2, cache, note=self.said.append,  # type: ignore[arg-type]
                           **{"find_range": True, "part": "training", **options})

    def says(self, words: str) -> bool:
        return any(words in sentence for sentence in self.said)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    return Load(monkeypatch)


def known(found: Images) -> list[Any]:
    """All that there is to know of images."""
    state, counts = found.seen.state()
    return [[sample.path for sample in found.samples], found.labels.tolist(), found.marks.tolist(), found.skipped,
            found.forgiven, found.histogram.tolist(), state, counts.tolist(), found.preprocessing, found.shape,
            found.pixels(np.arange(len(found))).tolist(), [part.tolist() for part in found.in_order(4)],
            found.pixels([4, 0, 4]).tolist()]


def file_of(place: Path) -> Path:
    [path] = place.iterdir()
    return path


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 16]))
