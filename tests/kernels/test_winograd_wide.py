"""csrc/winograd_wide*.c: the forward pass of inference by Winograd's F(7 x 7, 3 x 3), on every instruction set against
float64. test_winograd.py has F(4 x 4, 3 x 3), which training takes.

The bound follows from the matrices. With g, d and y in one dimension, y = A [(G g) . (B d)], a rounding error in the
middle reaches y larger by the root of the mean over results of the sum over j of (A_ij |G_j| |B_j|)², divided by the
3 of an exact y: its square, in two dimensions, is AMPLIFICATION. Each number of the middle is rounded a few times: by
two transforms of weights, two of pixels, and a sum that is cut into short ones. RMS(error) / RMS(result) <=
ROUNDINGS x AMPLIFICATION x u with u = 2^-24, and no error beyond 12 times that share of the results' RMS.
"""

from dataclasses import replace

import numpy as np
import pytest

from cnncli import kernels
from cnncli.kernels import Convolution, Finish

from ..conftest import variant
from .guard import Guarded
from .test_conv import before_a_wall, packed_weights, reference

U = 2.0**-24
ROUNDINGS, WORST = 5, 12
POINTS = np.array([0, 0.5, -0.5, 0.875, -0.875, 1.5, -1.5, 3, -3])
SAME = (1, 1, 1, 1)


def amplification() -> float:
    """That of the points in csrc/winograd_wide_tile.h."""
    others = [np.delete(POINTS, j) for j in range(9)]
    a = POINTS ** np.arange(7)[:, None]
    g = np.array([p ** np.arange(3) / np.prod(p - rest) for p, rest in zip(POINTS, others, strict=True)])
    b = np.array([np.poly(rest) for rest in others])
    return float((a**2 @ ((g**2).sum(1) * (b**2).sum(1))).mean() / 3)


@pytest.fixture(params=map(variant, kernels.isas()[1:]))
def isa(request):
    """Each instruction set but the plain loops, which know one way only."""
    with kernels.use_isa(request.param):
        yield request.param


def inferred(n, h, w, c, k, padding=SAME, **options):
    return Convolution((n, h, w, c), k, (3, 3), padding=padding, inference=True, **options)


def is_wide(convolution):
    """Whether forward takes these tiles: their weights are packed as 27 numbers, F(4 x 4)'s as 36, exact ones as 9."""
    floats = convolution.packed(kernels.FORWARD) // 4
    return floats == 27 * convolution.x_shape[3] * -(-convolution.k // 32) * 32


def inputs(convolution, rng):
    return [rng.standard_normal(shape, dtype=np.float32) for shape in (convolution.x_shape, convolution.weight_shape,
                                                                       (convolution.k,))]


def forward(convolution, x, weight, bias, add=None, activation=""):
    """y, after checking that nothing else was written."""
    output, size = Guarded(convolution.y_shape, fence=13), convolution.workspace(kernels.FORWARD)
    workspace = kernels.aligned_empty((size + 256,), np.uint8)
    workspace.fill(0xFF)  # NaN: what is read before it is written shows
    packed = packed_weights(convolution, kernels.FORWARD, weight)
    kernels.conv2d_forward(convolution, x, weight, packed, output.a, workspace, Finish(bias, add, activation))()
    assert (workspace[size:] == 0xFF).all(), f"{convolution} wrote past its workspace"
    return output.check()


def check(convolution, arrays):
    x, weight, bias = arrays
    y = forward(convolution, *arrays)
    expected = reference(convolution, x, weight, np.zeros(convolution.y_shape, np.float32))[0]
    rms = np.sqrt((expected**2).mean())
    error = np.abs(y - expected - bias) / rms / (ROUNDINGS * amplification() * U)
    assert np.sqrt((error**2).mean()) <= 1, f"{convolution}: RMS {np.sqrt((error**2).mean())} times the bound"
    assert error.max() <= WORST, f"{convolution}: an error of {error.max()} times the RMS bound"


CASES = [
    # Tails of channels and columns, every number of tiles that is taken in one way or another.
    *(inferred(1, 7, 7, c, k) for c in (16, 17, 40, 70) for k in (16, 17, 33, 48)),
    *(inferred(n, 7, 7, 24, 40) for n in (2, 3, 5, 6, 7, 8, 9, 12, 13, 29)),
    # Tiles that an image does not fill, and paddings.
    inferred(2, 13, 20, 32, 32),
    inferred(1, 14, 13, 48, 20, (0, 2, 1, 1)),
    inferred(2, 9, 9, 32, 40, (0, 0, 0, 0)),
    # Layers of networks, whose work is cut by tiles or by panels.
    inferred(1, 56, 56, 64, 64),
    inferred(6, 56, 56, 64, 64),
    inferred(2, 28, 28, 128, 128),
    inferred(3, 14, 14, 256, 264),
    inferred(2, 7, 7, 512, 96),
]
SMALL = [inferred(3, 7, 7, 40, 48), inferred(2, 13, 14, 33, 70)]
ids = {"ids": lambda c: str(c)[11:]}


@pytest.mark.slow
@pytest.mark.parametrize("convolution", CASES, **ids)
def test_forward(convolution, isa, rng):
    assert is_wide(convolution)
    check(convolution, inputs(convolution, rng))


@pytest.mark.parametrize("convolution", SMALL, **ids)
def test_forward_of_few_tiles_and_a_block_of_them(convolution, isa, rng):
    assert is_wide(convolution)
    check(convolution, inputs(convolution, rng))


@pytest.mark.slow
@pytest.mark.parametrize("change", [
    lambda x: np.where(np.arange(x.size).reshape(x.shape) == x.size // 2, np.float32(1e4), x),  # a spike
    lambda x: np.maximum(x, 0), lambda x: x * np.float32(1e-20)])
def test_extreme_inputs(change, isa, rng):
    convolution = inferred(2, 14, 14, 64, 40)
    x, weight, _ = inputs(convolution, rng)
    check(convolution, (change(x).astype(np.float32), weight, np.zeros(40, np.float32)))


SHARED = [inferred(7, 7, 7, 130, 96), inferred(5, 14, 14, 64, 40), inferred(7, 56, 56, 24, 32),
          inferred(4, 28, 28, 64, 64), inferred(13, 7, 7, 40, 40)]


@pytest.mark.slow
@pytest.mark.parametrize("convolution", SHARED, **ids)
def test_an_image_is_the_same_bits_in_any_batch(convolution, isa, rng):
    assert is_wide(convolution)
    x, weight, bias = inputs(convolution, rng)
    y = forward(convolution, x, weight, bias)
    for first, last in ((0, 1), (len(x) - 1, len(x)), (1, 3), (0, 4)):
        part = replace(convolution, x_shape=(last - first, *convolution.x_shape[1:]))
        assert np.array_equal(forward(part, x[first:last].copy(), weight, bias), y[first:last])


@pytest.mark.slow
@pytest.mark.parametrize("convolution", SHARED, **ids)
def test_the_same_bits_on_any_threads(convolution, isa, rng):
    arrays, before, results = inputs(convolution, rng), kernels.threads(), []
    try:
        for threads in (1, 2, 5):
            kernels.set_threads(threads)
            results.append(forward(convolution, *arrays))
    finally:
        kernels.set_threads(before)
    assert all(np.array_equal(result, results[0]) for result in results[1:])


@pytest.mark.parametrize("activation", kernels.FUSED)
def test_results_are_finished_as_they_are_stored(activation, isa, rng):
    for convolution in SMALL:
        x, weight, bias = inputs(convolution, rng)
        raw = forward(convolution, x, weight, np.zeros_like(bias))
        add = rng.standard_normal(convolution.y_shape, dtype=np.float32)
        top = np.float32({"": np.inf, "relu": np.inf, "relu6": 6}[activation])
        least = np.float32(0 if activation else -np.inf)
        assert np.array_equal(forward(convolution, x, weight, bias, None, activation), (raw + bias).clip(least, top))
        assert np.array_equal(forward(convolution, x, weight, bias, add, activation),
                              (raw + bias + add).clip(least, top))


@pytest.mark.parametrize("convolution", SMALL, **ids)
def test_reads_stay_inside(convolution, isa, rng):
    check(convolution, [before_a_wall(array) for array in inputs(convolution, rng)])


def test_nan_is_never_hidden(isa, rng):
    convolution = inferred(2, 14, 14, 20, 18)
    x, weight, bias = inputs(convolution, rng)
    x[1, 2, 3, :] = np.nan
    y = forward(convolution, x, weight, bias)
    assert np.isnan(y[1, 1:4, 2:5]).all()
    assert np.isfinite(y[0]).all()


def test_only_inference_takes_them_where_tiles_fit(isa, rng):
    convolution = inferred(2, 14, 14, 32, 32)
    assert is_wide(convolution)
    for other in (replace(convolution, inference=False), replace(convolution, exact=True), inferred(2, 16, 16, 32, 32),
                  inferred(2, 32, 32, 64, 64), inferred(2, 14, 14, 32, 8), inferred(2, 14, 14, 64, 64, groups=2),
                  inferred(2, 14, 14, 32, 32, dilation=(2, 2)), inferred(2, 28, 28, 32, 32, stride=(2, 2))):
        assert not is_wide(other), other
    # Backward does not ask.
    plain = replace(convolution, inference=False)
    assert convolution.packed(kernels.BACKWARD_DATA) == plain.packed(kernels.BACKWARD_DATA)
    # … and the results tell the two ways apart, too.
    arrays = inputs(convolution, rng)
    assert not np.array_equal(forward(convolution, *arrays), forward(plain, *arrays))
    assert not convolution.pools
    assert plain.pools
