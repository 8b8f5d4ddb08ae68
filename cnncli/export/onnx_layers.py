"""A network as the nodes of an ONNX graph: a function for each type of layer. onnx.py puts what is before and behind
the network around them.

Images are (n, c, h, w) there, as ONNX's operators want them; flat values are (n, features), in the same order as ours.
What ONNX's pooling counts differently than ours (windows that ceil_mode lets reach beyond the padding, signed powers)
is written as sums and constant factors, so that no runtime has to agree about it.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ..kernels import Array
from ..layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, LPPool2d, MaxPool2d, Shape
from ..network import INPUT, Network, Node
from .windows import mean_factors, windows_of


class Graph:
    """Nodes and constants as they are collected; ``add`` returns the name of what a node yields."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}

    def add(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Append a node that yields ``name``."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: Any, dtype: Any = np.float32) -> str:
        """Add a constant and return its name."""
        self.constants[name] = np.ascontiguousarray(np.asarray(array), dtype).reshape(np.shape(array))
        return name


def add_network(graph: Graph, network: Network, images: str) -> str:
    """Append a network that reads the value ``images`` (n, c, h, w); return the name of its output (n, classes)."""
    values = {INPUT: images}
    for node in network.nodes:
        kind = next(base.__name__ for base in type(node.layer).__mro__ if base.__name__ in _WRITERS)
        shapes = [network.shape_of(name) for name in node.inputs]
        values[node.name] = _WRITERS[kind](graph, node, [values[name] for name in node.inputs], shapes)
    return values[network.nodes[-1].name]


# ---- a function for each layer: (graph, node, inputs' names, their shapes) -> name of the output ----

_Writer = Callable[[Graph, Node, list[str], list[Shape]], str]


def _parameter(graph: Graph, node: Node, part: str) -> str:
    return graph.constant(f"{node.name}.{part}", node.layer.params[part])


def _conv(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    layer = node.layer
    assert isinstance(layer, Conv2d)
    top, bottom, left, right = layer.zeros(*shapes[0][:2])
    weights = [_parameter(graph, node, part) for part in ("weight", "bias") if part in layer.params]
    return graph.add("Conv", [*inputs, *weights], node.name, kernel_shape=list(layer.kernel_size),
                     strides=list(layer.stride), dilations=list(layer.dilation), group=layer.groups,
                     pads=[top, left, bottom, right])


def _linear(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    weights = [_parameter(graph, node, part) for part in ("weight", "bias") if part in node.layer.params]
    return graph.add("Gemm", [*inputs, *weights], node.name, transB=1)


def _batch_norm(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    layer = node.layer
    assert isinstance(layer, BatchNorm2d)
    channels = shapes[0][-1]
    defaults = {"weight": np.ones(channels), "bias": np.zeros(channels)}
    arrays = {**defaults, **layer.params, **layer.state}
    names = [graph.constant(f"{node.name}.{part}", arrays[part]) for part in
             ("weight", "bias", "running_mean", "running_var")]
    return graph.add("BatchNormalization", [*inputs, *names], node.name, epsilon=layer.eps)


def _max_pool(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    layer = node.layer
    assert isinstance(layer, MaxPool2d)
    windows, pads = layer.windows, _pads(node, shapes[0])
    if any(pad >= kernel for pad, kernel in zip(pads, windows.kernel * 2, strict=True)):  # a dilated window's
        zeros = [0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]]
        inputs = [graph.add("Pad", [*inputs, graph.constant(f"{node.name}.pads", zeros, np.int64),
                                    graph.constant(f"{node.name}.least", -np.inf)], f"{node.name}.padded")]
        pads = [0, 0, 0, 0]
    return graph.add("MaxPool", inputs, node.name, kernel_shape=list(windows.kernel), strides=list(windows.stride),
                     dilations=list(windows.dilation), pads=pads)


def _avg_pool(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    mean = _mean(graph, node, inputs[0], shapes[0], f"{node.name}.mean")
    return _times(graph, node.name, mean, prod(windows_of(node).kernel) * mean_factors(node, shapes[0]))


def _lp_pool(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    layer = node.layer
    assert isinstance(layer, LPPool2d)
    norm = float(layer.norm_type)
    power = graph.constant(f"{node.name}.norm", norm)
    root = graph.constant(f"{node.name}.root", 1 / norm)
    raised = graph.add("Pow", [inputs[0], power], f"{node.name}.raised")
    mean = _mean(graph, node, raised, shapes[0], f"{node.name}.mean")
    total = _times(graph, f"{node.name}.sum", mean,
                   prod(windows_of(node).kernel) * mean_factors(node, shapes[0]))
    return graph.add("Pow", [total, root], node.name)


def _global_avg_pool(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    mean = graph.add("GlobalAveragePool", inputs, f"{node.name}.mean")
    return graph.add("Flatten", [mean], node.name, axis=1)


def _adaptive_avg_pool(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    """Two products with constant matrices, down the rows and along the columns."""
    layer = node.layer
    assert isinstance(layer, AdaptiveAvgPool2d)
    down, along = (_sharing(size, cells) for size, cells in zip(shapes[0][:2], layer.output_size, strict=True))
    rows = graph.add("MatMul", [graph.constant(f"{node.name}.down", down), inputs[0]], f"{node.name}.rows")
    return graph.add("MatMul", [rows, graph.constant(f"{node.name}.along", along.T)], node.name)


def _softmax(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    return graph.add("Softmax", inputs, node.name, axis=1)


def _flatten(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    return graph.add("Flatten", inputs, node.name, axis=1)


def _concat(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    return graph.add("Concat", inputs, node.name, axis=1)


def _relu6(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    limits = [graph.constant(f"{node.name}.{name}", value) for name, value in (("least", 0.0), ("most", 6.0))]
    return graph.add("Clip", [*inputs, *limits], node.name)


def _leaky_relu(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    return graph.add("LeakyRelu", inputs, node.name, alpha=float(node.layer.config()["negative_slope"]))


def _silu(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    return graph.add("Mul", [inputs[0], graph.add("Sigmoid", inputs, f"{node.name}.sigmoid")], node.name)


def _scale(graph: Graph, node: Node, inputs: list[str], shapes: list[Shape]) -> str:
    return graph.add("Mul", [*inputs, graph.constant(f"{node.name}.factor", node.layer.config()["factor"])], node.name)


def _plain(operator: str) -> _Writer:
    return lambda graph, node, inputs, shapes: graph.add(operator, inputs, node.name)


_WRITERS: dict[str, _Writer] = {
    "AdaptiveAvgPool2d": _adaptive_avg_pool,
    "Add": _plain("Sum"),
    "AvgPool2d": _avg_pool,
    "BatchNorm2d": _batch_norm,
    "Concat": _concat,
    "Conv2d": _conv,  # and Whitening, which is one
    "Dropout": _plain("Identity"),
    "Flatten": _flatten,
    "GlobalAvgPool2d": _global_avg_pool,
    "LPPool2d": _lp_pool,
    "LeakyReLU": _leaky_relu,
    "Linear": _linear,
    "MaxPool2d": _max_pool,
    "ReLU": _plain("Relu"),
    "ReLU6": _relu6,
    "Scale": _scale,
    "SiLU": _silu,
    "Sigmoid": _plain("Sigmoid"),
    "Softmax": _softmax,
    "Tanh": _plain("Tanh"),
}


# ---- pooling windows ----


def _pads(node: Node, shape: Shape) -> list[int]:
    """Return ONNX's pads [top, left, bottom, right] with which plain division yields our number of windows."""
    windows = windows_of(node)
    begin, end = [], []
    for axis in (0, 1):
        k, s, p, d = (getattr(windows, name)[axis] for name in ("kernel", "stride", "padding", "dilation"))
        begin.append(p)
        end.append(max(0, (node.shape[axis] - 1) * s + d * (k - 1) + 1 - shape[axis] - p))
    return begin + end


def _mean(graph: Graph, node: Node, value: str, shape: Shape, name: str) -> str:
    """Append the sum over each window, divided by the window's full size."""
    windows = windows_of(node)
    return graph.add("AveragePool", [value], name, kernel_shape=list(windows.kernel), strides=list(windows.stride),
                     pads=_pads(node, shape), count_include_pad=1)


def _times(graph: Graph, name: str, value: str, factors: Array) -> str:
    """Append a product with factors (oh, ow), of which nothing is left where all are 1."""
    if (factors == 1).all():
        return graph.add("Identity", [value], name)
    return graph.add("Mul", [value, graph.constant(f"{name}.factors", factors)], name)


def _sharing(size: int, cells: int) -> Array:
    """Return the matrix (cells, size) that takes a line to the means of the windows which share it out."""
    matrix = np.zeros((cells, size))
    for cell in range(cells):
        begin, end = cell * size // cells, -(-(cell + 1) * size // cells)
        matrix[cell, begin:end] = 1 / (end - begin)
    return matrix
