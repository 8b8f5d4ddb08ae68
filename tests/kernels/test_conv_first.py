"""csrc/conv_first.c and conv_planar.c: convolutions of few input channels, where tiles, borders and vectors that are
not full meet. The bounds, the reference and what every convolution must keep are test_conv.py's."""

import itertools

import numpy as np
import pytest

from cnncli import kernels
from cnncli.kernels import Convolution

from .test_conv import before_a_wall, check, inputs, packed_weights, run

# Kernel, stride, padding: one for each specialised kernel, with TensorFlow's uneven padding and with more than half a
# kernel of it on each side.
WINDOWS = [
    ((3, 3), (1, 1), (1, 1, 1, 1)),
    ((3, 3), (1, 1), (0, 0, 0, 0)),
    ((5, 5), (1, 1), (2, 2, 2, 2)),
    ((5, 5), (1, 1), (4, 3, 4, 4)),
    ((3, 3), (2, 2), (0, 1, 0, 1)),
    ((7, 7), (2, 2), (3, 3, 3, 3)),
    ((7, 7), (2, 2), (2, 3, 2, 3)),
    ((2, 3), (3, 2), (1, 0, 2, 2)),
    ((4, 5), (1, 1), (3, 3, 0, 1)),
]


def shaped(window, n, h, w, c, k):
    kernel, stride, padding = window
    return Convolution((n, h, w, c), k, kernel, stride, padding)


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("c", [1, 3, 4])
def test_every_width_and_number_of_outputs(window, c, isa, rng):
    for width, k in itertools.product((8, 13, 14, 29), (1, 5, 6, 8, 13, 16, 33)):
        check(shaped(window, 2, 6, width, c, k), rng)


@pytest.mark.parametrize("k", range(1, 8))
def test_vectors_along_rows(k, isa, rng):
    for width, c in ((15, 1), (30, 2), (47, 3)):
        check(Convolution((2, 40, width, c), k, (3, 7), padding=(1, 3, 3, 3)), rng)  # several chunks, for width 47


@pytest.mark.parametrize("c", [1, 2])
def test_images_narrower_than_a_tile(c, isa, rng):
    for width in range(1, 9):
        check(Convolution((2, 3, width, c), 6, (5, 5), padding=(2, 2, 2, 2)), rng)
        check(Convolution((1, 2, width, c), 17, (3, 3), (2, 2), padding=(1, 1, 1, 1)), rng)


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 3, 6, 9, 16, 19])
def test_nothing_is_read_past_the_end(k, isa, rng):
    for window, width in itertools.product(WINDOWS[:6], (5, 14)):
        convolution = shaped(window, 2, 5, width, 3, k)
        check(convolution, rng, [before_a_wall(array) for array in inputs(convolution, rng)])


@pytest.mark.parametrize("k", [1, 6, 16, 20])
def test_a_result_may_be_added_to_itself(k, isa, rng):
    convolution = Convolution((2, 9, 15, 3), k, (3, 3), padding=(1, 1, 1, 1))
    x, weight, bias, _ = inputs(convolution, rng)
    workspace = kernels.aligned_empty((convolution.workspace(kernels.FORWARD),), np.uint8)
    packed = packed_weights(convolution, kernels.FORWARD, weight)
    before = rng.standard_normal(convolution.y_shape, dtype=np.float32)
    apart, itself = np.empty_like(before), before.copy()
    for add, out in ((before, apart), (itself, itself)):
        finish = kernels.Finish(bias, add, "relu6")
        kernels.conv2d_forward(convolution, x, weight, packed, out, workspace, finish)()
    assert np.array_equal(apart, itself)


@pytest.mark.parametrize("k", [6, 32])
def test_the_same_bits_in_any_batch_and_on_any_threads(k, isa, rng):
    convolution = Convolution((7, 28, 28, 1), k, (5, 5), padding=(2, 2, 2, 2))
    x, weight, bias, dy = inputs(convolution, rng)
    before = kernels.threads()
    try:
        kernels.set_threads(1)
        y, _, dweight, dbias = run(convolution, x, weight, bias, dy)
        kernels.set_threads(3)
        again = run(convolution, x, weight, bias, dy)
    finally:
        kernels.set_threads(before)
    assert np.array_equal(y, again[0])
    assert np.array_equal(dweight, again[2])
    assert np.array_equal(dbias, again[3])
    one = Convolution((1, 28, 28, 1), k, (5, 5), padding=(2, 2, 2, 2))
    assert np.array_equal(run(one, x[4:5].copy(), weight, bias, dy[4:5].copy())[0], y[4:5])
