"""Where a quantised network's values and weights are bytes in an ONNX file: pairs of QuantizeLinear and
DequantizeLinear around them say so, and a runtime fuses these with the operators between them into ones that compute in
whole numbers (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html calls it QDQ).

The pairs are where network/int8_plan.py has bytes, and nowhere else: behind each unit that it computes of bytes, not
between the layers of one, which it does not round between either.
"""

import numpy as np

from ..kernels import PARTS, Array, int8_quantise
from ..layers.int8 import ALL_BYTES, Int8Weights, Steps, parts
from ..model import Model
from ..network import INPUT, Network, Node
from ..network.fusion import Unit, fuse, unit_of_each
from .onnx_graph import Graph


class Values:
    """The names that a network's values have in a graph. images is that of "input"."""

    def __init__(self, images: str) -> None:
        self.reals = {INPUT: images}

    def read_by(self, node: Node) -> list[str]:
        """Return the names of what a node reads."""
        return [self.real(name) for name in node.inputs]

    def parameters_of(self, node: Node) -> list[str] | None:
        """Add a node's weights as whole numbers, and return the names of what they stand for. None: they are floats."""
        return None

    def written(self, node: Node, name: str) -> None:
        """Take note that a node was appended, which yields ``name``."""
        self.reals[node.name] = name

    def real(self, name: str) -> str:
        """Return the name of the floats that a value of the network is, or that its bytes stand for."""
        return self.reals[name]


class QuantisedValues(Values):
    """The values of a quantised network: of some, bytes are made, and floats again of these."""

    def __init__(self, graph: Graph, network: Network, images: str) -> None:
        super().__init__(images)
        assert network.quantisation is not None
        self.graph, self.found = graph, network.quantisation
        units = fuse(network.nodes, training=False)
        self.units = unit_of_each(units, network.nodes)
        self.of_bytes = {unit.output for unit in units
                         if self.found.takes_bytes(unit, [network.shape_of(name) for name in unit.inputs])}
        self.bytes: dict[str, list[str]] = {}  # the names of bytes, and of their step and zero
        self.rounded: dict[str, str] = {}

    def read_by(self, node: Node) -> list[str]:
        unit = self.units[node.name]
        if unit.output not in self.of_bytes:
            return super().read_by(node)
        if node.layer.sums:
            return self._summed(unit, node)
        return [self._rounded(name) if name in unit.reads else self.reals[name] for name in node.inputs]

    def parameters_of(self, node: Node) -> list[str] | None:
        unit = self.units[node.name]
        if unit.output not in self.of_bytes or "weight" not in node.layer.params:
            return None
        weights = Int8Weights.of(node.layer.params, self.found.scales[node.name])
        steps = self.found.steps[unit.inputs[0]]
        names = [self._constant(f"{node.name}.weight", weights.values, weights.scales)]
        if weights.bias is not None:
            bias = weights.whole_bias(steps).astype(np.int32)
            names.append(self._constant(f"{node.name}.bias", bias, weights.of_sums(steps)))
        return names

    def real(self, name: str) -> str:
        return self._rounded(name) if name in self.of_bytes & self.found.steps.keys() else self.reals[name]

    def _summed(self, unit: Unit, node: Node) -> list[str]:
        """Return what a sum adds up so that it is rounded as our kernels do it, which count in parts of a step of the
        result (kernels.Sum): bytes stand for whole parts, and half a part more rounds halves upward."""
        to, names = self.found.steps[unit.output], []
        for name in node.inputs:
            value = self.reals[name]
            if name in unit.reads:
                part = max(parts(self.found.steps[name], to) / PARTS * to.scale, np.finfo(np.float32).tiny)
                made, _, zero = self._bytes(name)
                step = self.graph.constant(f"{node.name}.{name}.step", np.float32(part))
                value = self.graph.add("DequantizeLinear", [made, step, zero], f"{node.name}.{name}.parts")
            names.append(value)
        return [*names, self.graph.constant(f"{node.name}.half", np.float32(to.scale / PARTS / 2))]

    def _bytes(self, name: str) -> list[str]:
        """Return the names of a value's bytes, and of their step and zero."""
        if name not in self.bytes:
            steps: Steps = self.found.steps[name]
            how = [self.graph.constant(f"{name}.step", np.float32(steps.scale)),
                   self.graph.constant(f"{name}.zero", steps.zero, np.uint8)]
            made = self.graph.add("QuantizeLinear", [self.reals[name], *how], f"{name}.bytes")
            self.bytes[name] = [made, *how]
        return self.bytes[name]

    def _rounded(self, name: str) -> str:
        """Return the name of the floats that a value's bytes stand for."""
        if name not in self.rounded:
            self.rounded[name] = self.graph.add("DequantizeLinear", self._bytes(name), f"{name}.rounded")
        return self.rounded[name]

    def _constant(self, name: str, array: Array, scales: Array) -> str:
        """Append whole numbers, and return the name of what they stand for in each output channel."""
        inputs = [self.graph.constant(f"{name}.whole", array, array.dtype),
                  self.graph.constant(f"{name}.steps", scales),
                  self.graph.constant(f"{name}.zeros", np.zeros(len(scales)), array.dtype)]
        return self.graph.add("DequantizeLinear", inputs, name, axis=0)


def shift_to_bytes(model: Model, scale: Array, shift: Array) -> Array:
    """Return shift, float32 (c,), changed in its last bits where pixels * scale + shift would else be rounded to other
    bytes than ours: a pixel whose value lies half-way between two bytes is in every image."""
    steps = model.network.quantisation.steps.get(INPUT) if model.network.quantisation else None
    if steps is None:
        return shift
    best: Array = shift.copy()
    left, pixels = np.full(len(shift), True), np.repeat(ALL_BYTES[:, None], len(shift), axis=1)
    ours = np.empty((1, 256, 1, len(shift)), np.uint8)
    int8_quantise(model.preprocessing.normalise(pixels.reshape(ours.shape)), steps.scale, steps.zero, ours)()
    for change in (0, 1, -1, 2, -2, 4, -4, 8, -8):
        tried = shift + np.float32(change * 2.0**-24) * np.maximum(np.abs(shift), 1)
        theirs = np.clip(np.rint((pixels * scale + tried) / np.float32(steps.scale)) + steps.zero, 0, 255)
        good = (theirs == ours.reshape(pixels.shape)).all(axis=0)
        best[left & good] = tried[left & good]
        left &= ~good
    return best
