"""Which quantisation of a network is used: the way of choosing ranges, and the layers that stay in float32. Each is
tried on validation images, and what they lose least by is kept.
"""

from collections.abc import Callable, Iterable

import numpy as np

from ..kernels import Array
from ..layers import Layer
from ..layers.int8 import Steps
from ..network import INPUT, Network
from ..network.fusion import fuse
from ..network.int8_plan import Quantisation
from .observing import Histogram
from .ranges import WAYS, off_ties, steps_for

Loss = Callable[[Quantisation], float]  # the mean cross-entropy of validation images
GAIN = 0.002  # nats: a layer is left in float32 if the loss falls by so much
_LARGEST_BIAS = 2**29  # in steps of a layer's sums


def quantisation_of(network: Network, found: dict[str, Histogram], way: str, pixels: Array | None = None
                    ) -> Quantisation:
    """Return the quantisation of all layers that can be computed of bytes, its ranges chosen in one of the WAYS. pixels
    are all values that a number of the input can have, if they are few."""
    steps = {INPUT: steps_for(*WAYS[way](found[INPUT]))}
    if pixels is not None:
        steps[INPUT] = off_ties(steps[INPUT], pixels)
    scales: dict[str, Array] = {}
    for unit in fuse(network.nodes, training=False):
        layer, shapes = unit.node.layer, [network.shape_of(name) for name in unit.inputs]
        if layer.keeps_numbers:
            if unit.inputs[0] in steps:
                steps[unit.output] = steps[unit.inputs[0]]
        elif unit.output != network.nodes[-1].name:
            steps[unit.output] = steps_for(*WAYS[way](found[unit.output]))
        if "weight" in layer.params and unit.norm is None and unit.inputs[0] in steps and layer.takes_bytes(*shapes):
            scales[unit.node.name] = weight_scales(layer, steps[unit.inputs[0]])
    return Quantisation(steps, scales)


def weight_scales(layer: Layer, steps: Steps) -> Array:
    """Return a scale for each output channel, float32: the largest weight is 127, unless the bias would not fit."""
    weight = layer.params["weight"]
    largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1).astype(np.float64) / 127
    bias = np.abs(layer.params["bias"]).astype(np.float64) if "bias" in layer.params else np.zeros(len(weight))
    needed = np.maximum(largest, bias / steps.scale / _LARGEST_BIAS)
    scales: Array = np.where(needed > np.finfo(np.float32).tiny, needed, 1).astype(np.float32)
    return scales


def without(found: Quantisation, layers: Iterable[str]) -> Quantisation:
    """Return a quantisation that leaves some layers in float32."""
    left = set(layers)
    return Quantisation(found.steps, {name: each for name, each in found.scales.items() if name not in left})


def choose(network: Network, found: dict[str, Histogram], pixels: Array, loss: Loss
           ) -> tuple[Quantisation, str, list[str]]:
    """Return the best quantisation, its way of choosing ranges, and which of the first and last layer it leaves out."""
    tried = {way: quantisation_of(network, found, way, pixels) for way in WAYS}
    losses = {way: loss(each) for way, each in tried.items()}
    way = min(losses, key=lambda each: losses[each])
    best, least, floats = tried[way], losses[way], list[str]()
    ends = list(best.scales)
    for name in dict.fromkeys([*ends[:1], *ends[-1:]]):
        candidate = without(best, [name])
        value = loss(candidate)
        if value < least - GAIN:
            best, least = candidate, value
            floats.append(name)
    return best, way, floats


def ranked(found: Quantisation, loss: Loss) -> list[tuple[str, float]]:
    """Return (layer, how much the loss falls if it alone is left in float32), the layer that loses most first."""
    whole = loss(found)
    gains = [(name, whole - loss(without(found, [name]))) for name in found.scales]
    return sorted(gains, key=lambda each: -each[1])
