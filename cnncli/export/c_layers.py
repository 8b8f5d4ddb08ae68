"""A network as calls of C functions: a function for each type of layer, entered in WRITERS by its decorator, says which
function of runtime.c computes it, with which constants. csource.py puts what is before and behind the network around
them.
"""

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import numpy as np

from .. import layers
from ..layers import Layer, Shape
from ..network import INPUT, Network, Node
from .windows import mean_factors, whole_factors
from .writers import Writers

WRITERS = Writers("C")
Kind = TypeVar("Kind", bound=Layer)
_NUMBERS_A_LINE = 10


class Source:
    """Collects weights and calls, a layer at a time, and where in working memory each value lies."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.parts: set[str] = set()
        self.weights: list[str] = []
        self.calls: list[str] = []
        self.memory = _Memory()
        last = {name: place for place, node in enumerate(network.nodes) for name in node.inputs}
        self.places = {INPUT: self.memory.take(_count(network.input_shape))}
        for place, node in enumerate(network.nodes):
            self.places[node.name] = self.memory.take(_count(node.shape))
            WRITERS.for_node(node)(Place(self, node, node.layer))
            for name in {*node.inputs}:
                if last[name] == place:
                    self.memory.give(self.places[name])

    def value(self, name: str) -> str:
        """Return the expression for a value's first number."""
        return f"at + {self.places[name][0]}"

    def numbers(self, name: str, array: Any) -> str:
        """Add an array of constants, to the bit, and return the expression for it."""
        bits = np.ascontiguousarray(array, np.float32).ravel().view(np.uint32).tolist()
        symbol = f"n{len(self.weights)}"
        starts = range(0, len(bits), _NUMBERS_A_LINE)
        body = ",\n".join(",".join(f"0x{v:x}" for v in bits[i : i + _NUMBERS_A_LINE]) for i in starts)
        kind = f"union {{ uint32_t bits[{len(bits)}]; float values[{len(bits)}]; }}"
        self.weights.append(f"/* {name} */\nstatic const {kind} {symbol} = {{{{\n{body}}}}};\n")
        return f"{symbol}.values"


class Place(Generic[Kind]):
    """A layer about to be written: x and y are the expressions for its first input and its output, ``shapes`` those of
    its inputs and ``shape`` its own, ``pixels`` the positions of its output."""

    def __init__(self, source: Source, node: Node, layer: Kind) -> None:
        self.source, self.layer = source, layer
        self.name, self.shape = node.name, node.shape
        self.inputs = [source.value(name) for name in node.inputs]
        self.shapes: list[Shape] = [source.network.shape_of(name) for name in node.inputs]
        self.x, self.y = self.inputs[0], source.value(node.name)
        self.pixels = _count(node.shape[:-1])

    @property
    def images(self) -> list[Any]:
        """What functions over images take first: x, its height, width and channels, y, its height and width."""
        return [self.x, *self.shapes[0], self.y, *self.shape[:2]]

    def call(self, part: str, function: str, *arguments: Any) -> None:
        """Append a call of a function that lies in a part of runtime.c."""
        self.source.parts.add(part)
        self.source.calls.append(f"{function}({', '.join(map(str, arguments))});")

    def numbers(self, part: str, array: Any) -> str:
        """Add constants of the layer's and return the expression for them."""
        return self.source.numbers(f"{self.name}{part}", array)

    def bias(self) -> str:
        """Add the bias, where there is one."""
        return self.numbers(".bias", self.layer.params["bias"]) if "bias" in self.layer.params else "NULL"

    def copy(self) -> None:
        """Append a copy of x to y."""
        self.source.calls.append(f"memcpy({self.y}, {self.x}, {_count(self.shape)} * sizeof(float));")


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
               place.numbers(", factors", factors), f"(float){number(norm)}")


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
    place.call("softmax", "softmax", place.x, place.pixels, place.shape[-1], "1", place.y)


def _pointwise(function: str, option: str = "") -> Callable[[Place[Any]], None]:
    """The writer of a layer that is a case of runtime.c's ``pointwise``, with a number from its config."""
    def write(place: Place[Any]) -> None:
        value = place.layer.config()[option] if option else 0
        place.call("pointwise", "pointwise", place.x, _count(place.shape), function, f"(float){number(value)}", place.y)
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


def number(value: float) -> str:
    """Return a number as C has it."""
    return repr(float(value))
