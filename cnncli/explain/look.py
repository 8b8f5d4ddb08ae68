"""A network that is looked into: what one of its layers yields for images, and the gradients of its answers by that or
by the images. Every method asks here. Nothing of the network changes.

Gradients go through the network as evaluation has it: batch norms use their running statistics, dropout drops nothing
(``Network.tracing``). Where all that lies behind a layer reads that layer alone, what lies before it runs as in
evaluation, folded and fused, and only the rest is traced.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels import Array, Call, aligned_empty
from ..layers import Layer, Shape
from ..layers.base import Buffers
from ..network import Network
from ..network.graph import INPUT
from ..network.plan import Plan

_PLANS_KEPT = 4  # a batch and its last smaller one, by a layer and by the image
_FLOATS_AT_ONCE = 2**26  # what a traced batch may keep: 256 MiB


class Look:
    """A network and the layer to look at. Images are float32 (n, h, w, c), as the network gets them.

    An image's numbers are the same bits alone and in a batch, on any number of threads.
    """

    def __init__(self, network: Network, layer: str) -> None:
        self.network, self.layer = network, network.node(layer).name
        self._parts = network.split(layer) if network.nodes[-1].name != layer and network.is_cut(layer) else None
        self._last: tuple[Array, Array] | None = None  # images, and what the layer yielded for them
        self._plans: dict[tuple[int, str, str, str, str], Plan] = {}
        floats = sum(int(np.prod(network.shape_of(node.name))) for node in network.nodes)
        self.at_once = max(1, min(64, _FLOATS_AT_ONCE // (3 * floats)))

    @property
    def shape(self) -> Shape:
        """What the layer yields for one image: (h, w, c), or (features,)."""
        return self.network.shape_of(self.layer)

    def logits(self, images: Array) -> Array:
        """Return the network's outputs (n, classes). What the layer yields on the way is kept for ``values`` and
        ``by_layer`` of the same array."""
        return self.network.forward(images) if self._parts is None else self._parts[1].forward(self.values(images))

    @property
    def is_cut(self) -> bool:
        """Whether everything behind the layer reads its output, or what follows from it, and nothing else."""
        return self._parts is not None

    def values(self, images: Array) -> Array:
        """Return what the layer yields for images, (n, *shape)."""
        if self._parts is not None:
            if self._last is None or self._last[0] is not images:
                self._last = images, self._parts[0].forward(images)
            return self._last[1]
        return np.concatenate([self.network.activations(images[i : i + self.at_once], [self.layer])[self.layer]
                               for i in range(0, len(images), self.at_once)])

    def by_layer(self, images: Array, weights: Array) -> tuple[Array, Array]:
        """Return what the layer yields, and the gradient by it of the logits' sum, each times its weight: two arrays
        (n, *shape). weights: (n, classes)."""
        if self._parts is not None:
            values = self.values(images)
            return values, self._traced(self._parts[1], INPUT, values, weights)[0]
        return self._values_and_gradient(images, weights)

    def by_image(self, images: Array, weights: Array, backward: str = "") -> Array:
        """Return the gradient by the images of the logits' sum, each times its weight: (n, h, w, c). backward is "", or
        how it goes back through activations (``Rectified``)."""
        return self._traced(self.network, INPUT, images, weights, backward)[0]

    def back_from(self, images: Array, gradients: Callable[[Array], Array], backward: str = "") -> Array:
        """Return what a gradient by the layer becomes at the images, (n, h, w, c): gradients takes what the layer
        yields, (n, *shape), to it. Where the layer is an activation itself, "guided" asks nothing of its input: a ReLU6
        would let none back from the 6 that it yields at most."""
        before = self.network if self.layer == self.network.nodes[-1].name else self._before()
        found = aligned_empty(images.shape)
        for start in range(0, len(images), self.at_once):
            some = images[start : start + self.at_once]
            plan = self._plan(before, len(some), INPUT, backward)
            np.copyto(plan.input, some)
            plan.forward()
            plan.output_gradient[...] = gradients(plan.output)
            plan.backward()
            found[start : start + len(some)] = plan.gradient(INPUT)
        return found

    def from_units(self, images: Array, units: Array, backward: str = "", by_value: bool = False
                   ) -> tuple[Array, Array]:
        """Return what a gradient by one of the layer's values alone becomes at the images, and that value, (n,). units
        are the values' places, one for each image, in what the layer yields for it, flattened. The gradient is 1, or,
        by_value, the value."""
        values = np.empty(len(images), np.float32)
        ends = iter(range(0, len(images), self.at_once))

        def alone(yielded: Array) -> Array:
            start = next(ends)
            flat, rows, some = yielded.reshape(len(yielded), -1), np.arange(len(yielded)), units[start:][: len(yielded)]
            values[start : start + len(yielded)] = flat[rows, some]
            gradients: Array = np.zeros_like(yielded)
            gradients.reshape(flat.shape)[rows, some] = flat[rows, some] if by_value else 1
            return gradients

        return self.back_from(images, alone, backward), values

    def _before(self) -> Network:
        if self._parts is not None:
            return self._parts[0]
        return self.network.upto(self.layer)

    def _values_and_gradient(self, images: Array, weights: Array) -> tuple[Array, Array]:
        found, values = self._traced(self.network, self.layer, images, weights)
        assert values is not None
        return values, found

    def _traced(self, network: Network, name: str, x: Array, weights: Array, backward: str = ""
                ) -> tuple[Array, Array | None]:
        """Return the gradient by a value, and the value itself where it is a layer's."""
        shape = x.shape[1:] if name == INPUT else network.shape_of(name)
        found = aligned_empty((len(x), *shape))
        values = None if name == INPUT else aligned_empty(found.shape)
        for start in range(0, len(x), self.at_once):
            part = slice(start, min(start + self.at_once, len(x)))
            plan = self._plan(network, part.stop - start, name, backward)
            np.copyto(plan.input, x[part])
            plan.forward()
            plan.output_gradient[...] = weights[part]
            plan.backward()
            found[part] = plan.gradient(name)
            if values is not None:
                values[part] = plan.kept(name)
        return found, values

    def _plan(self, network: Network, batch: int, name: str, backward: str) -> Plan:
        key = batch, network.nodes[0].name, network.nodes[-1].name, name, backward
        if key not in self._plans:
            while len(self._plans) >= _PLANS_KEPT:
                del self._plans[next(iter(self._plans))]
            own = network.nodes[-1].name if network is not self.network and backward == "guided" else None
            self._plans[key] = network.tracing(batch, [name], None if not backward else lambda each, layer: rectified(
                layer, "deconvnet" if each == own else backward))
        return self._plans[key]


# ---- other ways back through activations ----


def rectified(layer: Layer, backward: str) -> Layer:
    """Return a layer whose gradient is rectified, for an activation; every other layer as it is."""
    return Rectified(layer, backward) if layer.function else layer


class Rectified(Layer, abstract=True):
    """An activation that lets only positive gradients back: where it lets its input through, too ("guided":
    Springenberg et al. 2015), or wherever ("deconvnet": Zeiler and Fergus 2014, whose ReLU on the way back asks
    nothing of the input). Or one that lets gradients back as it is, but positive ones wherever, for an image of which
    it would let none back ("redirected", as Olah, Mordvintsev and Schubert 2017 leave images that excite nothing)."""

    reads_input = reads_output = True

    def __init__(self, activation: Layer, backward: str) -> None:
        super().__init__()
        self._activation, self._backward = activation, backward

    def forward_calls(self, io: Buffers) -> list[Call]:
        return self._activation.forward_calls(io)

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dx[0] is None or io.dy is None:
            return []
        if self._backward == "deconvnet":
            return [Call("deconvnet", io.dy, io.dx[0], function=_positive)]
        calls = self._activation.backward_calls(io)
        if self._backward == "redirected":
            return [*calls, Call("redirected", io.dy, io.dx[0], function=_redirected)]
        return [*calls, Call("guided", io.dx[0], io.dx[0], function=_positive)]


def _positive(dy: Array, dx: Array) -> int:
    np.maximum(dy, 0, out=dx)
    return 0


def _redirected(dy: Array, dx: Array) -> int:
    stuck = ~dx.reshape(len(dx), -1).any(axis=1)
    dx[stuck] = np.maximum(dy[stuck], 0)
    return 0


def one_hot(targets: Any, classes: int) -> Array:
    """Return float32 (n, classes) with a 1 at each image's target."""
    weights = np.zeros((len(targets), classes), np.float32)
    weights[np.arange(len(targets)), targets] = 1
    return weights
