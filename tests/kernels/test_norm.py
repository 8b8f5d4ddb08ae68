"""csrc/norm.c: batch normalisation in training, evaluation and backward, with and without a fused addition and
activation, on every instruction set against float64 NumPy, with sentinels, in place, at large means, and the same bits
for any number of threads."""

import numpy as np
import pytest

from cnncli import kernels

from .guard import Guarded

# Float32 arithmetic on normalised values, coefficients rounded once from double; sums of up to a chunk's 32768 / c
# terms in float.
FORWARD = dict(rtol=2e-6, atol=3e-6)
BACKWARD = dict(rtol=1e-5, atol=1e-5)
EPS = 1e-5

# Rows around the row groups, the blocks of them that are walked together and the chunk of 32768 floats.
CASES = [(2, 1), (5, 3), (64, 6), (63, 8), (1000, 17), (2049, 33), (40000, 1), (11000, 3), (700, 64), (130, 512)]


def expected_forward(x, weight, bias):
    wide = x.astype(np.float64)
    mean, var = wide.mean(0), wide.var(0)
    scale = 1 / np.sqrt(var + EPS)
    return (wide - mean) * scale * weight + bias, mean, scale


def train(x, weight, bias, momentum=0.1, add=None, activation=""):
    rows, c = x.shape
    y, statistics = Guarded(x.shape), Guarded((2, c), np.float64)
    mean, var = Guarded((c,)), Guarded((c,))
    mean.a[...], var.a[...] = 0.5, 2
    workspace = Guarded((kernels.batch_norm_workspace(rows, c),), np.uint8)
    kernels.batch_norm_train(x, weight, bias, y.a, mean.a, var.a, statistics.a, workspace.a, EPS, momentum, add,
                             activation)()
    workspace.check()
    return y.check(), mean.check(), var.check(), statistics.check()


def backward(x, weight, bias, dy, statistics, workspace, y=None, activation=""):
    """Return dx, dadd, dweight, dbias."""
    dx, dadd, dweight, dbias = Guarded(x.shape), Guarded(x.shape), Guarded(x.shape[1:]), Guarded(x.shape[1:])
    kernels.batch_norm_backward(x, weight, bias, dy, statistics, dx.a, dweight.a, dbias.a, workspace, y, activation,
                                dadd.a)()
    return dx.check(), dadd.check(), dweight.check(), dbias.check()


@pytest.mark.parametrize(("rows", "c"), CASES)
def test_training(rows, c, isa, threads, rng):
    x = rng.normal(1, 2, (rows, c)).astype(np.float32)
    weight, bias = (rng.standard_normal(c).astype(np.float32) for _ in range(2))
    y, mean, var, statistics = train(x, weight, bias)
    expected, batch_mean, scale = expected_forward(x, weight, bias)
    np.testing.assert_allclose(y, expected, **FORWARD)
    np.testing.assert_allclose(statistics, [batch_mean, scale], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(mean, 0.9 * 0.5 + 0.1 * batch_mean, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(var, 0.9 * 2 + 0.1 * x.astype(np.float64).var(0, ddof=1), rtol=2e-6)


@pytest.mark.parametrize(("rows", "c"), CASES)
def test_backward(rows, c, isa, threads, rng):
    x = rng.normal(1, 2, (rows, c)).astype(np.float32)
    dy = rng.normal(0.3, 1, (rows, c)).astype(np.float32)
    weight = rng.standard_normal(c).astype(np.float32)
    statistics = train(x, weight, None)[3]
    workspace = np.empty(kernels.batch_norm_workspace(rows, c), np.uint8)
    dx, dadd, dweight, dbias = backward(x, weight, None, dy, statistics, workspace)
    check_gradients(x, weight, dy, dx, dweight, dbias)
    assert np.array_equal(dadd, dy)

    again, over = np.empty(c, np.float32), dy.copy()
    kernels.batch_norm_backward(x, weight, None, dy, statistics, None, again, None, workspace)()
    assert np.array_equal(again, dweight), "without dx the sums differ"
    kernels.batch_norm_backward(x, weight, None, over, statistics, over, None, None, workspace)()
    assert np.array_equal(over, dx), "dx in dy's place differs"


def check_gradients(x, weight, dz, dx, dweight, dbias):
    rows, size = len(x), np.sqrt(len(x))
    _, mean, scale = expected_forward(x, weight, 0)
    normal, wide = (x - mean) * scale, dz.astype(np.float64)
    sums, products = wide.sum(0), (wide * normal).sum(0)
    np.testing.assert_allclose(dbias / size, sums / size, **BACKWARD)
    np.testing.assert_allclose(dweight / size, products / size, **BACKWARD)
    np.testing.assert_allclose(dx, weight * scale * (wide - sums / rows - normal * products / rows), **BACKWARD)


@pytest.mark.slow
@pytest.mark.parametrize("added", [False, True], ids=["alone", "added"])
@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
@pytest.mark.parametrize(("rows", "c"), CASES)
def test_fused(rows, c, activation, added, isa, rng):
    x, add, dy = (rng.normal(1, 2, (rows, c)).astype(np.float32) for _ in range(3))
    add = add if added else None
    weight, bias = (rng.normal(0, 3, c).astype(np.float32) for _ in range(2))
    y, _, _, statistics = train(x, weight, bias, add=add, activation=activation)
    z = expected_forward(x, weight, bias)[0] + (add if added else 0)
    limits = {"": (-np.inf, np.inf), "relu": (0, np.inf), "relu6": (0, 6)}[activation]
    np.testing.assert_allclose(y, z.clip(*limits), rtol=2e-6, atol=1e-5)

    workspace = np.empty(kernels.batch_norm_workspace(rows, c), np.uint8)
    through = (y > limits[0]) & (y < limits[1])
    dx, dadd, dweight, dbias = backward(x, weight, bias, dy, statistics, workspace, y, activation)
    assert np.array_equal(dadd, np.where(through, dy, 0))
    check_gradients(x, weight, dadd, dx, dweight, dbias)
    check_fused_in_place(x, weight, bias, dy, statistics, workspace, y, activation, (dx, dadd, dweight))
    if not added and isa != "reference":  # which rounds what it compares with 0 and 6 another way than y
        alone = backward(x, weight, bias, dy, statistics, workspace, None, activation)
        for a, b in zip(alone, (dx, dadd, dweight, dbias), strict=True):
            assert np.array_equal(a, b), "the slope that follows from x differs from that of y"


def check_fused_in_place(x, weight, bias, dy, statistics, workspace, y, activation, expected):
    dx, dadd, dweight = expected
    in_dy, over = dy.copy(), np.empty_like(dy)
    kernels.batch_norm_backward(x, weight, bias, in_dy, statistics, over, None, None, workspace, y, activation, in_dy)()
    assert np.array_equal(in_dy, dadd), "dadd in dy's place differs"
    assert np.array_equal(over, dx), "dx beside dadd in dy's place differs"
    in_dy, again = dy.copy(), np.empty_like(dweight)
    kernels.batch_norm_backward(x, weight, bias, in_dy, statistics, in_dy, again, None, workspace, y, activation)()
    np.testing.assert_allclose(in_dy, dx, rtol=1e-6, atol=1e-6)
    assert np.array_equal(again, dweight), "dx in dy's place differs"


def test_dx_and_dadd_cannot_be_one_array(isa, rng):
    x = rng.standard_normal((20, 3)).astype(np.float32)
    statistics = train(x, None, None)[3]
    workspace, dx = np.empty(kernels.batch_norm_workspace(20, 3), np.uint8), np.empty_like(x)
    with pytest.raises(ValueError, match="cnn_batch_norm_backward refused"):
        kernels.batch_norm_backward(x, None, None, x, statistics, dx, None, None, workspace, dadd=dx)()


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
@pytest.mark.parametrize(("rows", "c"), CASES)
def test_evaluation(rows, c, activation, isa, threads, rng):
    x, add = (rng.normal(1, 2, (rows, c)).astype(np.float32) for _ in range(2))
    weight, bias, mean = (rng.standard_normal(c).astype(np.float32) for _ in range(3))
    var = rng.uniform(0.1, 3, c).astype(np.float32)
    y = Guarded(x.shape)
    workspace = np.empty(kernels.batch_norm_workspace(rows, c), np.uint8)
    limits = {"": (-np.inf, np.inf), "relu": (0, np.inf), "relu6": (0, 6)}[activation]
    expected = (x.astype(np.float64) - mean) / np.sqrt(var.astype(np.float64) + EPS) * weight + bias
    kernels.batch_norm_infer(x, weight, bias, mean, var, y.a, workspace, EPS, activation=activation)()
    np.testing.assert_allclose(y.check(), expected.clip(*limits), rtol=2e-6, atol=1e-5)
    over = x.copy()
    kernels.batch_norm_infer(over, weight, bias, mean, var, over, workspace, EPS, activation=activation)()
    assert np.array_equal(over, y.a), "in place differs"

    kernels.batch_norm_infer(x, weight, bias, mean, var, y.a, workspace, EPS, add, activation)()
    np.testing.assert_allclose(y.check(), (expected + add).clip(*limits), rtol=2e-6, atol=1e-5)
    kernels.batch_norm_infer(x, weight, bias, mean, var, add, workspace, EPS, add, activation)()
    assert np.array_equal(add, y.a), "in the place of what is added it differs"


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
@pytest.mark.parametrize(("rows", "c"), CASES)
def test_backward_with_given_statistics(rows, c, activation, isa, threads, rng):
    x = rng.normal(1, 2, (rows, c)).astype(np.float32)
    dy = rng.normal(0.3, 1, (rows, c)).astype(np.float32)
    weight, bias, mean = (rng.standard_normal(c).astype(np.float32) for _ in range(3))
    var = rng.uniform(0.1, 3, c).astype(np.float32)
    statistics, y = Guarded((2, c), np.float64), np.empty_like(x)
    workspace = np.empty(kernels.batch_norm_workspace(rows, c), np.uint8)
    kernels.batch_norm_infer(x, weight, bias, mean, var, y, workspace, EPS, None, activation, statistics.a)()
    scale = 1 / np.sqrt(var.astype(np.float64) + EPS)
    np.testing.assert_allclose(statistics.check(), [mean, scale], rtol=1e-12)

    dx, dadd, dweight, dbias = (Guarded(shape) for shape in (x.shape, x.shape, (c,), (c,)))
    for given in (y, None):  # f' from y, or from x
        kernels.batch_norm_backward(x, weight, bias, dy, statistics.a, dx.a, dweight.a, dbias.a, workspace, given,
                                    activation, dadd.a, fixed=True)()
        dz = np.where(y > 0 if activation else True, dy, 0)
        dz = np.where(y >= 6, 0, dz) if activation == "relu6" else dz
        assert np.array_equal(dadd.check(), dz.astype(np.float32))
        np.testing.assert_allclose(dx.check(), dz * scale * weight, rtol=1e-6, atol=1e-7)
        normal, size = (x - mean.astype(np.float64)) * scale, np.sqrt(rows)
        np.testing.assert_allclose(dweight.check() / size, (dz * normal).sum(0) / size, **BACKWARD)
        np.testing.assert_allclose(dbias.check() / size, dz.sum(0) / size, **BACKWARD)


@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
@pytest.mark.parametrize(("rows", "c"), CASES)
def test_forward_again_yields_the_same_bits(rows, c, activation, isa, threads, rng):
    x = rng.normal(1, 2, (rows, c)).astype(np.float32)
    weight, bias = (rng.standard_normal(c).astype(np.float32) for _ in range(2))
    y, again, statistics = np.empty_like(x), Guarded(x.shape), np.empty((2, c))
    running, workspace = np.zeros((2, c), np.float32), np.empty(kernels.batch_norm_workspace(rows, c), np.uint8)
    kernels.batch_norm_train(x, weight, bias, y, *running, statistics, workspace, EPS, 0.1, activation=activation)()
    kernels.batch_norm_again(x, weight, bias, again.a, statistics, workspace, activation)()
    np.testing.assert_array_equal(again.check(), y)


@pytest.mark.slow
@pytest.mark.parametrize("mean", [1e4, -3e5])
@pytest.mark.parametrize("c", [1, 6, 64])
def test_a_large_mean_costs_no_digits(mean, c, isa, rng):
    # x itself is rounded to 2^-10 at 1e4 and 2^-5 at 3e5; the statistics of what is there must be exact all the same.
    x = (mean + rng.standard_normal((20000, c))).astype(np.float32)
    y, _, _, statistics = train(x, None, None)
    expected, batch_mean, scale = expected_forward(x, 1, 0)
    np.testing.assert_allclose(statistics[0], batch_mean, rtol=1e-10)
    np.testing.assert_allclose(statistics[1], scale, rtol=2e-6)
    np.testing.assert_allclose(y, expected, rtol=3e-6, atol=3e-6)

    dy = rng.standard_normal(x.shape).astype(np.float32)
    dx, dweight = np.empty_like(x), np.empty(c, np.float32)
    workspace = np.empty(kernels.batch_norm_workspace(*x.shape), np.uint8)
    kernels.batch_norm_backward(x, None, None, dy, statistics, None, dweight, None, workspace)()
    np.testing.assert_allclose(dweight, (dy * expected).sum(0), atol=2e-3)
    dy += y  # with y's share in dy the rounded mean would show in dx
    kernels.batch_norm_backward(x, None, None, dy, statistics, dx, None, None, workspace)()
    wide = dy.astype(np.float64)
    expected_dx = scale * (wide - wide.mean(0) - expected * (wide * expected).mean(0))
    np.testing.assert_allclose(dx, expected_dx, **BACKWARD)


@pytest.mark.parametrize("c", [1, 6, 64, 520, 4100])
def test_a_beginning_unlike_the_rest(c, isa, rng):
    # The centre about which moments are taken is then as far from the mean as it can be: an eighth of a chunk.
    x = rng.standard_normal((131200 // c, c)).astype(np.float32)
    x[: max(1, min(len(x), 32768 // c) // 8)] += 1000
    y, _, _, statistics = train(x, None, None)
    expected, batch_mean, scale = expected_forward(x, 1, 0)
    np.testing.assert_allclose((statistics[0] - batch_mean) * scale, 0, atol=1e-6)
    np.testing.assert_allclose(statistics[1], scale, rtol=2e-6)
    np.testing.assert_allclose(y, expected, rtol=3e-6, atol=3e-6)


def test_a_spike_and_a_constant_channel(isa, rng):
    x = rng.standard_normal((5000, 3)).astype(np.float32)
    x[0, 0] = 1e4  # the first row: what a shift by the first value would stumble over
    x[:, 1] = 7
    y, _, _, statistics = train(x, None, None)
    expected, _, scale = expected_forward(x, 1, 0)
    np.testing.assert_allclose(statistics[1, [0, 2]], scale[[0, 2]], rtol=2e-6)
    np.testing.assert_allclose(y, expected, rtol=3e-6, atol=3e-6)
    assert (y[:, 1] == 0).all()


@pytest.mark.parametrize("c", [3, 64, 200])
def test_same_bits_on_any_threads(c, isa, rng):
    x = rng.standard_normal((120000 // c, c)).astype(np.float32)
    before, results = kernels.threads(), []
    for count in (1, 2, 5):
        kernels.set_threads(count)
        y, mean, var, statistics = train(x, None, None)
        dx, workspace = np.empty_like(x), np.empty(kernels.batch_norm_workspace(*x.shape), np.uint8)
        kernels.batch_norm_backward(x, None, None, y, statistics, dx, None, None, workspace)()
        results.append(b"".join(a.tobytes() for a in (y, mean, var, statistics, dx)))
    kernels.set_threads(before)
    assert results[0] == results[1] == results[2]


def test_nan_is_never_hidden(isa):
    x = np.ones((70, 5), np.float32)
    x[40, 2] = np.nan
    y = train(x, None, None)[0]
    assert np.isnan(y[:, 2]).all()
    assert not np.isnan(y[:, [0, 1, 3, 4]]).any()
