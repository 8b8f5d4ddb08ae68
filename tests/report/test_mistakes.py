"""The sheet of mistakes."""

import numpy as np
import pytest
from PIL import Image

from cnncli.evaluation.scores import score
from cnncli.report import mistakes

NAMES = ["cat", "dog", "帽子", "a class with a name of many words, more than fit"]


def evaluation(wrong, right=5):
    """Images of class i % 4, the first `wrong` of them guessed as the next class, less and less surely."""
    count = wrong + right
    labels = np.arange(count) % 4
    logits = np.zeros((count, 4))
    guesses = np.where(np.arange(count) < wrong, (labels + 1) % 4, labels)
    logits[np.arange(count), guesses] = np.linspace(6, 1, count)
    return score(logits, labels, NAMES)


def grey(indices):
    """The images: each of one grey, 10 per index."""
    return np.broadcast_to((np.asarray(indices, np.uint8) * 10)[:, None, None, None], (len(indices), 28, 28, 1))


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [1, 3, 8, 20, 60])
def test_each_mistake_stands_with_truth_guess_probability_and_file(wrong, tmp_path, words):
    found = evaluation(wrong)
    files = [f"/some/folder/image {i}.png" for i in range(found.image_count)]
    path = mistakes.draw(found, grey, files, tmp_path / "mistakes.png", "Worst mistakes of runs/a")
    with Image.open(path) as image:
        words.check(image.size)
    shown = min(wrong, mistakes.MOST)
    assert [text for text in words.texts if text.startswith("image ")] == [f"image {i}.png" for i in range(shown)]
    first = words.texts.index("true: cat")
    assert {"true: cat", "answer: dog", "image 0.png"} <= set(words.texts[first : first + 4])
    probability = found.probabilities[0, 1]
    assert f"{probability:.1%}" in words.texts[first : first + 4]
    assert any(text.startswith(f"{wrong} of {found.image_count} images wrong") for text in words.texts)


def test_thumbnails_are_in_order_of_confidence(tmp_path):
    labels = np.zeros(3, np.int64)
    logits = np.array([[0, 1.0], [0, 5], [0, 3]])
    path = mistakes.draw(score(logits, labels, ["a", "b"]), grey, ["x", "y", "z"], tmp_path / "m.png", "t")
    with Image.open(path) as image:
        row = np.asarray(image.convert("L"))[mistakes.MARGIN + 60 + 80]
    greys = [int(row[mistakes.MARGIN + i * (mistakes.SIDE + mistakes.GAP) + 80]) for i in range(3)]
    assert greys == [10, 20, 0]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 48, 3), (300, 500, 3), (1, 1, 1), (160, 160, 3)])
def test_images_of_any_shape(shape, tmp_path, words):
    path = mistakes.draw(evaluation(5), lambda indices: np.zeros((len(indices), *shape), np.uint8),
                         [b"bytes \xe9.png", "new\nline.png", "x" * 300, "$a$", "e.png"] * 2, tmp_path / "m.png", "t")
    with Image.open(path) as image:
        words.check(image.size)


def test_no_mistakes_is_said_and_reads_no_image(tmp_path, words):
    def unread(indices):
        pytest.fail("not needed")

    path = mistakes.draw(evaluation(0, 7), unread, ["a"] * 7, tmp_path / "m.png", "t")
    assert "No mistakes among 7 images." in words.texts
    with Image.open(path) as image:
        words.check(image.size)
