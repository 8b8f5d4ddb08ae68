"""The graph of a network: named layers in topological order, each naming its inputs. It is built from descriptions,
which are doubted here, and is plain data that goes into the model file as JSON. network.py runs it.
"""

import inspect
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from ..errors import NetworkError, brief, did_you_mean, no_such, printable
from ..kernels import Array
from ..layers import LAYERS, Layer, Shape
from ..layers.arguments import floats
from ..values import plain

INPUT = "input"
# What a network may be: no more is read out of a model file, so no more is built to be saved in one.
MOST_LAYERS, MOST_INPUTS = 4_000, 100
LONGEST_TEXT = 200
LARGEST_NUMBER = 2**31
LARGEST_OUTPUT = 2**28  # numbers that one layer may yield for one image: 1 GiB
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_NETWORKS: WeakKeyDictionary[Layer, "ref[Graph]"] = WeakKeyDictionary()  # which network a layer object is in


class LayerError(NetworkError):
    """One layer of a description is wrong; ``index`` says which, counted from 0."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


@dataclass(frozen=True)
class Node:
    """A layer's place in a network.

    Attributes:
        name: The layer's name.
        layer: The layer.
        inputs: The names of the layers that it takes its inputs from; "input" is the image.
        shape: The shape of its output for one image: (h, w, c) or (features,).
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    shape: Shape


class Graph:
    """Nodes in topological order, and the shape of every value by name: of "input" and of each node.

    layers and input_shape are what Network takes. Raises NetworkError, naming the layer and the reason.
    """

    def __init__(self, layers: Iterable[Layer | Mapping[str, Any]], input_shape: Sequence[int]) -> None:
        self._begin(checked_input_shape(input_shape))
        if not isinstance(layers, Iterable):
            raise NetworkError(f"the layers of a network must be a list, not {brief(layers)}.")
        for index, description in enumerate(layers):
            try:
                self._append(description)
            except NetworkError as error:
                raise LayerError(index, f"layer {index + 1} ({_title(description)}): {error}") from None
        if not self.nodes:
            raise NetworkError("the network has no layers; give it at least one.")
        self._check_all_used()
        _NETWORKS.update((node.layer, ref(self)) for node in self.nodes)

    def _begin(self, input_shape: Shape) -> None:
        self.input_shape = input_shape
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {INPUT: input_shape}

    def config(self) -> dict[str, Any]:
        """Return the graph as JSON values: {"input_shape": [h, w, c], "layers": [{"name", "type", "inputs", …}]}."""
        return {
            "input_shape": list(self.input_shape),
            "layers": [
                {"name": n.name, "type": type(n.layer).__name__, "inputs": list(n.inputs), **n.layer.config()}
                for n in self.nodes
            ],
        }

    def node(self, name: str) -> Node:
        """Return the node of that name. Raises NetworkError with the nearest name."""
        for node in self.nodes:
            if isinstance(name, str) and node.name == name:
                return node
        raise NetworkError(no_such("layer", name, [node.name for node in self.nodes]))

    # ---- building ----

    def _append(self, description: Layer | Mapping[str, Any]) -> None:
        if not isinstance(description, Layer | Mapping):
            raise NetworkError("a layer must be a Layer, or a table of options with a type.")
        if len(self.nodes) >= MOST_LAYERS:
            raise NetworkError(f"the network has more than {MOST_LAYERS:,} layers; give it fewer.")
        options = {} if isinstance(description, Layer) else dict(description)
        layer = description if isinstance(description, Layer) else _build(options)
        if any(node.layer is layer for node in self.nodes):
            raise NetworkError("this layer object is in the network already; make a second one.")
        other = _NETWORKS[layer]() if layer in _NETWORKS else None
        if other is not None:  # its weights would become those of this network, and the other would not learn
            raise NetworkError("this layer object is in another network already; make a second one.")
        name = options.get("name", "")
        name = self._new_name(layer) if name is None or (isinstance(name, str) and not name) else name
        if isinstance(name, str) and len(name) > LONGEST_TEXT:
            raise NetworkError(f"its name has {len(name):,} letters; give it one of at most {LONGEST_TEXT}.")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise NetworkError(f"its name must be made of letters, digits, '_', '.' and '-', not {brief(name)}.")
        if name in self.shapes:
            raise NetworkError(f"its name {brief(name)} is taken; give it another one.")
        inputs = self._inputs(layer, options.get("inputs"))
        shapes = [self.shapes[i] for i in inputs]
        shape = _checked_shape(layer, layer.output_shape(*shapes))
        if min(shape) < 1:
            raise NetworkError(f"its output would be empty ({'x'.join(map(str, shape))}); use a larger image.")
        if math.prod(shape) > LARGEST_OUTPUT:
            raise NetworkError(f"its output would be too large ({'x'.join(map(str, shape))}, more than "
                               f"{LARGEST_OUTPUT:,} numbers for one image); make it smaller.")
        layer.bind(*shapes)
        layer.stream = len(self.nodes)
        self.shapes[name] = shape
        self.nodes.append(Node(name, layer, inputs, shape))

    def _inputs(self, layer: Layer, given: Any) -> tuple[str, ...]:
        if given is None:
            given = [self.nodes[-1].name if self.nodes else INPUT]
        inputs = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, list | tuple) else ()
        for name in inputs:
            if not isinstance(name, str) or name not in self.shapes:
                hint = did_you_mean(name, self.shapes)
                raise NetworkError(f"its input {brief(name)} is no layer before it; name one that is.{hint}")
        if len(inputs) != layer.arity and not (layer.arity is None and len(inputs) >= 2):
            wanted = "two or more inputs" if layer.arity is None else f"{layer.arity} input"
            raise NetworkError(f"it takes {wanted}, not {len(inputs)}; name them in `inputs`.")
        if len(inputs) > MOST_INPUTS:
            raise NetworkError(f"it takes at most {MOST_INPUTS} inputs, not {len(inputs)}; join them in steps.")
        return inputs

    def _new_name(self, layer: Layer) -> str:
        stem = type(layer).__name__.lower().removesuffix("2d")
        number = 1 + sum(type(node.layer) is type(layer) for node in self.nodes)
        while f"{stem}{number}" in self.shapes:
            number += 1
        return f"{stem}{number}"

    def _check_all_used(self) -> None:
        used = {name for node in self.nodes for name in node.inputs}
        for index, node in enumerate(self.nodes[:-1]):
            if node.name not in used:
                raise LayerError(index, f"layer {index + 1} ({node.name!r}) is the input of no other layer; remove "
                                        "it, or use it.")

    # ---- taking it apart ----

    def cut(self, name: str) -> tuple["Graph", "Graph"]:
        """Return two graphs of these very layers: up to the layer of that name, and from its output, as "input", on."""
        place = self.nodes.index(self.node(name)) + 1
        before, behind = self.nodes[:place], self.nodes[place:]
        if not behind or not self.is_cut(name):
            raise NetworkError(f"the network cannot be split behind {name!r}, because other layers go past it; choose "
                               "another layer.")
        moved = [replace(n, inputs=tuple(INPUT if i == name else i for i in n.inputs)) for n in behind]
        return self._part(before, self.input_shape), self._part(moved, self.shapes[name])

    def is_cut(self, name: str) -> bool:
        """Whether everything behind a layer reads its output, or what follows from it, and nothing else."""
        place = self.nodes.index(self.node(name)) + 1
        known = {name, *(node.name for node in self.nodes[place:])}
        return all(known.issuperset(node.inputs) for node in self.nodes[place:])

    def upto(self, name: str) -> "Graph":
        """Return the graph of these very layers that ends with the layer of that name: what it is computed from."""
        needed, kept = {self.node(name).name}, list[Node]()
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
                kept.append(node)
        return self._part(kept[::-1], self.input_shape)

    def _part(self, nodes: list[Node], input_shape: Shape) -> "Graph":
        part = Graph.__new__(Graph)
        part._begin(input_shape)
        part.nodes = nodes
        part.shapes |= {node.name: node.shape for node in nodes}
        return part


def checked_input_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the shape of an image (h, w, c). Raises NetworkError where it is none."""
    sizes = [plain(v) for v in shape] if isinstance(shape, list | tuple | np.ndarray) else []
    if len(sizes) != 3 or not all(isinstance(v, int) and 0 < v < 2**20 for v in sizes):
        raise NetworkError(f"input_shape must be three sizes (h, w, c), not {brief(shape)}.")
    return sizes[0], sizes[1], sizes[2]


def checked_images(images: Array, input_shape: Shape) -> Array:
    """Return a batch of images as float32 (n, h, w, c). Raises NetworkError or UsageError where they are none."""
    images = floats("images", images)
    if images.shape[1:] == input_shape and len(images):
        return images
    wanted, hint = f"(n, {', '.join(map(str, input_shape))})", ""
    if images.shape == input_shape:
        hint = "; a single image is images[None]"
    elif images.ndim == 4 and (*images.shape[2:], images.shape[1]) == input_shape:
        hint = "; put the channels last: images.transpose(0, 2, 3, 1)"
    raise NetworkError(f"images must have shape {wanted}, n at least 1, not {images.shape}{hint}.")


def _checked_shape(layer: Layer, shape: Any) -> Shape:
    """Return what a layer says of its output, which may be a user's, as a shape."""
    sizes = tuple(shape) if isinstance(shape, list | tuple) else ()
    if len(sizes) not in (1, 3) or not all(isinstance(size, int) for size in sizes):
        raise NetworkError(f"{type(layer).__name__}.output_shape must return (h, w, c) or (features,), not "
                           f"{brief(shape)}.")
    return sizes


def _title(description: Layer | Mapping[str, Any]) -> str:
    if isinstance(description, Layer):
        return type(description).__name__
    if not isinstance(description, Mapping):
        return "not a table"
    kind, name = description.get("type", "no type"), description.get("name")
    kind = printable(kind) if isinstance(kind, str) else brief(kind)
    return f"{kind} {name!r}" if isinstance(name, str) and name else kind


def _build(options: dict[str, Any]) -> Layer:
    """Make a layer of a description, leaving name and inputs in it."""
    kind = options.get("type")
    if not isinstance(kind, str) or kind not in LAYERS:
        if kind is None:
            raise NetworkError('it has no type; give it one, as type = "Conv2d".')
        raise NetworkError(no_such("layer "
                           "type", kind, LAYERS, "import the module that defines it first, or give another"))
    known = [name for name in inspect.signature(LAYERS[kind].__init__).parameters if name != "self"]
    config = {k: v for k, v in options.items() if k not in ("type", "name", "inputs")}
    for option, value in config.items():
        if option not in known:
            every = [*known, "name", "inputs"]
            raise NetworkError(f"it has no option {brief(option)}; give one of {', '.join(every)}."
                               f"{did_you_mean(option, every)}")
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int | float) and LARGEST_NUMBER <= abs(number) < float("inf"):
                raise NetworkError(f"{option} must be below {LARGEST_NUMBER:,}, not {brief(value)}.")
    try:
        return LAYERS[kind](**config)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{str(error).removeprefix(LAYERS[kind].__name__ + '.__init__() ')}.") from None
