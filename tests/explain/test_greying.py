"""explain/greying.py: what greying each place costs, against plain loops, and which place is the worst."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnncli.explain.greying import PASSES, Greyed, greyed
from cnncli.explain.places import Place

from .shortcutting import SIDE, images, network
from .test_evidence import corners, model_of


@pytest.mark.parametrize("label", [0, 2])
def test_each_place_is_greyed_in_all_images(label: int) -> None:
    model, (pixels, labels), told = network(True), images(True), list[int]()
    own = pixels[labels == label][:3]
    found = greyed(model, own, label, told.append)
    assert (found.image_count, sum(told)) == (3, 3 * PASSES)
    before = model.probabilities(own)[:, label].mean()
    for wide, drops, lost in zip((1, 2), found.drops, found.lost, strict=True):
        assert drops.shape == lost.shape == (9 - wide, 9 - wide)
        for row, column in [(0, 0), (6, 6), (5, 6), (3, 1)]:
            covered = own.copy()
            covered[:, 2 * row : 2 * (row + wide), 2 * column : 2 * (column + wide)] = 0
            chances = model.probabilities(covered)
            assert drops[row, column] == pytest.approx(before - chances[:, label].mean(), rel=1e-6, abs=1e-9)
            assert lost[row, column] == (chances.argmax(axis=1) != label).mean()
    place, drop = found.worst((SIDE, SIDE))
    assert drop == max(found.drops[0].max(), found.drops[1].max()) > 0
    if label == 2:
        assert (place.bottom - place.top, place.right - place.left) == (4, 4), "the mark's size"


@pytest.mark.parametrize(("square", "side"), [(0.5, 4), (0.4, 4), (0.3, 2)])
def test_a_square_that_is_as_bad_as_a_cell_is_the_place(square: float, side: int) -> None:
    cells, squares = np.zeros((8, 8)), np.zeros((7, 7))
    cells[3, 5], squares[2, 4] = 0.4, square
    place, drop = Greyed(1, (cells, squares), (cells, squares)).worst((SIDE, 2 * SIDE))
    assert drop == max(square, 0.4)
    top, left = (4, 16) if side == 4 else (6, 20)
    assert (place.top, place.left, place.bottom, place.right) == (top, left, top + side, left + 2 * side)


def test_images_that_are_wider_than_high() -> None:
    model = model_of("Conv2d", "ReLU")
    found = greyed(model, corners()[:2], 1, lambda passes: None)
    assert found.worst((16, 32))[0] == Place(0, 0, 4, 8, (16, 32)), "where it is light"
    assert found.drops[0][0, 0] > 0
    assert abs(found.drops[0][4, 4]) < 1e-3


def test_its_numbers_are_those_of_the_cells() -> None:
    cells, squares = (np.full((side, side), side, float) for side in (8, 7))
    assert Greyed(3, (cells, squares), (cells + 1, squares + 1)).as_json() == {
        "images": 3, "probability_lost": pytest.approx(cells), "accuracy_lost": pytest.approx(cells + 1)}


def test_grey_is_the_mean_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.3 and 0.62 of 255: 76 and 158. Every cell and square is greyed once, and nothing else."""
    asked: list[np.ndarray] = []

    def probabilities(images: np.ndarray) -> np.ndarray:
        asked.append(images)
        return np.array([[0.25, 0.75], [0.75, 0.25]])

    model: Any = SimpleNamespace(preprocessing=SimpleNamespace(mean=(0.3, 0.62)), probabilities=probabilities)
    own = np.full((2, 8, 16, 2), 9, np.uint8)
    found = greyed(model, own, 1, lambda images: None)
    assert (own == 9).all()
    assert np.array_equal(asked[0], own)
    boxes = [(row, column, wide) for wide in (1, 2) for row in range(9 - wide) for column in range(9 - wide)]
    for covered, (row, column, wide) in zip(asked[1:], boxes, strict=True):
        wanted = own.copy()
        wanted[:, row : row + wide, 2 * column : 2 * (column + wide)] = [76, 158]
        assert np.array_equal(covered, wanted)
    assert not any(each.any() for each in found.drops)
    assert all((each == 0.5).all() for each in found.lost)
