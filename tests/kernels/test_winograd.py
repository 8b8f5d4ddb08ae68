"""csrc/winograd.c and what belongs to it: every pass on every instruction set against float64, where conv.c takes
Winograd's way. What both ways share (guards, the reference) is test_conv.py's.

The bound: with K products in a sum and u = 2^-24, RMS(error) / RMS(result) <= 1.5 u sqrt(K), three times what a plain
sum is held to, and no error beyond 12 times that share of the RMS. An error is compared with the size of the
whole result, or of the weights of its own input channel, not with its own result's: those of a tile share their errors.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnncli import kernels
from cnncli.kernels import Convolution

from ..conftest import variant
from .test_conv import before_a_wall, inputs, packed_weights, reference, run

U = 2.0**-24
LEAST, SHARE = 2, 1.5  # RMS(error) / RMS(result) <= max(LEAST u, SHARE u sqrt(K))
WORST = 12
SAME = (1, 1, 1, 1)


@pytest.fixture(params=map(variant, kernels.isas()[1:]))
def isa(request):
    """Each instruction set but the plain loops, which know one way only: test_conv.py has them."""
    with kernels.use_isa(request.param):
        yield request.param


def three_by_three(n, h, w, c, k, padding=SAME, exact=False):
    return Convolution((n, h, w, c), k, (3, 3), padding=padding, exact=exact)


def assert_close(convolution, name, got, expected, terms, axes=None):
    share = max(LEAST * U, SHARE * U * np.sqrt(terms))
    scale = np.maximum(np.sqrt((expected**2).mean(axes, keepdims=True)), 1e-300)
    error = np.abs(got - expected) / scale / share
    rms, worst = np.sqrt((error**2).mean()), error.max()
    assert rms <= 1 or error.size < 100, f"{name} of {convolution}: RMS {rms} times the bound"
    assert worst <= WORST, f"{name} of {convolution}: an error of {worst} times the RMS bound"


def check(convolution, rng, arrays=None):
    x, weight, bias, dy = arrays or inputs(convolution, rng)
    y, dx, dweight, dbias = run(convolution, x, weight, bias, dy)
    expected = reference(convolution, x, weight, dy)
    pixels = dy[..., 0].size
    assert_close(convolution, "y", y, expected[0] + bias, weight[0].size + 1)
    assert_close(convolution, "dx", dx, expected[1], 9 * convolution.k)
    assert_close(convolution, "dweight", dweight, expected[2], pixels, (0, 2, 3))
    wide = dy.astype(np.float64)
    norm = np.sqrt((wide**2).sum((0, 1, 2))) + 1e-300
    assert (np.abs(dbias - wide.sum((0, 1, 2))) / norm).max() <= WORST * max(LEAST * U, U * np.sqrt(pixels))


CASES = [
    # Every tail of channels and of tiles; the smallest go the direct way and meet the bound all the more.
    *(three_by_three(2, 7, 9, c, k) for c in (1, 3, 6, 8, 16, 17, 40) for k in (8, 17, 33, 48)),
    *(three_by_three(1, h, w, 16, 16) for h, w in ((1, 1), (2, 3), (4, 4), (5, 8), (6, 13), (12, 4), (1, 30))),
    # Every padding, less and more than the window is wide.
    three_by_three(2, 9, 10, 18, 20, (0, 0, 0, 0)),
    three_by_three(2, 8, 7, 20, 18, (2, 0, 1, 3)),
    three_by_three(1, 5, 6, 16, 24, (0, 4, 5, 0)),
    three_by_three(1, 1, 2, 16, 16, (3, 3, 2, 2)),
    three_by_three(1, 3, 3, 16, 16, (0, 0, 0, 0)),
    # Layers of networks, whose weights are packed or not, and whose work is cut by tiles or by panels.
    three_by_three(2, 7, 7, 512, 40),
    three_by_three(1, 7, 7, 512, 512),
    three_by_three(3, 14, 14, 256, 264),
    three_by_three(1, 28, 30, 128, 100),
    three_by_three(5, 32, 32, 16, 16),
    three_by_three(9, 16, 16, 32, 48),
    three_by_three(2, 57, 58, 64, 64),
]


@pytest.mark.slow
@pytest.mark.parametrize("convolution", CASES, ids=lambda c: str(c)[11:])
def test_every_pass(convolution, isa, rng):
    check(convolution, rng)


@st.composite
def convolutions(draw):
    padding = draw(st.tuples(*[st.integers(0, 4)] * 4))
    h, w = (max(1, 3 - padding[2 * i] - padding[2 * i + 1]) + draw(st.integers(0, 14)) for i in range(2))
    return three_by_three(draw(st.integers(1, 3)), h, w, draw(st.integers(16, 70)), draw(st.integers(16, 70)), padding)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(convolution=convolutions(), seed=st.integers(0, 2**31))
def test_any_shape(isa, convolution, seed):
    check(convolution, np.random.default_rng(seed))


ORDINARY = [three_by_three(2, 11, 9, 16, 24), three_by_three(3, 14, 14, 64, 40), three_by_three(1, 7, 7, 512, 48)]
EXTREMES = {
    "a spike": lambda a, rng: np.where(np.arange(a.size).reshape(a.shape) == a.size // 2, np.float32(1e4), a),
    "a large mean": lambda a, rng: a + np.float32(1000),
    "post-ReLU": lambda a, rng: np.where(rng.random(a.shape) < 0.8, np.float32(0), np.abs(a)),
}


def test_gradients_of_weights_too_large_for_a_chunk(isa, rng):
    """Where a chunk cannot keep all of them, pixels are transformed first; 98 and 101 channels have tails of fours."""
    check(three_by_three(1, 9, 10, 98, 101), rng)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("convolution", ORDINARY, ids=lambda c: str(c)[11:])
def test_extreme_inputs(name, convolution, isa, rng):
    x, weight, bias, dy = inputs(convolution, rng)
    check(convolution, rng, (EXTREMES[name](x, rng).astype(np.float32), weight, bias, dy))


@pytest.mark.parametrize("convolution", ORDINARY, ids=lambda c: str(c)[11:])
def test_tiny_gradients_survive(convolution, isa, rng):
    x, weight, bias, dy = inputs(convolution, rng)
    check(convolution, rng, (x, weight, bias, (dy * 1e-20).astype(np.float32)))


SHARED = [
    three_by_three(9, 12, 11, 17, 40),
    three_by_three(7, 33, 32, 16, 16),
    three_by_three(5, 30, 28, 64, 96),
    three_by_three(4, 14, 14, 128, 130),
    three_by_three(3, 7, 7, 512, 320),
]


@pytest.mark.slow
@pytest.mark.parametrize("convolution", SHARED, ids=lambda c: str(c)[11:])
def test_the_passes_are_one_bilinear_form(convolution, isa, rng):
    # <y, g> = <x, dx> = <w, dw>, whatever the reference says.
    x, weight, _, dy = inputs(convolution, rng)
    y, dx, dweight, _ = run(convolution, x, weight, np.zeros(convolution.k, np.float32), dy)
    values = [np.vdot(a.astype(np.float64), b) for a, b in ((y, dy), (x, dx), (weight, dweight))]
    scale = np.linalg.norm(y.astype(np.float64)) * np.linalg.norm(dy)
    assert np.ptp(values) <= 4 * U * np.sqrt(weight[0].size) * scale


@pytest.mark.slow
@pytest.mark.parametrize("convolution", SHARED, ids=lambda c: str(c)[11:])
def test_an_image_is_the_same_bits_in_any_batch(convolution, isa, rng):
    x, weight, bias, dy = inputs(convolution, rng)
    y, *_ = run(convolution, x, weight, bias, dy)
    for first, last in ((0, 1), (len(x) - 1, len(x)), (1, 3)):
        part = replace(convolution, x_shape=(last - first, *convolution.x_shape[1:]))
        alone, *_ = run(part, x[first:last].copy(), weight, bias, dy[first:last].copy())
        assert np.array_equal(alone, y[first:last])


@pytest.mark.slow
@pytest.mark.parametrize("convolution", SHARED, ids=lambda c: str(c)[11:])
def test_the_same_bits_on_any_threads(convolution, isa, rng):
    arrays, before, results = inputs(convolution, rng), kernels.threads(), []
    try:
        for threads in (1, 2, 5):
            kernels.set_threads(threads)
            results.append(run(convolution, *arrays))
    finally:
        kernels.set_threads(before)
    for result in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(result, results[0], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("activation", kernels.FUSED)
@pytest.mark.parametrize("convolution", [three_by_three(2, 7, 9, 17, 20), three_by_three(3, 13, 12, 32, 33),
                                         three_by_three(1, 6, 7, 64, 96), three_by_three(1, 5, 6, 512, 300)],
                         ids=lambda c: str(c)[11:])
def test_results_are_finished_as_they_are_stored(convolution, activation, isa, rng):
    x, weight, bias, dy = inputs(convolution, rng)
    workspace = kernels.aligned_empty((convolution.workspace(kernels.FORWARD, kernels.BACKWARD_DATA),), np.uint8)
    for which, run_pass, source, shape in (
            (kernels.FORWARD, kernels.conv2d_forward, x, convolution.y_shape),
            (kernels.BACKWARD_DATA, kernels.conv2d_backward_data, dy, convolution.x_shape)):
        packed, raw = packed_weights(convolution, which, weight), np.empty(shape, np.float32)
        run_pass(convolution, source, weight, packed, raw, workspace)()
        other = rng.standard_normal(shape, dtype=np.float32)
        gate = np.clip(rng.standard_normal(shape, dtype=np.float32) * 6, 0, 6)
        shift = bias if which == kernels.FORWARD else rng.standard_normal(shape[3], dtype=np.float32)
        for with_bias, add, with_gate in np.ndindex(2, 3, 2):
            expected = raw + shift if with_bias else raw
            expected = expected + other if add else expected
            top = np.float32(6 if activation == "relu6" else np.inf)
            if activation:
                expected = expected * ((gate > 0) & (gate < top)) if with_gate else expected.clip(0, top)
            out = other.copy() if add == 2 else np.empty(shape, np.float32)
            finish = kernels.Finish(shift if with_bias else None, (None, other, out)[add], activation,
                                    gate if with_gate else None)
            run_pass(convolution, source, weight, packed, out, workspace, finish)()
            assert np.array_equal(out, expected)


@pytest.mark.slow
@pytest.mark.parametrize("convolution", [three_by_three(2, 7, 9, 17, 20), three_by_three(3, 6, 6, 19, 18, (0, 0, 0, 0)),
                                         three_by_three(3, 4, 8, 24, 33), three_by_three(1, 6, 6, 300, 510)],
                         ids=lambda c: str(c)[11:])
def test_reads_stay_inside(convolution, isa, rng):
    # Vectors may read the next pixel, but nothing past the last one: that would end the process here.
    check(convolution, rng, [before_a_wall(array) for array in inputs(convolution, rng)])


def test_nan_is_never_hidden(isa, rng):
    convolution = three_by_three(2, 9, 9, 20, 18)
    x, weight, bias, dy = inputs(convolution, rng)
    x[1, 2, 3, :] = np.nan
    y, _, dweight, _ = run(convolution, x, weight, bias, dy)
    assert np.isnan(y[1, 1:4, 2:5]).all()
    assert np.isfinite(y[0]).all()
    assert np.isnan(dweight).all()


def bits_of(convolution, arrays):
    return [a.tobytes() for a in run(convolution, *arrays)[:3]]


def test_exact_is_never_winograd(isa, rng):
    # Two ways of summing hardly ever give the same bits, one way always does.
    for convolution, differs in ((three_by_three(2, 12, 12, 32, 32), True),
                                 (three_by_three(2, 12, 12, 3, 32), False),
                                 (replace(three_by_three(2, 12, 12, 32, 32), stride=(2, 2)), False),
                                 (replace(three_by_three(2, 12, 12, 32, 32), dilation=(2, 1)), False),
                                 (replace(three_by_three(2, 12, 12, 64, 64), groups=2), False)):
        arrays = inputs(convolution, rng)
        ways = zip(bits_of(convolution, arrays), bits_of(replace(convolution, exact=True), arrays), strict=True)
        assert [a != b for a, b in ways] == [differs] * 3, convolution
