"""Which neighbouring layers run as one. plan.py asks it first: what a layer's kernel can do to its results while it
stores them (batch norm folded into weights, a skip connection's sum, an activation) needs no sweep over memory of its
own, and the values in between need no memory at all.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..kernels import FUSED
from .graph import Node


@dataclass(eq=False)
class Unit:
    """A layer and what is fused behind it: output = activation(norm(layer(inputs)) + add).

    inputs, output and add are names of values, as nodes have them; norm is a batch norm that is folded into the
    layer's weights, activation one of kernels.FUSED.
    """

    node: Node
    inputs: tuple[str, ...]
    output: str
    norm: Node | None = None
    add: str | None = None
    activation: str = ""

    @property
    def reads(self) -> tuple[str, ...]:
        """All values that forward reads."""
        return self.inputs if self.add is None else (*self.inputs, self.add)


def unit_of_each(units: Sequence[Unit], nodes: Sequence[Node]) -> dict[str, Unit]:
    """Return which unit each node is in, by the node's name."""
    by_name, found = {node.name: node for node in nodes}, dict[str, Unit]()
    for unit in units:
        left = [unit.output]
        while left:
            name = left.pop()
            if name not in unit.reads:
                found[name] = unit
                left += by_name[name].inputs
    return found


def fuse(nodes: Sequence[Node], training: bool, keep: Iterable[str] = ()) -> list[Unit]:
    """Return the units that compute what the nodes do, in an order in which each finds its inputs ready.

    keep names values that must not vanish. Training folds no batch norm, whose statistics are the batch's, and leaves
    a ReLU before a max pooling to the pooling: max and ReLU can change places, and a quarter of the values is left.
    """
    return _Fusion(nodes, training, frozenset(keep)).units


class _Fusion:
    def __init__(self, nodes: Sequence[Node], training: bool, keep: frozenset[str]) -> None:
        self.training, self.keep = training, keep
        self.uses = Counter(name for node in nodes for name in node.inputs)
        self.consumer = {name: node for node in nodes for name in node.inputs}
        self.made_by: dict[str, Unit] = {}
        self.postponed: dict[str, Node] = {}  # activations that the pooling behind them applies
        self.units: list[Unit] = []
        for node in nodes:
            if not (self._postponed(node) or self._absorbed(node)):
                self._begin(node)

    def _begin(self, node: Node) -> None:
        unit = Unit(node, node.inputs, node.name)
        before = self.postponed.get(node.inputs[0])
        if before is not None:
            unit.inputs, unit.activation = before.inputs, _function(before)
        self.units.append(unit)
        self.made_by[node.name] = unit

    def _postponed(self, node: Node) -> bool:
        """Leave a ReLU to the max pooling behind it, if nobody else reads it and nothing before takes it for free."""
        if not _function(node) or self.uses[node.name] != 1 or node.name in self.keep:
            return False
        behind = self.consumer[node.name].layer
        if not (behind.swaps_with_activation and behind.fuses_activation):
            return False
        if not self.training and self._vanishes(node.inputs[0]) and self._takes_activation(node.inputs[0]):
            return False
        self.postponed[node.name] = node
        return True

    def _absorbed(self, node: Node) -> bool:
        """Whether the unit that yields the node's input takes the node in; the one that runs last, where two do."""
        if node.layer.sums:
            return self._absorbed_sum(node)
        name = node.inputs[0]
        if not self._vanishes(name):
            return False
        unit = self.made_by[name]
        if node.layer.folds and not self.training:
            if not unit.node.layer.takes_fold or unit.output != unit.node.name:
                return False
            unit.norm = node
        elif _function(node) and self._takes_activation(name):
            unit.activation = _function(node)
        else:
            return False
        self._extend(unit, node)
        return True

    def _absorbed_sum(self, node: Node) -> bool:
        if len(node.inputs) != 2 or node.inputs[0] == node.inputs[1]:
            return False
        places = {name: self.units.index(self.made_by[name]) if name in self.made_by else -1 for name in node.inputs}
        other, name = sorted(node.inputs, key=lambda each: places[each])
        if not self._vanishes(name):
            return False
        unit = self.made_by[name]
        if not unit.node.layer.fuses_add or unit.add is not None or unit.activation:
            return False
        unit.add = other
        self._extend(unit, node)
        return True

    def _extend(self, unit: Unit, node: Node) -> None:
        unit.output = node.name
        self.made_by[node.name] = unit

    def _vanishes(self, name: str) -> bool:
        """Whether a value has but one reader and a unit that yields it, so that it need not exist."""
        return name in self.made_by and self.uses[name] == 1 and name not in self.keep

    def _takes_activation(self, name: str) -> bool:
        unit = self.made_by[name]
        return unit.node.layer.fuses_activation and not unit.activation


def _function(node: Node) -> str:
    """The name of an activation that can be fused; "" for all else."""
    return node.layer.function if node.layer.function in FUSED else ""
