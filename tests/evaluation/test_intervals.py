"""evaluation/intervals.py: intervals against published figures."""

import pytest

from cnncli.evaluation.intervals import of_folds, wilson


@pytest.mark.parametrize(("right", "images", "low", "high"), [
    (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3 (and the next three)
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
    (20, 20, 0.8389, 1.0),
])
def test_intervals_as_published(right, images, low, high):
    assert wilson(right, images) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_intervals_hold_the_share_and_stay_within_bounds():
    assert wilson(0, 0) == (0.0, 1.0)
    for images in (1, 2, 7, 10, 1000):
        assert (wilson(0, images)[0], wilson(images, images)[1]) == (0, 1), "to the bit"
        for right in {0, 1, images // 2, images}:
            low, high = wilson(right, images)
            assert 0 <= low <= right / images <= high <= 1


def test_the_interval_of_a_mean_of_folds():
    low, high = of_folds([0.8, 0.9, 0.85, 0.75, 0.7])
    half = 2.7764 * 0.0790569 * (1 / 5 + 1 / 4) ** 0.5  # t for 4 degrees of freedom, the deviation, both by hand
    assert (low, high) == (pytest.approx(0.8 - half, abs=1e-5), pytest.approx(min(1.0, 0.8 + half), abs=1e-5))
    assert of_folds([1.0, 0.2]) == (0, 1)
