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
from ..layers import Shape
from .fusion import Unit
from .turn import Turn


@dataclass(eq=False)
class Packed:
    """One layer's packed weights for one pass, and the parameters that they are made of."""

    params: dict[str, Array]
    array: Array
    calls: list[Call]
    unit: Unit
    made: tuple[int, str] | None = None  # of which revision, for which instruction set

    def make(self) -> None:
        if self.unit.norm is not None:
            self.unit.norm.layer.fold(self.unit.node.layer.params, self.params)
        for call in self.calls:
            call()


class Packing:
    """All packed weights of a network."""

    def __init__(self) -> None:
        self._packed: dict[tuple[str, str, int], Packed] = {}
        self._revision = 0
        self._turn = Turn()  # plans of several threads may read what one of them makes

    def __reduce__(self) -> tuple[type["Packing"], tuple[()]]:
        return Packing, ()  # a copy makes its own

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
                calls = layer.pack_calls(params, {which: array}, *shapes, training=False)
                self._packed[key] = Packed(params, array, calls, unit)
            found[which] = self._packed[key]
        return found

    def refresh(self, packed: Iterable[Packed]) -> None:
        """Make what is out of date."""
        state = self.state
        with self._turn:
            for each in packed:
                if each.made != state:
                    each.make()
                    each.made = state
