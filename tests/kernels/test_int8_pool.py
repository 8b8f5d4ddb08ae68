"""csrc/int8_pool.c: poolings of bytes, exactly as NumPy has them, with the windows of test_pool.py."""

import numpy as np
import pytest

from cnncli import kernels

from .guard import Guarded
from .test_pool import IMAGE, UNDILATED, WINDOWS, geometry, taps

CHANNELS = [1, 3, 16, 37]


def nearest(real: np.ndarray, zero: int) -> np.ndarray:
    return np.clip(np.rint(real).astype(np.float64) + zero, 0, 255).astype(np.uint8)


def images(c: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (2, *IMAGE, c), dtype=np.uint8)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("c", CHANNELS)
def test_max(window, c, isa, rng):
    x = images(c, rng)
    windows, shape = geometry(window, x)
    y = Guarded(shape, np.uint8, fence=61)
    kernels.int8_max_pool(x, windows, y.a)()
    for row, column, inside, _ in taps(windows, shape, IMAGE):
        pixels = np.stack([x[:, i, j] for _, i, j in inside])
        assert np.array_equal(y.a[:, row, column], pixels.max(axis=0))
    y.check()


@pytest.mark.parametrize("include_pad", [False, True])
@pytest.mark.parametrize("window", UNDILATED, ids=str)
@pytest.mark.parametrize("c", CHANNELS)
def test_mean(window, c, include_pad, isa, rng):
    x, zero_x, zero, multiplier = images(c, rng), 90, 40, np.float32(1.37)
    windows, shape = geometry(window, x)
    y = Guarded(shape, np.uint8, fence=61)
    kernels.int8_average_pool(x, windows, include_pad, float(multiplier), zero_x, zero, y.a)()
    for row, column, inside, padded in taps(windows, shape, IMAGE):
        total = sum(x[:, i, j].astype(np.int64) - zero_x for _, i, j in inside)
        factor = multiplier * (1 / np.float32(padded if include_pad else len(inside)))
        assert np.array_equal(y.a[:, row, column], nearest(total.astype(np.float32) * factor, zero))
    y.check()


@pytest.mark.parametrize("multiplier", [0.0, 0.5, 100.0, 1e30])
@pytest.mark.parametrize("size", [(1, 1), (3, 4), (9, 11), (12, 13)], ids=str)
def test_windows_that_share_an_image_out(size, multiplier, isa, rng):
    x, zero_x, zero = images(5, rng), 131, 77
    y = Guarded((2, *size, 5), np.uint8)
    kernels.int8_adaptive_average_pool(x, multiplier, zero_x, zero, y.a)()
    for i in range(size[0]):
        for j in range(size[1]):
            part = x[:, i * 9 // size[0] : -(-(i + 1) * 9 // size[0]), j * 11 // size[1] : -(-(j + 1) * 11 // size[1])]
            total = (part.astype(np.int64) - zero_x).sum(axis=(1, 2)).astype(np.float32)
            factor = np.float32(multiplier) * (1 / np.float32(part.shape[1] * part.shape[2]))
            assert np.array_equal(y.a[:, i, j], nearest(total * factor, zero))
    y.check()


def test_the_mean_of_the_largest_bytes(isa):
    x = np.full((1, 200, 300, 3), 255, np.uint8)
    y = Guarded((1, 1, 1, 3), np.uint8)
    kernels.int8_adaptive_average_pool(x, 1.0, 0, 0, y.a)()
    assert (y.check() == 255).all()


def test_the_same_bytes_on_any_threads(threads, isa, rng):
    x = rng.integers(0, 256, (3, 40, 41, 50), dtype=np.uint8)
    y, mean = np.empty((3, 20, 20, 50), np.uint8), np.empty((3, 20, 20, 50), np.uint8)
    windows = kernels.Windows((2, 2), (2, 2))
    kernels.int8_max_pool(x, windows, y)()
    kernels.int8_average_pool(x, windows, False, 1.0, 0, 0, mean)()
    parts = x[:, :, :40].reshape(3, 20, 2, 20, 2, 50)
    assert np.array_equal(y, parts.max(axis=(2, 4)))
    assert np.array_equal(mean, np.rint(parts.sum(axis=(2, 4), dtype=np.int64) / 4))
