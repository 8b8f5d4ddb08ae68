"""Layers of several inputs: skip connections and branches come together here. The kernels are in
csrc/elementwise.c."""

from .. import kernels
from ..errors import NetworkError
from ..kernels import Call
from .base import Buffers, Layer, Shape
from .int8 import Int8Buffers, parts, rescaled


class Add(Layer):
    """The sum of two or more inputs of one shape: a skip connection's end (He et al. 2016)."""

    arity = None
    passes_gradient = sums = takes_bfloat16 = True

    def output_shape(self, *shapes: Shape) -> Shape:
        _several(self, shapes)
        if any(shape != shapes[0] for shape in shapes):
            raise NetworkError(f"Add needs inputs of one shape, not {' and '.join(map(str, shapes))}; "
                               f"{_remedy(shapes, shapes[0][-1])}.")
        return shapes[0]

    def forward_calls(self, io: Buffers) -> list[Call]:
        first = kernels.add(io.x[0], io.x[1], io.y)
        return [first, *(kernels.add(io.y, x, io.y) for x in io.x[2:])]

    def takes_bytes(self, *shapes: Shape) -> bool:
        return len(shapes) == 2  # of more, the sum of two would have to be rounded

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        assert io.to is not None
        (a, b), (least, most) = io.steps, io.bounds()
        total = kernels.Sum(a.zero, parts(a, io.to), b.zero, parts(b, io.to), io.to.zero, least, most)
        return [kernels.int8_add(total, io.x[0], io.x[1], io.y)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        return [kernels.copy(io.dy, dx) for dx in io.dx if dx is not None and io.dy is not None]


class Concat(Layer):
    """Puts the channels of two or more inputs behind one another (Szegedy et al. 2015)."""

    arity = None
    takes_bfloat16 = True

    def output_shape(self, *shapes: Shape) -> Shape:
        _several(self, shapes)
        if any(shape[:-1] != shapes[0][:-1] for shape in shapes):
            raise NetworkError(f"Concat needs inputs of one height and width, not {' and '.join(map(str, shapes))}; "
                               f"{_remedy(shapes, None)}.")
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def forward_calls(self, io: Buffers) -> list[Call]:
        return [kernels.copy_channels(x, io.y, y_start=at) for x, at in zip(io.x, _starts(io), strict=True)]

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        starts = _starts(io)
        return [rescaled(io, index, first) for index, first in enumerate(starts)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        return [kernels.copy_channels(io.dy, dx, x_start=at)
                for dx, at in zip(io.dx, _starts(io), strict=True) if dx is not None and io.dy is not None]


def _several(layer: Layer, shapes: tuple[Shape, ...]) -> None:
    if len(shapes) < 2:
        raise NetworkError(f"{type(layer).__name__} needs two inputs or more; name them with inputs = [\"…\", \"…\"].")


def _remedy(shapes: tuple[Shape, ...], channels: int | None) -> str:
    """Return what makes inputs alike that are not: in height and width, and in channels where these count."""
    if len({len(shape) for shape in shapes}) > 1:
        return "put GlobalAvgPool2d or Flatten before each of them that is an image"
    if len(shapes[0]) == 1:
        return f"put a Linear of out_features = {channels} before each that has another length"
    small, large = min(shapes), max(shapes)
    if small[:2] == large[:2]:
        return f"put a Conv2d with kernel_size = 1 and out_channels = {channels} before each that has other channels"
    stride = round(large[0] / small[0])
    if stride > 1 and all((n - 1) // stride + 1 == m for n, m in zip(large[:2], small[:2], strict=True)):
        return (f"put a Conv2d with kernel_size = 1, stride = {stride} and out_channels = {small[2]} before each of "
                f"{large[0]} x {large[1]} positions")
    return ('give the layers on the ways to them the same strides, and convolutions of stride 1 padding = "same" '
            '(others "same_tf")')


def _starts(io: Buffers | Int8Buffers) -> list[int]:
    """Return the channel at which each input begins in the output."""
    starts = [0]
    for x in io.x[:-1]:
        starts.append(starts[-1] + x.shape[-1])
    return starts
