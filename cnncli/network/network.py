"""A network: a graph of layers (graph.py) with their numbers, and the ways to run it. plan.py turns it into calls over
one arena, one plan for each batch size. Whole networks come from architectures/; training/ changes their numbers.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import NetworkError, UsageError, did_you_mean
from ..kernels import Array, threads
from ..layers import Layer, Shape
from ..layers.base import floats
from .graph import Graph, Node
from .packing import Packing
from .plan import Plan

_PLANS_KEPT = 6  # the training batch and its last smaller one; two sizes each of an evaluation and of its last part
_FLOATS_AT_ONCE = 2**26  # activations of one evaluation batch: 256 MB
_IMAGES_AT_ONCE = 256
_CACHED_FLOATS = 2**19  # a layer's input and output that stay in cache from one layer to the next: 2 MiB


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
        self._begin(Graph(layers, input_shape))
        if seed is not None:
            self.initialise(seed)

    def _begin(self, graph: Graph) -> None:
        self._graph = graph
        self.clock = np.zeros(2, np.uint64)  # (seed, step): what dropout draws from
        self._exact = self._fixed = False
        self._whole: Network | None = None
        self._packing = Packing()
        self._plans: OrderedDict[tuple[int, bool], Plan] = OrderedDict()
        floats = sum(math.prod(shape) for shape in graph.shapes.values())
        self._images_at_once = max(1, min(_IMAGES_AT_ONCE, _FLOATS_AT_ONCE // floats))
        self._layer_floats = max(math.prod(node.shape) + sum(math.prod(graph.shapes[name]) for name in node.inputs)
                                 for node in graph.nodes)
        self._weight_floats = sum(array.size for array in self.parameters().values())

    @classmethod
    def from_config(cls, config: Mapping[str, Any], seed: int | None = None) -> "Network":
        """Build the network that ``config()`` described. The weights are zero unless a seed is given."""
        if not isinstance(config, Mapping) or not isinstance(config.get("layers"), list):
            raise NetworkError('a network is {"input_shape": [h, w, c], "layers": [...]}.')
        return cls(config["layers"], config.get("input_shape", ()), seed)

    def config(self) -> dict[str, Any]:
        """Return the network as JSON values: {"input_shape": [h, w, c], "layers": [{"name", "type", "inputs", …}]}."""
        return self._graph.config()

    # ---- taking it apart ----

    def split(self, name: str) -> tuple["Network", "Network"]:
        """Return two networks of these very layers: from the input to the layer of that name, and from its output on.

        The second one's input is (h, w, c), or (features,), of one image. They share all numbers with this one, which
        knows of what is changed in them, but not the other way round. Raises NetworkError where that layer is the last,
        or where something behind it reads what lies before.
        """
        before, behind = self._graph.cut(name)
        return self._part(before), self._part(behind)

    def upto(self, name: str) -> "Network":
        """Return the network of these very layers, with shared numbers as ``split`` has it, that ends with the layer of
        that name."""
        return self._part(self._graph.upto(name))

    def is_cut(self, name: str) -> bool:
        """Whether everything behind a layer reads its output, or what follows from it, and nothing else."""
        return self._graph.is_cut(name)

    def _part(self, graph: Graph) -> "Network":
        part = Network.__new__(Network)
        part._begin(graph)
        part._exact, part._fixed, part._whole = self._exact, self._fixed, self
        return part

    # ---- what is in it ----

    @property
    def nodes(self) -> list[Node]:
        """The layers in order, each with its place."""
        return self._graph.nodes

    @property
    def input_shape(self) -> Shape:
        """The shape of one image: (h, w, c), or (features,) behind a split."""
        return self._graph.input_shape

    @property
    def output_shape(self) -> Shape:
        """The shape of one image's output: (classes,) for a classifier."""
        return self.nodes[-1].shape

    def node(self, name: str) -> Node:
        """Return the node of that name. Raises NetworkError with the nearest name."""
        return self._graph.node(name)

    def shape_of(self, name: str) -> Shape:
        """Return the shape that a layer, or "input", yields for one image."""
        if not isinstance(name, str) or name not in self._graph.shapes:
            raise NetworkError(f"the network has no layer {name!r}.{did_you_mean(name, list(self._graph.shapes))}")
        return self._graph.shapes[name]

    def initialise(self, seed: int, only: str | None = None) -> None:
        """Draw all starting weights anew, or those of one layer; the same seed gives the same weights."""
        if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
            raise UsageError(f"a seed must be a whole number from 0 to 2^64 - 1, not {seed!r}.")
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
            if node.layer.normalises:
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
        and returned where it is given: then nothing is allocated. Raises NetworkError for images of another shape,
        UsageError for what are no numbers.
        """
        images = self._checked_images(images)
        shape = (len(images), *self.output_shape)
        outputs = np.empty(shape, np.float32) if out is None else out
        if out is not None and (not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != np.float32):
            raise NetworkError(f"out must be a float32 array of shape {shape}.")
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
        """Return what the named layers yield for images (n, h, w, c), as in evaluation: {name: (n, *shape)}.

        Raises NetworkError for images of another shape and names that there are not.
        """
        images = self._checked_images(images)
        names = self._names(names)
        plan = self.keeping(len(images), names)
        np.copyto(plan.input, images)
        plan.forward()
        return {name: plan.kept(name).copy() for name in names}

    def keeping(self, batch: int, names: Iterable[str]) -> Plan:
        """Return a plan for this many images in evaluation in which what the named layers yield survives:
        ``plan.kept(name)``. Nobody keeps the plan but who asks; it reads the parameters as they are when it runs.
        Raises NetworkError for names that there are not."""
        return self._new_plan(batch, False, frozenset(self._names(names)))

    def _names(self, names: Iterable[str]) -> list[str]:
        """Return names of layers as a list. Raises NetworkError where they are none."""
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise NetworkError(f"the layers to look at must be a list of names, not {names!r}.")
        return [self.node(name).name for name in names]

    def tracing(self, batch: int, towards: Iterable[str], replaced: Callable[[str, Layer], Layer] | None = None
                ) -> Plan:
        """Return a plan whose backward takes any gradient of the outputs to the named values ("input", layers), and to
        no parameters: ``plan.gradient(name)``, and what they yield in ``plan.kept(name)``. It does what evaluation
        does; dropout drops nothing, and batch norms use their running statistics. replaced makes of a name and its
        layer, which is still (``Layer.still``), what the plan has in its place. Nobody keeps the plan; it reads the
        parameters as they are when it runs. Raises NetworkError for names that there are not."""
        names = frozenset(towards)
        for name in names:
            self.shape_of(name)
        stills = [node.layer.still() for node in self.nodes]
        nodes = [replace(node, layer=replaced(node.name, layer) if replaced else layer)
                 for node, layer in zip(self.nodes, stills, strict=True)]
        return Plan(nodes, self.input_shape, batch, True, clock=self.clock, packing=self._packing, towards=names)

    def images_at_once(self) -> int:
        """Return the batch size that evaluation uses: bounded in images and in memory."""
        return self._images_at_once

    def _checked_images(self, images: Array) -> Array:
        images = floats("images", images)
        if images.shape[1:] == self.input_shape and len(images):
            return images
        wanted, hint = f"(n, {', '.join(map(str, self.input_shape))})", ""
        if images.shape == self.input_shape:
            hint = "; a single image is images[None]"
        elif images.ndim == 4 and (*images.shape[2:], images.shape[1]) == self.input_shape:
            hint = "; put the channels last: images.transpose(0, 2, 3, 1)"
        raise NetworkError(f"images must have shape {wanted}, n at least 1, not {images.shape}{hint}.")
