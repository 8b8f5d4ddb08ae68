"""csrc/depthwise.c: convolutions of one channel a group, where tiles, borders and vectors that are not full meet. The
bounds, the reference and what every convolution must keep are test_conv.py's."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli.kernels import Convolution

from .test_conv import before_a_wall, check, inputs, packed_weights, run

# Kernel, stride, padding, dilation: the specialised kernels with even and uneven padding, and what is left to the
# general ones.
WINDOWS = [
    ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    ((3, 3), (1, 1), (2, 0, 0, 2), (2, 1)),
    ((5, 5), (1, 1), (2, 2, 2, 2), (1, 1)),
    ((5, 5), (1, 1), (4, 4, 4, 3), (1, 1)),
    ((3, 3), (2, 2), (0, 1, 0, 1), (1, 1)),
    ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
    ((5, 5), (2, 2), (1, 2, 1, 2), (1, 1)),
    ((5, 5), (2, 2), (2, 2, 2, 2), (1, 1)),
    ((1, 3), (1, 1), (0, 0, 1, 1), (1, 1)),
    ((4, 5), (1, 1), (3, 1, 2, 2), (1, 1)),
    ((6, 3), (2, 2), (3, 2, 1, 0), (1, 1)),
    ((2, 3), (3, 2), (1, 1, 2, 0), (1, 1)),
    ((4, 5), (1, 2), (3, 2, 4, 3), (1, 1)),
    ((3, 3), (1, 1), (2, 2, 2, 2), (2, 2)),
    ((3, 4), (2, 3), (1, 1, 3, 1), (1, 1)),
    ((17, 3), (1, 1), (8, 8, 1, 1), (1, 1)),
]


def shaped(window, n, h, w, c):
    kernel, stride, padding, dilation = window
    return Convolution((n, h, w, c), c, kernel, stride, padding, dilation, c)


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("c", [2, 4, 7, 13, 16, 35])
def test_every_width(window, c, isa, rng):
    for width in (5, 8, 14, 17):
        check(shaped(window, 2, 9, width, c), rng)


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_images_smaller_than_the_kernel(window, isa, rng):
    for side in (1, 2, 3, 4):
        convolution = shaped(window, 2, side, side + 1, 20)
        if min(convolution.y_shape) > 0:
            check(convolution, rng)


@pytest.mark.parametrize("window", [WINDOWS[i] for i in (0, 2, 4, 6, 13)], ids=str)
def test_many_channels_of_small_images(window, isa, rng):
    check(shaped(window, 9, 7, 8, 271), rng)  # a vector's gradients are summed over ranges of rows, one after the other


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS[:8], ids=str)
@pytest.mark.parametrize("c", [3, 16, 19])
def test_nothing_is_read_past_the_end(window, c, isa, rng):
    convolution = shaped(window, 2, 9, 15, c)
    check(convolution, rng, [before_a_wall(array) for array in inputs(convolution, rng)])


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("c", [3, 11, 16, 40])
def test_a_result_may_be_added_to_itself(window, c, isa, rng):
    convolution = shaped(window, 2, 9, 15, c)
    x, weight, bias, dy = inputs(convolution, rng)
    for which, run_pass, source, shape in ((kernels.FORWARD, kernels.conv2d_forward, x, convolution.y_shape),
                                           (kernels.BACKWARD_DATA, kernels.conv2d_backward_data, dy, x.shape)):
        workspace = kernels.aligned_empty((convolution.workspace(which),), np.uint8)
        packed = packed_weights(convolution, which, weight)
        before = rng.standard_normal(shape, dtype=np.float32)
        apart, itself = np.empty_like(before), before.copy()
        for add, out in ((before, apart), (itself, itself)):
            run_pass(convolution, source, weight, packed, out, workspace, kernels.Finish(bias, add, "relu6"))()
        assert np.array_equal(apart, itself)


@pytest.mark.slow
@pytest.mark.parametrize("convolution", [
    Convolution((3, 80, 80, 32), 32, (3, 3), padding=(1, 1, 1, 1), groups=32),  # memory is asked ahead
    Convolution((3, 96, 96, 40), 40, (5, 5), (2, 2), (1, 2, 1, 2), groups=40),
    Convolution((3, 7, 7, 500), 500, (5, 5), padding=(2, 2, 2, 2), groups=500),  # channels are shared out
], ids=lambda c: str(c)[11:])
def test_the_same_bits_in_any_batch_and_on_any_threads(convolution, isa, rng):
    x, weight, bias, dy = inputs(convolution, rng)
    before, results = kernels.threads(), []
    try:
        for threads in (1, 3):
            kernels.set_threads(threads)
            results.append(run(convolution, x, weight, bias, dy))
    finally:
        kernels.set_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    one = Convolution((1, *convolution.x_shape[1:]), convolution.k, convolution.kernel, convolution.stride,
                      convolution.padding, groups=convolution.groups)
    alone = run(one, x[2:3].copy(), weight, bias, dy[2:3].copy())
    assert np.array_equal(alone[0], results[0][0][2:3])
    assert np.array_equal(alone[1], results[0][1][2:3])
