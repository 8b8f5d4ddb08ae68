"""Flatten: from images to the flat vectors that Linear takes. The kernel is in csrc/elementwise.c."""

from .. import kernels
from ..kernels import Call
from .base import Buffers, Layer, Shape, count
from .int8 import Int8Buffers, rescaled


class Flatten(Layer):
    """Makes a vector of an image: (h, w, c) to (c * h * w,), in PyTorch's order, channels first.

    Dense weights therefore mean the same in both. A vector stays as it is.
    """

    keeps_numbers = takes_bfloat16 = True

    def output_shape(self, *shapes: Shape) -> Shape:
        return (count(shapes[0]),)

    def forward_calls(self, io: Buffers) -> list[Call]:
        x = io.x[0]
        return [kernels.flatten_forward(x, io.y) if x.ndim == 4 else kernels.copy(x, io.y)]

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        return [kernels.int8_flatten(io.x[0], io.y) if io.x[0].ndim == 4 else rescaled(io, 0)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        dx, dy = io.dx[0], io.dy
        if dx is None or dy is None:
            return []
        return [kernels.flatten_backward(dy, dx) if dx.ndim == 4 else kernels.copy(dy, dx)]
