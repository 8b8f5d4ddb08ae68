"""csrc/bf16_pool.c and pool_max.c over maps of bfloat16: results are those of the float32 kernels on the same numbers,
rounded once, and the places of maxima are theirs, to the bit, on every instruction set."""

import numpy as np
import pytest

from cnncli import kernels

from .guard import Guarded
from .halves import halves, rounded, wide

MAP = kernels.BFLOAT16
# (n, h, w, c), windows: apart, overlapping, larger than pool_max.c takes; few channels, more than a block of them.
CASES = [
    ((2, 8, 6, 3), kernels.Windows((2, 2), (2, 2))),
    ((2, 9, 7, 64), kernels.Windows((2, 2), (2, 2))),
    ((3, 11, 9, 5), kernels.Windows((3, 3), (2, 2), (1, 1))),
    ((2, 12, 13, 16), kernels.Windows((3, 3), (2, 2), (1, 1))),
    ((1, 14, 14, 80), kernels.Windows((3, 3), (2, 2))),
    ((2, 6, 5, 33), kernels.Windows((3, 3), (1, 1), (1, 1))),
    ((2, 9, 9, 8), kernels.Windows((3, 3), (3, 3))),
    ((1, 20, 18, 70), kernels.Windows((5, 5), (3, 3), (2, 2))),
    ((2, 21, 20, 3), kernels.Windows((17, 17), (2, 3))),
]


def pooled(shape, windows):
    n, h, w, c = shape
    return (n, *((side + 2 * p - k) // s + 1 for side, k, s, p in
                 zip((h, w), windows.kernel, windows.stride, windows.padding, strict=True)), c)


@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
@pytest.mark.parametrize(("shape", "windows"), CASES)
def test_maxima(shape, windows, activation, instructions, threads, rng):
    out, kind = pooled(shape, windows), kernels.tap_dtype(windows.kernel)
    x, dy = halves(rng, shape, 2, 3), halves(rng, out)
    y, taps, dx = Guarded(out, MAP), Guarded(out, kind), Guarded(shape, MAP)
    kernels.max_pool_forward(windows, x, y.a, taps.a, activation)()
    exact, places, exact_dx = np.empty(out, np.float32), np.empty(out, kind), np.empty(shape, np.float32)
    kernels.max_pool_forward(windows, wide(x), exact, places, activation)()
    assert rounded(y.check(), exact)
    assert np.array_equal(taps.check(), places)
    alone = Guarded(out, MAP)
    kernels.max_pool_forward(windows, x, alone.a, None, activation)()
    assert np.array_equal(alone.check(), y.a)

    kernels.max_pool_backward(windows, taps.a, dy, dx.a, y.a, activation)()
    kernels.max_pool_backward(windows, places, wide(dy), exact_dx, exact, activation)()
    assert rounded(dx.check(), exact_dx)


def test_nan_is_the_largest(instructions):
    x = np.full((1, 4, 4, 18), -1, np.float32)
    x[0, 1, 1] = np.nan
    y = np.empty((1, 2, 2, 18), MAP)
    kernels.max_pool_forward(kernels.Windows((2, 2), (2, 2)), kernels.to_bfloat16(x), y, None)()
    assert np.isnan(wide(y)).sum() == 18


@pytest.mark.parametrize("features", [False, True], ids=["map", "features"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("shape", "windows"), [*CASES, ((5, 7, 7, 200), kernels.Windows((7, 7), (7, 7)))])
def test_means(shape, windows, padded, features, instructions, threads, rng):
    out, kind = pooled(shape, windows), np.float32 if features else MAP
    x, y, exact = halves(rng, shape), Guarded(out, kind), np.empty(out, np.float32)
    kernels.average_pool_forward(windows, padded, x, y.a)()
    kernels.average_pool_forward(windows, padded, wide(x), exact)()
    assert np.array_equal(y.check(), exact) if features else rounded(y.check(), exact)

    dy, dx, exact = halves(rng, out), Guarded(shape, MAP), np.empty(shape, np.float32)
    kernels.average_pool_backward(windows, padded, wide(dy) if features else dy, dx.a)()
    kernels.average_pool_backward(windows, padded, wide(dy), exact)()
    assert rounded(dx.check(), exact)


@pytest.mark.parametrize(("shape", "to"), [((2, 7, 7, 5), (3, 2)), ((1, 4, 4, 70), (6, 6)), ((3, 30, 31, 67), (1, 1))])
def test_adaptive_means(shape, to, instructions, threads, rng):
    out = (shape[0], *to, shape[3])
    x, y, exact = halves(rng, shape), Guarded(out, MAP), np.empty(out, np.float32)
    kernels.adaptive_average_pool_forward(x, y.a)()
    kernels.adaptive_average_pool_forward(wide(x), exact)()
    assert rounded(y.check(), exact)
    dy, dx, exact = halves(rng, out), Guarded(shape, MAP), np.empty(shape, np.float32)
    kernels.adaptive_average_pool_backward(dy, dx.a)()
    kernels.adaptive_average_pool_backward(wide(dy), exact)()
    assert rounded(dx.check(), exact)


def test_maps_of_two_kinds_are_refused():
    windows, x, y = kernels.Windows((2, 2), (2, 2)), np.zeros((1, 4, 4, 3), MAP), np.zeros((1, 2, 2, 3), np.float32)
    with pytest.raises(TypeError, match="y must be uint16, not float32"):
        kernels.max_pool_forward(windows, x, y, None)
    with pytest.raises(TypeError, match="y must be uint16, not float32"):
        kernels.adaptive_average_pool_forward(x, y)
    with pytest.raises(TypeError, match="x must be float32, not uint16"):
        kernels.lp_pool_forward(windows, 2, x, y)
    with pytest.raises(TypeError, match="y must be float32, not uint16"):
        kernels.average_pool_forward(windows, True, wide(x), kernels.to_bfloat16(y))
