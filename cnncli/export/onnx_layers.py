"""A network as the nodes of an ONNX graph: a function for each type of layer, entered in WRITERS by its decorator.
onnx.py puts what is before and behind the network around them.

Images are (n, c, h, w) there, as ONNX's operators want them; flat values are (n, features), in the same order as ours.
What ONNX's pooling counts differently than ours (windows that ceil_mode lets reach beyond the padding, signed powers)
is written as sums and constant factors, so that no runtime has to agree about it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Generic, TypeVar

import numpy as np

from .. import layers
from ..kernels import Array, Windows
from ..layers import Layer, Shape
from ..network import Network
from .onnx_graph import Graph
from .onnx_int8 import QuantisedValues, Values
from .windows import mean_factors, whole_factors
from .writers import Writers

WRITERS = Writers("an ONNX file")
Kind = TypeVar("Kind", bound=Layer)


def add_network(graph: Graph, network: Network, images: str) -> str:
    """Append a network that reads the value ``images`` (n, c, h, w); return the name of its output (n, classes)."""
    values = QuantisedValues(graph, network, images) if network.quantisation else Values(images)
    for node in network.nodes:
        shapes = [network.shape_of(name) for name in node.inputs]
        place = Place(graph, node.name, node.layer, values.read_by(node), shapes, node.shape,
                      values.parameters_of(node))
        values.written(node, WRITERS.for_node(node)(place))
    return values.real(network.nodes[-1].name)


@dataclass(frozen=True)
class Place(Generic[Kind]):
    """A layer about to be written: the values that it reads, their shapes and its own, as we have them. written are its
    weights, where they are in the graph already."""

    graph: Graph
    name: str
    layer: Kind
    inputs: list[str]
    shapes: list[Shape]
    shape: Shape
    written: list[str] | None = None

    def add(self, operator: str, inputs: Sequence[str], part: str = "", **attributes: Any) -> str:
        """Append a node that yields the layer's value, or a part on the way to it; return the value's name."""
        return self.graph.add(operator, inputs, f"{self.name}.{part}" if part else self.name, **attributes)

    def constant(self, part: str, array: Any, dtype: Any = np.float32) -> str:
        """Add a constant of the layer's and return its name."""
        return self.graph.constant(f"{self.name}.{part}", array, dtype)

    def parameters(self) -> list[str]:
        """Add weight and bias, as far as it has them and they are not there."""
        if self.written is not None:
            return self.written
        params = self.layer.params
        return [self.constant(part, params[part]) for part in ("weight", "bias") if part in params]


# ---- a function for each layer: place -> name of the output ----


@WRITERS.of(layers.Conv2d, layers.Whitening)
def _conv(place: Place[layers.Conv2d]) -> str:
    layer = place.layer
    top, bottom, left, right = layer.zeros(*place.shapes[0][:2])
    return place.add("Conv", [*place.inputs, *place.parameters()], kernel_shape=list(layer.kernel_size),
                     strides=list(layer.stride), dilations=list(layer.dilation), group=layer.groups,
                     pads=[top, left, bottom, right])


@WRITERS.of(layers.Linear)
def _linear(place: Place[layers.Linear]) -> str:
    return place.add("Gemm", [*place.inputs, *place.parameters()], transB=1)


@WRITERS.of(layers.BatchNorm2d)
def _batch_norm(place: Place[layers.BatchNorm2d]) -> str:
    channels = place.shapes[0][-1]
    defaults = {"weight": np.ones(channels), "bias": np.zeros(channels)}
    arrays = {**defaults, **place.layer.params, **place.layer.state}
    names = [place.constant(part, arrays[part]) for part in ("weight", "bias", "running_mean", "running_var")]
    return place.add("BatchNormalization", [*place.inputs, *names], epsilon=place.layer.eps)


@WRITERS.of(layers.MaxPool2d)
def _max_pool(place: Place[layers.MaxPool2d]) -> str:
    windows, inputs = place.layer.windows, place.inputs
    pads = _pads(windows, place)
    if any(pad >= kernel for pad, kernel in zip(pads, windows.kernel * 2, strict=True)):  # a dilated window's
        zeros = [0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]]
        inputs = [place.add("Pad", [*inputs, place.constant("pads", zeros, np.int64),
                                    place.constant("least", -np.inf)], "padded")]
        pads = [0, 0, 0, 0]
    return place.add("MaxPool", inputs, kernel_shape=list(windows.kernel), strides=list(windows.stride),
                     dilations=list(windows.dilation), pads=pads)


@WRITERS.of(layers.AvgPool2d)
def _avg_pool(place: Place[layers.AvgPool2d]) -> str:
    windows = place.layer.windows
    factors = mean_factors(windows, place.shapes[0], place.shape, place.layer.count_include_pad)
    return _times(place, "", _mean(place, windows, place.inputs[0]), prod(windows.kernel) * factors)


@WRITERS.of(layers.LPPool2d)
def _lp_pool(place: Place[layers.LPPool2d]) -> str:
    windows, norm = place.layer.windows, float(place.layer.norm_type)
    power, root = place.constant("norm", norm), place.constant("root", 1 / norm)
    mean = _mean(place, windows, place.add("Pow", [place.inputs[0], power], "raised"))
    factors = whole_factors(windows, place.shapes[0], place.shape)
    return place.add("Pow", [_times(place, "sum", mean, prod(windows.kernel) * factors), root])


@WRITERS.of(layers.GlobalAvgPool2d)
def _global_avg_pool(place: Place[layers.GlobalAvgPool2d]) -> str:
    return place.add("Flatten", [place.add("GlobalAveragePool", place.inputs, "mean")], axis=1)


@WRITERS.of(layers.AdaptiveAvgPool2d)
def _adaptive_avg_pool(place: Place[layers.AdaptiveAvgPool2d]) -> str:
    """Two products with constant matrices, down the rows and along the columns."""
    sizes = zip(place.shapes[0][:2], place.layer.output_size, strict=True)
    down, along = (_sharing(size, cells) for size, cells in sizes)
    rows = place.add("MatMul", [place.constant("down", down), place.inputs[0]], "rows")
    return place.add("MatMul", [rows, place.constant("along", along.T)])


@WRITERS.of(layers.Softmax)
def _softmax(place: Place[layers.Softmax]) -> str:
    return place.add("Softmax", place.inputs, axis=1)


@WRITERS.of(layers.Flatten)
def _flatten(place: Place[layers.Flatten]) -> str:
    return place.add("Flatten", place.inputs, axis=1)


@WRITERS.of(layers.Concat)
def _concat(place: Place[layers.Concat]) -> str:
    return place.add("Concat", place.inputs, axis=1)


@WRITERS.of(layers.ReLU6)
def _relu6(place: Place[layers.ReLU6]) -> str:
    limits = [place.constant(name, value) for name, value in (("least", 0.0), ("most", 6.0))]
    return place.add("Clip", [*place.inputs, *limits])


@WRITERS.of(layers.LeakyReLU)
def _leaky_relu(place: Place[layers.LeakyReLU]) -> str:
    return place.add("LeakyRelu", place.inputs, alpha=place.layer.slope)


@WRITERS.of(layers.SiLU)
def _silu(place: Place[layers.SiLU]) -> str:
    return place.add("Mul", [place.inputs[0], place.add("Sigmoid", place.inputs, "sigmoid")])


@WRITERS.of(layers.Scale)
def _scale(place: Place[layers.Scale]) -> str:
    return place.add("Mul", [*place.inputs, place.constant("factor", place.layer.factor)])


def _plain(operator: str) -> Callable[[Place[Any]], str]:
    """The writer of a layer that is one operator without attributes."""
    return lambda place: place.add(operator, place.inputs)


WRITERS |= {layers.Add: _plain("Sum"), layers.Dropout: _plain("Identity"), layers.ReLU: _plain("Relu"),
            layers.Sigmoid: _plain("Sigmoid"), layers.Tanh: _plain("Tanh")}


# ---- pooling windows ----


def _pads(windows: Windows, place: Place[Any]) -> list[int]:
    """Return ONNX's pads [top, left, bottom, right] with which plain division yields our number of windows."""
    begin, end = [], []
    for axis in (0, 1):
        k, s, p, d = (getattr(windows, name)[axis] for name in ("kernel", "stride", "padding", "dilation"))
        begin.append(p)
        end.append(max(0, (place.shape[axis] - 1) * s + d * (k - 1) + 1 - place.shapes[0][axis] - p))
    return begin + end


def _mean(place: Place[Any], windows: Windows, value: str) -> str:
    """Append the sum over each window, divided by the window's full size."""
    return place.add("AveragePool", [value], "mean", kernel_shape=list(windows.kernel), strides=list(windows.stride),
                     pads=_pads(windows, place), count_include_pad=1)


def _times(place: Place[Any], part: str, value: str, factors: Array) -> str:
    """Append a product with factors (oh, ow), of which nothing is left where all are 1."""
    if (factors == 1).all():
        return place.add("Identity", [value], part)
    return place.add("Mul", [value, place.constant(f"{part}.factors".lstrip("."), factors)], part)


def _sharing(size: int, cells: int) -> Array:
    """Return the matrix (cells, size) that takes a line to the means of the windows which share it out."""
    matrix = np.zeros((cells, size))
    for cell in range(cells):
        begin, end = cell * size // cells, -(-(cell + 1) * size // cells)
        matrix[cell, begin:end] = 1 / (end - begin)
    return matrix
