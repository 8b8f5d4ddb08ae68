"""cnncli/baselines.py: which images are compared, that it is said how many, and that the nearest one answers."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Preprocessing, load_images, scan_labelled
from cnncli.evaluation import baselines

CLASSES = ["dark", "light", "striped"]
HOW = Preprocessing((20, 24), grey=False)


def write(folder: Path, each: int, seed: int) -> Path:
    """Write images of three classes that a glance tells apart."""
    rng = np.random.default_rng(seed)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = rng.integers(0, 60, (20, 24, 3))
            pixels[:: max(1, label)] += (0, 180, 180)[label]
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def images(tmp_path):
    return load_images(scan_labelled(str(write(tmp_path / "test", 5, 0)), CLASSES)[0], HOW, 2, "ram")


@pytest.fixture
def training(tmp_path):
    return scan_labelled(str(write(tmp_path / "train", 8, 1)), CLASSES)[0]


def test_the_commonest_class(images, training):
    found = baselines.majority(images.labels, CLASSES, [sample for sample in training if sample.label])
    assert (found.right, found.images, found.how) == (5, 15, "always light, the commonest in training")
    found = baselines.majority(np.array([2, 1, 2]), CLASSES, None)
    assert (found.right, found.images, found.how) == (2, 3, "always striped, the commonest here")


def test_the_nearest_image_of_all(images, training):
    found = baselines.nearest_neighbour(images, training, HOW, 2)
    assert (found.right, found.images) == (15, 15)
    assert found.how == "the most similar of 24 training images, as grey thumbnails of 16 x 16"
    wrong = [type(s)(s.path, s.relative, (s.label + 1) % 3) for s in training]
    assert baselines.nearest_neighbour(images, wrong, HOW, 2).right == 0


def test_bounds_are_kept_and_said(images, training, monkeypatch):
    monkeypatch.setattr(baselines, "TESTED", 6)
    monkeypatch.setattr(baselines, "KNOWN", 9)
    told = []
    found = baselines.nearest_neighbour(images, training, HOW, 2, lambda *how_far: told.append(how_far))
    assert (found.right, found.images) == (6, 6)
    assert found.how.startswith("of 6 of the images, the most similar of 9 of 24 training images")
    assert told == [(9, 9)]
    monkeypatch.setattr(baselines, "BYTES", 1)
    monkeypatch.setattr(baselines, "LEAST", 3)
    assert "of 3 of 24 training" in baselines.nearest_neighbour(images, training, HOW, 2).how


@pytest.mark.parametrize("piece", [1, 5, 100])
def test_pieces_change_nothing(images, training, monkeypatch, piece):
    monkeypatch.setattr(baselines, "_PIECE", piece)
    assert baselines.nearest_neighbour(images, training, HOW, 1).right == 15


def test_training_images_that_cannot_be_read(images, training):
    for sample in training[:20]:
        Path(sample.path).write_bytes(b"")
    assert "the most similar of 4 of 24" in baselines.nearest_neighbour(images, training, HOW, 2).how
    for sample in training[20:]:
        Path(sample.path).unlink()
    assert baselines.nearest_neighbour(images, training, HOW, 2) is None
