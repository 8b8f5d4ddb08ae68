"""csrc/conv*.c, depthwise*.c and gemm*.c: every pass on every instruction set against float64, over the
shapes where a blocked kernel can go wrong, with sentinels around every output.

The bound is that of a plain sum. Adding up K products in float32, with u = 2^-24, loses about 0.3 u sqrt(K) of the
result's deviation, so RMS(error) / RMS(result) <= max(2 u, 0.5 u sqrt(K)), and no single error is beyond 12 times that
share of its own result. A result's size is taken as what independent products would give, sqrt(sum of squared
products): a sum that happens to cancel is no better known than its neighbours. Below MANY results an RMS says little,
and only the second bound holds.
"""

import ctypes
import functools
import mmap

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnncli import kernels
from cnncli._kernels import ffi, lib
from cnncli.kernels import Convolution as AnyConvolution

from .guard import Guarded

# Winograd's way has a bound of its own, and tests: test_winograd.py.
Convolution = functools.partial(AnyConvolution, exact=True)

U = 2.0**-24
LEAST, SHARE = 2, 0.5  # RMS(error) / RMS(result) <= max(LEAST u, SHARE u sqrt(K))
WORST, MANY = 12, 100
UNALIGNED = 13  # floats before an output


def reference(convolution: AnyConvolution, x, weight, dy):
    """y without bias, dx, dweight in float64, tap by tap."""
    top, bottom, left, right = convolution.padding
    _, h, w, c = convolution.x_shape
    _, oh, ow, _ = convolution.y_shape
    groups = convolution.groups
    padded = np.pad(x.astype(np.float64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    padded = padded.reshape(*padded.shape[:3], groups, c // groups)
    weight = weight.astype(np.float64).reshape(groups, -1, *weight.shape[1:])
    dy = dy.astype(np.float64).reshape(*dy.shape[:3], groups, -1)
    y, dpadded, dweight = np.zeros_like(dy), np.zeros_like(padded), np.zeros_like(weight)
    for s in range(convolution.kernel[0]):
        for t in range(convolution.kernel[1]):
            i, j = s * convolution.dilation[0], t * convolution.dilation[1]
            under = (slice(None), slice(i, i + (oh - 1) * convolution.stride[0] + 1, convolution.stride[0]),
                     slice(j, j + (ow - 1) * convolution.stride[1] + 1, convolution.stride[1]))
            y += np.einsum("nijgc,gkc->nijgk", padded[under], weight[..., s, t], optimize=True)
            dpadded[under] += np.einsum("nijgk,gkc->nijgc", dy, weight[..., s, t], optimize=True)
            dweight[..., s, t] = np.einsum("nijgk,nijgc->gkc", dy, padded[under], optimize=True)
    dx = dpadded[:, top : top + h, left : left + w].reshape(convolution.x_shape)
    return y.reshape(convolution.y_shape), dx, dweight.reshape(convolution.weight_shape)


def packed_weights(convolution: AnyConvolution, which, weight):
    """The weights as that pass reads them, after checking that no more was written than was asked for."""
    size = convolution.packed(which)
    packed = kernels.aligned_empty((size + 256,), np.uint8)
    packed.fill(0xFF)
    kernels.conv2d_pack(convolution, which, weight, packed)()
    assert (packed[size:] == 0xFF).all(), f"{convolution} wrote past its packed weights"
    return packed


def run(convolution: AnyConvolution, x, weight, bias, dy):
    """y, dx, dweight, dbias from the kernels, after checking that nothing else was written."""
    outputs = [Guarded(shape, fence=UNALIGNED) for shape in (convolution.y_shape, convolution.x_shape,
                                                             convolution.weight_shape, (convolution.k,))]
    y, dx, dweight, dbias = (output.a for output in outputs)
    size = convolution.workspace(kernels.FORWARD, kernels.BACKWARD_DATA, kernels.BACKWARD_WEIGHTS)
    workspace = kernels.aligned_empty((size + 256,), np.uint8)
    workspace.fill(0xFF)  # NaN: what is read before it is written shows
    packed = {which: packed_weights(convolution, which, weight) for which in (kernels.FORWARD, kernels.BACKWARD_DATA)}
    finish = kernels.Finish(bias)
    kernels.conv2d_forward(convolution, x, weight, packed[kernels.FORWARD], y, workspace, finish)()
    kernels.conv2d_backward_data(convolution, dy, weight, packed[kernels.BACKWARD_DATA], dx, workspace)()
    kernels.conv2d_backward_weights(convolution, x, dy, dweight, dbias, workspace)()
    for output in outputs:
        output.check()
    assert (workspace[size:] == 0xFF).all(), f"{convolution} wrote past its workspace"
    return y, dx, dweight, dbias


def assert_close(convolution: AnyConvolution, name, got, expected, squares, terms):
    share = max(LEAST * U, SHARE * U * np.sqrt(terms))
    error = np.abs(got - expected)
    rms = np.sqrt((error**2).mean() / max(squares.mean(), 1e-300))
    assert error.size < MANY or rms <= share, f"{name} of {convolution}: RMS {rms / share} times the bound"
    worst = (error / np.maximum(np.sqrt(squares), 1e-300)).max()
    assert worst <= WORST * share, f"{name} of {convolution}: {worst / share} times the RMS bound"


def check(convolution: AnyConvolution, rng, arrays=None):
    x, weight, bias, dy = arrays or inputs(convolution, rng)
    y, dx, dweight, dbias = run(convolution, x, weight, bias, dy)
    expected = reference(convolution, x, weight, dy)
    squares = reference(convolution, x.astype(np.float64) ** 2, weight.astype(np.float64) ** 2,
                        dy.astype(np.float64) ** 2)
    pixels = dy[..., 0].size
    taps = convolution.kernel[0] * convolution.kernel[1]
    assert_close(convolution, "y", y, expected[0] + bias, squares[0] + bias.astype(np.float64) ** 2, weight[0].size + 1)
    assert_close(convolution, "dx", dx, expected[1], squares[1], taps * convolution.k // convolution.groups)
    assert_close(convolution, "dweight", dweight, expected[2], squares[2], pixels)
    wide = dy.astype(np.float64)
    assert_close(convolution, "dbias", dbias, wide.sum((0, 1, 2)), (wide**2).sum((0, 1, 2)), pixels)


def inputs(convolution: AnyConvolution, rng):
    shapes = (convolution.x_shape, convolution.weight_shape, (convolution.k,), convolution.y_shape)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


CASES = [
    # Every tail of channels, with the kernels that networks use.
    *(Convolution((2, 7, 9, c), k, (3, 3), padding=(1, 1, 1, 1)) for c in (1, 3, 6, 8, 17) for k in (1, 6, 16, 20, 33)),
    Convolution((1, 5, 6, 512), 40, (3, 3), padding=(1, 1, 1, 1), exact=True),  # a depth that is split
    Convolution((1, 4, 5, 40), 512, (3, 3), padding=(1, 1, 1, 1), exact=True),  # backward-data's is, columns are shared
    Convolution((3, 28, 28, 1), 6, (5, 5)),
    Convolution((1, 31, 33, 3), 64, (7, 7), (2, 2), (3, 3, 3, 3)),
    Convolution((3, 40, 40, 8), 24, (3, 3), padding=(1, 1, 1, 1)),  # partial sums of several ranges
    # 1x1 kernels, which read x and dy in place unless pixels lie a power of two apart or ends of vectors are left.
    *(Convolution((2, 9, 8, c), k, (1, 1))
      for c, k in ((24, 96), (96, 24), (40, 112), (64, 72), (72, 64), (512, 56), (21, 10))),
    Convolution((3, 30, 30, 8), 16, (1, 1)),  # partial sums of several ranges
    Convolution((3, 30, 30, 64), 20, (1, 1)),
    Convolution((2, 5, 4, 1100), 24, (1, 1)),
    Convolution((40, 1, 1, 1250), 130, (1, 1)),  # both sides of the weights are cut
    *(Convolution((n, 1, 1, c), k, (1, 1)) for n in (1, 30) for c, k in ((4100, 22), (8192, 16), (10, 4096))),
    # Few input channels, whose gradient is added up from products of whole windows.
    Convolution((2, 14, 14, 6), 16, (5, 5)),
    # Strips of results that overlap, and an odd number of vectors.
    Convolution((2, 13, 11, 9), 64, (3, 3), padding=(1, 1, 1, 1)),
    Convolution((2, 21, 14, 3), 16, (5, 5), (2, 2), (3, 2, 2, 4), dilation=(2, 1)),
    Convolution((2, 60, 60, 3), 5, (5, 5), (2, 1), (2, 0, 4, 1), dilation=(2, 1)),  # in several bands
    Convolution((2, 9, 11, 5), 8, (3, 4), (1, 2), (2, 3, 0, 5), dilation=(1, 3)),
    Convolution((2, 9, 8, 96), 24, (1, 1), (2, 2)),
    # Paddings, also such that whole windows see nothing but zeros.
    Convolution((1, 1, 1, 5), 7, (3, 3), padding=(1, 1, 1, 1)),
    Convolution((2, 3, 4, 5), 7, (3, 2), padding=(0, 3, 5, 1)),
    Convolution((2, 3, 4, 5), 7, (2, 2), (3, 3), padding=(4, 4, 4, 4)),
    # Strides and dilations with and without a common divisor, also classes that no tap meets.
    Convolution((2, 11, 13, 6), 10, (3, 5), (2, 3), (1, 2, 0, 3)),
    Convolution((2, 11, 13, 6), 10, (1, 1), (3, 2)),
    Convolution((2, 11, 13, 6), 10, (3, 2), (2, 4), (2, 1, 3, 3), dilation=(3, 2)),
    Convolution((2, 11, 13, 6), 10, (2, 4), (6, 1), (1, 1, 1, 1), dilation=(4, 3)),
    Convolution((2, 11, 13, 6), 10, (11, 13)),
    Convolution((2, 4, 5, 6), 10, (3, 2), (10**9, 10**9)),  # each class of so large a stride would take for ever
    # Groups.
    Convolution((2, 7, 6, 12), 18, (3, 3), padding=(1, 1, 1, 1), groups=3),
    Convolution((2, 7, 6, 12), 80, (3, 2), (2, 1), (1, 0, 1, 1), dilation=(1, 2), groups=2),
    Convolution((2, 7, 6, 5), 15, (3, 3), (2, 2), (1, 1, 1, 1), groups=5),
    # Depthwise.
    *(Convolution((2, 7, 21, c), c, (3, 3), (1, 1), (1, 1, 1, 1), groups=c) for c in (2, 5, 16, 19, 40)),
    *(Convolution((2, 7, 21, c), c, (3, 3), (2, 2), (1, 1, 1, 1), groups=c) for c in (2, 5, 16, 19, 40)),
    Convolution((2, 9, 23, 11), 11, (5, 7), (3, 2), (4, 0, 2, 7), dilation=(2, 3), groups=11),
    Convolution((1, 2, 3, 8), 8, (3, 3), padding=(3, 3, 3, 3), groups=8),
    Convolution((1, 17, 32, 1030), 1030, (1, 4), groups=1030),  # a chunk of backward-weights takes two sweeps
    Convolution((2, 4, 5, 6), 6, (3, 2), (10**9, 10**9), groups=6),
]


@pytest.mark.slow
@pytest.mark.parametrize("convolution", CASES, ids=lambda c: str(c)[11:])
def test_every_pass(convolution, isa, rng):
    check(convolution, rng)


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    depthwise = draw(st.integers(0, 4)) == 0
    c, k = groups * draw(st.integers(1, 20)), groups * draw(st.integers(1, 40))
    if depthwise:
        groups = k = c
    pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    padding = draw(st.tuples(*[st.integers(0, 5)] * 4))
    reach = [(kernel[i] - 1) * dilation[i] + 1 - padding[2 * i] - padding[2 * i + 1] for i in range(2)]
    h, w = (max(1, reach[i]) + draw(st.integers(0, 12)) for i in range(2))
    return Convolution((draw(st.integers(1, 3)), h, w, c), k, kernel, stride, padding, dilation, groups)


@settings(max_examples=40, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(convolution=convolutions(), seed=st.integers(0, 2**31))
def test_any_shape(isa, convolution, seed):
    check(convolution, np.random.default_rng(seed))


SHARED = [
    Convolution((9, 12, 11, 17), 40, (3, 3), padding=(1, 1, 1, 1)),
    Convolution((5, 13, 11, 300), 33, (2, 2), (2, 2)),
    Convolution((13, 1, 1, 2500), 40, (1, 1)),
    Convolution((30, 1, 1, 8192), 10, (1, 1)),
    Convolution((5, 25, 24, 24), 40, (1, 1)),
    Convolution((5, 14, 14, 6), 16, (5, 5)),
    Convolution((6, 12, 11, 20), 20, (3, 3), (2, 2), (1, 1, 1, 1), groups=20),
    Convolution((7, 40, 40, 4), 6, (3, 3), padding=(1, 1, 1, 1), groups=2),
]


@pytest.mark.parametrize("convolution", SHARED, ids=lambda c: str(c)[11:])
def test_an_image_is_the_same_bits_in_any_batch(convolution, isa, rng):
    x, weight, bias, dy = inputs(convolution, rng)
    y, dx, _, _ = run(convolution, x, weight, bias, dy)
    for first, last in ((0, 1), (len(x) - 1, len(x)), (1, 4)):
        part = Convolution((last - first, *convolution.x_shape[1:]), convolution.k, convolution.kernel,
                           convolution.stride, convolution.padding, convolution.dilation, convolution.groups)
        alone = run(part, x[first:last].copy(), weight, bias, dy[first:last].copy())
        assert np.array_equal(alone[0], y[first:last])
        assert np.array_equal(alone[1], dx[first:last])


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


@pytest.mark.parametrize("convolution", SHARED, ids=lambda c: str(c)[11:])
def test_the_passes_are_one_bilinear_form(convolution, isa, rng):
    # <y, g> = <x, dx> = <w, dw>, whatever the reference says.
    x, weight, _, dy = inputs(convolution, rng)
    y, dx, dweight, _ = run(convolution, x, weight, np.zeros(convolution.k, np.float32), dy)
    values = [np.vdot(a.astype(np.float64), b) for a, b in ((y, dy), (x, dx), (weight, dweight))]
    scale = np.linalg.norm(y.astype(np.float64)) * np.linalg.norm(dy)
    assert np.ptp(values) <= 4 * U * np.sqrt(weight[0].size) * scale


ORDINARY = [
    Convolution((2, 7, 9, 6), 16, (3, 3), padding=(1, 1, 1, 1)),
    Convolution((1, 5, 6, 512), 40, (3, 3), padding=(1, 1, 1, 1)),
    Convolution((2, 7, 21, 19), 19, (3, 3), (2, 2), (1, 1, 1, 1), groups=19),
]
EXTREMES = {
    "a spike": lambda a, rng: np.where(np.arange(a.size).reshape(a.shape) == a.size // 2, np.float32(1e4), a),
    "a large mean": lambda a, rng: a + np.float32(1000),
    "post-ReLU": lambda a, rng: np.where(rng.random(a.shape) < 0.8, np.float32(0), np.abs(a)),
}


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("convolution", ORDINARY, ids=lambda c: str(c)[11:])
def test_extreme_inputs(name, convolution, isa, rng):
    x, weight, bias, dy = inputs(convolution, rng)
    check(convolution, rng, (EXTREMES[name](x, rng).astype(np.float32), weight, bias, dy))


@pytest.mark.parametrize("convolution", ORDINARY, ids=lambda c: str(c)[11:])
def test_tiny_gradients_survive(convolution, isa, rng):
    x, weight, bias, dy = inputs(convolution, rng)
    check(convolution, rng, (x, weight, bias, (dy * 1e-20).astype(np.float32)))


@pytest.mark.parametrize("c", [4, 6])
def test_nan_is_never_hidden(c, isa, rng):
    convolution = Convolution((2, 5, 5, c), 6, (3, 3), padding=(1, 1, 1, 1), groups=c if c == 6 else 1)
    x, weight, bias, dy = inputs(convolution, rng)
    x[1, 2, 3, :] = np.nan
    y, _, dweight, _ = run(convolution, x, weight, bias, dy)
    assert np.isnan(y[1, 1:4, 2:5]).all()
    assert np.isfinite(y[0]).all()
    assert np.isnan(dweight).all()


def before_a_wall(array):
    """A copy whose last number is the last before a page that must not be touched."""
    pages = -(-array.nbytes // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    whole = np.frombuffer(memory, np.uint8)
    wall = ctypes.c_void_p(whole.ctypes.data + pages * mmap.PAGESIZE)
    assert ctypes.CDLL(None).mprotect(wall, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    copy = whole[pages * mmap.PAGESIZE - array.nbytes : pages * mmap.PAGESIZE].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.parametrize("convolution", [*ORDINARY, *CASES[:25:6], CASES[-1],
                                         Convolution((2, 3, 3, 3), 5, (3, 3)),
                                         Convolution((1, 6, 7, 1), 3, (2, 3), (2, 2)),
                                         Convolution((1, 1, 1, 7), 9, (1, 1))], ids=lambda c: str(c)[11:])
def test_reads_stay_inside(convolution, isa, rng):
    # Vectors are copied past the end of a run, but never past the end of an array: that would end the process here.
    arrays = [before_a_wall(array) for array in inputs(convolution, rng)]
    check(convolution, rng, arrays)


def test_senseless_sizes_are_refused():
    good = Convolution((2, 8, 8, 4), 6, (3, 3))
    zero = np.zeros(1, np.float32)
    pointer = ffi.cast("float *", zero.ctypes.data)

    def status(**changes):
        struct = good.struct()
        for name, value in changes.items():
            setattr(struct, name, value)
        nothing, packed = ffi.NULL, pointer
        codes = {lib.cnn_conv2d_pack(struct, kernels.FORWARD, pointer, packed),
                 lib.cnn_conv2d_forward(struct, pointer, pointer, packed, nothing, pointer, pointer),
                 lib.cnn_conv2d_backward_data(struct, pointer, pointer, packed, nothing, pointer, pointer),
                 lib.cnn_conv2d_backward_weights(struct, pointer, pointer, pointer, pointer, pointer)}
        assert (lib.cnn_conv2d_workspace(struct, kernels.FORWARD) == -1) == (codes == {lib.CNN_INVALID})
        assert (lib.cnn_conv2d_packed(struct, kernels.FORWARD) == -1) == (codes == {lib.CNN_INVALID})
        return codes

    huge = 2**62
    for name in ("n", "h", "w", "c", "k", "kh", "kw", "stride_h", "stride_w", "dilation_h", "dilation_w", "groups",
                 "oh", "ow"):
        for value in (0, -1, huge, 2**63 - 1):
            assert status(**{name: value}) == {lib.CNN_INVALID}, (name, value)
    assert status(groups=4) == {lib.CNN_INVALID}
    assert status(pad_top=-1) == {lib.CNN_INVALID}
    assert status(ow=7) == {lib.CNN_INVALID}
    assert status(n=2**30, c=2**30) == {lib.CNN_INVALID}
    assert lib.cnn_conv2d_workspace(good.struct(), 3) == -1
    assert lib.cnn_conv2d_packed(good.struct(), kernels.BACKWARD_WEIGHTS) == -1
    finish = ffi.new("cnn_finish *", {"activation": lib.CNN_TANH})
    assert lib.cnn_conv2d_forward(good.struct(), pointer, pointer, pointer, finish, pointer, pointer) == lib.CNN_INVALID


FINISHED = [
    Convolution((2, 7, 9, 17), 20, (3, 3), padding=(1, 1, 1, 1)),
    Convolution((3, 12, 12, 32), 33, (3, 3), padding=(1, 1, 1, 1)),
    Convolution((2, 9, 8, 24), 96, (1, 1)),
    Convolution((3, 14, 14, 1), 6, (5, 5)),
    Convolution((2, 15, 14, 3), 32, (3, 3), (2, 2), (0, 1, 0, 1)),
    Convolution((2, 11, 13, 40), 36, (3, 3), (2, 2), (1, 1, 1, 1)),
    Convolution((1, 5, 6, 512), 40, (3, 3), padding=(1, 1, 1, 1), exact=True),  # a depth that is split
    Convolution((2, 6, 5, 1100), 24, (1, 1)),  # the same, read in place
    Convolution((2, 9, 8, 40), 30, (1, 1)),
    Convolution((6, 1, 1, 4100), 22, (1, 1)),  # parts of a dense layer's sums, by tiles …
    Convolution((2, 1, 1, 8192), 30, (1, 1)),  # … and four at once
    Convolution((2, 1, 1, 10), 4096, (1, 1)),
    Convolution((2, 14, 14, 6), 16, (5, 5)),  # backward-data adds products where they belong
    Convolution((2, 7, 6, 12), 18, (3, 3), padding=(1, 1, 1, 1), groups=3),
    *(Convolution((2, 7, 21, c), c, (3, 3), (s, s), (1, 1, 1, 1), groups=c) for c in (5, 19, 40) for s in (1, 2)),
    Convolution((2, 9, 23, 24), 24, (5, 5), padding=(2, 2, 2, 2), groups=24),
]


@pytest.mark.slow
@pytest.mark.parametrize("activation", kernels.FUSED)
@pytest.mark.parametrize("convolution", FINISHED, ids=lambda c: str(c)[11:])
def test_results_are_finished_as_they_are_stored(convolution, activation, isa, rng):
    x, weight, bias, dy = inputs(convolution, rng)
    workspace = kernels.aligned_empty((convolution.workspace(kernels.FORWARD, kernels.BACKWARD_DATA),), np.uint8)
    forward = (kernels.FORWARD, kernels.conv2d_forward, x, convolution.y_shape, bias)
    backward = (kernels.BACKWARD_DATA, kernels.conv2d_backward_data, dy, convolution.x_shape, None)
    for which, run_pass, source, shape, with_bias in (forward, backward):
        packed = packed_weights(convolution, which, weight)
        raw = np.empty(shape, np.float32)
        run_pass(convolution, source, weight, packed, raw, workspace)()
        other = rng.standard_normal(shape, dtype=np.float32)
        passed = np.clip(rng.standard_normal(shape, dtype=np.float32) * 6, 0, 6)
        for add, gate in ((None, None), (other, None), (None, passed), (other, passed)):
            expected = raw.astype(np.float64) + (0 if with_bias is None else with_bias) + (0 if add is None else add)
            top = 6 if activation == "relu6" else np.inf
            if activation and gate is not None:
                expected = expected * ((gate > 0) & (gate < top))
            elif activation:
                expected = expected.clip(0, top)
            for in_place in (False, True) if add is not None else (False,):
                out = (guarded := Guarded(shape, fence=UNALIGNED)).a
                if in_place:
                    out[...] = add
                finish = kernels.Finish(with_bias, out if in_place else add, activation, gate)
                run_pass(convolution, source, weight, packed, out, workspace, finish)()
                scale = np.abs(raw) + np.abs(expected) + 1
                assert (np.abs(guarded.check() - expected) <= 4 * U * scale).all()


def test_the_door_names_what_is_wrong():
    convolution = Convolution((1, 4, 4, 2), 3, (3, 3))
    x, y = np.zeros((1, 4, 4, 2), np.float32), np.zeros((1, 2, 2, 3), np.float32)
    weight, scratch = np.zeros((3, 2, 3, 3), np.float32), kernels.aligned_empty((4096,), np.uint8)
    with pytest.raises(ValueError, match="packed must hold"):
        kernels.conv2d_forward(convolution, x, weight, scratch[:64], y, scratch)
    with pytest.raises(ValueError, match="packed must be 64-byte aligned"):
        kernels.conv2d_forward(convolution, x, weight, scratch[4:], y, scratch)
    with pytest.raises(ValueError, match="workspace must hold"):
        kernels.conv2d_backward_weights(convolution, x, y, weight, None, scratch[:64])
    with pytest.raises(ValueError, match=r"weight must have shape \(3, 2, 3, 3\)"):
        kernels.conv2d_forward(convolution, x, weight[:, :1], scratch, y, scratch)
    with pytest.raises(ValueError, match=r"add must have shape \(1, 2, 2, 3\)"):
        kernels.conv2d_forward(convolution, x, weight, scratch, y, scratch, kernels.Finish(add=x))
    with pytest.raises(ValueError, match="no convolution"):
        Convolution((1, 2, 2, 2), 3, (3, 3)).workspace(kernels.FORWARD)
