"""explain/imputing.py: pixels that are filled in, against dense equations."""

from itertools import product

import numpy as np
import pytest

from cnncli.explain import imputing
from cnncli.explain.imputing import NOISE, RESIDUAL, imputed, solved
from cnncli.explain.trust import middle


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_what_is_filled_in_solves_the_equations(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    image = rng.normal(size=(9, 7, 2)).cumsum(axis=0).astype(np.float32)
    missing = rng.random((3, 9, 7)) < share
    missing[0] = middle((9, 7)) > np.quantile(middle((9, 7)), 1 - share)  # in one piece
    missing[:, 0, 0] = False
    assert np.abs(solved(image, missing) - dense(image, missing)).max() < NOISE
    monkeypatch.setattr(imputing, "RESIDUAL", 1e-9)
    for at_once in (2 * image.size, 1):
        monkeypatch.setattr(imputing, "_AT_ONCE", at_once)
        assert np.abs(solved(image, missing) - dense(image, missing)).max() < 1e-7
    left = imputed(image, missing, 0)
    assert np.array_equal(left[~missing], np.broadcast_to(image, left.shape)[~missing])
    off = (left - solved(image, missing))[missing]
    assert off.std() == pytest.approx(NOISE, rel=0.3)
    assert RESIDUAL <= NOISE / 10


def test_what_is_around_a_pixel_has_the_weights_of_the_paper() -> None:
    alone = np.zeros((1, 2, 5, 6))
    alone[0, 0, 2, 3] = alone[0, 1, 0, 0] = 1
    found = imputing._around(alone)[0]
    np.testing.assert_allclose(found[0, 1:4, 2:5], np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 12)
    np.testing.assert_allclose(found[1, :2, :2], np.array([[4, 2], [2, 1]]) / 12)
    assert (np.count_nonzero(found[0]), np.count_nonzero(found[1])) == (9, 4)


def dense(image: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The same by one equation for each missing pixel, solved exactly."""
    image = image.astype(np.float64)
    found = np.broadcast_to(image, (*missing.shape, image.shape[2])).copy()
    for mask, filled in zip(missing, found, strict=True):
        places = [tuple(at) for at in np.argwhere(mask)]
        matrix, right = np.zeros((len(places),) * 2), np.zeros((len(places), image.shape[2]))
        for i, (y, x) in enumerate(places):
            for dy, dx in product((-1, 0, 1), repeat=2):
                at, weight = (y + dy, x + dx), 1 / 6 if 0 in (dy, dx) else 1 / 12
                if (dy, dx) == (0, 0) or not (0 <= at[0] < mask.shape[0] and 0 <= at[1] < mask.shape[1]):
                    continue
                matrix[i, i] += weight
                if mask[at]:
                    matrix[i, places.index(at)] -= weight
                else:
                    right[i] += weight * image[at]
        filled[mask] = np.linalg.solve(matrix, right)
    return found


def test_halves_and_ratios() -> None:
    """Sums of two by two, of an odd side's last ones alone; nothing where nothing was counted."""
    x = np.arange(15.0).reshape(1, 3, 5)
    assert imputing._halved(x).tolist() == [[[0 + 1 + 5 + 6, 2 + 3 + 7 + 8, 4 + 9], [10 + 11, 12 + 13, 14]]]
    assert imputing._ratio(np.array([6.0, 6, 0]), np.array([2.0, 0, 3])).tolist() == [3, 0, 0]
    two = np.arange(16.0).reshape(2, 2, 2, 2)
    assert imputing._dot(two, two + 1)[..., 0, 0].tolist() == [
        [sum(v * (v + 1) for v in range(first, first + 4)) for first in (start, start + 4)] for start in (0, 8)]


def test_the_noise_comes_from_the_seed_and_lies_on_what_was_missing() -> None:
    image, missing = np.ones((2, 3, 2), np.float32), np.zeros((2, 2, 3), bool)
    missing[0, 0, 1] = missing[1, 1] = True
    noise = np.random.default_rng([5, 2]).normal(0, 0.01, (2, 3, 2))
    found = imputed(image, missing, 5)
    assert found.dtype == np.float32
    for one, mask in zip(found, missing, strict=True):
        np.testing.assert_allclose(one, 1 + noise * mask[..., None], atol=1e-6)


def test_nothing_is_off_by_more_than_is_allowed() -> None:
    image = np.random.default_rng(0).normal(size=(12, 12, 1))
    missing = np.random.default_rng(1).random((1, 12, 12)) < 0.7
    found = solved(image, missing)[0, :, :, 0]
    for y, x in np.argwhere(missing[0]):
        weights = {(dy, dx): 1 / 6 if 0 in (dy, dx) else 1 / 12 for dy, dx in product((-1, 0, 1), repeat=2)
                   if (dy, dx) != (0, 0) and 0 <= y + dy < 12 and 0 <= x + dx < 12}
        off = sum(w * (found[y + dy, x + dx] - found[y, x]) for (dy, dx), w in weights.items())
        assert abs(off) <= RESIDUAL
