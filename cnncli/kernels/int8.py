"""Door to csrc/int8_conv.c, int8.c and int8_pool.c: inference in whole numbers. A byte q stands for scale * (q - zero).
network/int8_plan.py puts these calls together.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._kernels import ffi, lib
from .conv import Convolution
from .door import Array, Call, aligned_empty, pointer
from .linear import linear_convolution
from .pool import Windows

PARTS = 4096  # what Requantise.add_multiplier and Sum count in


@dataclass(frozen=True)
class Requantise:
    """What becomes of a convolution's sums: y = clamp(round((sum + bias) * multiplier) + zero), where clamp brings it
    into least … most. bias is int32, multiplier float32, one a channel. add, uint8 and shaped as y, joins in: times
    add_multiplier / PARTS, counted from add_zero. real, float32 and shaped as y, gets (sum + bias) * multiplier in
    place of y."""

    bias: Array
    multiplier: Array
    zero: int = 0
    least: int = 0
    most: int = 255
    add: Array | None = None
    add_zero: int = 0
    add_multiplier: int = 0
    real: Array | None = None

    def struct(self, shape: tuple[int, ...]) -> Any:
        """Return a new cnn_requantise for results of this shape."""
        return ffi.new("cnn_requantise *", [
            pointer("bias", self.bias, shape[-1:], np.int32), pointer("multiplier", self.multiplier, shape[-1:]),
            self.zero, self.least, self.most, pointer("add", self.add, shape, np.uint8), self.add_zero,
            self.add_multiplier, pointer("real", self.real, shape)])


@dataclass(frozen=True)
class Sum:
    """What becomes of two activations: y = clamp((a - a_zero) * a_multiplier / PARTS + (b - b_zero) * b_multiplier /
    PARTS + zero), rounded once, halves upward."""

    a_zero: int
    a_multiplier: int
    b_zero: int
    b_multiplier: int
    zero: int
    least: int = 0
    most: int = 255

    def struct(self) -> Any:
        """Return a new cnn_int8_sum."""
        return ffi.new("cnn_int8_sum *", [self.a_zero, self.a_multiplier, self.b_zero, self.b_multiplier, self.zero,
                                          self.least, self.most])


def int8_fits(convolution: Convolution) -> bool:
    """Return whether a convolution's sums fit into an int32 whatever the numbers are."""
    return bool(lib.cnn_int8_conv2d_fits(convolution.struct()))


def int8_packed(convolution: Convolution) -> int:
    """Return the bytes of packed weights, for any number of images. Raises ValueError for one that does not fit."""
    size = lib.cnn_int8_conv2d_packed(convolution.struct())
    if size < 0:
        raise ValueError(f"{convolution} is no convolution that the int8 kernels take")
    return int(size)


def int8_conv2d_pack(convolution: Convolution, weight: Array, packed: Array) -> Call:
    """Prepare laying int8 weights out for the active instruction set and words: before the first forward."""
    struct = convolution.struct()
    return Call("cnn_int8_conv2d_pack", struct, pointer("weight", weight, convolution.weight_shape, np.int8),
                _room(convolution, packed), keep=(struct, weight, packed))


def int8_conv2d_forward(convolution: Convolution, x: Array, zero_x: int, packed: Array, finish: Requantise,
                        y: Array | None) -> Call:
    """Prepare y = requantise(x * weight), uint8; beyond x's borders lies zero_x. y is None where finish has real."""
    struct, last = convolution.struct(), finish.struct(convolution.y_shape)
    return Call("cnn_int8_conv2d_forward", struct, pointer("x", x, convolution.x_shape, np.uint8), zero_x,
                _room(convolution, packed), last, pointer("y", y, convolution.y_shape, np.uint8),
                keep=(struct, x, packed, finish, last, y))


def _room(convolution: Convolution, packed: Array) -> Any:
    if packed.nbytes < int8_packed(convolution) or packed.ctypes.data % 64:
        raise ValueError(f"packed must hold {int8_packed(convolution)} bytes and be 64-byte aligned; use aligned_empty")
    return pointer("packed", packed, dtype=np.int8)


def int8_packed_weights(convolution: Convolution) -> Array:
    """Return room (int8) for what ``int8_conv2d_pack`` makes of weights."""
    return aligned_empty((int8_packed(convolution),), np.int8)


def int8_linear_pack(weight: Array, packed: Array) -> Call:
    """Prepare the same for a dense layer's weights (out, in)."""
    return int8_conv2d_pack(linear_convolution(1, weight.shape[1], weight.shape[0]), weight[:, :, None, None], packed)


def int8_linear_forward(x: Array, zero_x: int, packed: Array, finish: Requantise, y: Array | None, features: int
                        ) -> Call:
    """Prepare y (n, features) = requantise(x weight'), x (n, in). y is None where finish has real."""
    n = len(x)
    add = None if finish.add is None else finish.add.reshape(n, 1, 1, features)
    real = None if finish.real is None else finish.real.reshape(n, 1, 1, features)
    return int8_conv2d_forward(linear_convolution(n, x.shape[1], features), x.reshape(n, 1, 1, -1), zero_x, packed,
                               replace(finish, add=add, real=real),
                               None if y is None else y.reshape(n, 1, 1, features))


def int8_quantise(x: Array, scale: float, zero: int, y: Array) -> Call:
    """Prepare y (uint8) = clamp(round(x / scale) + zero) of float32."""
    return Call("cnn_int8_quantise", x.size, float(1 / np.float32(scale)), zero, pointer("x", x),
                pointer("y", y, x.shape, np.uint8), keep=(x, y))


def int8_dequantise(x: Array, scale: float, zero: int, y: Array) -> Call:
    """Prepare y (float32) = (x - zero) * scale of bytes."""
    return Call("cnn_int8_dequantise", x.size, scale, zero, pointer("x", x, dtype=np.uint8),
                pointer("y", y, x.shape), keep=(x, y))


def int8_columns(x: Array, table: Array | None, y: Array, first: int = 0) -> Call:
    """Prepare looking each byte of x up in table (256,), or copying it, into channels of y from ``first`` on."""
    width = x.shape[-1]
    rows, to = x.size // width, y.shape[-1]
    if y.shape[:-1] != x.shape[:-1] or not 0 <= first <= to - width:
        raise ValueError(f"{width} channels of {x.shape} from {first} on do not fit into {y.shape}")
    target = pointer("y", y, dtype=np.uint8) + first
    return Call("cnn_int8_columns", rows, width, pointer("table", table, (256,), np.uint8),
                pointer("x", x, dtype=np.uint8), width, target, to, keep=(x, table, y))


def int8_add(total: Sum, a: Array, b: Array, y: Array) -> Call:
    """Prepare y = the sum of a and b, all bytes."""
    struct = total.struct()
    return Call("cnn_int8_add", a.size, struct, pointer("a", a, dtype=np.uint8), pointer("b", b, a.shape, np.uint8),
                pointer("y", y, a.shape, np.uint8), keep=(struct, a, b, y))


def int8_max_pool(x: Array, windows: Windows, y: Array) -> Call:
    """Prepare the largest byte of each window; scale and zero point stay."""
    struct = windows.on(x, y)
    return Call("cnn_int8_max_pool", struct, pointer("x", x, dtype=np.uint8), pointer("y", y, dtype=np.uint8),
                keep=(struct, x, y))


def int8_average_pool(x: Array, windows: Windows, count_include_pad: bool, multiplier: float, zero_x: int, zero: int,
                      y: Array) -> Call:
    """Prepare the mean of each window, times multiplier, which is x's scale by y's."""
    struct = windows.on(x, y)
    return Call("cnn_int8_average_pool", struct, count_include_pad, multiplier, zero_x, zero,
                pointer("x", x, dtype=np.uint8), pointer("y", y, dtype=np.uint8), keep=(struct, x, y))


def int8_adaptive_average_pool(x: Array, multiplier: float, zero_x: int, zero: int, y: Array) -> Call:
    """Prepare the means of windows that share an image out: x (n, h, w, c) to y (n, oh, ow, c)."""
    return Call("cnn_int8_adaptive_average_pool", *x.shape, *y.shape[1:3], multiplier, zero_x, zero,
                pointer("x", x, dtype=np.uint8), pointer("y", y, dtype=np.uint8), keep=(x, y))


def int8_flatten(x: Array, y: Array) -> Call:
    """Prepare images (n, h, w, c) in PyTorch's order (c, h, w): y (n, features)."""
    n, h, w, c = x.shape
    return Call("cnn_int8_flatten", n, h * w, c, pointer("x", x, dtype=np.uint8), pointer("y", y, dtype=np.uint8),
                keep=(x, y))
