"""A network: a graph of layers (graph.py) with their numbers, and the ways to run it. plan.py turns it into calls over
one arena, one plan for each batch size. Whole networks come from architectures/; training/ changes their numbers.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NetworkError, UsageError, brief, no_such
from ..kernels import Array, threads
from ..layers import Layer, Shape
from .graph import Graph, Node, checked_images
from .plan import Plan
from .settings import Settings

_IMAGES_AT_ONCE, _FLOATS_AT_ONCE = 256, 2**26  # of one evaluation batch: activations of 256 MB
_CACHED_FLOATS = 2**19  # a layer's input and output that stay in cache from one layer to the next: 2 MiB


class Network(Settings):
    """A network: layers with their weights, from one input to one output, the last layer's.

    The layers form a directed graph without cycles. A layer without inputs takes the output of the layer before it.
    Threads that call ``forward`` or ``activations`` of one network wait for each other.

    Args:
        layers: The layers in order: layer objects, or dicts {"type": "Conv2d", "name": …, "inputs": […]} with the
            layer's own options. "input" is the image. A layer without a name gets one from its type.
        input_shape: The shape of an image: (h, w, c).
        seed: The seed of the initial weights. None leaves them 0, to be loaded.

    Attributes:
        clock: uint64 (2,): the seed and the number of training steps, on which dropout depends.

    Raises:
        NetworkError: A layer or a connection makes no sense; the message names the layer and the reason.
    """

    def __init__(self, layers: Iterable[Layer | Mapping[str, Any]], input_shape: Sequence[int], seed: int | None = 0
                 ) -> None:
        self._begin(Graph(layers, input_shape))
        if seed is not None:
            self.initialise(seed)

    def _begin(self, graph: Graph) -> None:
        self._whole: Network | None = None
        self._begin_settings(graph)
        floats = sum(math.prod(shape) for shape in graph.shapes.values())
        self._images_at_once = max(1, min(_IMAGES_AT_ONCE, _FLOATS_AT_ONCE // floats))
        self._layer_floats = max(math.prod(node.shape) + sum(math.prod(graph.shapes[name]) for name in node.inputs)
                                 for node in graph.nodes)
        self._weight_floats = sum(array.size for array in self.parameters().values())

    @classmethod
    def from_config(cls, config: Mapping[str, Any], seed: int | None = None) -> "Network":
        """Return the network that ``config`` described.

        Args:
            config: What ``config`` returned.
            seed: The seed of the initial weights. None leaves them 0, to be loaded.

        Raises:
            NetworkError: It is no network.
        """
        if not isinstance(config, Mapping) or not isinstance(config.get("layers"), list):
            raise NetworkError('a network is {"input_shape": [h, w, c], "layers": [...]}.')
        return cls(config["layers"], config.get("input_shape", ()), seed)

    def config(self) -> dict[str, Any]:
        """Return the network, without weights, as JSON values.

        Returns:
            {"input_shape": [h, w, c], "layers": [{"name", "type", "inputs", and the layer's options}]}.
        """
        return self._graph.config()

    def __repr__(self) -> str:
        return f"<Network of {len(self.nodes)} layers: {self.input_shape} to {self.output_shape}>"

    # ---- taking it apart ----

    def split(self, name: str) -> tuple["Network", "Network"]:
        """Return two networks made of these layers: up to a layer, and from its output on.

        They share all weights with this network. It notices when weights change through them; they do not notice
        changes through it.

        Args:
            name: The last layer of the first network. Its output is the input of the second one: (h, w, c) or
                (features,).

        Returns:
            The first and the second network.

        Raises:
            NetworkError: It is the last layer, or a later layer reads something before it.
        """
        before, behind = self._graph.cut(name)
        return self._part(before), self._part(behind, name)

    def upto(self, name: str) -> "Network":
        """Return the network that ends with a layer. It shares weights with this one as ``split`` says.

        Args:
            name: The layer that it ends with.

        Raises:
            NetworkError: There is no such layer.
        """
        return self._part(self._graph.upto(name))

    def is_cut(self, name: str) -> bool:
        """Return whether all later layers depend on nothing before a layer but its output, so that ``split`` works.

        Args:
            name: The layer.
        """
        return self._graph.is_cut(name)

    def _part(self, graph: Graph, behind: str | None = None) -> "Network":
        part = Network.__new__(Network)
        part._begin(graph)
        part._take_settings(self, behind)
        part._whole = self
        return part

    # ---- what is in it ----

    @property
    def output_shape(self) -> Shape:
        """The shape of one image's output: (classes,) for a classifier."""
        return self.nodes[-1].shape

    def node(self, name: str) -> Node:
        """Return the node of a layer.

        Args:
            name: The layer's name.

        Raises:
            NetworkError: There is no such layer; the message has the nearest name.
        """
        return self._graph.node(name)

    def shape_of(self, name: str) -> Shape:
        """Return the shape of a layer's output for one image.

        Args:
            name: The layer's name, or "input".

        Raises:
            NetworkError: There is no such layer; the message has the nearest name.
        """
        if not isinstance(name, str) or name not in self._graph.shapes:
            raise NetworkError(no_such("layer", name, self._graph.shapes))
        return self._graph.shapes[name]

    def initialise(self, seed: int, only: str | None = None) -> None:
        """Draw the initial weights again. The same seed gives the same weights.

        Args:
            seed: The seed, from 0 to 2^64 - 1.
            only: The name of the only layer to draw. None: all layers.

        Raises:
            UsageError: It is no seed.
        """
        if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
            raise UsageError(f"a seed must be a whole number from 0 to 2^64 - 1, not {brief(seed)}.")
        for index, node in enumerate(self.nodes):
            if only in (None, node.name):
                node.layer.initialise(np.random.default_rng([seed, index]))
        self.clock[:] = seed, 0
        self.changed()

    def changed(self) -> None:
        """Say that numbers in ``parameters`` or ``buffers`` were changed.

        The kernels read rearranged copies of the weights, which are then made again before the next forward.
        """
        self._packing.changed()
        if self._whole is not None:
            self._whole.changed()

    def parameters(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights that training learns, by name: {"conv1.weight": array, …}.

        The arrays are not copied, and have the model file's layout. If you write into them after a forward, call
        ``changed``.
        """
        self.changed()
        return {f"{n.name}.{k}": a for n in self.nodes for k, a in n.layer.params.items()}

    def gradients(self) -> dict[str, Array]:
        """Return the gradients of the last backward pass, with the names and shapes of ``parameters``."""
        return {f"{n.name}.{k}": a for n in self.nodes for k, a in n.layer.grads.items()}

    def buffers(self) -> dict[str, Array]:
        """Return the arrays that training updates without gradients: the running statistics of batch norms, by name."""
        self.changed()
        return {f"{n.name}.{k}": a for n in self.nodes for k, a in n.layer.state.items()}

    # ---- running it ----

    def plan(self, batch: int, training: bool) -> Plan:
        """Return the plan that runs this many images at once. The last few plans are kept.

        Args:
            batch: The number of images.
            training: Whether it is for training (with gradients) or for evaluation.
        """
        self._follow_words()
        return self._plans.of((batch, training), self._new_plan)

    def _new_plan(self, batch: int, training: bool, keep: frozenset[str] = frozenset()) -> Plan:
        self._follow_words()
        return Plan(self.nodes, self.input_shape, batch, training, clock=self.clock, packing=self._packing, keep=keep,
                    precision=self._precision)

    def forward(self, images: Array, training: bool = False, out: Array | None = None) -> NDArray[np.float32]:
        """Return the network's outputs for images.

        Args:
            images: The images, normalised, float32 (n, h, w, c), n at least 1.
            training: True treats all images as one batch in training: batch norms use its statistics, dropout drops.
                False: evaluation, in which an image's output does not depend on the others.
            out: A float32 array (n, classes) for the outputs, so that nothing is allocated. None: a new array.

        Returns:
            The outputs, float32 (n, classes): logits, unless the network ends with a softmax.

        Raises:
            NetworkError: The images or out have another shape.
            UsageError: The images are no numbers.
        """
        images = checked_images(images, self.input_shape)
        with self._turn:
            return self._outputs(images, training, out)

    def _outputs(self, images: Array, training: bool, out: Array | None) -> NDArray[np.float32]:
        shape = (len(images), *self.output_shape)
        outputs = np.empty(shape, np.float32) if out is None else out
        if out is not None and (not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != np.float32):
            raise NetworkError(f"out must be a float32 array of shape {shape}.")
        self.clock[1] += np.uint64(training)
        step = len(images) if training else self._images_in_cache(len(images))
        for start in range(0, len(images), step):
            outputs[start : start + step] = self._run(images[start : start + step], training)
        if training:
            self.changed()  # batch norms moved their statistics
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
        plan = self._int8.of(len(images)) if self._int8 and not training else self.plan(len(images), training)
        np.copyto(plan.input, images)
        plan.forward()
        return plan.output

    def activations(self, images: Array, names: Sequence[str]) -> dict[str, Array]:
        """Return the outputs of some layers for images, as in evaluation.

        Args:
            images: The images, normalised, float32 (n, h, w, c).
            names: The names of the layers.

        Returns:
            {name: float32 (n, h, w, c) or (n, features)}.

        Raises:
            NetworkError: The images have another shape, or there is no such layer.
        """
        images = checked_images(images, self.input_shape)
        names = self._names(names)
        with self._turn:
            plan = self.keeping(len(images), names)
            np.copyto(plan.input, images)
            plan.forward()
            return {name: plan.kept(name).copy() for name in names}

    def keeping(self, batch: int, names: Iterable[str]) -> Plan:
        """Return a plan for evaluation that keeps the outputs of some layers: ``plan.kept(name)``.

        Nobody else keeps the plan. It reads the weights as they are when it runs.

        Args:
            batch: The number of images.
            names: The names of the layers.

        Raises:
            NetworkError: There is no such layer.
        """
        return self._new_plan(batch, False, frozenset(self._names(names)))

    def _names(self, names: Iterable[str]) -> list[str]:
        """Return names of layers as a list. Raises NetworkError where they are none."""
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise NetworkError(f"the layers to look at must be a list of names, not {brief(names)}.")
        return [self.node(name).name for name in names]

    def tracing(self, batch: int, towards: Iterable[str], replaced: Callable[[str, Layer], Layer] | None = None
                ) -> Plan:
        """Return a plan that computes gradients by values inside the network, and none by weights.

        ``plan.backward`` takes a gradient of the outputs to them: ``plan.gradient(name)``; their values are
        ``plan.kept(name)``. The network behaves as in evaluation. Nobody else keeps the plan. It reads the weights as
        they are when it runs.

        Args:
            batch: The number of images.
            towards: The values: names of layers, or "input".
            replaced: Gets each layer's name and the layer (``Layer.still``), and returns the layer to use instead.
                None: no layer is replaced.

        Raises:
            NetworkError: There is no such layer.
        """
        names = frozenset(towards)
        for name in names:
            self.shape_of(name)
        stills = [node.layer.still() for node in self.nodes]
        nodes = [replace(node, layer=replaced(node.name, layer) if replaced else layer)
                 for node, layer in zip(self.nodes, stills, strict=True)]
        return Plan(nodes, self.input_shape, batch, True, clock=self.clock, packing=self._packing, towards=names,
                    precision=self._precision)

    def images_at_once(self) -> int:
        """Return the batch size of an evaluation, which keeps its memory small."""
        return self._images_at_once
