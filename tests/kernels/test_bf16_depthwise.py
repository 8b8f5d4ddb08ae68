"""csrc/bf16_depthwise*.c: depthwise convolutions over bfloat16. The arithmetic is float32's: results are those of its
kernels on the same numbers, rounded once, and gradients of weights are theirs, to the bit, on every instruction set."""

from dataclasses import replace

import numpy as np
import pytest

from cnncli import kernels
from cnncli.kernels import BACKWARD_DATA, BACKWARD_WEIGHTS, FORWARD, Convolution, Finish

from .guard import Guarded
from .halves import halves, rounded, wide
from .test_conv import before_a_wall, packed_weights
from .test_depthwise import WINDOWS, shaped

UNALIGNED = 13  # numbers before an output
PLAIN = (1, 1)
ALL = [*WINDOWS, ((7, 7), (1, 1), (3, 3, 3, 3), PLAIN), ((7, 7), (2, 2), (3, 2, 3, 2), PLAIN)]
LARGE = [
    Convolution((3, 80, 80, 32), 32, (3, 3), padding=(1, 1, 1, 1), groups=32),  # memory is asked ahead
    Convolution((3, 112, 112, 40), 40, (5, 5), (2, 2), (1, 2, 1, 2), groups=40),
    Convolution((3, 7, 7, 500), 500, (5, 5), padding=(2, 2, 2, 2), groups=500),  # channels are shared out
]


def of_bfloat16(convolution):
    return replace(convolution, storage=(True, True))


def inputs(convolution, rng):
    """x, weight, bias, dy, and what is added to y and to dx."""
    x_shape, y_shape = convolution.x_shape, convolution.y_shape
    weight, bias = (rng.standard_normal(s, dtype=np.float32) for s in (convolution.weight_shape, y_shape[3:]))
    return halves(rng, x_shape), weight, bias, halves(rng, y_shape), halves(rng, y_shape), halves(rng, x_shape)


def run(convolution, x, weight, bias, dy, finishes=(None, None)):
    """y, dx, dweight, dbias as they are stored, after checking that nothing else was written."""
    outputs = [Guarded(convolution.y_shape, convolution.y_dtype, UNALIGNED),
               Guarded(convolution.x_shape, convolution.x_dtype, UNALIGNED),
               Guarded(convolution.weight_shape, fence=UNALIGNED), Guarded((convolution.k,), fence=UNALIGNED)]
    y, dx, dweight, dbias = (output.a for output in outputs)
    size = convolution.workspace(FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS)
    workspace = kernels.aligned_empty((size + 256,), np.uint8)
    workspace.fill(0xFF)  # NaN: what is read before it is written shows
    packed = [packed_weights(convolution, which, weight) for which in (FORWARD, BACKWARD_DATA)]
    forward, backward = finishes
    kernels.conv2d_forward(convolution, x, weight, packed[0], y, workspace, forward or Finish(bias))()
    kernels.conv2d_backward_data(convolution, dy, weight, packed[1], dx, workspace, backward or Finish())()
    kernels.conv2d_backward_weights(convolution, x, dy, dweight, dbias, workspace)()
    assert (workspace[size:] == 0xFF).all(), f"{convolution} wrote past its workspace"
    return [output.check() for output in outputs]


def same(mine, exact):
    """Whether results agree to the bit, maps after they are rounded."""
    return all(rounded(a, b) if a.dtype == kernels.BFLOAT16 else np.array_equal(a, b)
               for a, b in zip(mine, exact, strict=True))


def check(convolution, x, weight, bias, dy, finish=lambda _: (None, None)):
    """Compare with float32; finish gives both passes' from a function that makes the arrays what they shall be."""
    mine = run(of_bfloat16(convolution), x, weight, bias, dy, finish(lambda a: a))
    assert same(mine, run(convolution, wide(x), weight, bias, wide(dy), finish(wide))), convolution


@pytest.mark.parametrize("window", ALL, ids=str)
@pytest.mark.parametrize("c", [2, 7, 16, 35])
def test_it_is_float32_rounded_once(window, c, instructions, rng):
    for width in (5, 17):
        convolution = shaped(window, 2, 9, width, c)
        check(convolution, *inputs(convolution, rng)[:4])


@pytest.mark.slow
@pytest.mark.parametrize("window", ALL, ids=str)
@pytest.mark.parametrize("c", [3, 4, 8, 13, 17, 32, 48])
def test_every_width(window, c, instructions, rng):
    for width in (4, 8, 14, 31):
        convolution = shaped(window, 2, 8, width, c)
        check(convolution, *inputs(convolution, rng)[:4])


@pytest.mark.slow
@pytest.mark.parametrize("window", ALL, ids=str)
def test_images_smaller_than_the_kernel(window, instructions, rng):
    for side in (1, 2, 3, 4):
        convolution = shaped(window, 2, side, side + 1, 20)
        if min(convolution.y_shape) > 0:
            check(convolution, *inputs(convolution, rng)[:4])


@pytest.mark.slow
@pytest.mark.parametrize("window", [*ALL[:8], ALL[-1]], ids=str)
@pytest.mark.parametrize("c", [3, 16, 19])
def test_nothing_is_read_past_the_end(window, c, instructions, rng):
    convolution = shaped(window, 2, 9, 15, c)
    check(convolution, *map(before_a_wall, inputs(convolution, rng)[:4]))


@pytest.mark.parametrize("activation", kernels.FUSED)
@pytest.mark.parametrize("c", [3, 11, 40])
def test_what_is_added_and_gates_are_float32s(c, activation, instructions, rng):
    for window in (ALL[0], ALL[6], ALL[-2]):
        convolution = shaped(window, 2, 9, 15, c)
        x, weight, bias, dy, of_y, of_x = inputs(convolution, rng)
        gates = halves(rng, of_y.shape, 3, 3), halves(rng, of_x.shape, 3, 3)
        for add, gate in np.ndindex(2, 2):

            def finishes(stored, of_y=of_y if add else None, of_x=of_x if add else None, gated=gate, gates=gates,
                         bias=bias):
                y_gate, x_gate = (gates if gated else (None, None))
                return (Finish(bias, stored(of_y), activation, stored(y_gate)),
                        Finish(bias, stored(of_x), activation, stored(x_gate)))

            check(convolution, x, weight, bias, dy, finishes)


@pytest.mark.parametrize("window", ALL, ids=str)
@pytest.mark.parametrize("c", [3, 11, 40])
def test_a_result_may_be_added_to_itself(window, c, instructions, rng):
    convolution = of_bfloat16(shaped(window, 2, 9, 15, c))
    x, weight, bias, dy, of_y, of_x = inputs(convolution, rng)
    for which, run_pass, source, before in ((FORWARD, kernels.conv2d_forward, x, of_y),
                                            (BACKWARD_DATA, kernels.conv2d_backward_data, dy, of_x)):
        workspace = kernels.aligned_empty((convolution.workspace(which),), np.uint8)
        packed = packed_weights(convolution, which, weight)
        apart, itself = np.empty_like(before), before.copy()
        for add, out in ((before, apart), (itself, itself)):
            run_pass(convolution, source, weight, packed, out, workspace, Finish(bias, add, "relu6"))()
        assert np.array_equal(apart, itself)


@pytest.mark.parametrize("window", [ALL[0], ALL[-2]], ids=str)
def test_it_goes_no_way_over_float32(window, rng):
    for c in (2, 16):
        convolution = shaped(window, 2, 20, 20, c)
        mine = of_bfloat16(convolution)
        for which in (FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS):
            assert mine.workspace(which) == convolution.workspace(which)
        mixed = replace(convolution, storage=(True, False))
        assert mixed.workspace(FORWARD) > mine.workspace(FORWARD)
        x, weight, bias, dy = inputs(convolution, rng)[:4]
        expected = run(convolution, wide(x), weight, bias, wide(dy))
        assert same(run(mixed, x, weight, bias, wide(dy)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("convolution", LARGE, ids=lambda c: str(c)[11:])
def test_the_same_bits_in_any_batch_and_on_any_threads(convolution, instructions, rng):
    if instructions == "reference":
        pytest.skip("plain loops go by way of float32")
    x, weight, bias, dy = inputs(convolution, rng)[:4]
    before, results = kernels.threads(), []
    try:
        for threads in (1, 3):
            kernels.set_threads(threads)
            results.append(run(of_bfloat16(convolution), x, weight, bias, dy))
    finally:
        kernels.set_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    assert same(results[0], run(convolution, wide(x), weight, bias, wide(dy)))
    one = of_bfloat16(replace(convolution, x_shape=(1, *convolution.x_shape[1:])))
    alone = run(one, x[2:3].copy(), weight, bias, dy[2:3].copy())
    assert np.array_equal(alone[0], results[0][0][2:3])
    assert np.array_equal(alone[1], results[0][1][2:3])


@pytest.mark.parametrize("scale", [1e-19, 1e-37])
def test_what_is_too_small_is_zero(scale, instructions, rng):
    convolution = shaped(ALL[0], 2, 9, 15, 19)
    x, weight, bias, dy = inputs(convolution, rng)[:4]
    x, dy = (kernels.to_bfloat16(wide(a) * np.float32(scale)) for a in (x, dy))
    x.flat[::7] = rng.integers(0, 0x80, x.flat[::7].size)  # denormals
    bias *= np.float32(scale) ** 2
    check(convolution, x, weight * np.float32(1e-19), bias, dy)


@pytest.mark.parametrize("activation", kernels.FUSED)
def test_nan_stays_where_it_is(activation, instructions, rng):
    convolution = of_bfloat16(shaped(ALL[0], 2, 9, 15, 19))
    x, weight, bias, dy = inputs(convolution, rng)[:4]
    x[1, 2, 5, 18] = dy[1, 2, 5, 18] = 0x7FC0
    y, dx, dweight, dbias = run(convolution, x, weight, bias, dy, (Finish(bias, activation=activation), None))
    for result in (wide(y), wide(dx)):
        where = np.zeros(result.shape, bool)
        where[1, 1:4, 4:7, 18] = True
        assert np.array_equal(np.isnan(result), where)
    assert np.isnan(dweight[18]).all()
    assert np.isfinite(dweight[:18]).all()
    assert np.array_equal(np.isnan(dbias), np.arange(19) == 18)
