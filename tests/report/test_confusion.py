"""The confusion matrix as a picture and as a CSV file."""

import csv

import numpy as np
import pytest
from PIL import Image

from cnncli.errors import UsageError
from cnncli.evaluation.scores import score
from cnncli.report import confusion

LONG = "a name that is much longer than what fits beside a matrix " * 3
HAIRY = ["two\nlines", "$x^2$ \\frac", "帽子, \"hat\"", LONG, "caf\udce9", "=1+1"]


def evaluation(names, images, rng, spread=1.5):
    labels = rng.integers(0, len(names), images)
    logits = rng.standard_normal((images, len(names))) * spread
    logits[np.arange(images), labels] += 3
    return score(logits, labels, names)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3, 10, 13, 31, 100])
def test_every_name_and_count_stands_on_the_sheet(count, tmp_path, rng, words):
    names = [f"class number {i}" for i in range(count)]
    found = evaluation(names, 40 * count, rng)
    path = confusion.draw(found, tmp_path / "confusion.png", "Confusion matrix of runs/a")
    with Image.open(path) as image:
        size = image.size
    assert max(size) < 3500
    for name in names:
        assert words.texts.count(name) == 2, f"{name} must stand before its row and above its column"
    counts = [text for text, (left, *_) in words.drawn if text.isdigit()]
    for value in found.confusion_matrix[found.confusion_matrix > 0].tolist():
        assert str(value) in counts
    assert "Confusion matrix of runs/a" in words.texts
    if count <= 31:
        words.check(size)


def test_rows_are_the_truth_in_numbers_and_shades(tmp_path, words):
    labels, guesses = np.repeat([0, 1, 2], [10, 4, 4]), np.repeat([0, 1, 1, 2, 0], [4, 6, 4, 3, 1])
    found = score(np.eye(3)[guesses], labels, ["a", "b", "c"])
    assert found.confusion_matrix.tolist() == [[4, 6, 0], [0, 4, 0], [1, 0, 3]]
    path = confusion.draw(found, tmp_path / "c.png", "t")
    cells = sorted((round(top), left, int(text)) for text, (left, top, *_) in words.drawn if text.isdigit())
    assert [count for *_, count in cells] == found.confusion_matrix.ravel().tolist()
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    shades = [pixels[top - 5, round(left) - 8] for top, left, _ in cells]
    expected = [-1, 1, 0, 0, -1, 0, 1, 0, -1]  # blue on the diagonal, orange for mistakes, white for nothing
    assert [int(np.sign(red - blue)) for red, _, blue in shades] == expected
    assert shades[1].sum() < shades[6].sum(), "6 of 10 is worse than 1 of 4, and darker"


@pytest.mark.slow
@pytest.mark.parametrize("count", [121, 1000, 1700])
def test_hundreds_of_classes_become_an_overview(count, tmp_path, rng, words):
    names = [f"class number {i}" for i in range(count)]
    path = confusion.draw(evaluation(names, 200, rng), tmp_path / "confusion.png", "t")
    with Image.open(path) as image:
        words.check(image.size)
        assert max(image.size) < 2500
    assert words.texts.count("class number 0") == 2
    assert any("confusion.csv" in text for text in words.texts)


def test_large_counts_widen_the_cells(tmp_path, words):
    labels = np.repeat([0, 1], 60_000)
    logits = np.eye(2)[np.repeat([0, 1, 0, 1], [50_000, 10_000, 5, 59_995])]
    path = confusion.draw(score(logits, labels, ["a", "b"]), tmp_path / "c.png", "t")
    with Image.open(path) as image:
        words.check(image.size)
    assert {"50,000", "10,000", "5", "59,995"} <= set(words.texts)
    assert words.texts.count("100%") == 2  # precision of a, recall of b
    assert {"83%", "86%"} <= set(words.texts)


def test_hairy_names_are_drawn_without_a_warning(tmp_path, rng, words):
    path = confusion.draw(evaluation(HAIRY, 100, rng), tmp_path / "c.png", HAIRY[0] + HAIRY[2])
    with Image.open(path) as image:
        words.check(image.size)
    assert words.texts.count("two\\nlines") == 2
    assert words.texts.count("$x^2$ \\frac") == 2


def test_a_class_without_images_shows_no_recall(tmp_path, words):
    found = score(np.eye(3)[[0, 0, 1]], np.array([0, 0, 1]), ["a", "b", "c"])
    confusion.draw(found, tmp_path / "c.png", "t")
    assert words.texts.count("–") == 2  # c has neither images nor guesses


def test_shading_is_by_row_and_mistakes_are_orange(tmp_path):
    found = score(np.eye(2)[[0] * 90 + [1] * 10 + [1] * 2], np.array([0] * 100 + [1] * 2), ["a", "b"])
    path = confusion.draw(found, tmp_path / "c.png", "t")
    with Image.open(path) as image:
        colours = {colour for n, colour in image.convert("RGB").getcolors(100_000) if n > 1500} - {(255, 255, 255)}
    blue = [c for c in colours if c[2] > c[0]]
    orange = [c for c in colours if c[0] > c[2]]
    assert len(blue) == 2, "90 of 100 and 2 of 2 are shaded differently, the smaller count darker"
    assert len(orange) == 1


def test_the_csv_reads_back(tmp_path, rng):
    found = evaluation(HAIRY, 60, rng)
    path = confusion.write_csv(found, tmp_path / "confusion.csv")
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    names = [name.replace("\udce9", "\\udce9") for name in HAIRY]  # the file is UTF-8 whatever the names are
    assert rows[0] == ["true \\ predicted", *names]
    assert [row[0] for row in rows[1:]] == names
    assert [[int(v) for v in row[1:]] for row in rows[1:]] == found.confusion_matrix.tolist()


def test_a_place_that_cannot_be_written_is_named(tmp_path, rng):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"confusion\.png cannot be written, because \S+file is a file; give another"):
        confusion.draw(evaluation(["a", "b"], 9, rng), tmp_path / "file" / "confusion.png", "t")
