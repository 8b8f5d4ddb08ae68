"""Door to csrc/pool.c, pool_adaptive.c and bf16_pool.c: max, average, LP and adaptive average pooling. Images and what
they are pooled to are both float32 or, but for LP, both bfloat16; means of bfloat16 may be float32, too. The layers are
in cnncli/layers/pool.py."""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from .._kernels import ffi, lib
from .bf16 import BFLOAT16, map_dtype
from .conv import FUSED
from .door import Array, Call, pointer

Pair = tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """How windows lie on an image, each as (rows, columns)."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def on(self, images: Array, pooled: Array) -> Any:
        """Return the C struct for images (n, h, w, c) and their pooled (n, oh, ow, c)."""
        n, h, w, c = images.shape
        if pooled.ndim != 4 or (pooled.shape[0], pooled.shape[3]) != (n, c):
            raise ValueError(f"pooling takes {images.shape} to (n, oh, ow, c), not to {pooled.shape}")
        return ffi.new("cnn_pool *", [n, h, w, c, *pooled.shape[1:3], *sum(astuple(self), ())])


def tap_dtype(kernel: Pair) -> Any:
    """Return the dtype that keeps a maximum's place in its window: uint8, uint16, or None where neither can."""
    return {1: np.uint8, 2: np.uint16, 0: None}[lib.cnn_max_pool_tap_bytes(*kernel)]


def max_pool_forward(windows: Windows, x: Array, y: Array, taps: Array | None, activation: str = "") -> Call:
    """Prepare y (n, oh, ow, c) = activation(the windows' maxima of x (n, h, w, c)).

    taps, of y's shape and tap_dtype's type, keeps their places for backward; None where there is none to come.
    activation is "relu", "relu6" or "" for none.
    """
    p, kind = windows.on(x, y), map_dtype(x)
    return Call("cnn_bf16_max_pool_forward" if kind == BFLOAT16 else "cnn_max_pool_forward", p, FUSED[activation],
                pointer("x", x, dtype=kind), pointer("y", y, dtype=kind),
                pointer("taps", taps, y.shape, tap_dtype(windows.kernel)), keep=(p, x, y, taps))


def max_pool_backward(windows: Windows, taps: Array, dy: Array, dx: Array, y: Array | None = None,
                      activation: str = "") -> Call:
    """Prepare dx (n, h, w, c): each dy (n, oh, ow, c), behind the activation, added where its maximum was.

    y, forward's result, is needed where it had an activation.
    """
    p, kind = windows.on(dx, dy), map_dtype(dx)
    return Call("cnn_bf16_max_pool_backward" if kind == BFLOAT16 else "cnn_max_pool_backward", p, FUSED[activation],
                pointer("y", y, dy.shape, kind), pointer("taps", taps, dy.shape, tap_dtype(windows.kernel)),
                pointer("dy", dy, dtype=kind), pointer("dx", dx, dtype=kind), keep=(p, y, taps, dy, dx))


def average_pool_forward(windows: Windows, count_include_pad: bool, x: Array, y: Array) -> Call:
    """Prepare y (n, oh, ow, c) = the windows' means of x (n, h, w, c)."""
    p = windows.on(x, y)
    if x.dtype == BFLOAT16:
        return Call("cnn_bf16_average_pool_forward", p, int(count_include_pad), pointer("x", x, dtype=BFLOAT16),
                    *_either("y", y), keep=(p, x, y))
    return Call("cnn_average_pool_forward", p, int(count_include_pad), pointer("x", x), pointer("y", y),
                keep=(p, x, y))


def average_pool_backward(windows: Windows, count_include_pad: bool, dy: Array, dx: Array) -> Call:
    """Prepare dx (n, h, w, c) from dy (n, oh, ow, c)."""
    p = windows.on(dx, dy)
    if dx.dtype == BFLOAT16:
        return Call("cnn_bf16_average_pool_backward", p, int(count_include_pad), *_either("dy", dy),
                    pointer("dx", dx, dtype=BFLOAT16), keep=(p, dy, dx))
    return Call("cnn_average_pool_backward", p, int(count_include_pad), pointer("dy", dy), pointer("dx", dx),
                keep=(p, dy, dx))


def _either(name: str, pooled: Array) -> tuple[Any, ...]:
    """Return how means are stored, as C wants it, and the pointer to them."""
    kind = map_dtype(pooled)
    storage = lib.CNN_BFLOAT16 if kind == BFLOAT16 else lib.CNN_FLOAT32
    return storage, ffi.cast("void *", pointer(name, pooled, dtype=kind))


def lp_pool_forward(windows: Windows, norm: float, x: Array, y: Array) -> Call:
    """Prepare y (n, oh, ow, c) = (sum of x^norm)^(1 / norm) over windows without padding of x (n, h, w, c)."""
    p = windows.on(x, y)
    return Call("cnn_lp_pool_forward", p, norm, pointer("x", x), pointer("y", y), keep=(p, x, y))


def lp_pool_backward(windows: Windows, norm: float, x: Array, y: Array, dy: Array, dx: Array) -> Call:
    """Prepare dx (n, h, w, c) from lp_pool_forward's x and y and the gradient dy of y."""
    p = windows.on(dx, dy)
    return Call("cnn_lp_pool_backward", p, norm, pointer("x", x, dx.shape), pointer("y", y, dy.shape),
                pointer("dy", dy), pointer("dx", dx), keep=(p, x, y, dy, dx))


def adaptive_average_pool_forward(x: Array, y: Array) -> Call:
    """Prepare y (n, oh, ow, c): the means of the oh x ow windows that share x (n, h, w, c) out."""
    kind = map_dtype(x)
    return Call("cnn_bf16_adaptive_average_pool_forward" if kind == BFLOAT16 else "cnn_adaptive_average_pool_forward",
                *_sizes(x, y), pointer("x", x, dtype=kind), pointer("y", y, dtype=kind), keep=(x, y))


def adaptive_average_pool_backward(dy: Array, dx: Array) -> Call:
    """Prepare dx (n, h, w, c) from dy (n, oh, ow, c)."""
    kind = map_dtype(dx)
    return Call("cnn_bf16_adaptive_average_pool_backward" if kind == BFLOAT16 else "cnn_adaptive_average_pool_backward",
                *_sizes(dx, dy), pointer("dy", dy, dtype=kind), pointer("dx", dx, dtype=kind), keep=(dy, dx))


def _sizes(images: Array, pooled: Array) -> tuple[int, ...]:
    n, _, _, c = images.shape
    if pooled.ndim != 4 or (pooled.shape[0], pooled.shape[3]) != (n, c):
        raise ValueError(f"pooling takes {images.shape} to (n, oh, ow, c), not to {pooled.shape}")
    return *images.shape, *pooled.shape[1:3]
