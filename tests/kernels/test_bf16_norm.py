"""csrc/norm.c over maps of bfloat16: the arithmetic is float32's, so that results are those of the float32 kernels on
the same numbers, rounded once, to the bit, on every instruction set."""

import numpy as np
import pytest

from cnncli import kernels

from .guard import Guarded
from .halves import halves, rounded, wide

EPS = 1e-5
CASES = [(2, 1), (5, 3), (63, 8), (1000, 17), (2049, 33), (40000, 1), (700, 64), (130, 512)]
MAP = np.uint16


def room(rows, c):
    return Guarded((kernels.batch_norm_workspace(rows, c),), np.uint8)


def train(dtype, x, weight, bias, add, activation):
    """Return y, running mean and variance, and statistics."""
    rows, c = x.shape
    y, mean, var, statistics = Guarded(x.shape, dtype), Guarded((c,)), Guarded((c,)), Guarded((2, c), np.float64)
    mean.a[...], var.a[...] = 0.5, 2
    workspace = room(rows, c)
    kernels.batch_norm_train(x, weight, bias, y.a, mean.a, var.a, statistics.a, workspace.a, EPS, 0.1, add,
                             activation)()
    workspace.check()
    return y.check(), mean.check(), var.check(), statistics.check()


def backward(dtype, x, weight, bias, dy, statistics, y, activation, fixed=False):
    """Return dx, dadd, dweight and dbias."""
    dx, dadd, dweight, dbias = Guarded(x.shape, dtype), Guarded(x.shape, dtype), Guarded(x.shape[1:]), Guarded(
        x.shape[1:])
    kernels.batch_norm_backward(x, weight, bias, dy, statistics, dx.a, dweight.a, dbias.a, room(*x.shape).a, y,
                                activation, dadd.a, fixed)()
    return dx.check(), dadd.check(), dweight.check(), dbias.check()


def same(half, exact):
    """Whether results agree to the bit, maps after they are rounded."""
    return all(rounded(a, b) if a.dtype == MAP else np.array_equal(a, b) for a, b in zip(half, exact, strict=True))


@pytest.mark.parametrize("added", [False, True], ids=["alone", "added"])
@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
@pytest.mark.parametrize(("rows", "c"), CASES)
def test_it_is_float32_rounded_once(rows, c, activation, added, instructions, rng):
    x, dy, add = halves(rng, (rows, c), 1, 2), halves(rng, (rows, c), 0.3), halves(rng, (rows, c))
    add = add if added else None
    weight, bias = (rng.normal(0, 2, c).astype(np.float32) for _ in range(2))
    mine = train(MAP, x, weight, bias, add, activation)
    assert same(mine, train(np.float32, wide(x), weight, bias, wide(add), activation))

    y, statistics = mine[0] if added else None, mine[3]
    for fixed in (False, True):
        expected = backward(np.float32, wide(x), weight, bias, wide(dy), statistics, wide(y), activation, fixed)
        assert same(backward(MAP, x, weight, bias, dy, statistics, y, activation, fixed), expected)


@pytest.mark.parametrize("activation", ["", "relu"])
@pytest.mark.parametrize(("rows", "c"), CASES)
def test_what_is_given_and_what_is_made_again(rows, c, activation, instructions, rng):
    x, add = halves(rng, (rows, c), 1, 2), halves(rng, (rows, c))
    weight, bias, mean = (rng.normal(0, 2, c).astype(np.float32) for _ in range(3))
    var = rng.uniform(0.5, 2, c).astype(np.float32)
    y, expected, statistics = Guarded(x.shape, MAP), np.empty(x.shape, np.float32), np.empty((2, c))
    kernels.batch_norm_infer(x, weight, bias, mean, var, y.a, room(rows, c).a, EPS, add, activation, statistics)()
    kernels.batch_norm_infer(wide(x), weight, bias, mean, var, expected, room(rows, c).a, EPS, wide(add), activation)()
    assert same([y.check()], [expected])

    again, alone = Guarded(x.shape, MAP), np.empty_like(x)
    kernels.batch_norm_infer(x, weight, bias, mean, var, alone, room(rows, c).a, EPS, None, activation)()
    kernels.batch_norm_again(x, weight, bias, again.a, statistics, room(rows, c).a, activation)()
    assert np.array_equal(again.check(), alone)


def test_in_place_and_on_any_number_of_threads(instructions, threads, rng):
    x, dy, add = halves(rng, (5000, 24)), halves(rng, (5000, 24)), halves(rng, (5000, 24))
    sum_ = add.copy()
    y, _, _, statistics = train(MAP, x, None, None, add, "relu")
    workspace = room(5000, 24).a
    kernels.batch_norm_train(x, None, None, sum_, *np.zeros((2, 24), np.float32), statistics, workspace, EPS, 0.1, sum_,
                             "relu")()
    assert np.array_equal(sum_, y)
    with_one = kernels.threads()
    kernels.set_threads(1)
    expected = backward(MAP, x, None, None, dy, statistics, y, "relu")
    kernels.set_threads(with_one)
    in_dy, dx = dy.copy(), np.empty_like(dy)
    kernels.batch_norm_backward(x, None, None, in_dy, statistics, dx, None, None, workspace, y, "relu", in_dy)()
    assert np.array_equal(in_dy, expected[1])
    assert np.array_equal(dx, expected[0])
    over = dy.copy()
    kernels.batch_norm_backward(x, None, None, over, statistics, over, None, None, workspace, y, "relu")()
    assert np.array_equal(over, expected[0])


def test_what_is_no_number_stays_none(instructions):
    x = kernels.to_bfloat16(np.array([[1, 2], [np.nan, 3], [2, 5]], np.float32))
    y = wide(train(MAP, x, None, None, None, "relu")[0])
    assert np.isnan(y[:, 0]).all()
    assert not np.isnan(y[:, 1]).any()


def test_maps_of_two_kinds_are_refused():
    x, y = np.zeros((4, 3), MAP), np.zeros((4, 3), np.float32)
    statistics, workspace = np.empty((2, 3)), room(4, 3).a
    with pytest.raises(TypeError, match="y must be uint16, not float32"):
        kernels.batch_norm_again(x, None, None, y, statistics, workspace)
    with pytest.raises(TypeError, match="dy must be float32, not uint16"):
        kernels.batch_norm_backward(y, None, None, x, statistics, None, None, None, workspace)
