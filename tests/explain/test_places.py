"""explain/places.py: where a part of an image lies, in words; how much of it another has; what is cut and pasted."""

import numpy as np
import pytest

from cnncli.explain.places import Place

SIZE = (30, 60)
MASK = np.arange(12).reshape(3, 4) % 2 == 0


@pytest.mark.parametrize(("box", "where"), [
    ((0, 0, 9, 18), "the upper left corner"), ((0, 41, 9, 60), "the upper right corner"),
    ((21, 0, 30, 18), "the lower left corner"), ((21, 41, 30, 60), "the lower right corner"),
    ((0, 20, 9, 40), "the upper edge"), ((21, 20, 30, 40), "the lower edge"), ((10, 0, 20, 18), "the left edge"),
    ((10, 41, 20, 60), "the right edge"), ((10, 20, 20, 40), "the middle"), ((0, 0, 30, 60), "the whole image"),
    ((0, 0, 20, 40), "the middle"), ((0, 0, 19, 39), "the upper left corner"), ((10, 20, 30, 60), "the middle"),
    ((11, 21, 30, 60), "the lower right corner"), ((0, 0, 30, 59), "the middle"), ((0, 0, 29, 60), "the middle"),
    ((0, 0, 30, 10), "the left edge"), ((25, 0, 30, 60), "the lower edge")])
def test_where_a_part_lies(box: tuple[int, int, int, int], where: str) -> None:
    """By thirds of the image in which its middle lies."""
    place = Place(*box, SIZE)
    assert place.where == where
    top, left, bottom, right = box
    assert place.words == f"{where} (rows {top} to {bottom}, columns {left} to {right} of 30 x 60)"


def test_a_frame_is_all_round() -> None:
    assert Place(0, 0, 30, 60, SIZE, np.ones(SIZE, bool)).where == "the frame"
    assert Place(0, 0, 3, 60, SIZE, np.ones((3, 60), bool)).where == "the upper edge"


def test_the_part_of_the_image_that_it_is() -> None:
    assert Place(1, 2, 4, 6, SIZE).area == 12 / 1800
    assert Place(1, 2, 4, 6, SIZE, MASK).area == 6 / 1800
    assert Place(1, 2, 4, 6, SIZE).as_json() == {
        "where": "the upper left corner", "rows": [1, 4], "columns": [2, 6], "of": [30, 60], "area": 0.0067}


@pytest.mark.parametrize(("box", "both"), [
    ((1, 2, 4, 6), 12), ((0, 0, 9, 9), 12), ((3, 5, 9, 9), 1), ((4, 2, 9, 6), 0), ((1, 6, 4, 9), 0), ((2, 3, 3, 5), 2),
    ((20, 30, 24, 36), 0), ((2, 0, 3, 20), 4)])
def test_what_two_places_have_in_common(box: tuple[int, int, int, int], both: int) -> None:
    one, other = Place(1, 2, 4, 6, SIZE), Place(*box, SIZE)
    pixels = (box[2] - box[0]) * (box[3] - box[1])
    for first, second in ((one, other), (other, one)):
        assert first.overlap(second) == both / (12 + pixels - both)
        assert first.shares(second) == both / min(12, pixels)


def test_the_same_part_elsewhere() -> None:
    moved = Place(1, 2, 4, 6, SIZE, MASK).moved(10, 20)
    assert (moved.top, moved.left, moved.bottom, moved.right, moved.size) == (10, 20, 13, 24, SIZE)
    assert moved.mask is MASK


@pytest.mark.parametrize("mask", [None, MASK])
def test_what_lies_there_is_pasted_and_nothing_else(mask: np.ndarray | None) -> None:
    place = Place(1, 2, 4, 6, (5, 7), mask)
    images, donors = np.zeros((2, 5, 7, 3), np.uint8), np.arange(210, dtype=np.uint8).reshape(2, 5, 7, 3) + 1
    found = place.pasted(images, donors)
    assert not images.any(), "they stay as they are"
    for n, y, x in np.ndindex(2, 5, 7):
        inside = 1 <= y < 4 and 2 <= x < 6 and (mask is None or mask[y - 1, x - 2])
        assert found[n, y, x].tolist() == (donors[n, y, x].tolist() if inside else [0, 0, 0])
    assert np.array_equal(place.cut(donors), donors[:, 1:4, 2:6])
