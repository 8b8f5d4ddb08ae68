"""Convolutions that pool their own results (cnn_finish.pooled, in csrc/conv_planar_pairs_tmpl.c and
winograd_inverse_tmpl.c): on every instruction set the same bits, and the same places of the largest, as a convolution
and then a max pooling, with guards around both outputs. What a convolution and a pooling are is for test_conv.py,
test_winograd.py and test_pool.py.
"""

from dataclasses import replace

import numpy as np
import pytest

from cnncli import kernels
from cnncli._kernels import lib
from cnncli.kernels import Convolution, Finish, Windows

from .guard import Guarded
from .test_conv import before_a_wall, inputs, packed_weights

TWOS = Windows((2, 2), (2, 2))
SAME = (1, 1, 1, 1)
CASES = [
    # Vectors along rows, for few output channels: every number of them, odd sizes, rows in tails, padding.
    *(Convolution((2, 9, 20, 1), k, (5, 5)) for k in range(1, 8)),
    *(Convolution((3, h, w, 1), 6, (5, 5), padding=(2, 2, 2, 2)) for h, w in ((28, 28), (13, 31), (2, 31), (27, 66))),
    Convolution((1, 32, 48, 3), 4, (3, 3), padding=SAME),
    Convolution((2, 8, 33, 4), 5, (3, 3), padding=(0, 2, 1, 0)),
    Convolution((1, 150, 64, 1), 7, (7, 7), padding=(3, 3, 3, 3)),  # several chunks of an image
    # Winograd's: tails of channels and of tiles, images that give odd numbers of results.
    *(Convolution((2, h, w, 16), k, (3, 3), padding=SAME)
      for h, w in ((8, 8), (7, 9), (6, 5), (6, 13), (4, 3)) for k in (16, 17, 40)),
    Convolution((3, 14, 14, 33), 48, (3, 3)),
    Convolution((1, 30, 31, 64), 100, (3, 3), padding=(0, 1, 2, 1)),
    Convolution((40, 8, 8, 64), 64, (3, 3), padding=SAME),  # cut by tiles …
    Convolution((1, 14, 14, 256), 264, (3, 3), padding=SAME),  # … and by panels
]
ids = [str(case)[11:] for case in CASES]


def fused(convolution, x, weight, finish, kept):
    """y and taps (None unless kept) in one call."""
    shape = replace(finish, pooled=True).shape(convolution)
    y, taps = Guarded(shape), Guarded(shape, np.uint8) if kept else None
    workspace = kernels.aligned_empty((convolution.workspace(kernels.FORWARD),), np.uint8)
    workspace.fill(0xFF)
    packed = packed_weights(convolution, kernels.FORWARD, weight)
    finish = replace(finish, pooled=True, taps=taps.a if taps else None)
    kernels.conv2d_forward(convolution, x, weight, packed, y.a, workspace, finish)()
    return y.check(), taps.check() if taps else None


def apart(convolution, x, weight, finish):
    """y and taps, one after the other."""
    whole = kernels.aligned_empty(convolution.y_shape)
    workspace = kernels.aligned_empty((convolution.workspace(kernels.FORWARD),), np.uint8)
    packed = packed_weights(convolution, kernels.FORWARD, weight)
    kernels.conv2d_forward(convolution, x, weight, packed, whole, workspace, replace(finish, activation=""))()
    shape = replace(finish, pooled=True).shape(convolution)
    y, taps = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    kernels.max_pool_forward(TWOS, whole, y, taps, finish.activation)()
    return y, taps


@pytest.mark.slow
@pytest.mark.parametrize("convolution", CASES, ids=ids)
@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
def test_it_is_a_convolution_and_a_pooling(convolution, activation, isa, rng):
    x, weight, bias, _ = inputs(convolution, rng)
    assert convolution.pools
    for given in (bias, None):
        finish = Finish(given, activation=activation)
        expected = apart(convolution, x, weight, finish)
        for kept in (True, False):
            y, taps = fused(convolution, x, weight, finish, kept)
            np.testing.assert_array_equal(y, expected[0])
            if kept:
                np.testing.assert_array_equal(taps, expected[1])


@pytest.mark.parametrize("convolution", [CASES[5], CASES[15], CASES[-1]], ids=lambda c: str(c)[11:])
def test_ties_go_to_the_first_and_nan_to_everything(convolution, isa, rng):
    x, weight, bias, _ = inputs(convolution, rng)
    x = np.round(x)
    x[0, 3, 2] = np.nan
    weight = np.sign(weight)
    expected = apart(convolution, x, weight, Finish(bias, activation="relu"))
    y, taps = fused(convolution, x, weight, Finish(bias, activation="relu"), True)
    assert np.isnan(y).any()
    assert not np.isnan(y).all()
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(taps, expected[1])


@pytest.mark.parametrize("convolution", [CASES[7], CASES[-2]], ids=lambda c: str(c)[11:])
def test_the_same_bits_on_any_threads_and_alone(convolution, isa, rng):
    x, weight, bias, _ = inputs(convolution, rng)
    before, results = kernels.threads(), []
    try:
        for threads in (1, 2, 5):
            kernels.set_threads(threads)
            results.append(fused(convolution, x, weight, Finish(bias), True))
    finally:
        kernels.set_threads(before)
    one = replace(convolution, x_shape=(1, *convolution.x_shape[1:]))
    alone = fused(one, x[-1:], weight, Finish(bias), True)
    for y, taps in results:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(taps, results[0][1])
        np.testing.assert_array_equal(y[-1:], alone[0])
        np.testing.assert_array_equal(taps[-1:], alone[1])


@pytest.mark.parametrize("convolution", CASES[7:], ids=ids[7:])
def test_nothing_is_read_past_the_images(convolution, isa, rng):
    x, weight, bias, _ = inputs(convolution, rng)
    fused(convolution, before_a_wall(x), weight, Finish(bias), True)


def test_what_does_not_pool_refuses(rng):
    strided = Convolution((1, 9, 9, 16), 16, (3, 3), (2, 2), SAME)
    thin = Convolution((1, 1, 9, 16), 16, (3, 3), padding=SAME)
    for convolution in (strided, thin):
        assert not convolution.pools
        x, weight, bias, _ = inputs(convolution, rng)
        with pytest.raises(ValueError, match="refused"):
            fused(convolution, x, weight, Finish(bias), False)
    convolution = CASES[-2]
    x, weight, bias, _ = inputs(convolution, rng)
    shape = Finish(pooled=True).shape(convolution)
    with pytest.raises(ValueError, match="refused"):
        fused(convolution, x, weight, Finish(bias, add=np.zeros(shape, np.float32)), False)
    with pytest.raises(ValueError, match="taps"):
        Finish(bias, pooled=True, taps=np.zeros((1, 2, 3, 4), np.uint8)).struct(convolution, shape, np.float32)
    assert lib.cnn_conv2d_pools(convolution.struct()) == 1
