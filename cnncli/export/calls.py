"""A network as calls of the functions of runtime.c: a function for each type of layer, entered in WRITERS by its
decorator, says which of them computes it, with which constants. csource.py writes the calls as C, page/program.py for
the script of a page.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from .. import layers
from ..kernels import Array
from ..layers import Layer, Shape
from ..network import INPUT, Network, Node
from .windows import mean_factors, whole_factors
from .writers import Writers

WRITERS = Writers("C")
Kind = TypeVar("Kind", bound=Layer)


@dataclass(frozen=True)
class Value:
    """An argument: where in working memory a value's first number lies, counted in numbers."""

    place: int


@dataclass(frozen=True)
class Constants:
    """An argument: an array of constants, by its place in ``Calls.constants``."""

    index: int


@dataclass(frozen=True)
class Call:
    """A call of a function of runtime.c for a layer. Arguments are values, constants or None, numbers, or C's word for
    one."""

    layer: str
    function: str
    arguments: tuple[Value | Constants | int | float | str | None, ...]


class Calls:
    """What computes a network: calls, constants (name, float32), and where in working memory each value lies. kept: all
    values stay there to the end; else each lies where none is that is still read."""

    def __init__(self, network: Network, kept: bool = False) -> None:
        self.network = network
        self.parts: set[str] = set()
        self.constants: list[tuple[str, Array]] = []
        self.calls: list[Call] = []
        self.memory = _Memory()
        last = {name: place for place, node in enumerate(network.nodes) for name in node.inputs}
        self.places = {INPUT: self.memory.take(_count(network.input_shape))}
        for place, node in enumerate(network.nodes):
            self.places[node.name] = self.memory.take(_count(node.shape))
            WRITERS.for_node(node)(Place(self, node, node.layer))
            for name in {*node.inputs}:
                if last[name] == place and not kept:
                    self.memory.give(self.places[name])

    def value(self, name: str) -> Value:
        """Return the argument for a value."""
        return Value(self.places[name][0])

    def numbers(self, name: str, array: Any) -> Constants:
        """Add an array of constants and return the argument for it."""
        self.constants.append((name, np.ascontiguousarray(array, np.float32)))
        return Constants(len(self.constants) - 1)


class Place(Generic[Kind]):
    """A layer about to be written: x and y are its first input and its output, ``shapes`` the shapes of its inputs and
    ``shape`` its own, ``pixels`` the positions of its output."""

    def __init__(self, calls: Calls, node: Node, layer: Kind) -> None:
        self.calls, self.layer = calls, layer
        self.name, self.shape = node.name, node.shape
        self.inputs = [calls.value(name) for name in node.inputs]
        self.shapes: list[Shape] = [calls.network.shape_of(name) for name in node.inputs]
        self.x, self.y = self.inputs[0], calls.value(node.name)
        self.pixels = _count(node.shape[:-1])

    @property
    def images(self) -> list[Any]:
        """What functions over images take first: x, its height, width and channels, y, its height and width."""
        return [self.x, *self.shapes[0], self.y, *self.shape[:2]]

    def call(self, part: str, function: str, *arguments: Any) -> None:
        """Append a call of a function that lies in a part of runtime.c."""
        self.calls.parts.add(part)
        self.calls.calls.append(Call(self.name, function, arguments))

    def numbers(self, part: str, array: Any) -> Constants:
        """Add constants of the layer's and return the argument for them."""
        return self.calls.numbers(f"{self.name}{part}", array)

    def bias(self) -> Constants | None:
        """Add the bias, where there is one."""
        return self.numbers(".bias", self.layer.params["bias"]) if "bias" in self.layer.params else None

    def copy(self) -> None:
        """Append a copy of x to y."""
        self.call("copy", "copy", self.x, _count(self.shape), self.y)


# ---- a function for each layer ----


@WRITERS.of(layers.Conv2d, layers.Whitening)
def _conv(place: Place[layers.Conv2d]) -> None:
    layer = place.layer
    (h, w, ci), (oh, ow, co) = place.shapes[0], place.shape
    top, _, left, _ = layer.zeros(h, w)
    weights = place.numbers(".weight", layer.params["weight"].transpose(2, 3, 1, 0))
    place.call("conv", "conv", place.x, h, w, ci, weights, place.bias(), place.y, oh, ow, co, *layer.kernel_size,
               *layer.stride, top, left, *layer.dilation, layer.groups)


@WRITERS.of(layers.Linear)
def _linear(place: Place[layers.Linear]) -> None:
    weight = place.layer.params["weight"]
    place.call("linear", "linear", place.x, weight.shape[1], place.numbers(".weight", weight.T), place.bias(), place.y,
               weight.shape[0])


@WRITERS.of(layers.BatchNorm2d)
def _batch_norm(place: Place[layers.BatchNorm2d]) -> None:
    layer = place.layer
    mean, var = (layer.state[name].astype(np.float64) for name in ("running_mean", "running_var"))
    scale = layer.params.get("weight", 1) / np.sqrt(var + layer.eps)
    shift = layer.params.get("bias", 0) - mean * scale
    place.call("affine", "affine", place.x, place.pixels, place.shape[-1], place.numbers(", scale", scale),
               place.numbers(", shift", shift), place.y)


@WRITERS.of(layers.MaxPool2d)
def _max_pool(place: Place[layers.MaxPool2d]) -> None:
    w = place.layer.windows
    place.call("maximum", "max_pool", *place.images, *w.kernel, *w.stride, *w.padding, *w.dilation)


@WRITERS.of(layers.AvgPool2d)
def _avg_pool(place: Place[layers.AvgPool2d]) -> None:
    layer = place.layer
    _mean_pool(place, mean_factors(layer.windows, place.shapes[0], place.shape, layer.count_include_pad), 1.0)


@WRITERS.of(layers.LPPool2d)
def _lp_pool(place: Place[layers.LPPool2d]) -> None:
    layer = place.layer
    _mean_pool(place, whole_factors(layer.windows, place.shapes[0], place.shape), float(layer.norm_type))


def _mean_pool(place: Place[Any], factors: Any, norm: float) -> None:
    w = place.layer.windows
    place.call("mean", "mean_pool", *place.images, *w.kernel, *w.stride, *w.padding,
               place.numbers(", factors", factors), norm)


@WRITERS.of(layers.GlobalAvgPool2d)
def _global_avg_pool(place: Place[layers.GlobalAvgPool2d]) -> None:
    place.call("adaptive", "adaptive_pool", place.x, *place.shapes[0], place.y, 1, 1)


@WRITERS.of(layers.AdaptiveAvgPool2d)
def _adaptive_avg_pool(place: Place[layers.AdaptiveAvgPool2d]) -> None:
    place.call("adaptive", "adaptive_pool", *place.images)


@WRITERS.of(layers.Flatten)
def _flatten(place: Place[layers.Flatten]) -> None:
    shape = place.shapes[0]
    place.call("flatten", "flatten", place.x, _count(shape[:-1]), shape[-1], place.y)


@WRITERS.of(layers.Dropout)
def _dropout(place: Place[layers.Dropout]) -> None:
    place.copy()


@WRITERS.of(layers.Add)
def _add(place: Place[layers.Add]) -> None:
    place.copy()
    for x in place.inputs[1:]:
        place.call("add", "add", x, _count(place.shape), place.y)


@WRITERS.of(layers.Concat)
def _concat(place: Place[layers.Concat]) -> None:
    first = 0
    for x, shape in zip(place.inputs, place.shapes, strict=True):
        place.call("concat", "put_channels", x, place.pixels, shape[-1], place.y, first, place.shape[-1])
        first += shape[-1]


@WRITERS.of(layers.Softmax)
def _softmax(place: Place[layers.Softmax]) -> None:
    place.call("softmax", "softmax", place.x, place.pixels, place.shape[-1], 1.0, place.y)


def _pointwise(function: str, option: str = "") -> Callable[[Place[Any]], None]:
    """The writer of a layer that is a case of runtime.c's ``pointwise``, with a number from its config."""
    def write(place: Place[Any]) -> None:
        value = float(place.layer.config()[option]) if option else 0.0
        place.call("pointwise", "pointwise", place.x, _count(place.shape), function, value, place.y)
    return write


WRITERS |= {layers.LeakyReLU: _pointwise("LEAKY_RELU", "negative_slope"), layers.ReLU: _pointwise("RELU"),
            layers.ReLU6: _pointwise("RELU6"), layers.Scale: _pointwise("SCALE", "factor"),
            layers.SiLU: _pointwise("SILU"), layers.Sigmoid: _pointwise("SIGMOID"), layers.Tanh: _pointwise("TANH")}


# ---- memory ----


class _Memory:
    """Hands out stretches of working memory, each at the lowest place where nothing lies."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []
        self.most = 0

    def take(self, count: int) -> tuple[int, int]:
        start = 0
        for begin, end in sorted(self.taken):
            if start + count <= begin:
                break
            start = max(start, end)
        self.taken.append((start, start + count))
        self.most = max(self.most, start + count)
        return start, start + count

    def give(self, place: tuple[int, int]) -> None:
        self.taken.remove(place)


def _count(shape: Iterable[int]) -> int:
    return int(np.prod(list(shape), dtype=np.int64))
