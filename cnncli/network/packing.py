"""What evaluation's kernels read in place of the parameters: weights laid out for them, with a batch norm folded in
where the plan has fused one. It belongs to the network, is shared by all its plans, and is made anew when parameters
have changed. Nothing is kept here for training, whose every step changes the weights: its plan lays each out just
before the pass that reads it, in memory that others use before and after.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .. import kernels
from ..kernels import Array, Call, aligned_empty
from ..layers import BatchNorm2d, Shape
from .fusion import Unit


@dataclass(eq=False)
class Packed:
    """One layer's packed weights for one pass, and the parameters that they are made of."""

    params: dict[str, Array]
    array: Array
    calls: list[Call]
    unit: Unit
    made: tuple[int, str] | None = None  # of which revision, for which instruction set

    def make(self) -> None:
        norm = self.unit.norm
        if norm is not None and isinstance(norm.layer, BatchNorm2d):
            fold(norm.layer, self.unit.node.layer.params, self.params)
        for call in self.calls:
            call()


class Packing:
    """All packed weights of a network."""

    def __init__(self) -> None:
        self._packed: dict[tuple[str, str, int], Packed] = {}
        self._revision = 0

    def changed(self) -> None:
        """Note that parameters, or the statistics that batch norms are folded with, are others now."""
        self._revision += 1

    @property
    def state(self) -> tuple[int, str]:
        """What packed weights depend on beside the layer."""
        return self._revision, kernels.active_isa()

    def of(self, unit: Unit, shapes: Iterable[Shape]) -> dict[int, Packed]:
        """Return what a unit's forward pass reads, kernels.FORWARD -> Packed; to be made by ``refresh``."""
        layer, shapes = unit.node.layer, tuple(shapes)
        found = {}
        for which, size in layer.packed(*shapes, training=False).items():
            key = unit.node.name, unit.norm.name if unit.norm else "", which
            if key not in self._packed:
                params = layer.params
                if unit.norm is not None:
                    params = {name: aligned_empty(array.shape) for name, array in params.items()}
                    params.setdefault("bias", aligned_empty((len(params["weight"]),)))
                array = aligned_empty((size,), np.uint8)
                self._packed[key] = Packed(params, array, layer.pack_calls(params, {which: array}, *shapes), unit)
            found[which] = self._packed[key]
        return found

    def refresh(self, packed: Iterable[Packed]) -> None:
        """Make what is out of date."""
        state = self.state
        for each in packed:
            if each.made != state:
                each.make()
                each.made = state


def fold(norm: BatchNorm2d, params: dict[str, Array], folded: dict[str, Array]) -> None:
    """Write into ``folded`` the weight and bias with which the layer alone does what it does before a batch norm in
    evaluation."""
    mean, var = (norm.state[name].astype(np.float64) for name in ("running_mean", "running_var"))
    weight = params["weight"]
    scale = norm.params.get("weight", 1) / np.sqrt(var + norm.eps)
    shift = (params["bias"] - mean if "bias" in params else -mean) * scale
    np.multiply(weight, scale.astype(np.float32).reshape(-1, *[1] * (weight.ndim - 1)), out=folded["weight"])
    folded["bias"][...] = shift + norm.params.get("bias", 0)
