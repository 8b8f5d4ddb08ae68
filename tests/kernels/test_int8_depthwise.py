"""csrc/int8_depthwise.c: convolutions of bytes with one channel a group, where groups of taps, tiles, borders and
vectors are not full. What is expected and how it is checked are test_int8_conv.py's."""

import pytest

from .test_depthwise import WINDOWS, shaped
from .test_int8_conv import check, check_on_any_threads

# Kernels whose sums have one group of taps below each other, or several, and room for two rows of results, or not.
MORE = [
    ((2, 2), (1, 1), (0, 0, 0, 0), (1, 1)),
    ((7, 7), (1, 1), (3, 3, 3, 3), (1, 1)),
    ((7, 7), (1, 2), (3, 3, 3, 3), (1, 1)),
    ((3, 5), (2, 3), (2, 2, 2, 2), (1, 2)),
    ((3, 3), (3, 1), (2, 1, 2, 2), (2, 3)),
    ((5, 5), (3, 3), (1, 2, 1, 2), (1, 1)),
    ((4, 2), (4, 5), (3, 3, 3, 3), (1, 1)),
    ((1, 1), (2, 2), (0, 0, 0, 0), (1, 1)),
    ((32, 2), (1, 1), (30, 31, 1, 1), (1, 1)),
    ((33, 2), (1, 1), (30, 31, 1, 1), (1, 1)),  # too high for it
    ((2, 33), (1, 1), (1, 1, 30, 31), (1, 1)),
]


@pytest.mark.parametrize("window", WINDOWS + MORE, ids=str)
@pytest.mark.parametrize("c", [3, 16, 70])
def test_every_window(window, c, isa, rng):
    check(shaped(window, 2, 9, 11, c), rng)


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS + MORE, ids=str)
@pytest.mark.parametrize("c", [1, 4, 15, 17, 33, 48, 64, 129])
def test_every_width(window, c, isa, rng):
    for width in (5, 8, 10, 15):
        check(shaped(window, 2, 8, width, c), rng)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_images_smaller_than_the_kernel(window, isa, rng):
    for side in (1, 2, 3, 4):
        convolution = shaped(window, 2, side, side + 1, 20)
        if min(convolution.y_shape) > 0:
            check(convolution, rng)


@pytest.mark.parametrize("zero_x", [0, 255])
def test_what_lies_beyond_the_borders(zero_x, isa, rng):
    check(shaped(((3, 3), (1, 1), (4, 5, 6, 7), (1, 1)), 2, 3, 2, 20), rng, zero_x)


def test_rows_that_are_too_long_for_it(isa, rng):
    for width in (8189, 8190):  # with borders and stride 8192 columns, and one more
        check(shaped(((3, 3), (1, 1), (1, 1, 1, 1), (1, 1)), 1, 2, width, 2), rng)


@pytest.mark.parametrize("shape", [(1, 40, 70, 96), (3, 7, 7, 200), (1, 7, 7, 64), (2, 33, 5, 3)], ids=str)
@pytest.mark.parametrize("window", [WINDOWS[0], WINDOWS[7]], ids=str)
def test_the_same_bytes_on_any_threads(shape, window, isa, rng):
    check_on_any_threads(shaped(window, *shape), rng)
