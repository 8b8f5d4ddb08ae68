"""evaluation/baselines.py: which images are compared, that it is said how many, that the nearest one answers, and that
it is the one that a search one by one finds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Preprocessing, Sample, load_images, scan_labelled
from cnncli.evaluation import baselines
from cnncli.evaluation.baselines import MAJORITY, NEAREST, SIDE, Baseline, nearest, spread, thumbnails, weak
from cnncli.evaluation.intervals import wilson

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
    assert (found.right, found.image_count, found.how) == (5, 15, "always light, the commonest in training")
    found = baselines.majority(np.array([2, 1, 2]), CLASSES, None)
    assert (found.right, found.image_count, found.how) == (2, 3, "always striped, the commonest here")


def test_the_nearest_image_of_all(images, training):
    found = baselines.nearest_neighbour(images, training, HOW, 2)
    assert (found.right, found.image_count) == (15, 15)
    assert found.how == "the most similar of 24 training images, as grey thumbnails of 16 x 16"
    wrong = [type(s)(s.path, s.relative, (s.label + 1) % 3) for s in training]
    assert baselines.nearest_neighbour(images, wrong, HOW, 2).right == 0
    low = Preprocessing((12, 24), grey=True)
    found = baselines.nearest_neighbour(load_images(images.samples, low, 2, "ram"), training, low, 2)
    assert found.how.endswith("grey thumbnails of 16 x 12")


def test_bounds_are_kept_and_said(images, training, monkeypatch):
    monkeypatch.setattr(baselines, "TESTED", 6)
    monkeypatch.setattr(baselines, "KNOWN", 9)
    told = []
    found = baselines.nearest_neighbour(images, training, HOW, 2, lambda *how_far: told.append(how_far))
    assert (found.right, found.image_count) == (6, 6)
    assert found.how.startswith("of 6 of the images, the most similar of 9 of 24 training images")
    assert told == [(9, 9)]
    monkeypatch.setattr(baselines, "BYTES", 1)
    monkeypatch.setattr(baselines, "LEAST", 3)
    assert "of 3 of 24 training" in baselines.nearest_neighbour(images, training, HOW, 2).how


@pytest.mark.parametrize("piece", [1, 5, 100])
def test_pieces_change_nothing(images, training, monkeypatch, piece):
    monkeypatch.setattr(baselines, "_PIECE", piece)
    told = []
    assert baselines.nearest_neighbour(images, training, HOW, 1, lambda *far: told.append(far)).right == 15
    assert told == [(min(read, 24), 24) for read in range(piece, 24 + piece, piece)]


def test_training_images_that_cannot_be_read(images, training):
    for sample in training[:20]:
        Path(sample.path).write_bytes(b"")
    assert "the most similar of 4 of 24" in baselines.nearest_neighbour(images, training, HOW, 2).how
    assert [s.label for s in training[20:]] == [2] * 4
    assert baselines.nearest_neighbour(images, training, HOW, 2).right == 5, "those of that class"
    for sample in training[20:]:
        Path(sample.path).unlink()
    assert baselines.nearest_neighbour(images, training, HOW, 2) is None


def test_as_many_are_read_as_lie_in_96_mebibytes_and_200_all_the_same(tmp_path, monkeypatch):
    sample = scan_labelled(str(write(tmp_path / "one", 1, 0)), CLASSES)[0][0]
    many = [sample] * 30_000
    for size, read in ((0, 10_000), (1, 10_000), (12_000, 8388), (2**20, 200)):
        monkeypatch.setattr(baselines.files, "size", lambda path, size=size: size)
        assert len(baselines._affordable(many)) == read


@pytest.mark.parametrize(("count", "probed"), [(49, range(49)), (50, range(50)), (149, range(0, 149, 2))])
def test_some_fifty_files_tell_how_large_they_are(count, probed, monkeypatch):
    """One that has gone tells nothing, those after it do."""
    asked = []

    def size(path):
        asked.append(path)
        if len(asked) == 1:
            raise FileNotFoundError(path)
        return 2**19 if len(asked) == 2 else 0

    monkeypatch.setattr(baselines.files, "size", size)
    monkeypatch.setattr(baselines, "LEAST", 1)
    monkeypatch.setattr(baselines, "BYTES", 2**20)
    assert len(baselines._affordable([Sample(str(i), str(i), 0) for i in range(count)])) == min(
        count, 2 * (len(probed) - 1))
    assert asked == [str(i) for i in probed]


def test_of_thousands_of_images_two_thousand_are_compared(training):
    many = type("Images", (), {"shape": (2, 2, 1), "labels": np.zeros(2001, np.int64),
                               "pixels": lambda self, some: np.full((len(some), 2, 2, 1), 30, np.uint8)})()
    found = baselines.nearest_neighbour(many, training, Preprocessing((2, 2), grey=True), 2)
    assert (found.right, found.image_count) == (2000, 2000)
    assert found.how.startswith("of 2,000 of the images, the most similar of 24 training")


def test_what_programs_get():
    assert Baseline(3, 4, "x").as_json() == {"accuracy": 0.75, "interval": list(wilson(3, 4)), "images": 4, "how": "x"}


@pytest.mark.parametrize("shape", [(28, 28, 1), (40, 33, 3), (9, 5, 3), (224, 17, 1)])
def test_thumbnails_are_grey_means(rng, shape):
    pixels = rng.integers(0, 256, (3, *shape), np.uint8)
    found = thumbnails(pixels)
    h, w = min(shape[0], SIDE), min(shape[1], SIDE)
    assert found.shape == (3, h * w)
    assert found.dtype == np.float32
    assert (found == np.rint(found)).all()
    grey = pixels @ (np.array([0.299, 0.587, 0.114]) if shape[2] == 3 else np.ones(1))
    rows, columns = (np.append(np.arange(n) * size // n, size) for n, size in ((h, shape[0]), (w, shape[1])))
    for i in range(h):
        for j in range(w):
            mean = grey[:, rows[i] : rows[i + 1], columns[j] : columns[j + 1]].mean(axis=(1, 2)) - 128
            np.testing.assert_allclose(found[:, i * w + j], mean, atol=0.51)


@pytest.mark.parametrize("block", [1, 7, 100])
def test_the_nearest_of_all_whatever_the_blocks(rng, block, monkeypatch):
    monkeypatch.setattr(baselines, "_BLOCK", 50)
    known, labels = rng.integers(-128, 128, (100, 256)).astype(np.float32), rng.integers(0, 5, 100)
    known[40], labels[3], labels[40] = known[3], 4, 0  # the first of equals
    images = np.concatenate([known[[3, 40]], rng.integers(-128, 128, (70, 256)).astype(np.float32)])
    blocks = ((known[i : i + size], labels[i : i + size]) for i in range(0, 100, block) for size in (0, block))
    found = nearest(images, blocks)
    expected = [labels[((known.astype(int) - image.astype(int)) ** 2).sum(axis=1).argmin()] for image in images]
    assert found.tolist() == expected
    assert found[:2].tolist() == [4, 4]
    assert nearest(images[:2], []).tolist() == [-1, -1]


def test_spread_takes_evenly_from_all_classes(rng):
    labels = np.repeat(np.arange(4), [500, 3, 50, 0 + 20])
    rng.shuffle(labels)
    chosen = spread(labels, 100)
    assert len(chosen) <= 100
    assert (np.diff(chosen) > 0).all()
    assert np.bincount(labels[chosen]).tolist() == [38, 3, 38, 20]
    assert spread(labels, 573).tolist() == list(range(573))
    assert spread(np.repeat([0, 1, 0], [3, 2, 7]), 6).tolist() == [0, 2, 3, 4, 7, 9]
    assert spread(np.arange(50), 10).tolist() == list(range(0, 50, 5)), "more classes than images"


def test_what_a_model_below_a_baseline_is_worth() -> None:
    """Chance is 10 %, the model has 77 %: it has learnt something, also below the nearest neighbour's 79.6 %."""
    both = {MAJORITY: Baseline(100, 1000, "a"), NEAREST: Baseline(796, 1000, "b")}
    assert weak(0.8, both) is None
    assert str(weak(0.77, both)).startswith("The model has learnt something, but is no better than a comparison")
    assert str(weak(0.1, both)).startswith("The model is no better than always giving one answer")
    assert weak(0.5, {}) is None
