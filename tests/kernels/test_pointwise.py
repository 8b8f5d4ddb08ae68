"""csrc/pointwise.c: every activation on every instruction set against float64 NumPy, at the sizes where a vector
loop can go wrong, with sentinels behind the output."""

import numpy as np
import pytest

from cnncli import kernels

from .guard import Guarded

# Each function is a handful of float operations on values of order 1: a few units in the last place.
TOLERANCE = dict(rtol=4e-6, atol=1e-6)

FORWARD = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x < 0, 0.1 * x, x),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3, 4, 7, 8, 15, 16, 17, 33, 16384, 16385, 50001])
@pytest.mark.parametrize("name", FORWARD)
def test_forward_and_backward(name: str, size: int, isa: str, threads: int, rng: np.random.Generator) -> None:
    x = (rng.standard_normal(size) * 4).astype(np.float32)
    dy = rng.standard_normal(size).astype(np.float32)
    guarded = Guarded((size,))
    kernels.activation_forward(name, x, guarded.a, slope=0.1)()
    y = guarded.check()
    np.testing.assert_allclose(y, FORWARD[name](x.astype(np.float64)), **TOLERANCE)

    dx = np.empty(size, np.float32)
    kernels.activation_backward(name, x, y, dy, dx, slope=0.1)()
    step = 1e-6
    wide = x.astype(np.float64)
    slope = (FORWARD[name](wide + step) - FORWARD[name](wide - step)) / (2 * step)
    smooth = (np.abs(wide) > 1e-5) & (np.abs(wide - 6) > 1e-5)
    np.testing.assert_allclose(dx[smooth], (slope * dy)[smooth], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", FORWARD)
def test_extremes(name: str, isa: str) -> None:
    x = np.array([0, -0.0, 1e-30, -1e-30, 1e4, -1e4, 88.7, -88.7, 104, -104, np.inf, -np.inf], np.float32)
    y = np.empty_like(x)
    kernels.activation_forward(name, x, y, slope=0.1)()
    with np.errstate(all="ignore"):
        expected = FORWARD[name](x.astype(np.float64))
    known = np.isfinite(expected) & (np.abs(expected) > 1e-37)
    np.testing.assert_allclose(y[known], expected[known], **TOLERANCE)


@pytest.mark.parametrize("name", FORWARD)
def test_nan_is_never_hidden(name: str, isa: str) -> None:
    x = np.full(19, np.nan, np.float32)
    y = np.zeros_like(x)
    kernels.activation_forward(name, x, y)()
    assert np.isnan(y).all()


def test_backward_refuses_to_do_without_what_it_reads() -> None:
    a = np.ones(5, np.float32)
    for name in FORWARD:
        x, y = (None, a) if name == "silu" else (a, None)
        with pytest.raises(ValueError, match="cnn_activation_backward refused"):
            kernels.activation_backward(name, x, y, a, a.copy())()
