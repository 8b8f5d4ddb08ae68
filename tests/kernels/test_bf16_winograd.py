"""csrc/bf16_winograd.c and what belongs to it: every pass against float64, from inputs that are bfloat16, with the
instruction for bfloat16 and without.

The bound: RMS(error) / RMS(result) <= 2 %, and no error beyond 12 times that. V, W and U are rounded to 8 bits; that
gives 0.6 to 1.4 %. Rounding the results alone would give 0.17 %. An error is compared with the size of the whole
result, because those of a tile share their errors.
"""

from dataclasses import replace

import numpy as np
import pytest

from cnncli import kernels
from cnncli.kernels import BACKWARD_DATA, BACKWARD_WEIGHTS, FORWARD, Convolution, Finish, from_bfloat16, to_bfloat16

from .guard import Guarded
from .test_conv import before_a_wall, inputs, packed_weights, reference

SHARE, WORST = 0.02, 12
FLOAT = 1e-5  # of what is only added up: dbias
SAME = (1, 1, 1, 1)
UNALIGNED = 13  # numbers before an output


def has(word):
    if "avx512" not in kernels.isas():
        return False
    with kernels.use_isa("avx512"):
        return word == "bf16_plain" or word in kernels.words()


def skipped_without(word):
    return pytest.param(word, marks=pytest.mark.skipif(not has(word), reason=f"this CPU lacks what {word} needs"))


@pytest.fixture(params=map(skipped_without, ("bf16", "bf16_plain")))
def word(request):
    """With the instruction, and with what stands for it."""
    with kernels.use_words(request.param):
        yield request.param


def three_by_three(n, h, w, c, k, padding=SAME, storage=(True, True), **more):
    return Convolution((n, h, w, c), k, (3, 3), padding=padding, storage=storage, **more)


def halves(convolution, rng):
    """x, weight, bias, dy; x and dy bfloat16."""
    x, weight, bias, dy = inputs(convolution, rng)
    return to_bfloat16(x), weight, bias, to_bfloat16(dy)


def run(convolution, x, weight, bias, dy, finish=None):
    """y, dx, dweight, dbias as they are stored, after checking that nothing else was written."""
    outputs = [Guarded(convolution.y_shape, convolution.y_dtype, UNALIGNED),
               Guarded(convolution.x_shape, convolution.x_dtype, UNALIGNED),
               Guarded(convolution.weight_shape, fence=UNALIGNED), Guarded((convolution.k,), fence=UNALIGNED)]
    y, dx, dweight, dbias = (output.a for output in outputs)
    size = convolution.workspace(FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS)
    workspace = kernels.aligned_empty((size + 256,), np.uint8)
    workspace.fill(0xFF)  # NaN: what is read before it is written shows
    packed = [packed_weights(convolution, which, weight) for which in (FORWARD, BACKWARD_DATA)]
    kernels.conv2d_forward(convolution, x, weight, packed[0], y, workspace, finish or Finish(bias))()
    kernels.conv2d_backward_data(convolution, dy, weight, packed[1], dx, workspace)()
    kernels.conv2d_backward_weights(convolution, x, dy, dweight, dbias, workspace)()
    for output in outputs:
        output.check()
    assert (workspace[size:] == 0xFF).all(), f"{convolution} wrote past its workspace"
    return y, dx, dweight, dbias


def bits(convolution, *arrays):
    return [result.tobytes() for result in run(convolution, *arrays)]


def assert_close(convolution, name, got, expected):
    scale = max(np.sqrt((expected**2).mean()), 1e-300)
    error = np.abs(got - expected) / scale
    rms, worst = np.sqrt((error**2).mean()), error.max()
    assert rms <= SHARE or error.size < 100, f"{name} of {convolution}: RMS {rms:.2%}"
    assert worst <= WORST * SHARE, f"{name} of {convolution}: an error of {worst:.2%}"


def check(convolution, x, weight, bias, dy):
    y, dx, dweight, dbias = run(convolution, x, weight, bias, dy)
    expected = reference(convolution, from_bfloat16(x), weight, from_bfloat16(dy))
    assert_close(convolution, "y", from_bfloat16(y), expected[0] + bias)
    assert_close(convolution, "dx", from_bfloat16(dx), expected[1])
    assert_close(convolution, "dweight", dweight, expected[2])
    wide = from_bfloat16(dy).astype(np.float64)
    norm = np.sqrt((wide**2).sum((0, 1, 2))) + 1e-300
    assert (np.abs(dbias - wide.sum((0, 1, 2))) / norm).max() <= FLOAT


CASES = [
    # Every tail of channels: a pair, a vector, two vectors. And every tail of tiles.
    *(three_by_three(2, 7, 9, c, k) for c in (16, 17, 32, 33, 40, 48) for k in (16, 17, 33, 48, 64)),
    *(three_by_three(1, h, w, 16, 16) for h, w in ((4, 4), (4, 8), (6, 13), (12, 4), (1, 30), (8, 20))),
    three_by_three(2, 9, 10, 18, 20, (0, 0, 0, 0)),
    three_by_three(2, 8, 7, 20, 19, (2, 0, 1, 3)),
    three_by_three(1, 5, 6, 16, 24, (0, 4, 5, 0)),
    # Work that is cut by tiles or by panels, gradients that a chunk keeps or not.
    three_by_three(1, 7, 7, 512, 512),
    three_by_three(3, 14, 14, 255, 264),
    three_by_three(1, 28, 30, 128, 100),
    three_by_three(1, 9, 10, 98, 101),
    three_by_three(9, 16, 16, 32, 48),
    three_by_three(2, 57, 58, 64, 64),
]


@pytest.mark.slow
@pytest.mark.parametrize("convolution", CASES, ids=lambda c: str(c)[11:])
def test_every_pass(convolution, word, rng):
    check(convolution, *halves(convolution, rng))


QUICK = three_by_three(2, 9, 7, 33, 20)
ODD = three_by_three(2, 9, 7, 33, 21)
PAIR = [QUICK, three_by_three(1, 5, 6, 24, 17, (0, 2, 1, 0))]
SHARED = [*PAIR, three_by_three(9, 12, 11, 17, 40), three_by_three(7, 33, 32, 16, 16),
          three_by_three(5, 30, 28, 64, 96), three_by_three(4, 14, 14, 128, 130), three_by_three(3, 7, 7, 512, 320)]


def test_odd_numbers_of_channels_and_tiles(word, rng):
    for convolution in PAIR:
        check(convolution, *halves(convolution, rng))


@pytest.mark.skipif(not has("bf16_plain"), reason="this CPU lacks AVX-512, where alone there are words")
def test_it_is_taken_where_float32_goes_winograds_way(rng):
    """Two ways of summing hardly ever give the same bits, one way always does."""
    even = replace(QUICK, x_shape=(2, 9, 7, 34))
    for convolution, differs in ((even, True),
                                 (replace(even, stride=(2, 2)), False),
                                 (replace(even, x_shape=(2, 9, 7, 12)), False)):
        arrays = halves(convolution, rng)
        with kernels.use_words("bf16_plain"):
            ways = zip(bits(convolution, *arrays)[:3], bits(replace(convolution, exact=True), *arrays)[:3], strict=True)
            assert [a != b for a, b in ways] == [differs] * 3, convolution


@pytest.mark.skipif(not has("bf16_plain"), reason="this CPU lacks AVX-512, where alone there are words")
def test_only_maps_that_are_both_bfloat16_do_not_go_by_way_of_float32(rng):
    x, weight, bias, dy = inputs(ODD, rng)
    for convolution, differs in ((ODD, True), (replace(ODD, storage=(True, False)), False)):
        arrays = to_bfloat16(x), weight, bias, to_bfloat16(dy) if convolution.storage[1] else dy
        with kernels.use_words():
            expected = bits(convolution, *arrays)[:3]
        with kernels.use_words("bf16_plain"):
            ways = zip(bits(convolution, *arrays)[:3], expected, strict=True)
            assert [a != b for a, b in ways] == [differs] * 3, convolution


@pytest.mark.slow
@pytest.mark.skipif(not has("bf16"), reason="this CPU has no instruction for bfloat16")
@pytest.mark.parametrize("scale", [1, 1e-19, 1e-37])
@pytest.mark.parametrize("convolution", SHARED, ids=lambda c: str(c)[11:])
def test_the_instruction_and_what_stands_for_it_give_the_same_bits(convolution, scale, rng):
    """Also where inputs or results are denormals, which are taken for 0."""
    x, weight, bias, dy = inputs(convolution, rng)
    arrays = to_bfloat16(x * np.float32(scale)), weight, bias, to_bfloat16(dy * np.float32(scale))
    arrays[0].flat[::7] = rng.integers(0, 0x80, arrays[0].flat[::7].size)
    arrays[3].flat[::5] = rng.integers(0, 0x80, arrays[3].flat[::5].size)
    with kernels.use_words("bf16"):
        expected = bits(convolution, *arrays)
    with kernels.use_words("bf16_plain"):
        assert bits(convolution, *arrays) == expected


@pytest.mark.slow
@pytest.mark.parametrize("convolution", SHARED[2:], ids=lambda c: str(c)[11:])
def test_an_image_is_the_same_bits_in_any_batch(convolution, word, rng):
    x, weight, bias, dy = halves(convolution, rng)
    y, dx, *_ = run(convolution, x, weight, bias, dy)
    for first, last in ((0, 1), (len(x) - 1, len(x)), (1, 3)):
        part = replace(convolution, x_shape=(last - first, *convolution.x_shape[1:]))
        alone = run(part, x[first:last].copy(), weight, bias, dy[first:last].copy())
        assert np.array_equal(alone[0], y[first:last])
        assert np.array_equal(alone[1], dx[first:last])


@pytest.mark.slow
@pytest.mark.parametrize("convolution", SHARED[2:], ids=lambda c: str(c)[11:])
def test_the_same_bits_on_any_threads(convolution, word, rng):
    arrays, before, results = halves(convolution, rng), kernels.threads(), []
    try:
        for threads in (1, 2, 5):
            kernels.set_threads(threads)
            results.append(bits(convolution, *arrays))
    finally:
        kernels.set_threads(before)
    assert results[1:] == results[:1] * 2


@pytest.mark.parametrize("activation", kernels.FUSED)
def test_results_are_finished_before_they_are_rounded(activation, word, rng):
    x, weight, bias, dy = halves(QUICK, rng)
    weight /= 16  # results about as large as what is added
    top = 6 if activation == "relu6" else np.inf
    workspace = kernels.aligned_empty((QUICK.workspace(FORWARD, BACKWARD_DATA),), np.uint8)
    for which, run_pass, source, shape, plain in (
            (FORWARD, kernels.conv2d_forward, x, QUICK.y_shape, 0),
            (BACKWARD_DATA, kernels.conv2d_backward_data, dy, QUICK.x_shape, 1)):
        packed = packed_weights(QUICK, which, weight)
        raw = reference(QUICK, from_bfloat16(x), weight, from_bfloat16(dy))[plain]
        other, gate = (rng.standard_normal(shape, dtype=np.float32) * 3 for _ in range(2))
        other, gate = to_bfloat16(other), to_bfloat16(np.clip(gate, 0, 6))
        shift = bias if which == FORWARD else rng.standard_normal(shape[3], dtype=np.float32)
        for add, with_gate in np.ndindex(3, 2):
            expected = raw + shift + (from_bfloat16(other) if add else 0)
            passes = (from_bfloat16(gate) > 0) & (from_bfloat16(gate) < top)
            if activation:
                expected = expected * passes if with_gate else expected.clip(0, top)
            out = other.copy() if add == 2 else np.empty(shape, np.uint16)
            finish = Finish(shift, (None, other, out)[add], activation, gate if with_gate else None)
            run_pass(QUICK, source, weight, packed, out, workspace, finish)()
            assert_close(QUICK, activation, from_bfloat16(out), expected)
            if activation and with_gate:
                assert not out[~passes].any()


@pytest.mark.slow
@pytest.mark.parametrize("activation", kernels.FUSED)
@pytest.mark.parametrize("convolution", [QUICK, three_by_three(3, 14, 14, 33, 48), three_by_three(2, 6, 13, 16, 40),
                                         three_by_three(1, 14, 14, 256, 264)], ids=lambda c: str(c)[11:])
def test_pooled_results_are_the_largest_of_those_that_are_not(convolution, activation, word, rng):
    assert convolution.pools
    x, weight, bias, dy = halves(convolution, rng)
    whole = from_bfloat16(run(convolution, x, weight, bias, dy, Finish(bias, activation=activation))[0])
    n, h, w, k = Finish(pooled=True).shape(convolution)
    windows = whole[:, : 2 * h, : 2 * w].reshape(n, h, 2, w, 2, k).transpose(0, 1, 3, 5, 2, 4).reshape(n, h, w, k, 4)
    workspace = kernels.aligned_empty((convolution.workspace(FORWARD),), np.uint8)
    for kept in (False, True):
        y, taps = Guarded((n, h, w, k), np.uint16, UNALIGNED), Guarded((n, h, w, k), np.uint8, UNALIGNED)
        finish = Finish(bias, activation=activation, pooled=True, taps=taps.a if kept else None)
        packed = packed_weights(convolution, FORWARD, weight)
        kernels.conv2d_forward(convolution, x, weight, packed, y.a, workspace, finish)()
        assert np.array_equal(from_bfloat16(y.check()), windows.max(-1))
        if kept:
            of_taps = np.take_along_axis(windows, taps.check()[..., None].astype(int), -1)
            assert np.array_equal(of_taps[..., 0], windows.max(-1))


@pytest.mark.slow
@pytest.mark.parametrize("convolution", [*PAIR, three_by_three(3, 6, 6, 19, 18, (0, 0, 0, 0)),
                                         three_by_three(1, 6, 6, 300, 510)], ids=lambda c: str(c)[11:])
def test_reads_stay_inside(convolution, word, rng):
    # Vectors may read the next pixel, but nothing past the last one: that would end the process here.
    check(convolution, *map(before_a_wall, halves(convolution, rng)))


def test_nan_stays_in_its_tiles(word, rng):
    x, weight, bias, dy = halves(QUICK, rng)
    x[1, 2, 5] = dy[1, 2, 5] = to_bfloat16(np.full(1, np.nan, np.float32))
    y, dx, dweight, dbias = run(QUICK, x, weight, bias, dy)
    for result in (from_bfloat16(y), from_bfloat16(dx)):
        assert np.isnan(result[1, 1:4, 4:7]).all()
        assert np.isfinite(result[0]).all()
        assert np.isfinite(result[1, :, :4]).all()  # their vectors read on into that pixel
    assert np.isnan(dweight).all()
    assert np.isnan(dbias).all()
