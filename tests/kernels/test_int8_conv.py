"""csrc/int8_conv.c: convolutions of bytes against whole numbers in NumPy, exactly. Sizes at which tiles, vectors and
units of 32 bits are not full; borders, groups, dilation; what becomes of sums; and numbers at the ends of their
ranges."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnncli import kernels
from cnncli.kernels import Convolution, Requantise

from .guard import Guarded

PARTS = 4096  # of a sum with something added, in the contract

# Kernel, stride, padding, dilation.
WINDOWS = [
    ((1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
    ((1, 1), (2, 2), (0, 0, 0, 0), (1, 1)),
    ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
    ((3, 3), (1, 1), (0, 0, 0, 0), (1, 1)),
    ((7, 7), (2, 2), (3, 3, 3, 3), (1, 1)),
    ((2, 3), (3, 2), (1, 0, 0, 2), (1, 1)),
    ((5, 3), (1, 2), (4, 3, 2, 1), (2, 3)),
    ((1, 4), (1, 1), (0, 0, 3, 3), (1, 2)),
]
# Words that have the kernels of instructions which this CPU may lack, by instruction set.
STAND_INS = {"avx2": ["avx_vnni_plain"]}


def sums(convolution: Convolution, x: np.ndarray, zero_x: int, weight: np.ndarray) -> np.ndarray:
    """The convolution in int64."""
    p, (n, oh, ow, _) = convolution, convolution.y_shape
    top, bottom, left, right = p.padding
    padded = np.pad(x.astype(np.int64), ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=zero_x)
    filters = weight.astype(np.int64).reshape(p.groups, p.k // p.groups, -1, *p.kernel)
    total = np.zeros((n, oh, ow, p.groups, p.k // p.groups), np.int64)
    for i in range(p.kernel[0]):
        for j in range(p.kernel[1]):
            rows = slice(i * p.dilation[0], i * p.dilation[0] + (oh - 1) * p.stride[0] + 1, p.stride[0])
            columns = slice(j * p.dilation[1], j * p.dilation[1] + (ow - 1) * p.stride[1] + 1, p.stride[1])
            tap = padded[:, rows, columns].reshape(n, oh, ow, p.groups, -1)
            total += np.einsum("nhwgc,gkc->nhwgk", tap, filters[..., i, j])
    return total.reshape(convolution.y_shape)


def requantised(total: np.ndarray, f: Requantise) -> np.ndarray:
    """What the contract makes of sums; float32 where it says so."""
    real = (total + f.bias).astype(np.float32)
    if f.real is not None:
        return real * f.multiplier
    if f.add is None:
        return np.clip(np.rint(real * f.multiplier).astype(np.float64) + f.zero, f.least, f.most).astype(np.uint8)
    parts = np.rint(np.clip(real * (f.multiplier * np.float32(PARTS)), -(2.0**29), 2.0**29)).astype(np.int64)
    parts += (f.add.astype(np.int64) - f.add_zero) * f.add_multiplier + PARTS // 2
    return np.clip((parts >> 12) + f.zero, f.least, f.most).astype(np.uint8)


def every_way(compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Return what is computed, which is the same with and without the words that CPUs have beyond instruction sets, and
    with those that stand in for them."""
    result = compute()
    others: list[list[str]] = [[]] if kernels.words() else []
    for words in others + [[word] for word in STAND_INS.get(kernels.active_isa(), [])]:
        with kernels.use_words(*words):
            assert kernels.words() == frozenset(words)
            assert compute().tobytes() == result.tobytes()
    return result


def computed(convolution: Convolution, x: np.ndarray, zero_x: int, weight: np.ndarray, f: Requantise) -> np.ndarray:
    """Pack and run once, between guards."""
    packed = kernels.int8_packed_weights(convolution)
    kernels.int8_conv2d_pack(convolution, weight, packed)()
    if f.real is not None:
        f.real[...] = np.nan
        kernels.int8_conv2d_forward(convolution, x, zero_x, packed, f, None)()
        return f.real.copy()
    y = Guarded(convolution.y_shape, np.uint8, fence=61)
    kernels.int8_conv2d_forward(convolution, x, zero_x, packed, f, y.a)()
    return y.check()


def finish(convolution: Convolution, rng: np.random.Generator, **options: Any) -> Requantise:
    """A requantisation of results that fill the range, and both of its ends a little."""
    depth, k = np.prod(convolution.weight_shape[1:]), convolution.k
    multiplier = (rng.random(k) * 2e-2 / np.sqrt(depth)).astype(np.float32)
    return Requantise(rng.integers(-3000, 3000, k).astype(np.int32), multiplier, **{"zero": 100, **options})


def finishes(convolution: Convolution, rng: np.random.Generator) -> list[Requantise]:
    """Of each kind one: bytes, bytes in a narrow range, with something added, and real."""
    add = rng.integers(0, 256, convolution.y_shape, dtype=np.uint8)
    return [finish(convolution, rng), finish(convolution, rng, zero=3, least=3, most=96),
            finish(convolution, rng, zero=255, add=add, add_zero=7, add_multiplier=-3001),
            finish(convolution, rng, real=np.empty(convolution.y_shape, np.float32))]


def inputs(convolution: Convolution, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return (rng.integers(0, 256, convolution.x_shape, dtype=np.uint8),
            rng.integers(-127, 128, convolution.weight_shape, dtype=np.int8))


def check(convolution: Convolution, rng: np.random.Generator, zero_x: int = 131) -> None:
    x, weight = inputs(convolution, rng)
    total = sums(convolution, x, zero_x, weight)
    for f in finishes(convolution, rng):
        found = every_way(lambda f=f: computed(convolution, x, zero_x, weight, f))
        assert np.array_equal(found, requantised(total, f)), f"{convolution}: {f}"


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("channels", [(1, 1), (3, 17), (4, 16), (10, 40)], ids=str)
def test_every_window(window, channels, isa, rng):
    check(Convolution((2, 7, 9, channels[0]), channels[1], *window), rng)


@pytest.mark.slow
@pytest.mark.parametrize("c", [2, 5, 8, 16, 31])
@pytest.mark.parametrize("k", [2, 8, 15, 32, 33, 70])
def test_every_width(c, k, isa, rng):
    for width in range(1, 20):
        check(Convolution((1, 3, width, c), k, (3, 3), padding=(1, 1, 1, 1)), rng)
    for window in WINDOWS:
        check(Convolution((3, 8, 11, c), k, *window), rng)


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("window", WINDOWS[2:6], ids=str)
def test_groups(groups, window, isa, rng):
    check(Convolution((2, 7, 8, 5 * groups), 18 * groups, *window, groups), rng)


def test_a_group_of_one_channel_may_have_several_results(isa, rng):
    check(Convolution((2, 7, 8, 6), 12, (3, 3), padding=(1, 1, 1, 1), groups=6), rng)


@pytest.mark.parametrize("pixels", [(1, 1), (1, 63), (8, 8), (5, 13), (11, 12)], ids=str)
def test_matrices_are_cut_anywhere(pixels, isa, rng):
    check(Convolution((3, *pixels, 12), 35, (1, 1)), rng)


def test_a_block_may_hold_several_images_or_a_part_of_one(isa, rng):
    check(Convolution((9, 3, 4, 6), 5, (3, 3), padding=(1, 1, 1, 1)), rng)
    check(Convolution((2, 70, 80, 34), 3, (3, 3), padding=(1, 1, 1, 1)), rng)


def test_an_image_smaller_than_the_kernel(isa, rng):
    check(Convolution((2, 1, 2, 9), 18, (5, 5), padding=(2, 2, 2, 2)), rng)


@pytest.mark.parametrize("zero_x", [0, 255])
def test_what_lies_beyond_the_borders(zero_x, isa, rng):
    check(Convolution((2, 4, 5, 6), 20, (3, 3), padding=(2, 3, 1, 2)), rng, zero_x)


@pytest.mark.parametrize(("byte", "weight"), [(255, -127), (255, 127), (255, -128), (0, 127)])
@pytest.mark.parametrize("groups", [1, 33])
def test_the_largest_numbers(byte, weight, groups, isa, rng):
    convolution = Convolution((1, 6, 6, 33), 33, (3, 3), padding=(1, 1, 1, 1), groups=groups)
    x, w = inputs(convolution, rng)
    x[...], w[...] = byte, weight
    total = sums(convolution, x, 255, w)
    for f in finishes(convolution, rng):
        found = every_way(lambda f=f: computed(convolution, x, 255, w, f))
        assert np.array_equal(found, requantised(total, f))


def test_the_deepest_sum_that_fits(isa, rng):
    convolution = Convolution((1, 1, 1, 33155), 3, (1, 1))
    assert kernels.int8_fits(convolution)
    deeper = Convolution((1, 1, 1, 33156), 3, (1, 1))
    assert not kernels.int8_fits(deeper)
    with pytest.raises(ValueError, match="no convolution that the int8 kernels take"):
        kernels.int8_packed_weights(deeper)
    x, weight = inputs(convolution, rng)
    x[...], weight[...] = 255, np.array([127, -127, 1]).reshape(3, 1, 1, 1)
    bias = np.array([2**30 - 1, -(2**30) + 1, 5], np.int32)  # as much again
    real = np.empty(convolution.y_shape, np.float32)
    f = Requantise(bias, np.ones(3, np.float32), real=real)
    total = sums(convolution, x, 0, weight)
    assert (np.abs(total + bias) < 2**31).all()
    assert np.array_equal(every_way(lambda: computed(convolution, x, 0, weight, f)), requantised(total, f))


@pytest.mark.parametrize("groups", [1, 24])
@pytest.mark.parametrize("multiplier", [0.5, 0.25, 1.0, 1000.0, 3e38, np.inf])
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_halves_go_to_even_numbers_and_no_number_is_too_large(multiplier, groups, isa, rng):
    convolution = Convolution((1, 9, 9, 24), 24, (1, 1), groups=groups)
    x, weight = inputs(convolution, rng)
    weight[...] = 0
    for k in range(24):
        weight[k, 0 if groups == 24 else k] = (-1) ** k
    for zero in (0, 101, 255):
        f = Requantise(np.zeros(24, np.int32), np.full(24, multiplier, np.float32), zero)
        x[x == 0] = 1  # 0 times infinity is no number
        expected = requantised(sums(convolution, x, 0, weight), f)
        assert np.array_equal(every_way(lambda f=f: computed(convolution, x, 0, weight, f)), expected)


@pytest.mark.parametrize("groups", [1, 20])
def test_a_result_may_be_added_to_itself(groups, isa, rng):
    convolution = Convolution((2, 9, 11, 20), 20, (3, 3), padding=(1, 1, 1, 1), groups=groups)
    x, weight = inputs(convolution, rng)
    before = rng.integers(0, 256, convolution.y_shape, dtype=np.uint8)
    packed = kernels.int8_packed_weights(convolution)
    kernels.int8_conv2d_pack(convolution, weight, packed)()
    apart, itself = np.empty_like(before), before.copy()
    plain = finish(convolution, rng)
    for add, y in ((before, apart), (itself, itself)):
        f = Requantise(plain.bias, plain.multiplier, 100, add=add, add_zero=9, add_multiplier=4000)
        kernels.int8_conv2d_forward(convolution, x, 3, packed, f, y)()
    assert np.array_equal(apart, itself)
    assert not np.array_equal(apart, before)


def check_on_any_threads(convolution, rng):
    """The bytes are those expected, with one, two and three threads."""
    x, weight = inputs(convolution, rng)
    f, before, found = finish(convolution, rng), kernels.threads(), []
    try:
        for threads in (1, 2, 3):
            kernels.set_threads(threads)
            found.append(every_way(lambda: computed(convolution, x, 77, weight, f)).copy())
    finally:
        kernels.set_threads(before)
    assert all(np.array_equal(each, found[0]) for each in found)
    assert np.array_equal(found[0], requantised(sums(convolution, x, 77, weight), f))


@pytest.mark.parametrize("convolution", [
    Convolution((3, 20, 20, 40), 70, (3, 3), padding=(1, 1, 1, 1)), Convolution((1, 30, 31, 64), 40, (1, 1)),
    Convolution((1, 2, 2, 300), 500, (1, 1)), Convolution((2, 9, 9, 32), 64, (3, 3), (2, 2), groups=4),
], ids=lambda c: str(c)[11:])
def test_the_same_bytes_on_any_threads(convolution, isa, rng):
    check_on_any_threads(convolution, rng)


def test_room_for_weights_is_asked_for_and_aligned(rng):
    convolution = Convolution((1, 4, 4, 8), 8, (3, 3))
    size = kernels.int8_packed(convolution)
    assert size == kernels.int8_packed(Convolution((7, 4, 4, 8), 8, (3, 3))), "depends on the number of images"
    room = kernels.aligned_empty((size + 1,), np.int8)
    weight = inputs(convolution, rng)[1]
    for wrong in (room[: size - 1], room[1:]):
        with pytest.raises(ValueError, match=f"must hold {size} bytes and be 64-byte aligned"):
            kernels.int8_conv2d_pack(convolution, weight, wrong)
