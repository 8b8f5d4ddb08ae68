"""csrc/int8_tiles*.c: convolutions of bytes by tiles, which few CPUs have. Everywhere else tiles are arrays in memory
(the word "amx_plain"). Sums are exact, so that the bytes are those of the other versions; what is expected and how it
is checked are test_int8_conv.py's."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli.errors import UsageError
from cnncli.kernels import Convolution, Requantise

from ..conftest import variant
from .test_int8_conv import check, check_on_any_threads, computed, finishes, inputs, requantised, sums

HAS_TILES = kernels.active_isa() == "avx512" and "amx_int8" in kernels.words()
SAME = (1, 1, 1, 1)

# What a result reads of a row is a run of bytes: 64 of them are a tile's row. A panel is 32 results by 32 outputs.
SHAPES = {
    "3x3": Convolution((3, 9, 11, 16), 32, (3, 3), padding=SAME),  # a run of 48
    "whole tiles": Convolution((2, 8, 8, 64), 64, (3, 3), padding=SAME),
    "a byte more": Convolution((2, 7, 9, 65), 33, (1, 3), padding=(0, 0, 1, 1)),
    "small maps": Convolution((9, 7, 7, 32), 48, (3, 3), padding=SAME),
    "one pixel": Convolution((35, 1, 1, 40), 70, (1, 1)),
    "one result": Convolution((1, 1, 1, 200), 8, (1, 1)),
    "points": Convolution((5, 7, 6, 64), 20, (1, 1)),
    "points of a tail": Convolution((3, 8, 8, 33), 40, (1, 1)),  # whose last tile would end behind the images
    "a tail of points": Convolution((3, 7, 6, 96), 40, (1, 1)),
    "many points": Convolution((2, 40, 40, 32), 9, (1, 1)),
    "points with stride": Convolution((3, 7, 6, 32), 40, (1, 1), (2, 2)),
    "points with borders": Convolution((2, 5, 6, 32), 40, (1, 1), padding=(0, 1, 2, 1)),
    "blocks of rows": Convolution((1, 70, 31, 11), 16, (3, 3), padding=SAME),  # the last one is shorter
    "blocks of images": Convolution((30, 9, 9, 24), 40, (3, 3), padding=SAME),
    "long rows": Convolution((1, 4, 700, 128), 17, (3, 3), padding=SAME),
    "7x7 stride 2": Convolution((2, 20, 21, 8), 9, (7, 7), (2, 2), (3, 3, 3, 3)),
    "3x3 stride 2": Convolution((2, 13, 15, 17), 35, (3, 3), (2, 2), SAME),
    "stride 3": Convolution((2, 13, 16, 16), 35, (5, 4), (3, 3), (2, 2, 2, 4)),
    "dilated rows": Convolution((2, 13, 15, 32), 33, (3, 3), (1, 2), SAME, (2, 1)),
    "dilated columns": Convolution((2, 13, 15, 32), 33, (3, 3), (1, 1), (1, 1, 2, 2), (1, 2)),
    "stride and dilation": Convolution((2, 13, 15, 32), 40, (3, 3), (3, 2), (2, 1, 0, 3), (2, 3)),
    "stride beyond the kernel": Convolution((2, 9, 11, 32), 40, (2, 2), (3, 4), (0, 0, 1, 0)),
    "lopsided": Convolution((2, 11, 8, 16), 32, (5, 2), padding=(0, 3, 1, 0)),
    "mostly border": Convolution((2, 2, 3, 32), 32, (3, 3), (2, 5), (1, 1, 1, 4)),
    "more border than image": Convolution((2, 1, 2, 16), 32, (3, 3), (1, 1), (4, 5, 6, 7)),
    "patches": Convolution((2, 12, 12, 16), 32, (4, 4), (4, 4)),
    "groups": Convolution((3, 7, 7, 64), 128, (3, 3), padding=SAME, groups=2),
    "groups of points": Convolution((3, 8, 8, 99), 30, (1, 1), groups=3),
}


@pytest.fixture(params=[variant(isa) for isa in kernels.isas() if isa != "reference"])
def isa(request):
    with kernels.use_isa(request.param), kernels.use_words("amx_plain"):
        yield request.param


@pytest.mark.parametrize("name", SHAPES)
def test_every_byte_is_as_expected(name, isa, rng):
    check(SHAPES[name], rng)


def test_any_sizes(isa, rng):
    for _ in range(25):
        kernel, stride, dilation = (tuple(rng.integers(1, most, 2).tolist()) for most in (5, 4, 4))
        h, w, c, k = rng.integers([1, 1, 8, 8], [14, 14, 70, 70]).tolist()
        padding, groups = tuple(rng.integers(0, 4, 4).tolist()), int(rng.integers(1, 3))
        sizes = Convolution((int(rng.integers(1, 7)), h, w, c * groups), k * groups, kernel, stride, padding, dilation,
                            groups)
        if min(sizes.y_shape[1:3]) >= 1:
            check(sizes, rng, int(rng.integers(0, 256)))


@pytest.mark.parametrize(("byte", "weight"), [(255, -127), (255, 127), (255, -128), (0, 127)])
def test_the_largest_numbers(byte, weight, isa, rng):
    """Bytes of the image are unsigned, and weights are signed."""
    convolution = Convolution((1, 6, 6, 33), 33, (3, 3), padding=SAME)
    x, w = inputs(convolution, rng)
    x[...], w[...] = byte, weight
    for f in finishes(convolution, rng):
        assert np.array_equal(computed(convolution, x, 255, w, f), requantised(sums(convolution, x, 255, w), f))


def test_the_deepest_sum_that_fits(isa, rng):
    convolution = Convolution((1, 1, 1, 33155), 9, (1, 1))
    x, weight = inputs(convolution, rng)
    x[...], weight[...] = 255, np.where(np.arange(9) % 2, 127, -127).reshape(9, 1, 1, 1)
    f = Requantise(np.where(np.arange(9) % 2, 2**30 - 1, -(2**30) + 1).astype(np.int32), np.ones(9, np.float32),
                   real=np.empty(convolution.y_shape, np.float32))
    expected = requantised(sums(convolution, x, 0, weight), f)
    assert np.array_equal(computed(convolution, x, 0, weight, f), expected)


@pytest.mark.parametrize("name", ["3x3", "small maps", "points", "points of a tail", "3x3 stride 2", "groups"])
def test_the_same_bytes_on_any_threads(name, isa, rng):
    check_on_any_threads(SHAPES[name], rng)


def test_few_channels_and_few_outputs_are_left_to_vectors(isa, rng):
    """Their weights are laid out otherwise: as without tiles."""
    def packed_of(convolution, *words):
        weight = np.random.default_rng(1).integers(-127, 128, convolution.weight_shape, dtype=np.int8)
        packed = kernels.int8_packed_weights(convolution)
        packed[...] = 0
        with kernels.use_words(*words):
            kernels.int8_conv2d_pack(convolution, weight, packed)()
        return packed.copy()

    for c, k, kernel, by_tiles in ((31, 40, (1, 1), False), (32, 40, (1, 1), True), (32, 7, (1, 1), False),
                                   (32, 8, (1, 1), True), (3, 40, (7, 7), False), (11, 40, (3, 3), True)):
        convolution = Convolution((1, 9, 9, c), k, kernel)
        same = np.array_equal(packed_of(convolution, "amx_plain"), packed_of(convolution))
        assert same != by_tiles, convolution


@pytest.mark.parametrize("shape", [(40, 72, (1, 1)), (17, 33, (1, 2)), (64, 8, (3, 3))], ids=str)
def test_there_is_room_for_weights_with_and_without_tiles(shape, isa):
    c, k, kernel = shape
    convolution = Convolution((1, 9, 9, c), k, kernel)
    size = kernels.int8_packed(convolution)
    with kernels.use_words():
        assert kernels.int8_packed(convolution) == size
    with kernels.use_isa("reference"):
        assert kernels.int8_packed(convolution) == size


@pytest.mark.skipif(not HAS_TILES, reason="this CPU has no tiles of bytes, or Linux does not let us use them")
@pytest.mark.parametrize("name", SHAPES)
def test_tiles_have_the_bytes_of_the_plain_words(name, rng):
    with kernels.use_isa("avx512"), kernels.use_words("amx_int8", "vnni"):
        check(SHAPES[name], rng)


@pytest.mark.skipif(HAS_TILES, reason="this CPU has tiles")
def test_tiles_are_refused_where_there_are_none():
    before = kernels.words()
    with pytest.raises(UsageError, match="lacks one of amx_int8"), kernels.use_words("amx_int8"):
        pass
    assert kernels.words() == before
