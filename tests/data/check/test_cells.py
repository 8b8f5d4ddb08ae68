"""cnncli/data/check/cells.py: whoever is alike meets, and the work for each image does not grow with their number."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli.data.check import cells
from cnncli.data.check.cells import nearest_in_cells
from cnncli.data.check.neighbours import LEAST_LIKE, NEIGHBOURS, Product, nearest_of_all

CELL = 64


@pytest.fixture(autouse=True)
def small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "CELL", CELL)


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, 63)).astype(np.float16)


def with_copies(count: int, noise: float) -> np.ndarray:
    """Vectors, the second half of which are those of the first half with noise."""
    first = vectors(count // 2)
    return np.concatenate([first, first + (noise * vectors(count // 2, seed=1)).astype(np.float16)])


def pairs(found: tuple[np.ndarray, np.ndarray]) -> set[tuple[int, int]]:
    return set(zip(found[0].tolist(), found[1].tolist(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "least"), [(0.1, 1.0), (0.4, 0.99)])
def test_what_is_alike_meets(noise: float, least: float) -> None:
    found = pairs(nearest_in_cells(with_copies(1000, noise), None))
    assert sum((i, i + 500) in found for i in range(500)) >= least * 500


def test_nothing_is_found_that_comparing_all_would_not_find() -> None:
    images = with_copies(600, 0.5)
    unit = images.astype(np.float32) / np.linalg.norm(images.astype(np.float32), axis=1, keepdims=True)
    found = pairs(nearest_in_cells(images, None))
    assert all(float(unit[i] @ unit[j]) > LEAST_LIKE - 1e-3 for i, j in found)
    assert all(i < j for i, j in found)
    planted = {(i, i + 300) for i in range(300)}
    assert len(found & planted) >= len(pairs(nearest_of_all(images, None)) & planted) - 3


def work(images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> float:
    """Return how many products an image takes."""
    count, plain = 0, Product.of

    def counted(self: Product, rows: int, columns: int) -> np.ndarray:
        nonlocal count
        count += rows * columns
        return plain(self, rows, columns)

    with monkeypatch.context() as patch:
        patch.setattr(Product, "of", counted)
        nearest_in_cells(images, None)
    return count / len(images)


def alike(count: int) -> np.ndarray:
    """Hardly anything but what all have in common."""
    return (vectors(1) + 0.05 * vectors(count, seed=2)).astype(np.float16)


def in_heaps(count: int) -> np.ndarray:
    """Nine in ten in one heap, nine in ten of these in one of its own, and so on: no division is even."""
    scale = 10.0 ** -(np.random.default_rng(5).geometric(0.1, count) - 1)
    return (vectors(1) + scale[:, None] * vectors(count, seed=3)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("images", [vectors, alike, in_heaps])
def test_the_work_for_an_image_does_not_grow(images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "DEALS", 3)
    few, many = (work(images(count), monkeypatch) for count in (600, 2400))
    assert max(few, many) < 3 * 2 * CELL
    assert many < 2 * few, "four times the images; only divisions of divisions grow, with the logarithm"


@pytest.mark.parametrize("images", [vectors, alike, in_heaps])
def test_each_image_is_in_one_cell_of_a_deal_and_no_cell_is_large(images) -> None:
    search = cells._Search(cells.unit_vectors(images(1500)))
    dealt = list(search.cells(np.random.default_rng(0)))
    assert sorted(np.concatenate(dealt).tolist()) == list(range(1500))
    assert max(map(len, dealt)) <= CELL


def test_a_cell_that_cannot_be_divided_is_cut() -> None:
    """Vectors of one direction and all lengths: every one is most like the first that is drawn."""
    search = cells._Search(cells.unit_vectors(np.ones((1000, 63), np.float32)))
    dealt = list(search.cells(np.random.default_rng(0)))
    assert sorted(np.concatenate(dealt).tolist()) == list(range(1000))
    assert max(map(len, dealt)) <= CELL


@pytest.mark.slow
def test_no_image_has_more_neighbours_than_it_may() -> None:
    images = alike(600)
    first, second = nearest_in_cells(images, None)
    assert len(first) <= NEIGHBOURS * len(images)
    assert len(pairs((first, second))) == len(first)


def test_progress_ends_at_the_number_of_images() -> None:
    told: list[tuple[int, int]] = []
    nearest_in_cells(np.concatenate([vectors(300), vectors(300)]), lambda *step: told.append(step))
    assert told[-1] == (600, 600)
    assert told == sorted(told)
    assert told[0][0] < 600
    assert {total for _, total in told} == {600}


def test_progress_where_all_are_compared() -> None:
    told: list[tuple[int, int]] = []
    nearest_of_all(vectors(600), lambda *step: told.append(step))
    assert told == [(256, 600), (512, 600), (600, 600)]


@pytest.mark.slow
def test_any_number_of_threads_finds_the_same() -> None:
    images, before, found = alike(400), kernels.threads(), []
    try:
        for count in (1, 2, 5):
            kernels.set_threads(count)
            found.append(nearest_in_cells(images, None))
    finally:
        kernels.set_threads(before)
    for first, second in found[1:]:
        assert np.array_equal(first, found[0][0])
        assert np.array_equal(second, found[0][1])
