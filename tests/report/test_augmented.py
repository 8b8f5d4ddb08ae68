"""The sheet of augmented samples: every word of it, and pictures that are what the training will see."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Augmentation, Batches, Preprocessing, Sample, load_images
from cnncli.report import augmented
from tests.words import Words

NAMES = ["cat", "a class with a name of many words, more than fit", "帽子"]


def batches(folder: Path, augmentation: Augmentation | None, grey: bool = False, each: int = 5) -> Batches:
    rng, samples = np.random.default_rng(3), []
    for i in range(3 * each):
        path = folder / f"{i:02}.png"
        Image.fromarray(rng.integers(0, 256, (14, 14) if grey else (14, 14, 3), np.uint8)).save(path)
        samples.append(Sample(str(path), path.name, i % 3))
    how = Preprocessing((14, 14), grey, mean=(0.4,) * (1 if grey else 3), std=(0.2,) * (1 if grey else 3))
    return Batches(load_images(samples, how, threads=1), how, 8, 0, augmentation)


@pytest.mark.slow
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("augmentation", [None, Augmentation(2, True), Augmentation(2, rotate=15, mixup=5, cutmix=1)])
def test_every_word_is_on_it(augmentation: Augmentation | None, grey: bool, tmp_path: Path, words: Words) -> None:
    path = augmented.draw(batches(tmp_path, augmentation, grey), NAMES, tmp_path / "a.png", "runs/a")
    with Image.open(path) as image:
        words.check(image.size)
    assert {"runs/a", "as it is", *(f"epoch {i}" for i in range(1, 8))} <= set(words.texts)
    assert words.texts.count("cat") == 3
    mixed = [text for text in words.texts if text.startswith("+ ")]
    assert bool(mixed) == (augmentation is not None and augmentation.mixes)
    assert all("%" in text for text in mixed)


def tile(path: Path, row: int, column: int, top: int) -> np.ndarray:
    """Read a picture of 14 x 14 pixels, eight times as large, back from the sheet."""
    x = augmented.MARGIN + column * (augmented.SIDE + augmented.GAP)
    y = top + row * (augmented.SIDE + augmented.WORDS + augmented.GAP)
    with Image.open(path) as image:
        return np.asarray(image)[y : y + 112, x : x + 112][4::8, 4::8]


@pytest.mark.slow
def test_the_pictures_are_those_of_the_epochs(tmp_path: Path) -> None:
    source = batches(tmp_path, Augmentation(3, True))
    path = augmented.draw(source, NAMES, tmp_path / "a.png", "t")
    top = augmented.MARGIN + 30 + 20 + 26
    chosen = [0, 3, 6, 1, 4, 7, 2, 5]
    for row, index in enumerate(chosen):
        pixels = source.images.pixels([index])[0]
        assert np.array_equal(tile(path, row, 0, top), pixels)
        for epoch in (1, 7):
            dy, dx, flip = Augmentation(3, True).moves(0, epoch, np.array([index]), (14, 14))[0]
            padded = np.pad(pixels, ((3, 3), (3, 3), (0, 0)), "reflect")[3 + dy : 17 + dy, 3 + dx : 17 + dx]
            assert np.array_equal(tile(path, row, epoch, top), padded[:, ::-1] if flip else padded)


def test_few_images(tmp_path: Path, words: Words) -> None:
    augmented.draw(batches(tmp_path, Augmentation(1, mixup=1), each=1), NAMES, tmp_path / "a.png", "t")
    assert words.texts.count("帽子") == 1


@pytest.mark.parametrize(("labels", "share", "words"), [
    ((0, 1), 0.7, "+ 30% b"), ((0, 1), 0.99, "+ 1% b"), ((0, 1), 0.996, ""), ((0, 1), 1.0, ""), ((1, 1), 0.5, ""),
    ((1, 0), 0.0, "+ 100% a")])
def test_a_mixture_says_what_else_is_in_it(labels, share, words):
    assert augmented._mixture(["a", "b"], labels, share) == words
