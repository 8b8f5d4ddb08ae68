"""csrc/elementwise.c: addition, dropout, softmax, channel copies and Flatten on every instruction set against NumPy,
at the sizes where a vector loop can go wrong, with sentinels around the outputs."""

import numpy as np
import pytest

from cnncli import kernels

from .guard import Guarded

SIZES = [1, 3, 4, 7, 8, 15, 16, 17, 33, 16384, 16385, 50001]
CHANNELS = [1, 3, 6, 8, 10, 17, 33, 1000]


@pytest.mark.parametrize("size", SIZES)
def test_add(size, isa, threads, rng):
    a, b = (rng.standard_normal(size).astype(np.float32) for _ in range(2))
    out = Guarded((size,))
    kernels.add(a, b, out.a)()
    assert np.array_equal(out.check(), a + b)
    kernels.add(a, b, a)()
    assert np.array_equal(a, out.a)


@pytest.mark.parametrize("size", SIZES)
def test_scale(size, isa, threads, rng):
    x, y = rng.standard_normal(size).astype(np.float32), Guarded((size,))
    kernels.scale(x, y.a, -0.3)()
    assert np.array_equal(y.check(), np.float32(-0.3) * x)
    kernels.scale(x, x, -0.3)()
    assert np.array_equal(x, y.a)


@pytest.mark.parametrize("size", SIZES)
def test_dropout_is_the_same_on_every_isa(size, isa, threads, rng):
    x, clock = rng.standard_normal(size).astype(np.float32), np.array([7, 11], np.uint64)
    y, expected = Guarded((size,)), np.empty(size, np.float32)
    kernels.dropout(x, y.a, 0.3, clock, 2)()
    with kernels.use_isa("reference"):
        kernels.dropout(x, expected, 0.3, clock, 2)()
    assert np.array_equal(y.check(), expected)
    kept = y.a != 0
    np.testing.assert_allclose(y.a[kept], x[kept] / 0.7, rtol=1e-6)


def masks(p, clock, stream, size=1 << 18):
    x, y = np.ones(size, np.float32), np.empty(size, np.float32)
    kernels.dropout(x, y, p, np.array(clock, np.uint64), stream)()
    return y > 0


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
def test_dropout_keeps_its_share(p, isa):
    kept = masks(p, (1, 1), 0)
    deviation = np.sqrt(p * (1 - p) / kept.size)
    assert abs(kept.mean() - (1 - p)) < 4 * deviation
    per_lane = kept.reshape(-1, 64).mean(0)
    assert np.abs(per_lane - (1 - p)).max() < 5 * deviation * 8


def test_dropout_draws_without_pattern():
    kept = {name: masks(0.5, clock, stream).astype(np.float64) - 0.5 for name, clock, stream in (
        ("first", (1, 1), 0), ("step", (1, 2), 0), ("seed", (2, 1), 0), ("stream", (1, 1), 1), ("swap", (0, 2), 0))}
    bound = 5 / np.sqrt(kept["first"].size)
    names = list(kept)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert abs(4 * np.mean(kept[a] * kept[b])) < bound, f"{a} and {b} are correlated"
    for lag in (1, 2, 3, 4, 7, 8, 16, 64, 1024, 16384):
        assert abs(4 * np.mean(kept["first"][lag:] * kept["first"][:-lag])) < bound, f"correlated at lag {lag}"


def test_dropout_at_the_ends(isa):
    x = np.arange(100, dtype=np.float32)
    y, clock = np.empty_like(x), np.zeros(2, np.uint64)
    kernels.dropout(x, y, 0.0, clock, 0)()
    assert np.array_equal(x, y)
    kernels.dropout(x, y, 1.0, clock, 0)()
    assert not y.any()


@pytest.mark.slow
@pytest.mark.parametrize("c", CHANNELS)
@pytest.mark.parametrize("rows", [1, 5, 2000])
def test_softmax(rows, c, isa, threads, rng):
    x = (rng.standard_normal((rows, c)) * 5).astype(np.float32)
    dy = rng.standard_normal((rows, c)).astype(np.float32)
    y, dx = Guarded(x.shape), Guarded(x.shape)
    kernels.softmax_forward(x, y.a)()
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    expected = e / e.sum(1, keepdims=True)
    np.testing.assert_allclose(y.check(), expected, rtol=5e-6, atol=1e-9)
    kernels.softmax_backward(y.a, dy, dx.a)()
    slope = expected * (dy - (dy * expected).sum(1, keepdims=True))
    np.testing.assert_allclose(dx.check(), slope, rtol=1e-5, atol=2e-6)
    kernels.softmax_forward(x, x)()
    kernels.softmax_backward(y.a, dy, dy)()
    assert np.array_equal(x, y.a)
    assert np.array_equal(dy, dx.a)


@pytest.mark.parametrize("c", [3, 19])
def test_softmax_of_extremes(c, isa):
    x = np.full((1, c), -1e30, np.float32)
    x[0, 1] = 1e30
    y = np.empty_like(x)
    kernels.softmax_forward(x, y)()
    assert np.array_equal(y[0], np.arange(c) == 1)
    kernels.softmax_forward(np.full((1, c), -1e4, np.float32), y)()
    np.testing.assert_allclose(y, 1 / c, rtol=1e-6)
    x[0, 2] = np.nan
    kernels.softmax_forward(x, y)()
    assert np.isnan(y).all()


@pytest.mark.parametrize("c", [1, 3, 6, 8, 17, 33])
@pytest.mark.parametrize("pixels", [(1, 1), (2, 3), (4, 4), (5, 7), (16, 17), (30, 31)], ids=str)
def test_flatten(pixels, c, isa, threads, rng):
    x = rng.standard_normal((3, *pixels, c)).astype(np.float32)
    y, back = Guarded((3, x.size // 3)), Guarded(x.shape)
    kernels.flatten_forward(x, y.a)()
    assert np.array_equal(y.check(), x.transpose(0, 3, 1, 2).reshape(3, -1))
    kernels.flatten_backward(y.a, back.a)()
    assert np.array_equal(back.check(), x)


def test_copied_channels_leave_the_others_alone(threads, rng):
    x = rng.standard_normal((70, 50, 5)).astype(np.float32)
    whole = Guarded((70, 50, 12))
    whole.a.fill(3)
    kernels.copy_channels(x, whole.a, y_start=4)()
    assert np.array_equal(whole.a[..., 4:9], x)
    assert (whole.a[..., :4] == 3).all()
    assert (whole.check()[..., 9:] == 3).all()
    part = Guarded(x.shape)
    kernels.copy_channels(whole.a, part.a, x_start=4)()
    assert np.array_equal(part.check(), x)
    for y_start in (8, -1):
        with pytest.raises(ValueError, match="cannot copy"):
            kernels.copy_channels(x, whole.a, y_start=y_start)


def test_a_copy_reads_its_source_when_it_runs():
    x, y = np.zeros((2, 3, 4), np.float32), np.zeros((2, 3, 4), np.float32)
    call = kernels.copy(x, y)
    x[...] = 1
    call()
    assert (y == 1).all()
    with pytest.raises(ValueError, match="x must be C-contiguous"):
        kernels.copy(x.transpose(1, 0, 2), np.zeros((3, 2, 4), np.float32))
