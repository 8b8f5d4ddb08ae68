"""csrc/bf16_tiles*.c and tiles.h: convolutions over bfloat16 by tiles, which few CPUs have. Everywhere else tiles are
arrays in memory (the word "amx_plain"), with the same bits: those that Intel's manual promises of TDPBF16PS.

Results are compared with float64 on inputs and weights that are rounded. They may be off by the result's own rounding,
2^-8 of it, and by what summing in float32 loses, as in test_conv.py."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli.errors import UsageError
from cnncli.kernels import BACKWARD_DATA, BACKWARD_WEIGHTS, FORWARD, Convolution

from ..conftest import variant
from .guard import Guarded
from .test_conv import LEAST, SHARE, WORST, U, packed_weights, reference

HALF = 2.0**-8
BOTH = (True, True)  # x and y are bfloat16
HAS_TILES = kernels.active_isa() == "avx512" and "amx_bf16" in kernels.words()

SHAPES = {
    "3x3": Convolution((3, 9, 11, 16), 32, (3, 3), padding=(1, 1, 1, 1)),
    "small maps": Convolution((9, 7, 7, 32), 48, (3, 3), padding=(1, 1, 1, 1)),
    "one pixel": Convolution((35, 1, 1, 40), 70, (1, 1)),
    "points": Convolution((5, 7, 6, 64), 20, (1, 1)),
    "points of a tail": Convolution((3, 7, 6, 33), 40, (1, 1)),
    "points with stride": Convolution((3, 7, 6, 32), 40, (1, 1), (2, 2)),
    "blocks of rows": Convolution((1, 70, 31, 8), 16, (3, 3), padding=(1, 1, 1, 1)),  # the last one is shorter
    "blocks of images": Convolution((30, 9, 9, 24), 40, (3, 3), padding=(1, 1, 1, 1)),
    "7x7 stride 2": Convolution((2, 20, 21, 8), 9, (7, 7), (2, 2), (3, 3, 3, 3)),
    "odd channels": Convolution((2, 13, 15, 17), 35, (3, 3), (2, 2), (1, 1, 1, 1)),
    "dilated": Convolution((2, 13, 15, 32), 33, (3, 3), (1, 2), (1, 1, 1, 1), (2, 1)),
    "stride and dilation": Convolution((2, 13, 15, 32), 40, (3, 3), (3, 2), (2, 1, 0, 3), (2, 3)),
    "stride beyond the kernel": Convolution((2, 9, 11, 32), 40, (2, 2), (3, 4), (0, 0, 1, 0)),
    "lopsided": Convolution((2, 11, 8, 16), 32, (5, 2), padding=(0, 3, 1, 0)),
    "mostly border": Convolution((2, 2, 3, 32), 32, (3, 3), (2, 5), (1, 1, 1, 4)),
    "patches": Convolution((2, 12, 12, 16), 32, (4, 4), (4, 4)),
    "groups": Convolution((3, 7, 7, 64), 128, (3, 3), padding=(1, 1, 1, 1), groups=2),
}


@pytest.fixture(params=[variant(isa) for isa in kernels.isas() if isa != "reference"])
def isa(request):
    with kernels.use_isa(request.param), kernels.use_words("amx_plain"):
        yield request.param


def halves(a):
    """An array rounded to bfloat16, as its bits and as float32."""
    bits = kernels.to_bfloat16(np.asarray(a, np.float32))
    return bits, kernels.from_bfloat16(bits)


def stored(sizes: Convolution) -> Convolution:
    return Convolution(sizes.x_shape, sizes.k, sizes.kernel, sizes.stride, sizes.padding, sizes.dilation, sizes.groups,
                       storage=BOTH)


def workspace_of(convolution):
    return kernels.aligned_empty((convolution.workspace(FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS),), np.uint8)


def forward(convolution, x, weight, finish=None):
    y = Guarded(convolution.y_shape, np.uint16, fence=33)
    kernels.conv2d_forward(convolution, x, weight, packed_weights(convolution, FORWARD, weight), y.a,
                           workspace_of(convolution), finish or kernels.Finish())()
    return y.check()


def backward(convolution, dy, weight, finish=None):
    dx = Guarded(convolution.x_shape, np.uint16, fence=33)
    kernels.conv2d_backward_data(convolution, dy, weight, packed_weights(convolution, BACKWARD_DATA, weight), dx.a,
                                 workspace_of(convolution), finish or kernels.Finish())()
    return dx.check()


def gradients(convolution, x, dy):
    dweight, dbias = Guarded(convolution.weight_shape, fence=13), Guarded((convolution.k,), fence=13)
    kernels.conv2d_backward_weights(convolution, x, dy, dweight.a, dbias.a, workspace_of(convolution))()
    return dweight.check(), dbias.check()


class Arrays:
    """Random inputs of a convolution: bits, and the same as float64 with what float64 makes of them."""

    def __init__(self, sizes, rng):
        self.convolution = stored(sizes)
        self.x, x = halves(rng.standard_normal(sizes.x_shape))
        self.dy, dy = halves(rng.standard_normal(sizes.y_shape))
        self.weight = rng.standard_normal(sizes.weight_shape).astype(np.float32)
        self.bias = rng.standard_normal(sizes.k).astype(np.float32)
        self.add, self.added = halves(rng.standard_normal(sizes.y_shape))
        self.gate, self.gated = halves(np.maximum(rng.standard_normal(sizes.x_shape), 0))
        weight = halves(self.weight)[1]
        self.expected = reference(sizes, x, weight, dy)
        self.squares = reference(sizes, x.astype(float)**2, weight.astype(float)**2, dy.astype(float)**2)
        self.wide_dy = dy.astype(float)
        self.terms = (weight[0].size, weight[:, 0].size, dy[..., 0].size)


def assert_close(got, expected, squares, terms, rounding=HALF):
    if got.dtype == np.uint16:
        got = kernels.from_bfloat16(got)
    lost = WORST * max(LEAST * U, SHARE * U * np.sqrt(terms)) * np.sqrt(squares)
    assert (np.abs(got - expected) <= rounding * np.abs(expected) + 2 * lost + 1e-30).all()


@pytest.mark.parametrize("name", SHAPES)
def test_every_pass_is_as_close_as_its_rounding(name, isa, rng):
    a = Arrays(SHAPES[name], rng)
    assert_close(forward(a.convolution, a.x, a.weight), a.expected[0], a.squares[0], a.terms[0])
    assert_close(backward(a.convolution, a.dy, a.weight), a.expected[1], a.squares[1], a.terms[1])
    dweight, dbias = gradients(a.convolution, a.x, a.dy)
    assert_close(dweight, a.expected[2], a.squares[2], a.terms[2], 0)
    assert_close(dbias, a.wide_dy.sum((0, 1, 2)), (a.wide_dy**2).sum((0, 1, 2)), a.terms[2], 0)


def test_any_sizes(isa, rng):
    for _ in range(25):
        kernel, stride, dilation = (tuple(rng.integers(1, most, 2).tolist()) for most in (5, 4, 4))
        h, w, c, k = rng.integers([1, 1, 8, 8], [14, 14, 70, 70]).tolist()
        padding = tuple(rng.integers(0, 4, 4).tolist())
        sizes = Convolution((int(rng.integers(1, 7)), h, w, c), k, kernel, stride, padding, dilation)
        if min(sizes.y_shape[1:3]) < 1:
            continue
        a = Arrays(sizes, rng)
        assert_close(forward(a.convolution, a.x, a.weight), a.expected[0], a.squares[0], a.terms[0])
        assert_close(backward(a.convolution, a.dy, a.weight), a.expected[1], a.squares[1], a.terms[1])
        assert_close(gradients(a.convolution, a.x, a.dy)[0], a.expected[2], a.squares[2], a.terms[2], 0)


@pytest.mark.parametrize("activation", ["", "relu", "relu6"])
def test_results_are_finished_before_they_are_rounded(activation, isa, rng):
    a = Arrays(SHAPES["odd channels"], rng)
    top = {"": np.inf, "relu": np.inf, "relu6": 6}[activation]
    y = forward(a.convolution, a.x, a.weight, kernels.Finish(a.bias, a.add, activation))
    expected = a.expected[0] + a.bias + a.added
    if activation:
        expected = np.clip(expected, 0, top)
    assert_close(y, expected, a.squares[0], a.terms[0])

    back, added = halves(rng.standard_normal(a.convolution.x_shape))
    dx = backward(a.convolution, a.dy, a.weight, kernels.Finish(None, back, activation, a.gate if activation else None))
    expected = a.expected[1] + added
    assert_close(dx, np.where((a.gated > 0) & (a.gated < top), expected, 0) if activation else expected, a.squares[1],
                 a.terms[1])


def test_what_is_not_a_number_stays_none(isa):
    convolution = stored(SHAPES["3x3"])
    x = halves(np.zeros(convolution.x_shape))[0]
    x[1, 4, 4, 3] = 0x7FC1
    y = forward(convolution, x, np.ones(convolution.weight_shape, np.float32), kernels.Finish(None, None, "relu"))
    nan = np.isnan(kernels.from_bfloat16(y)).all(-1)
    assert nan[1, 3:6, 3:6].all()
    assert nan.sum() == 9


# ---- the dot product ----


def as_the_manual_says(a, b):
    """Float32 sums of a (m, k) times b (k, n), 32 of k at a time: even and odd ones apart from zero, one added to the
    other, and that to the sum."""
    sums = np.zeros((len(a), b.shape[1]), np.float32)
    for first in range(0, a.shape[1], 32):
        even, odd = np.zeros_like(sums), np.zeros_like(sums)
        for k in range(first, first + 32, 2):
            even += a[:, k, None] * b[k]
            odd += a[:, k + 1, None] * b[k + 1]
        sums += even + odd
    return sums


def one_after_the_other(a, b):
    sums = np.zeros((len(a), b.shape[1]), np.float32)
    for k in range(a.shape[1]):
        sums += a[:, k, None] * b[k]
    return sums


def product(a, b):
    """a times b, by a convolution of points."""
    convolution = Convolution((1, 1, len(a), a.shape[1]), b.shape[1], (1, 1), storage=BOTH)
    return forward(convolution, halves(a)[0][None, None], np.ascontiguousarray(b.T)[:, :, None, None])[0, 0]


def test_a_dot_product_is_rounded_as_the_manual_says(isa, rng):
    """Products that cancel leave what was rounded away, so that results show every step's rounding."""
    half = halves(rng.standard_normal((50, 32)) * 2.0 ** rng.integers(-5, 5, (50, 32)))[1]
    weights = halves(rng.standard_normal((32, 40)))[1]
    order = rng.permutation(64)
    a, b = np.concatenate([half, half], 1)[:, order], np.concatenate([weights, -weights])[order]
    expected = as_the_manual_says(a, b)
    assert np.array_equal(product(a, b), kernels.to_bfloat16(expected))
    assert (kernels.to_bfloat16(one_after_the_other(a, b)) != kernels.to_bfloat16(expected)).mean() > 0.5


def test_gradients_of_weights_are_rounded_so_too(isa, rng):
    """Of pixels, 32 at a time."""
    convolution = Convolution((1, 8, 12, 40), 24, (1, 1), storage=BOTH)
    x, dy = (halves(rng.standard_normal((1, 8, 12, c)))[0] for c in (40, 24))
    expected = as_the_manual_says(kernels.from_bfloat16(dy).reshape(96, 24).T, kernels.from_bfloat16(x).reshape(96, 40))
    assert np.array_equal(gradients(convolution, x, dy)[0][:, :, 0, 0], expected)


def test_denormals_are_zero_before_and_after(isa):
    a, b = np.zeros((16, 32), np.float32), np.zeros((32, 16), np.float32)
    a[:, [0, 2]], b[[0, 2]] = 2.0**-64, 2.0**-63  # each product is denormal, their sum would not be
    b[4] = 2.0**120
    bits = kernels.to_bfloat16(a)
    bits[:, 4] = 0x0040  # denormal: 2^-127
    convolution = Convolution((1, 1, 16, 32), 16, (1, 1), storage=BOTH)
    y = forward(convolution, bits[None, None], np.ascontiguousarray(b.T)[:, :, None, None])
    assert (y == 0).all()
    a[:, 0] = 2.0**-62
    if isa != "baseline":  # without fused multiply-adds, a product is rounded before it is added
        assert (kernels.from_bfloat16(product(a, b))[0] == 1.25 * 2.0**-125).all()
    a[:, 2] = 0
    assert (kernels.from_bfloat16(product(a, b))[0] == 2.0**-125).all()


# ---- what results do not depend on ----


@pytest.mark.parametrize("name", ["3x3", "small maps", "points", "odd channels", "groups"])
def test_the_same_bits_on_any_threads_and_in_any_batch(name, isa, rng):
    a = Arrays(SHAPES[name], rng)
    before, results = kernels.threads(), []
    try:
        for threads in (1, 2, 3):
            kernels.set_threads(threads)
            results.append((forward(a.convolution, a.x, a.weight), backward(a.convolution, a.dy, a.weight),
                            *gradients(a.convolution, a.x, a.dy)))
    finally:
        kernels.set_threads(before)
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            assert np.array_equal(one, same)
    shape = a.convolution.x_shape
    alone = Convolution((1, *shape[1:]), a.convolution.k, a.convolution.kernel, a.convolution.stride,
                        a.convolution.padding, groups=a.convolution.groups, storage=BOTH)
    assert np.array_equal(forward(alone, a.x[1:2], a.weight), results[0][0][1:2])
    assert np.array_equal(backward(alone, a.dy[1:2], a.weight), results[0][1][1:2])


@pytest.mark.skipif(not HAS_TILES, reason="this CPU has no tiles of bfloat16, or Linux does not let us use them")
@pytest.mark.parametrize("name", SHAPES)
def test_tiles_have_the_bits_of_the_plain_words(name, rng):
    a = Arrays(SHAPES[name], rng)
    results = []
    for word in ("amx_bf16", "amx_plain"):
        with kernels.use_isa("avx512"), kernels.use_words(word):
            results.append((forward(a.convolution, a.x, a.weight, kernels.Finish(a.bias, a.add, "relu")),
                            backward(a.convolution, a.dy, a.weight), *gradients(a.convolution, a.x, a.dy)))
    for one, same in zip(*results, strict=True):
        assert np.array_equal(one, same)


# ---- words ----


def test_plain_tiles_are_for_every_instruction_set_but_the_reference():
    for isa in kernels.isas():
        with kernels.use_isa(isa), kernels.use_words("amx_plain"):
            assert kernels.words() == (frozenset() if isa == "reference" else {"amx_plain"})


@pytest.mark.skipif(HAS_TILES, reason="this CPU has tiles")
def test_tiles_are_refused_where_there_are_none():
    before = kernels.words()
    with pytest.raises(UsageError, match="lacks one of amx_bf16"), kernels.use_words("amx_bf16"):
        pass
    assert kernels.words() == before
