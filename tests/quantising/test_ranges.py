"""What the bytes of an activation stand for: 0 is one of them, every way of choosing keeps what it promises."""

import numpy as np
import pytest

from cnncli.layers.int8 import Steps
from cnncli.quantising.observing import BINS, Histogram
from cnncli.quantising.ranges import WAYS, entropy, off_ties, percentile, steps_for, whole


def histogram(values: np.ndarray) -> Histogram:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    return Histogram(low, high, np.histogram(values, BINS, (low, high or 1.0))[0])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (-3, 0), (-1e-3, 250), (0.5, 2), (-2, -1), (0, 0),
                                           (0, 1e-45)])
def test_zero_is_a_byte_and_the_range_is_covered(low: float, high: float) -> None:
    steps = steps_for(low, high)
    assert steps.values_of(np.array([steps.zero], np.uint8))[0] == 0
    ends = steps.values_of(np.array([0, 255], np.uint8))
    assert ends[0] <= min(low, 0) + steps.scale / 2
    assert ends[1] >= max(high, 0) - steps.scale / 2
    assert steps.scale > 0


def test_a_percentile_leaves_out_as_much_as_it_says() -> None:
    values = np.concatenate([np.random.default_rng(0).standard_normal(100_000), [90.0]])
    found = histogram(values)
    low, high = percentile(0.999)(found)
    assert 0.0005 < (values > high).mean() < 0.0015
    assert 0.0005 < (values < low).mean() < 0.0015
    assert whole(found) == (values.min(), 90)
    low, high = percentile(0.999)(histogram(np.abs(values)))
    assert low == 0


def test_entropy_cuts_a_long_tail_and_leaves_an_even_distribution() -> None:
    rng = np.random.default_rng(0)
    low, high = entropy(histogram(np.concatenate([np.abs(rng.standard_normal(100_000)), [40.0]])))
    assert low == 0
    assert 2 < high < 20
    assert entropy(histogram(rng.uniform(0, 1, 100_000)))[1] > 0.9


@pytest.mark.parametrize("way", WAYS)
def test_every_way_takes_every_histogram(way: str) -> None:
    for values in (np.zeros(5), np.array([3.0]), np.array([-3.0]), np.array([0.0, 1e30]), np.arange(-5.0, 6)):
        low, high = WAYS[way](histogram(values))
        assert low <= 0 <= high
        steps = steps_for(low, high)
        assert isinstance(steps, Steps)


def test_what_is_no_number_becomes_a_byte() -> None:
    steps = Steps(0.5, 10)
    values = np.array([np.nan, np.inf, -np.inf, 0, 0.25, 0.75, -0.25, 1e9], np.float32)
    assert steps.bytes_of(values).tolist() == [0, 255, 0, 10, 10, 12, 10, 255]  # of two, the even one


def test_no_pixel_lies_half_way_between_two_bytes() -> None:
    values = (np.arange(256)[:, None] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    for scale in (0.0186, 2 / 255, values[200, 0] * 2 / 3):
        moved = off_ties(Steps(float(scale), 114), values)
        places = values / moved.scale
        assert np.abs(places - np.floor(places) - 0.5).min() >= 1e-4
        assert scale * (1 - 1e-6) <= moved.scale <= scale * 1.05
    assert off_ties(Steps(1.0, 0), np.arange(-5, 5) + 0.25) == Steps(1.0, 0)
