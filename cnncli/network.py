"""A network: named layers in topological order, each naming its inputs. It is plain data, and goes into the model
file as JSON; plan.py turns it into calls over one arena. Layers come from layers/, whole networks from
architectures/, training from trainer.py.
"""

import inspect
import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .errors import NetworkError, did_you_mean
from .kernels import Array, threads
from .layers import LAYERS, BatchNorm2d, Layer, Shape
from .packing import Packing
from .plan import Plan

INPUT = "input"
# What a network may be: no more is read out of a model file, so no more is built to be saved in one.
MOST_LAYERS, MOST_INPUTS = 4_000, 100
LONGEST_TEXT = 200
LARGEST_NUMBER = 2**31
LARGEST_OUTPUT = 2**28  # numbers that one layer may yield for one image: 1 GiB
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_PLANS_KEPT = 6  # the training batch and its last smaller one; two sizes each of an evaluation and of its last part
_FLOATS_AT_ONCE = 2**26  # activations of one evaluation batch: 256 MB
_IMAGES_AT_ONCE = 256
_CACHED_FLOATS = 2**19  # a layer's input and output that stay in cache from one layer to the next: 2 MiB


class LayerError(NetworkError):
    """One layer of a description is wrong; ``index`` says which, counted from 0."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


@dataclass(frozen=True)
class Node:
    """A layer's place in a network: its name, the names of its inputs, the shape (h, w, c) or (features,) it yields."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    shape: Shape


class Network:
    """A directed acyclic graph of layers with one input and one output, the last layer's.

    layers: layer objects, or dicts {"type": "Conv2d", "name": …, "inputs": […], **the layer's own options}. A layer
    without a name gets one from its type; a layer without inputs takes the layer before it; "input" is the image.
    input_shape: (h, w, c). seed: of the starting weights; None leaves them zero (they are about to be loaded).

    Raises NetworkError, naming the layer and the reason, where a layer or a connection makes no sense.
    """

    def __init__(
        self, layers: Iterable[Layer | Mapping[str, Any]], input_shape: Sequence[int], seed: int | None = 0
    ) -> None:
        self._begin(_checked_input_shape(input_shape))
        for index, description in enumerate(layers):
            try:
                self._append(description)
            except NetworkError as error:
                raise LayerError(index, f"layer {index + 1} ({_title(description)}): {error}") from None
        if not self.nodes:
            raise NetworkError("a network needs at least one layer.")
        self._check_all_used()
        self._measure()
        if seed is not None:
            self.initialise(seed)

    def _begin(self, input_shape: Shape) -> None:
        self.input_shape = input_shape
        self.nodes: list[Node] = []
        self.clock = np.zeros(2, np.uint64)  # (seed, step): what dropout draws from
        self._shapes: dict[str, Shape] = {INPUT: input_shape}
        self._exact = self._fixed = False
        self._whole: Network | None = None
        self._packing = Packing()
        self._plans: OrderedDict[tuple[int, bool], Plan] = OrderedDict()

    def _measure(self) -> None:
        floats = sum(math.prod(shape) for shape in self._shapes.values())
        self._images_at_once = max(1, min(_IMAGES_AT_ONCE, _FLOATS_AT_ONCE // floats))
        self._layer_floats = max(math.prod(node.shape) + sum(math.prod(self._shapes[name]) for name in node.inputs)
                                 for node in self.nodes)
        self._weight_floats = sum(array.size for array in self.parameters().values())

    @classmethod
    def from_config(cls, config: Mapping[str, Any], seed: int | None = None) -> "Network":
        """Build the network that ``config()`` described. The weights are zero unless a seed is given."""
        if not isinstance(config, Mapping) or not isinstance(config.get("layers"), list):
            raise NetworkError('a network is {"input_shape": [h, w, c], "layers": [...]}.')
        return cls(config["layers"], config.get("input_shape", ()), seed)

    def config(self) -> dict[str, Any]:
        """Return the network as JSON values: {"input_shape": [h, w, c], "layers": [{"name", "type", "inputs", …}]}."""
        return {
            "input_shape": list(self.input_shape),
            "layers": [
                {"name": n.name, "type": type(n.layer).__name__, "inputs": list(n.inputs), **n.layer.config()}
                for n in self.nodes
            ],
        }

    # ---- building ----

    def _append(self, description: Layer | Mapping[str, Any]) -> None:
        if not isinstance(description, Layer | Mapping):
            raise NetworkError("a layer is a table of options with a type.")
        if len(self.nodes) >= MOST_LAYERS:
            raise NetworkError(f"a network has at most {MOST_LAYERS:,} layers.")
        options = {} if isinstance(description, Layer) else dict(description)
        layer = description if isinstance(description, Layer) else _build(options)
        if any(node.layer is layer for node in self.nodes):
            raise NetworkError("the same layer object stands in the network twice; make a second one.")
        name = options.get("name") or self._new_name(layer)
        if isinstance(name, str) and len(name) > LONGEST_TEXT:
            raise NetworkError(f"its name has {len(name):,} letters; give it one of at most {LONGEST_TEXT}.")
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in self._shapes:
            raise NetworkError(f"the name {name!r} is taken or not made of letters, digits, '_', '.', '-'.")
        inputs = self._inputs(layer, options.get("inputs"))
        shapes = [self._shapes[i] for i in inputs]
        shape = tuple(layer.output_shape(*shapes))
        if min(shape) < 1:
            raise NetworkError(f"its output would be empty ({'x'.join(map(str, shape))}).")
        if math.prod(shape) > LARGEST_OUTPUT:
            raise NetworkError(f"its output would be too large ({'x'.join(map(str, shape))}, more than "
                               f"{LARGEST_OUTPUT:,} numbers for one image).")
        layer.bind(*shapes)
        layer.stream = len(self.nodes)
        self._shapes[name] = shape
        self.nodes.append(Node(name, layer, inputs, shape))

    def _inputs(self, layer: Layer, given: Any) -> tuple[str, ...]:
        if given is None:
            given = [self.nodes[-1].name if self.nodes else INPUT]
        inputs = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, list | tuple) else ()
        for name in inputs:
            if name not in self._shapes:
                hint = did_you_mean(name, list(self._shapes)) if isinstance(name, str) else ""
                raise NetworkError(f"its input {name!r} is not a layer before it.{hint}")
        if len(inputs) != layer.arity and not (layer.arity is None and len(inputs) >= 2):
            wanted = "two or more inputs" if layer.arity is None else f"{layer.arity} input"
            raise NetworkError(f"it takes {wanted}, not {len(inputs)}; name them in `inputs`.")
        if len(inputs) > MOST_INPUTS:
            raise NetworkError(f"it takes at most {MOST_INPUTS} inputs, not {len(inputs)}; join them in steps.")
        return inputs

    def _new_name(self, layer: Layer) -> str:
        stem = type(layer).__name__.lower().removesuffix("2d")
        number = 1 + sum(type(node.layer) is type(layer) for node in self.nodes)
        while f"{stem}{number}" in self._shapes:
            number += 1
        return f"{stem}{number}"

    def _check_all_used(self) -> None:
        used = {name for node in self.nodes for name in node.inputs}
        for index, node in enumerate(self.nodes[:-1]):
            if node.name not in used:
                raise LayerError(index, f"layer {index + 1} ({node.name!r}) feeds no other layer; remove it or use it.")

    # ---- taking it apart ----

    def split(self, name: str) -> tuple["Network", "Network"]:
        """Return two networks of these very layers: from the input to the layer of that name, and from its output on.

        The second one's input is (h, w, c), or (features,), of one image. They share all numbers with this one, which
        knows of what is changed in them, but not the other way round. Raises NetworkError where that layer is the last,
        or where something behind it reads what lies before.
        """
        place = self.nodes.index(self.node(name)) + 1
        before, behind = self.nodes[:place], self.nodes[place:]
        if not behind or not self.is_cut(name):
            raise NetworkError(f"the network cannot be split behind {name!r}; choose a layer that all others follow.")
        moved = [replace(n, inputs=tuple(INPUT if i == name else i for i in n.inputs)) for n in behind]
        return self._part(before, self.input_shape), self._part(moved, self._shapes[name])

    def is_cut(self, name: str) -> bool:
        """Whether everything behind a layer reads its output, or what follows from it, and nothing else."""
        place = self.nodes.index(self.node(name)) + 1
        known = {name, *(node.name for node in self.nodes[place:])}
        return all(known.issuperset(node.inputs) for node in self.nodes[place:])

    def _part(self, nodes: list[Node], input_shape: Shape) -> "Network":
        part = Network.__new__(Network)
        part._begin(input_shape)
        part.nodes, part._exact, part._fixed, part._whole = nodes, self._exact, self._fixed, self
        part._shapes |= {node.name: node.shape for node in nodes}
        part._measure()
        return part

    # ---- what is in it ----

    @property
    def output_shape(self) -> Shape:
        """The shape of one image's output: (classes,) for a classifier."""
        return self.nodes[-1].shape

    def node(self, name: str) -> Node:
        """Return the node of that name. Raises NetworkError with the nearest name."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise NetworkError(f"the network has no layer {name!r}.{did_you_mean(name, [n.name for n in self.nodes])}")

    def shape_of(self, name: str) -> Shape:
        """Return the shape that a layer, or "input", yields for one image."""
        return self._shapes[name]

    def initialise(self, seed: int, only: str | None = None) -> None:
        """Draw all starting weights anew, or those of one layer; the same seed gives the same weights."""
        for index, node in enumerate(self.nodes):
            if only in (None, node.name):
                node.layer.initialise(np.random.default_rng([seed, index]))
        self.clock[:] = seed, 0
        self.changed()

    @property
    def exact(self) -> bool:
        """Whether convolutions compute every product as it is written, never by Winograd's algorithm (False)."""
        return self._exact

    @exact.setter
    def exact(self, exact: bool) -> None:
        if exact == self._exact:
            return
        self._exact = exact
        for node in self.nodes:
            node.layer.exact = exact
        self._packing = Packing()
        self._plans.clear()

    @property
    def fixed_statistics(self) -> bool:
        """Whether batch norms use their running statistics in training too, and leave them as they are (False)."""
        return self._fixed

    @fixed_statistics.setter
    def fixed_statistics(self, fixed: bool) -> None:
        if fixed == self._fixed:
            return
        self._fixed = fixed
        for node in self.nodes:
            if isinstance(node.layer, BatchNorm2d):
                node.layer.fixed = fixed
        self._plans.clear()

    def changed(self) -> None:
        """Say that numbers in ``parameters()`` or ``buffers()`` were changed: the kernels read copies that are laid out
        for them, and these are made anew before the next forward; of the network that this is a part of as well."""
        self._packing.changed()
        if self._whole is not None:
            self._whole.changed()

    def parameters(self) -> dict[str, Array]:
        """Return what training learns: {"conv1.weight": array, …}, in the model file's layout, not copied.

        Whoever writes into them after the next forward calls ``changed`` then.
        """
        self.changed()
        return {f"{n.name}.{k}": a for n in self.nodes for k, a in n.layer.params.items()}

    def gradients(self) -> dict[str, Array]:
        """Return the gradients of the last backward, keyed and shaped as ``parameters()``."""
        return {f"{n.name}.{k}": a for n in self.nodes for k, a in n.layer.grads.items()}

    def buffers(self) -> dict[str, Array]:
        """Return what training updates without a gradient (batch norm's running statistics), as ``parameters()``."""
        self.changed()
        return {f"{n.name}.{k}": a for n in self.nodes for k, a in n.layer.state.items()}

    # ---- running it ----

    def plan(self, batch: int, training: bool) -> Plan:
        """Return the plan for this many images at once; the last few are kept."""
        key = (batch, training)
        if key not in self._plans:
            while len(self._plans) >= _PLANS_KEPT:
                self._plans.popitem(last=False)
            self._plans[key] = self._new_plan(batch, training)
        self._plans.move_to_end(key)
        return self._plans[key]

    def _new_plan(self, batch: int, training: bool, keep: frozenset[str] = frozenset()) -> Plan:
        return Plan(self.nodes, self.input_shape, batch, training, clock=self.clock, packing=self._packing, keep=keep)

    def forward(self, images: Array, training: bool = False, out: Array | None = None) -> Array:
        """Return the outputs (n, classes), float32, for images (n, h, w, c), float32, any n.

        With training, all images are one batch: batch norm takes its statistics, dropout drops. Otherwise they run
        a few at a time, and an image's output does not depend on its neighbours. out, float32 (n, classes), is filled
        and returned where it is given: then nothing is allocated.
        """
        images = self._checked_images(images)
        outputs = np.empty((len(images), *self.output_shape), np.float32) if out is None else out
        if training:
            self.clock[1] += np.uint64(1)
            outputs[...] = self._run(images, training)
            self.changed()  # batch norms moved their statistics
            return outputs
        step = self._images_in_cache(len(images))
        for start in range(0, len(images), step):
            outputs[start : start + step] = self._run(images[start : start + step], training)
        return outputs

    def _images_in_cache(self, images: int) -> int:
        """Into how many at a time to cut this many images: what one layer leaves, the next finds in cache.

        But never so few that weights are read more often than activations, and with T threads T x T times as many:
        each thread has a cache of its own, and the more share a layer, the more there must be to share.
        """
        floats = max(_CACHED_FLOATS, self._weight_floats) * threads() ** 2
        most = max(1, min(self._images_at_once, floats // self._layer_floats))
        return math.ceil(images / math.ceil(images / most))

    def _run(self, images: Array, training: bool) -> Array:
        plan = self.plan(len(images), training)
        np.copyto(plan.input, images)
        plan.forward()
        return plan.output

    def activations(self, images: Array, names: Sequence[str]) -> dict[str, Array]:
        """Return what the named layers yield for images (n, h, w, c), as in evaluation: {name: (n, *shape)}."""
        images = self._checked_images(images)
        for name in names:
            self.node(name)
        plan = self._new_plan(len(images), False, frozenset(names))
        np.copyto(plan.input, images)
        plan.forward()
        return {name: plan.kept(name).copy() for name in names}

    def images_at_once(self) -> int:
        """Return the batch size that evaluation uses: bounded in images and in memory."""
        return self._images_at_once

    def _checked_images(self, images: Array) -> Array:
        if images.shape[1:] != self.input_shape or not len(images):
            raise ValueError(f"images must have shape (n, {', '.join(map(str, self.input_shape))}), not {images.shape}")
        return np.ascontiguousarray(images, np.float32)


def _checked_input_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    good = isinstance(shape, list | tuple) and len(shape) == 3
    if not good or not all(isinstance(v, int) and 0 < v < 2**20 for v in shape):
        raise NetworkError(f"input_shape must be three sizes (h, w, c), not {shape!r}.")
    return shape[0], shape[1], shape[2]


def _title(description: Layer | Mapping[str, Any]) -> str:
    if isinstance(description, Layer):
        return type(description).__name__
    if not isinstance(description, Mapping):
        return "not a table"
    kind, name = description.get("type", "no type"), description.get("name")
    return f"{kind} {name!r}" if name else str(kind)


def _build(options: dict[str, Any]) -> Layer:
    """Make a layer of a description, leaving name and inputs in it."""
    kind = options.get("type")
    if not isinstance(kind, str) or kind not in LAYERS:
        raise NetworkError(f"{kind!r} is no layer type.{did_you_mean(str(kind), list(LAYERS))}")
    known = [name for name in inspect.signature(LAYERS[kind].__init__).parameters if name != "self"]
    config = {k: v for k, v in options.items() if k not in ("type", "name", "inputs")}
    for option, value in config.items():
        if option not in known:
            raise NetworkError(f"it has no option {option!r}.{did_you_mean(option, known)}")
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int | float) and LARGEST_NUMBER <= abs(number) < float("inf"):
                raise NetworkError(f"{option} must be below {LARGEST_NUMBER:,}, not {value!r}.")
    try:
        return LAYERS[kind](**config)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{str(error).removeprefix(LAYERS[kind].__name__ + '.__init__() ')}.") from None
