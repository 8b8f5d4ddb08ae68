"""csrc/pointwise.c and elementwise.c over maps of bfloat16: results are those of the float32 kernels on the same
numbers, rounded once, to the bit, on every instruction set; and maps become features of float32 and back."""

import numpy as np
import pytest

from cnncli import kernels

from .guard import Guarded
from .halves import halves, rounded, wide

SIZES = [1, 3, 7, 8, 15, 16, 17, 33, 16384, 16385, 50001]
MAP = kernels.BFLOAT16
CLOCK = np.array([7, 11], np.uint64)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["relu", "relu6", "leaky_relu", "silu", "sigmoid", "tanh"])
def test_activations(name, size, instructions, rng):
    x, dy, y = halves(rng, (size,), 0, 4), halves(rng, (size,)), Guarded((size,), MAP)
    expected = np.empty(size, np.float32)
    kernels.activation_forward(name, x, y.a, 0.1)()
    kernels.activation_forward(name, wide(x), expected, 0.1)()
    assert rounded(y.check(), expected)

    dx = Guarded((size,), MAP)
    kernels.activation_backward(name, x, y.a, dy, dx.a, 0.1)()
    kernels.activation_backward(name, wide(x), wide(y.a), wide(dy), expected, 0.1)()
    assert rounded(dx.check(), expected)
    kernels.activation_backward(name, x, y.a, dy, dy, 0.1)()
    assert np.array_equal(dy, dx.a), "dx in dy's place differs"


def test_a_gate_needs_no_x(instructions, rng):
    y, dy = halves(rng, (40,)), halves(rng, (40,))
    dx = np.empty_like(dy)
    kernels.activation_backward("relu", None, y, dy, dx)()
    assert np.array_equal(wide(dx), np.where(wide(y) > 0, wide(dy), 0))


@pytest.mark.parametrize("size", SIZES)
def test_sums_factors_and_what_is_dropped(size, instructions, threads, rng):
    a, b, out, exact = halves(rng, (size,)), halves(rng, (size,)), Guarded((size,), MAP), np.empty(size, np.float32)
    kernels.add(a, b, out.a)()
    assert rounded(out.check(), wide(a) + wide(b))
    kernels.scale(a, out.a, 0.3)()
    assert rounded(out.check(), wide(a) * np.float32(0.3))
    kernels.dropout(a, out.a, 0.3, CLOCK, 2)()
    kernels.dropout(wide(a), exact, 0.3, CLOCK, 2)()
    assert rounded(out.check(), exact)
    total = wide(a) + wide(b)
    kernels.add(a, b, b)()
    assert rounded(b, total), "a sum in place differs"


@pytest.mark.parametrize("c", [1, 3, 8, 17, 64])
def test_copies_of_channels(c, isa, threads, rng):
    x, y = halves(rng, (3, 5, 7, c)), Guarded((3, 5, 7, c + 5), MAP)
    kernels.copy_channels(x, y.a, y_start=3)()
    assert np.array_equal(y.check()[..., 3 : 3 + c], x)
    back = Guarded(x.shape, MAP)
    kernels.copy_channels(y.a, back.a, x_start=3)()
    assert np.array_equal(back.check(), x)
    whole = Guarded(x.shape, MAP)
    kernels.copy(x, whole.a)()
    assert np.array_equal(whole.check(), x)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 4, 5, 6), (2, 1, 1, 33), (70, 7, 7, 32), (2, 19, 17, 1)])
def test_maps_become_features_and_back(shape, isa, threads, rng):
    x, y = halves(rng, shape), Guarded((shape[0], int(np.prod(shape[1:]))))
    kernels.flatten_forward(x, y.a)()
    assert np.array_equal(y.check(), wide(x).transpose(0, 3, 1, 2).reshape(shape[0], -1))
    dy, dx = rng.standard_normal(y.a.shape).astype(np.float32), Guarded(shape, MAP)
    kernels.flatten_backward(dy, dx.a)()
    n, h, w, c = shape
    assert rounded(dx.check(), np.ascontiguousarray(dy.reshape(n, c, h, w).transpose(0, 2, 3, 1)))


@pytest.mark.parametrize("prepare", [
    lambda half, full: kernels.activation_forward("relu", half, full),
    lambda half, full: kernels.activation_backward("relu", None, full, half, half),
    lambda half, full: kernels.add(half, half, full), lambda half, full: kernels.add(half, full, half),
    lambda half, full: kernels.scale(half, full, 2), lambda half, full: kernels.dropout(half, full, 0.5, CLOCK, 1),
    kernels.copy, kernels.copy_channels])
def test_maps_of_two_kinds_are_refused(prepare):
    half, full = np.zeros((4, 3), MAP), np.zeros((4, 3), np.float32)
    with pytest.raises(TypeError, match="must be uint16, not float32"):
        prepare(half, full)
    with pytest.raises(TypeError, match="must be float32, not uint16"):
        prepare(full, half)
