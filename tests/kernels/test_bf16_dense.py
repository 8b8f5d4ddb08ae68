"""csrc/bf16_dense*.c: convolutions over bfloat16 as products of pairs, every pass against float64 over the same rounded
numbers. Sums are float32, with test_conv.py's bound, and forward and backward-data round each result once, by at most
2^-8 of it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cnncli import kernels
from cnncli._kernels import lib
from cnncli.kernels import Convolution, Finish, from_bfloat16, to_bfloat16

from .guard import Guarded
from .test_conv import SHARE, UNALIGNED, WORST, U, assert_close, packed_weights, reference

AVX512 = "avx512" in kernels.isas()
pytestmark = pytest.mark.skipif(not AVX512, reason="pairs are multiplied with AVX-512, which this CPU lacks")
HALF = pytest.mark.skipif(not (AVX512 and lib.cnn_words_active() & lib.CNN_WORD_BF16),
                          reason="this CPU has no instruction that multiplies pairs of bfloat16")

WINDOWS: list[dict[str, Any]] = [
    {"kernel": (1, 1)}, {"kernel": (1, 1), "stride": (2, 2)}, {"kernel": (3, 3), "padding": (1, 1, 1, 1)},
    {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1, 1, 1)},
    {"kernel": (3, 3), "stride": (3, 2), "padding": (0, 2, 1, 0)},
    {"kernel": (2, 5), "padding": (1, 0, 3, 2), "dilation": (1, 2)},
    {"kernel": (5, 3), "stride": (1, 2), "padding": (4, 3, 2, 1), "dilation": (2, 3)},
]
CASES = [
    # Every tail of channels: panels of 8 to 32 columns, the last of them partly filled.
    *(Convolution((2, 7, 9, c), k, exact=True, **window)
      for window in WINDOWS for c, k in ((8, 34), (18, 50), (34, 8), (24, 40), (50, 18))),
    *(Convolution((2, 9, 7, c), k, groups=groups, exact=True, **window)
      for window in WINDOWS for c, k, groups in ((24, 54, 3), (36, 16, 2))),
    Convolution((1, 5, 6, 512), 40, (3, 3), padding=(1, 1, 1, 1), exact=True),  # a depth that is split
    Convolution((1, 4, 5, 40), 512, (3, 3), padding=(1, 1, 1, 1), exact=True),  # backward-data's is
    Convolution((3, 40, 40, 8), 24, (3, 3), (2, 2), (1, 1, 1, 1)),  # partial sums of several ranges
    Convolution((3, 31, 29, 16), 10, (1, 1)),
    Convolution((2, 5, 4, 1024), 24, (1, 1)),  # pixels that are copied, though they lie in place
    Convolution((2, 5, 4, 2100), 24, (1, 1)),
    Convolution((41, 1, 1, 1250), 130, (1, 1)),
    Convolution((1, 1, 1, 8), 8, (1, 1)),
    Convolution((1, 2, 3, 10), 12, (3, 3), (1, 1), (2, 3, 2, 2), exact=True),  # windows that see nothing but zeros
]
IDS = [str(case)[11:] for case in CASES]


def halves(shape: tuple[int, ...], rng: Any) -> np.ndarray:
    """Random numbers that bfloat16 can hold, as float32."""
    return from_bfloat16(to_bfloat16(rng.standard_normal(shape, dtype=np.float32)))


def inputs(convolution: Convolution, rng: Any) -> list[np.ndarray]:
    """x, weight, bias, dy."""
    weight = rng.standard_normal(convolution.weight_shape, dtype=np.float32)
    return [halves(convolution.x_shape, rng), weight, rng.standard_normal(convolution.k, dtype=np.float32),
            halves(convolution.y_shape, rng)]


def run(convolution: Convolution, arrays: list[np.ndarray], forward: dict[str, Any] | None = None,
        backward: dict[str, Any] | None = None) -> list[np.ndarray]:
    """y, dx, dweight, dbias as they are stored, after checking that nothing else was written. What a Finish has of
    arrays of results is float32 here, too."""
    x, weight, bias, dy = arrays
    stored = replace(convolution, storage=(True, True))
    outputs = [Guarded(stored.y_shape, np.uint16, UNALIGNED), Guarded(stored.x_shape, np.uint16, UNALIGNED),
               Guarded(stored.weight_shape, fence=UNALIGNED), Guarded((stored.k,), fence=UNALIGNED)]
    y, dx, dweight, dbias = (output.a for output in outputs)
    size = stored.workspace(kernels.FORWARD, kernels.BACKWARD_DATA, kernels.BACKWARD_WEIGHTS)
    workspace = kernels.aligned_empty((size + 256,), np.uint8)
    workspace.fill(0xFF)  # NaN: what is read before it is written shows
    finishes = [Finish(**{key: to_bfloat16(value) if key in ("add", "gate") else value for key, value in each.items()})
                for each in ({"bias": bias, **(forward or {})}, backward or {})]
    packed = [packed_weights(stored, which, weight) for which in (kernels.FORWARD, kernels.BACKWARD_DATA)]
    half_x, half_dy = to_bfloat16(x), to_bfloat16(dy)
    kernels.conv2d_forward(stored, half_x, weight, packed[0], y, workspace, finishes[0])()
    kernels.conv2d_backward_data(stored, half_dy, weight, packed[1], dx, workspace, finishes[1])()
    kernels.conv2d_backward_weights(stored, half_x, half_dy, dweight, dbias, workspace)()
    for output in outputs:
        output.check()
    assert (workspace[size:] == 0xFF).all(), f"{convolution} wrote past its workspace"
    return [y, dx, dweight, dbias]


def assert_rounded(name: str, stored: np.ndarray, expected: np.ndarray, squares: np.ndarray, terms: int) -> None:
    """One rounding, after what a sum of so many products in float32 may lose."""
    error = np.abs(from_bfloat16(stored) - expected)
    lost = WORST * max(2, SHARE * np.sqrt(terms)) * U * np.sqrt(squares)
    assert (error <= 2.0**-8 * np.abs(expected) + 1.01 * lost).all(), name
    if error.size >= 1000:
        relative = np.sqrt((error**2).mean() / (expected**2).mean())
        assert 0.0012 < relative < 0.0020, f"{name}: {relative} where one rounding is about 0.0017"


def check(convolution: Convolution, arrays: list[np.ndarray], outputs: list[np.ndarray]) -> None:
    x, weight, bias, dy = arrays
    rounded = from_bfloat16(to_bfloat16(weight))
    y, dx, dweight, dbias = outputs
    expected = reference(convolution, x, rounded, dy)
    squares = reference(convolution, x.astype(np.float64) ** 2, rounded.astype(np.float64) ** 2,
                        dy.astype(np.float64) ** 2)
    wide, pixels = dy.astype(np.float64), dy[..., 0].size
    assert_rounded("y", y, expected[0] + bias, squares[0] + bias.astype(np.float64) ** 2, weight[0].size + 1)
    taps = convolution.kernel[0] * convolution.kernel[1]
    assert_rounded("dx", dx, expected[1], squares[1], taps * convolution.k // convolution.groups)
    assert_close(convolution, "dweight", dweight, expected[2], squares[2], pixels)
    assert_close(convolution, "dbias", dbias, wide.sum((0, 1, 2)), (wide**2).sum((0, 1, 2)), pixels)


@pytest.mark.parametrize("convolution", CASES, ids=IDS)
def test_every_pass_is_float64_rounded_once(convolution, rng):
    arrays = inputs(convolution, rng)
    with kernels.use_words("bf16_plain"):
        check(convolution, arrays, run(convolution, arrays))


@HALF
@pytest.mark.parametrize("convolution", CASES, ids=IDS)
def test_with_the_instruction_and_without_are_the_same_bits(convolution, rng):
    arrays, outputs = inputs(convolution, rng), []
    gate = {"activation": "relu6", "gate": 4 * arrays[0], "add": halves(convolution.x_shape, rng)}
    for word in ("bf16", "bf16_plain"):
        with kernels.use_words(word):
            outputs.append(run(convolution, arrays, {"activation": "relu", "add": arrays[3]}, gate))
    for name, one, other in zip(("y", "dx", "dweight", "dbias"), *outputs, strict=True):
        assert one.tobytes() == other.tobytes(), name


@pytest.mark.parametrize("word", [pytest.param("bf16", marks=HALF), "bf16_plain"])
@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
@pytest.mark.parametrize("convolution", [
    Convolution((2, 7, 9, 18), 34, (1, 1)), Convolution((2, 8, 9, 24), 50, (3, 3), (2, 2), (1, 1, 1, 1)),
    Convolution((1, 5, 6, 520), 40, (3, 3), padding=(1, 1, 1, 1), exact=True),
], ids=lambda c: str(c)[11:])
def test_what_becomes_of_a_result_is_done_before_it_is_rounded(convolution, activation, word, rng):
    """Added, bounded and gated as float32. What comes out where nothing is done lies within a rounding of the sum."""
    arrays = inputs(convolution, rng)
    arrays[1] /= np.sqrt(arrays[1][0].size)
    bias, add, dadd = 4 * arrays[2], halves(convolution.y_shape, rng), halves(convolution.x_shape, rng)
    gate = 4 * halves(convolution.x_shape, rng)
    top = {"": np.inf, "relu": np.inf, "relu6": 6}[activation]
    with kernels.use_words(word):
        y, dx, *_ = run(convolution, arrays, {"bias": bias, "add": add, "activation": activation},
                        {"add": dadd, "gate": gate, "activation": activation})
    sums = reference(convolution, arrays[0], from_bfloat16(to_bfloat16(arrays[1])), arrays[3])
    expected = sums[0] + bias + add
    if activation:
        expected = np.clip(expected, 0, top)
    assert (np.abs(from_bfloat16(y) - expected) <= 2.0**-8 * np.abs(expected) + 1e-5).all()
    kept = (gate > 0) & (gate < top) if activation else True
    expected = np.where(kept, sums[1] + dadd, 0)
    assert (np.abs(from_bfloat16(dx) - expected) <= 2.0**-8 * np.abs(expected) + 1e-5).all()


SHARED = [Convolution((5, 14, 15, 48), 36, (1, 1)), Convolution((5, 15, 14, 40), 64, (3, 3), (2, 2), (1, 1, 1, 1)),
          Convolution((3, 30, 30, 8), 16, (1, 1)), Convolution((4, 3, 3, 200), 300, (3, 3), (2, 2), (1, 1, 1, 1))]


@pytest.mark.parametrize("word", [pytest.param("bf16", marks=HALF), "bf16_plain"])
@pytest.mark.parametrize("convolution", SHARED, ids=lambda c: str(c)[11:])
def test_the_same_bits_on_any_threads_and_of_an_image_in_any_batch(convolution, word, rng):
    arrays, before, found = inputs(convolution, rng), kernels.threads(), []
    alone = replace(convolution, x_shape=(1, *convolution.x_shape[1:]))
    with kernels.use_words(word):
        try:
            for threads in (1, 2, 3):
                kernels.set_threads(threads)
                found.append([output.tobytes() for output in run(convolution, arrays)])
        finally:
            kernels.set_threads(before)
        y, dx, *_ = run(convolution, arrays)
        one_y, one_dx, *_ = run(alone, [arrays[0][-1:], *arrays[1:3], arrays[3][-1:]])
    assert found[0] == found[1] == found[2]
    assert np.array_equal(one_y, y[-1:])
    assert np.array_equal(one_dx, dx[-1:])
