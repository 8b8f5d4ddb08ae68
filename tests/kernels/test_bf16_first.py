"""csrc/bf16_first*.c: convolutions of float32 images of few channels to bfloat16, forward and backward-weights against
float64 over the same numbers, once all of them are rounded. Sums are float32, with test_conv.py's bound, and forward
rounds each result once."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cnncli import kernels
from cnncli.kernels import BACKWARD_WEIGHTS, FORWARD, Convolution, Finish, from_bfloat16, to_bfloat16

from .guard import Guarded
from .test_bf16_dense import HALF, assert_rounded, halves
from .test_conv import UNALIGNED, assert_close, before_a_wall, packed_weights, reference

pytestmark = pytest.mark.skipif("avx512" not in kernels.isas(),
                                reason="pairs are multiplied with AVX-512, which this CPU lacks")
WORDS = [pytest.param("bf16", marks=HALF), "bf16_plain"]


def first(n: int, h: int, w: int, c: int, k: int, kernel: tuple[int, int], **more: Any) -> Convolution:
    return Convolution((n, h, w, c), k, kernel, storage=(False, True), **more)


WINDOWS: list[dict[str, Any]] = [
    {"kernel": (3, 3), "padding": (1, 1, 1, 1)},
    {"kernel": (3, 3), "stride": (2, 2), "padding": (0, 1, 0, 1)},
    {"kernel": (2, 2)},
    {"kernel": (7, 7), "stride": (2, 2), "padding": (3, 3, 3, 3)},
    {"kernel": (4, 5), "stride": (3, 1), "padding": (2, 4, 0, 3)},
    {"kernel": (1, 3), "stride": (1, 3), "padding": (0, 0, 2, 0)},
]
CASES = [
    *(first(2, 7, 9, c, k, **window) for window in WINDOWS for c, k in ((1, 17), (2, 40), (3, 5), (3, 64), (4, 24))),
    *(first(2, 6, width, c, 20, (3, 3), padding=(1, 1, 1, 1)) for width in (2, 3, 12, 16, 23, 27) for c in (1, 3)),
    *(first(3, 5, 4, c, 33, (1, 1)) for c in (2, 3, 4)),
    first(2, 5, 6, 1, 12, (8, 2), padding=(3, 3, 0, 0)),  # three rows of taps at a time, and two that are left
    first(1, 2, 3, 3, 12, (3, 3), padding=(4, 5, 5, 4)),  # windows that see nothing but zeros
    first(2, 9, 11, 3, 12, (2, 2), stride=(4, 5)),  # pixels that no window sees
    first(9, 5, 30, 3, 16, (3, 3), padding=(1, 1, 1, 1)),  # ranges that end within an image
    first(2, 60, 61, 3, 72, (7, 7), stride=(2, 2), padding=(3, 3, 3, 3)),  # several chunks and blocks an image
    first(2, 40, 70, 1, 512, (3, 3), padding=(1, 1, 1, 1)),
]
IDS = [str(case)[11:] for case in CASES]


def inputs(convolution: Convolution, rng: Any) -> list[np.ndarray]:
    """x, weight, bias, dy, all float32; dy is what bfloat16 can hold."""
    return [rng.standard_normal(convolution.x_shape, dtype=np.float32),
            rng.standard_normal(convolution.weight_shape, dtype=np.float32),
            rng.standard_normal(convolution.k, dtype=np.float32), halves(convolution.y_shape, rng)]


def run(convolution: Convolution, arrays: list[np.ndarray], **finish: Any) -> list[np.ndarray]:
    """y, dweight, dbias as they are stored, after checking that nothing else was written."""
    x, weight, bias, dy = arrays
    outputs = [Guarded(convolution.y_shape, np.uint16, UNALIGNED), Guarded(convolution.weight_shape, fence=UNALIGNED),
               Guarded((convolution.k,), fence=UNALIGNED)]
    y, dweight, dbias = (output.a for output in outputs)
    size = convolution.workspace(FORWARD, BACKWARD_WEIGHTS)
    workspace = kernels.aligned_empty((size + 256,), np.uint8)
    workspace.fill(0xFF)  # NaN: what is read before it is written shows
    packed = packed_weights(convolution, FORWARD, weight)
    kernels.conv2d_forward(convolution, x, weight, packed, y, workspace, Finish(**{"bias": bias, **finish}))()
    kernels.conv2d_backward_weights(convolution, x, before_a_wall(to_bfloat16(dy)), dweight, dbias, workspace)()
    alone = np.empty_like(dweight)
    kernels.conv2d_backward_weights(convolution, x, to_bfloat16(dy), alone, None, workspace)()
    assert np.array_equal(alone, dweight, equal_nan=True)
    for output in outputs:
        output.check()
    assert (workspace[size:] == 0xFF).all(), f"{convolution} wrote past its workspace"
    return [y, dweight, dbias]


def check(convolution: Convolution, arrays: list[np.ndarray], outputs: list[np.ndarray]) -> None:
    _, _, bias, dy = arrays
    x, weight = (from_bfloat16(to_bfloat16(array)) for array in arrays[:2])
    y, dweight, dbias = outputs
    expected = reference(convolution, x, weight, dy)
    squares = reference(convolution, x.astype(np.float64) ** 2, weight.astype(np.float64) ** 2,
                        dy.astype(np.float64) ** 2)
    wide, pixels = dy.astype(np.float64), dy[..., 0].size
    assert_rounded("y", y, expected[0] + bias, squares[0] + bias.astype(np.float64) ** 2, weight[0].size + 1)
    assert_close(convolution, "dweight", dweight, expected[2], squares[2], pixels)
    assert_close(convolution, "dbias", dbias, wide.sum((0, 1, 2)), (wide**2).sum((0, 1, 2)), pixels)


@pytest.mark.parametrize("convolution", CASES, ids=IDS)
def test_both_passes_are_float64_rounded_once(convolution, rng):
    arrays = inputs(convolution, rng)
    arrays[0] = before_a_wall(arrays[0])
    with kernels.use_words("bf16_plain"):
        check(convolution, arrays, run(convolution, arrays))


@HALF
@pytest.mark.parametrize("scale", [1, 1e-37])
@pytest.mark.parametrize("convolution", CASES, ids=IDS)
def test_with_the_instruction_and_without_are_the_same_bits(convolution, scale, rng):
    """Also of denormals, which are taken for 0."""
    arrays, outputs = inputs(convolution, rng), []
    arrays[0] *= np.float32(scale)
    arrays[0].flat[::7] = 1e-39
    for word in ("bf16", "bf16_plain"):
        with kernels.use_words(word):
            outputs.append(run(convolution, arrays, activation="relu", add=to_bfloat16(arrays[3])))
    for name, one, other in zip(("y", "dweight", "dbias"), *outputs, strict=True):
        assert one.tobytes() == other.tobytes(), name


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
@pytest.mark.parametrize("convolution", [first(2, 7, 9, 3, k, (3, 3), padding=(1, 1, 1, 1)) for k in (32, 37, 8)],
                         ids=lambda c: str(c)[11:])
def test_what_becomes_of_a_result_is_done_before_it_is_rounded(convolution, activation, word, rng):
    arrays = inputs(convolution, rng)
    arrays[1] /= np.sqrt(arrays[1][0].size)
    bias, (add, gate) = 4 * arrays[2], (4 * halves(convolution.y_shape, rng) for _ in range(2))
    sums = reference(convolution, *(from_bfloat16(to_bfloat16(array)) for array in arrays[:2]), arrays[3])[0] + bias
    top = 6 if activation == "relu6" else np.inf
    for with_add, with_gate in np.ndindex(2, 2):
        finish = {"add": to_bfloat16(add) if with_add else None, "gate": to_bfloat16(gate) if with_gate else None}
        with kernels.use_words(word):
            y = from_bfloat16(run(convolution, arrays, bias=bias, activation=activation, **finish)[0])
        expected = sums + add if with_add else sums
        if activation:
            passed = (gate > 0) & (gate < top)
            expected = np.where(passed, expected, 0) if with_gate else np.clip(expected, 0, top)
        assert (np.abs(y - expected) <= 2.0**-8 * np.abs(expected) + 1e-5).all()


SHARED = [first(5, 30, 31, 3, 40, (3, 3), padding=(1, 1, 1, 1)), first(3, 61, 60, 1, 64, (5, 5), stride=(2, 2)),
          first(4, 70, 66, 3, 48, (7, 7), stride=(2, 2), padding=(3, 3, 3, 3))]


@pytest.mark.parametrize("word", WORDS)
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
        y = run(convolution, arrays)[0]
        one = run(alone, [arrays[0][-1:], *arrays[1:3], arrays[3][-1:]])[0]
    assert found[0] == found[1] == found[2]
    assert np.array_equal(one, y[-1:])


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("convolution", [CASES[0], CASES[3], CASES[18], SHARED[2]], ids=lambda c: str(c)[11:])
def test_nan_is_in_those_results_that_read_it(convolution, word, rng):
    arrays = inputs(convolution, rng)
    arrays[0][0, 3, 4] = np.nan
    with kernels.use_words(word):
        y, *_ = run(convolution, arrays)
    there = reference(convolution, np.isnan(arrays[0]), np.ones_like(arrays[1]), arrays[3])[0] > 0
    assert np.array_equal(np.isnan(from_bfloat16(y)), there)


def test_layers_to_very_few_channels_pool_as_before(rng):
    convolution = first(2, 8, 16, 1, 4, (3, 3), padding=(1, 1, 1, 1))
    for words in ((), ("bf16_plain",)):
        with kernels.use_words(*words):
            assert convolution.pools
            assert not replace(convolution, k=16).pools
