"""csrc/pool.c: every kind of pooling on every instruction set against float64 NumPy, forward and backward, with
overlapping, padded, dilated and cut windows, odd channel counts, ties, NaN, and sentinels around the outputs."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli.kernels import Windows
from cnncli.layers import MaxPool2d

from .guard import Guarded

# Means and roots of up to 121 values of order 1.
TOLERANCE = dict(rtol=4e-6, atol=2e-6)

CHANNELS = [1, 3, 6, 8, 17, 33]
# kernel, stride, padding, dilation, ceil_mode
WINDOWS = [
    ((2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 2), (2, 2), (0, 0), (1, 1), True),
    ((3, 3), (2, 2), (1, 1), (1, 1), False),
    ((3, 3), (1, 1), (1, 1), (1, 1), False),
    ((3, 2), (1, 3), (1, 0), (1, 1), True),
    ((5, 5), (1, 1), (2, 2), (1, 1), False),
    ((2, 3), (5, 4), (0, 1), (1, 1), True),
    ((3, 3), (1, 2), (1, 1), (2, 3), False),
    ((3, 4), (2, 3), (1, 2), (3, 2), True),
    ((9, 11), (9, 11), (0, 0), (1, 1), False),
]
UNDILATED = [w for w in WINDOWS if w[3] == (1, 1)]
UNPADDED = [w for w in UNDILATED if w[2] == (0, 0)]
IMAGE = (9, 11)


def geometry(window, images):
    kernel, stride, padding, dilation, ceil_mode = window
    layer = MaxPool2d(kernel, stride, padding, dilation, ceil_mode)
    return layer.windows, (len(images), *layer.output_shape(images.shape[1:]))


def taps(windows, shape, size):
    """Yield (output row, column, list of (place, row, column) inside the image, padded size) of every window."""
    for at_row in range(shape[1]):
        for at_column in range(shape[2]):
            top = at_row * windows.stride[0] - windows.padding[0]
            left = at_column * windows.stride[1] - windows.padding[1]
            inside = [
                (i * windows.kernel[1] + j, top + i * windows.dilation[0], left + j * windows.dilation[1])
                for i in range(windows.kernel[0])
                for j in range(windows.kernel[1])
                if 0 <= top + i * windows.dilation[0] < size[0] and 0 <= left + j * windows.dilation[1] < size[1]
            ]
            rows = min(top + windows.kernel[0], size[0] + windows.padding[0]) - top
            columns = min(left + windows.kernel[1], size[1] + windows.padding[1]) - left
            yield at_row, at_column, inside, rows * columns


def gather(x, inside):
    return np.stack([x[:, i, j] for _, i, j in inside], axis=1).astype(np.float64)


# The second image's size is a multiple of small windows: nothing lies between them.
@pytest.mark.slow
@pytest.mark.parametrize("image", [IMAGE, (8, 12)], ids=str)
@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("c", CHANNELS)
def test_max(window, activation, image, c, isa, rng):
    if image[0] < window[0][0] or image[1] < window[0][1]:
        return
    x = np.round(rng.standard_normal((2, *image, c)) * 3 + 1).astype(np.float32)  # rounded: many ties
    windows, shape = geometry(window, x)
    y, places, dx = Guarded(shape), Guarded(shape, kernels.tap_dtype(windows.kernel)), Guarded(x.shape)
    dy = rng.standard_normal(shape).astype(np.float32)
    kernels.max_pool_forward(windows, x, y.a, places.a, activation)()
    kernels.max_pool_backward(windows, places.a, dy, dx.a, y.a, activation)()

    low, high = {"": (-np.inf, np.inf), "relu": (0, np.inf), "relu6": (0, 6)}[activation]
    expected_dx = np.zeros(x.shape)
    for row, column, inside, _ in taps(windows, shape, image):
        values = gather(x, inside)
        first, best = values.argmax(1), values.max(1)
        assert np.array_equal(y.a[:, row, column], best.clip(low, high))
        assert np.array_equal(places.a[:, row, column], np.array([place for place, _, _ in inside])[first])
        for n in range(len(x)):
            for k in range(c):
                if low < best[n, k] < high:
                    _, i, j = inside[first[n, k]]
                    expected_dx[n, i, j, k] += dy[n, row, column, k]
    np.testing.assert_allclose(dx.check(), expected_dx, **TOLERANCE)
    y.check()
    places.check()

    alone = np.empty_like(y.a)
    kernels.max_pool_forward(windows, x, alone, None, activation)()
    assert np.array_equal(alone, y.a), "without taps the maxima differ"


# More than one chunk, with pixels that fill no vector where one chunk ends and the next begins.
@pytest.mark.slow
@pytest.mark.parametrize("c", [1, 6, 10, 16, 40])
@pytest.mark.parametrize("window", WINDOWS[:3], ids=str)
def test_max_of_several_chunks(window, c, isa, threads, rng):
    x = rng.standard_normal((60 // c + 3, 28, 27, c)).astype(np.float32)
    windows, shape = geometry(window, x)
    dy = rng.standard_normal(shape).astype(np.float32)
    results = []
    for name in ("reference", isa):
        y, places, dx = Guarded(shape), Guarded(shape, np.uint8), Guarded(x.shape)
        with kernels.use_isa(name):
            kernels.max_pool_forward(windows, x, y.a, places.a, "relu")()
            kernels.max_pool_backward(windows, places.a, dy, dx.a, y.a, "relu")()
        results.append((y.check(), places.check(), dx.check()))
    expected, got = results
    assert np.array_equal(expected[0], got[0])
    assert np.array_equal(expected[1], got[1])
    np.testing.assert_allclose(got[2], expected[2], **TOLERANCE)


def test_max_refuses_what_it_cannot_do(rng):
    x, y = rng.standard_normal((1, 4, 4, 3)).astype(np.float32), np.empty((1, 2, 2, 3), np.float32)
    places = np.zeros(y.shape, np.uint8)
    with pytest.raises(ValueError, match="cnn_max_pool_backward refused"):
        kernels.max_pool_backward(Windows((2, 2), (2, 2)), places, y, x, None, "relu")()


@pytest.mark.slow
@pytest.mark.parametrize("include_pad", [True, False])
@pytest.mark.parametrize("window", UNDILATED, ids=str)
@pytest.mark.parametrize("c", CHANNELS)
def test_average(window, c, include_pad, isa, rng):
    x = rng.standard_normal((2, *IMAGE, c)).astype(np.float32)
    windows, shape = geometry(window, x)
    y, dx = Guarded(shape), Guarded(x.shape)
    dy = rng.standard_normal(shape).astype(np.float32)
    kernels.average_pool_forward(windows, include_pad, x, y.a)()
    kernels.average_pool_backward(windows, include_pad, dy, dx.a)()

    expected, expected_dx = np.zeros(shape), np.zeros(x.shape)
    for row, column, inside, padded in taps(windows, shape, IMAGE):
        divisor = padded if include_pad else len(inside)
        expected[:, row, column] = gather(x, inside).sum(1) / divisor
        for _, i, j in inside:
            expected_dx[:, i, j] += dy[:, row, column] / divisor
    np.testing.assert_allclose(y.check(), expected, **TOLERANCE)
    np.testing.assert_allclose(dx.check(), expected_dx, **TOLERANCE)


@pytest.mark.parametrize("norm", [1, 2, 4, 2.5])
@pytest.mark.parametrize("window", UNPADDED, ids=str)
@pytest.mark.parametrize("c", CHANNELS)
def test_lp(window, c, norm, isa, rng):
    x = rng.standard_normal((2, *IMAGE, c)).astype(np.float32)
    if norm == 2.5:
        x = np.abs(x)
    windows, shape = geometry(window, x)
    y, dx = Guarded(shape), Guarded(x.shape)
    dy = rng.standard_normal(shape).astype(np.float32)
    kernels.lp_pool_forward(windows, norm, x, y.a)()
    kernels.lp_pool_backward(windows, norm, x, y.a, dy, dx.a)()

    expected, expected_dx = np.zeros(shape), np.zeros(x.shape)
    full = windows.kernel[0] * windows.kernel[1]
    for row, column, inside, padded in taps(windows, shape, IMAGE):
        values = gather(x, inside)
        root = np.sign(s := (values**norm).sum(1) * full / padded) * np.abs(s) ** (1 / norm)
        expected[:, row, column] = root
        for _, i, j in inside:
            slope = full / padded * root ** (1 - norm) * x[:, i, j].astype(np.float64) ** (norm - 1)
            expected_dx[:, i, j] += dy[:, row, column] * slope
    np.testing.assert_allclose(y.check(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dx.check(), expected_dx, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("norm", [1, 2])
def test_lp_of_zeros_has_no_gradient(norm, isa):
    x, y = np.zeros((1, 2, 2, 19), np.float32), np.ones((1, 1, 1, 19), np.float32)
    dx = np.ones_like(x)
    windows = Windows((2, 2), (2, 2))
    kernels.lp_pool_forward(windows, norm, x, y)()
    kernels.lp_pool_backward(windows, norm, x, y, np.ones_like(y), dx)()
    assert not y.any()
    assert not dx.any()


@pytest.mark.parametrize("c", [1, 19])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_max_propagates_nan(c, place, isa):
    x = np.ones((1, 2, 2, c), np.float32)
    x[0, place // 2, place % 2] = np.nan
    y, tap = np.zeros((1, 1, 1, c), np.float32), np.zeros((1, 1, 1, c), np.uint8)
    kernels.max_pool_forward(Windows((2, 2), (2, 2)), x, y, tap)()
    assert np.isnan(y).all()
    assert (tap == place).all()


def test_max_of_minus_infinity(isa):
    x = np.full((1, 2, 2, 18), -np.inf, np.float32)
    y, tap = np.zeros((1, 1, 1, 18), np.float32), np.ones((1, 1, 1, 18), np.uint8)
    kernels.max_pool_forward(Windows((2, 2), (2, 2)), x, y, tap)()
    assert (y == -np.inf).all()
    assert not tap.any()


@pytest.mark.parametrize("kernel", [(15, 17), (16, 16), (17, 18)], ids=str)
def test_places_need_one_byte_or_two(kernel, isa, rng):
    x = rng.standard_normal((2, 33, 35, 5)).astype(np.float32)
    x[:, kernel[0] - 1, kernel[1] - 1] = 100  # the first window's last tap
    windows, shape = geometry((kernel, (4, 4), (0, 0), (1, 1), False), x)
    dtype = kernels.tap_dtype(kernel)
    assert dtype == (np.uint8 if kernel == (15, 17) else np.uint16)
    y, places = np.empty(shape, np.float32), np.empty(shape, dtype)
    dy, dx = rng.standard_normal(shape).astype(np.float32), np.empty_like(x)
    kernels.max_pool_forward(windows, x, y, places)()
    kernels.max_pool_backward(windows, places, dy, dx)()
    assert (places[:, 0, 0] == kernel[0] * kernel[1] - 1).all()
    np.testing.assert_allclose(dx.sum((1, 2)), dy.sum((1, 2)), rtol=1e-5, atol=1e-5)
    assert (dx[:, kernel[0] - 1, kernel[1] - 1] != 0).all()


# Few large images (backward in blocks of channels) and many small ones.
@pytest.mark.parametrize("shape", [(1, 40, 40, 130), (20, 9, 9, 70)], ids=str)
@pytest.mark.parametrize("window", [WINDOWS[1], WINDOWS[2]], ids=str)
def test_same_bits_on_any_threads(shape, window, isa, rng):
    x = rng.standard_normal(shape).astype(np.float32)
    windows, out = geometry(window, x)
    dy = rng.standard_normal(out).astype(np.float32)
    before, results = kernels.threads(), []
    for count in (1, 2, 5):
        kernels.set_threads(count)
        y, places, dx, mean_dx = np.empty(out, np.float32), np.empty(out, np.uint8), np.empty_like(x), np.empty_like(x)
        kernels.max_pool_forward(windows, x, y, places)()
        kernels.max_pool_backward(windows, places, dy, dx)()
        kernels.average_pool_backward(windows, True, dy, mean_dx)()
        results.append(b"".join(a.tobytes() for a in (y, places, dx, mean_dx)))
    kernels.set_threads(before)
    assert results[0] == results[1] == results[2]


def test_a_large_mean_rounds_little(isa, rng):
    x = (100 + rng.standard_normal((1, 224, 224, 17))).astype(np.float32)
    y = np.empty((1, 1, 1, 17), np.float32)
    kernels.average_pool_forward(Windows((224, 224), (224, 224)), True, x, y)()
    np.testing.assert_allclose(y[0, 0, 0], x.astype(np.float64).mean((0, 1, 2)), rtol=2e-6)


@pytest.mark.parametrize("cells", [(1, 1), (3, 4), (9, 11), (4, 7), (13, 2)], ids=str)
@pytest.mark.parametrize("c", CHANNELS)
def test_adaptive(cells, c, isa, rng):
    x = rng.standard_normal((3, *IMAGE, c)).astype(np.float32)
    dy = rng.standard_normal((3, *cells, c)).astype(np.float32)
    y, dx = Guarded(dy.shape), Guarded(x.shape)
    kernels.adaptive_average_pool_forward(x, y.a)()
    kernels.adaptive_average_pool_backward(dy, dx.a)()
    expected_y, expected_dx = np.zeros(dy.shape), np.zeros(x.shape)
    for row in range(cells[0]):
        for column in range(cells[1]):
            rows, columns = (slice(at * size // out, -(-(at + 1) * size // out))
                             for at, size, out in zip((row, column), IMAGE, cells, strict=True))
            window = x[:, rows, columns].astype(np.float64)
            expected_y[:, row, column] = window.mean((1, 2))
            expected_dx[:, rows, columns] += dy[:, row, column, None, None] / (window.shape[1] * window.shape[2])
    np.testing.assert_allclose(y.check(), expected_y, **TOLERANCE)
    np.testing.assert_allclose(dx.check(), expected_dx, **TOLERANCE)
