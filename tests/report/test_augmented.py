"""The sheet of augmented samples: every word of it, and pictures that are what the training will see."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Augmentation, Batches, Preprocessing, Sample, describe, load_images
from cnncli.report import augmented
from cnncli.visualize.canvas import FAINT, INK
from tests.words import Words

from .strokes import looks, of

NAMES = ["cat", "a class with a name of many words, more than fit", "帽子"]


def batches(folder: Path, augmentation: Augmentation | None, grey: bool = False, each: int = 5) -> Batches:
    rng, samples = np.random.default_rng(3), []
    (folder / "images").mkdir()  # beside the sheet: a folder of images alone may be a class
    for i in range(3 * each):
        path = folder / "images" / f"{i:02}.png"
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
    assert {"runs/a", "original", *(f"epoch {i}" for i in range(1, 8))} <= set(words.texts)
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


def test_images_of_each_class_are_chosen_in_their_order():
    assert augmented._chosen(np.array([2, 0, 0, 1, 0, 2, 1])) == [1, 2, 4, 3, 6, 0, 5]
    assert augmented._chosen(np.array([2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0])) == [1, 2, 3, 4, 5, 6, 8, 0]
    assert augmented._chosen(np.arange(12) % 10) == list(range(8))


def test_normalised_values_are_colours_again(tmp_path: Path) -> None:
    values = np.array([[[-2.0, 0, 3], [-3, 0.01, 4], [1, 2, 2.999]]], np.float32)
    assert augmented._as_bytes(values, batches(tmp_path, None, each=1)).tolist() == [
        [[0, 102, 255], [0, 103, 255], [153, 204, 255]]]


def test_tiles_stand_in_rows_and_columns(tmp_path: Path, strokes: list[tuple[Any, ...]],
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 112 pixels, 12 apart, 20 for words below; the sample of each epoch with what else is in it."""
    source = batches(tmp_path, Augmentation(mixup=1), each=1)
    monkeypatch.setattr(augmented, "wrapped", lambda words, width, size: [words, width, size])
    monkeypatch.setattr(Batches, "sample", lambda self, epoch, index: (
        (self.images.pixels([index])[0] / 255 - 0.4) / 0.2, 2 if epoch == 7 else None, 0.25 if epoch == 7 else 1.0))
    augmented.draw(source, ["a", "b", "c"], "sheet.png", "t")
    width, top = 8 * 124 - 12, 24 + 30 + 20 * 3 + 26
    assert of(strokes, "sheet") == [(48 + width, top + 3 * 144 - 12 + 24)]
    assert of(strokes, "image") == [(24 + 124 * column, top + 144 * row, 112, 112, True)
                                    for row in range(3) for column in range(8)]
    words = of(strokes, "text")
    assert words[0] == (24, 24, "t")
    assert [text for text in words if text[1] == top - 22] == [
        (24 + 124 * i, top - 22, f"epoch {i}" if i else "original") for i in range(8)]
    assert words[4:][8:] == [(24, top + 115, "a"), (24 + 7 * 124, top + 115, "+ 75% c"), (24, top + 259, "b"),
                             (24 + 7 * 124, top + 259, "+ 75% c"), (24, top + 403, "c")], "c with c is c"
    assert [what[2] for what in words[1:4]] == [describe(source.augmentation, source.preprocessing), width, 13]
    assert looks(strokes).items() >= {
        "t": [18, INK, True, "left", width], "original": [12, FAINT, False, "left", 112],
        "b": [12, INK, False, "left", 112], "+ 75% c": [10, FAINT, False, "left", 112],
        width: [13, FAINT, False, "left", None]}.items()


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


@pytest.mark.slow
def test_few_images(tmp_path: Path, words: Words) -> None:
    augmented.draw(batches(tmp_path, Augmentation(1, mixup=1), each=1), NAMES, tmp_path / "a.png", "t")
    assert words.texts.count("帽子") == 1


@pytest.mark.parametrize(("labels", "share", "words"), [
    ((0, 1), 0.7, "+ 30% b"), ((0, 1), 0.99, "+ 1% b"), ((0, 1), 0.996, ""), ((0, 1), 1.0, ""), ((1, 1), 0.5, ""),
    ((1, 0), 0.0, "+ 100% a")])
def test_a_mixture_says_what_else_is_in_it(labels, share, words):
    assert augmented._mixture(["a", "b"], labels, share) == words
