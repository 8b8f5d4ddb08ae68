"""csrc/norm.c: batch normalisation in training, evaluation and backward on every instruction set against float64
NumPy, with sentinels, at large means, and the same bits for any number of threads."""

import numpy as np
import pytest

from cnncli import kernels

from .guard import Guarded

# Float32 arithmetic on normalised values, coefficients rounded once from double; sums of up to a chunk's 32768 / c
# terms in float.
FORWARD = dict(rtol=2e-6, atol=3e-6)
BACKWARD = dict(rtol=1e-5, atol=1e-5)
EPS = 1e-5

# Rows around the four-fold loop, the row groups and the chunk of 32768 floats.
CASES = [(2, 1), (5, 3), (64, 6), (63, 8), (1000, 17), (2049, 33), (40000, 1), (11000, 3), (700, 64), (130, 512)]


def expected_forward(x, weight, bias):
    wide = x.astype(np.float64)
    mean, var = wide.mean(0), wide.var(0)
    scale = 1 / np.sqrt(var + EPS)
    return (wide - mean) * scale * weight + bias, mean, scale


def train(x, weight, bias, momentum=0.1):
    rows, c = x.shape
    y, statistics = Guarded(x.shape), Guarded((2, c), np.float64)
    mean, var = Guarded((c,)), Guarded((c,))
    mean.a[...], var.a[...] = 0.5, 2
    workspace = Guarded((kernels.batch_norm_workspace(rows, c),), np.uint8)
    kernels.batch_norm_train(x, weight, bias, y.a, mean.a, var.a, statistics.a, workspace.a, EPS, momentum)()
    workspace.check()
    return y.check(), mean.check(), var.check(), statistics.check()


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
    dx, dweight, dbias = Guarded(x.shape), Guarded((c,)), Guarded((c,))
    workspace = np.empty(kernels.batch_norm_workspace(rows, c), np.uint8)
    kernels.batch_norm_backward(x, weight, dy, statistics, dx.a, dweight.a, dbias.a, workspace)()

    _, mean, scale = expected_forward(x, weight, 0)
    normal, wide = (x - mean) * scale, dy.astype(np.float64)
    sums, products = wide.sum(0), (wide * normal).sum(0)
    size = np.sqrt(rows)
    np.testing.assert_allclose(dbias.check() / size, sums / size, **BACKWARD)
    np.testing.assert_allclose(dweight.check() / size, products / size, **BACKWARD)
    expected = weight * scale * (wide - sums / rows - normal * products / rows)
    np.testing.assert_allclose(dx.check(), expected, **BACKWARD)

    again, over = np.empty(c, np.float32), dy.copy()
    kernels.batch_norm_backward(x, weight, dy, statistics, None, again, None, workspace)()
    assert np.array_equal(again, dweight.a), "without dx the sums differ"
    kernels.batch_norm_backward(x, weight, over, statistics, over, None, None, workspace)()
    assert np.array_equal(over, dx.a), "dx in dy's place differs"


@pytest.mark.parametrize(("rows", "c"), CASES)
def test_evaluation(rows, c, isa, threads, rng):
    x = rng.normal(1, 2, (rows, c)).astype(np.float32)
    weight, bias, mean = (rng.standard_normal(c).astype(np.float32) for _ in range(3))
    var = rng.uniform(0.1, 3, c).astype(np.float32)
    y = Guarded(x.shape)
    workspace = np.empty(kernels.batch_norm_workspace(rows, c), np.uint8)
    kernels.batch_norm_infer(x, weight, bias, mean, var, y.a, workspace, EPS)()
    expected = (x.astype(np.float64) - mean) / np.sqrt(var.astype(np.float64) + EPS) * weight + bias
    np.testing.assert_allclose(y.check(), expected, rtol=2e-6, atol=1e-5)
    kernels.batch_norm_infer(x, weight, bias, mean, var, x, workspace, EPS)()
    assert np.array_equal(x, y.a), "in place differs"


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
    kernels.batch_norm_backward(x, None, dy, statistics, None, dweight, None, workspace)()
    np.testing.assert_allclose(dweight, (dy * expected).sum(0), atol=2e-3)
    dy += y  # with y's share in dy the rounded mean would show in dx
    kernels.batch_norm_backward(x, None, dy, statistics, dx, None, None, workspace)()
    wide = dy.astype(np.float64)
    expected_dx = scale * (wide - wide.mean(0) - expected * (wide * expected).mean(0))
    np.testing.assert_allclose(dx, expected_dx, **BACKWARD)


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
        kernels.batch_norm_backward(x, None, y, statistics, dx, None, None, workspace)()
        results.append(b"".join(a.tobytes() for a in (y, mean, var, statistics, dx)))
    kernels.set_threads(before)
    assert results[0] == results[1] == results[2]


def test_nan_is_never_hidden(isa):
    x = np.ones((70, 5), np.float32)
    x[40, 2] = np.nan
    y = train(x, None, None)[0]
    assert np.isnan(y[:, 2]).all()
    assert not np.isnan(y[:, [0, 1, 3, 4]]).any()
