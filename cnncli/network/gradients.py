"""The way back through a network: which steps take the loss's gradient to every layer, in what order, and where each
gradient lies. plan.py asks once for a plan of training and turns the steps into calls.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..layers import Shape
from .arena import Arena, Tensor
from .fusion import Unit


@dataclass
class Sum:
    """A step that adds two gradients of one tensor."""

    a: Tensor
    b: Tensor
    out: Tensor


@dataclass
class Gate:
    """A step that takes a gradient back through the activation that was fused into ``unit``."""

    unit: Unit
    dy: Tensor
    out: Tensor


@dataclass
class Backward:
    """A unit's backward step: the gradient that comes in, and where those of its inputs go (None: nobody asks).

    before is another gradient of the first input, to be added; gate the unit that yielded this input, through whose
    activation the sum goes back.
    """

    unit: Unit
    dy: Tensor
    dadd: Tensor | None
    dx: list[Tensor | None]
    before: Tensor | None = None
    gate: Unit | None = None


def last_step(units: Sequence[Unit]) -> int:
    """Return the number of a plan's last step: forward of unit i is step i, its backward step last_step - i."""
    return 2 * len(units) + 1


class Gradients:
    """Lays out a plan's gradients, back to front, and its backward steps. A value with several readers gets the sum of
    what they send back. Whoever sends the last share adds the others to it and takes it through the activation that
    was fused behind the value, as it stores it, where it can; otherwise these are steps of their own. A gradient is
    stored as dtypes says of its value.

    towards names values whose own gradients are asked for, "input" among them: they are kept in ``found``."""

    def __init__(self, units: Sequence[Unit], shapes: Mapping[str, Shape], dtypes: Mapping[str, Any], batch: int,
                 arena: Arena, towards: frozenset[str] = frozenset()) -> None:
        self._shapes, self._dtypes, self._batch, self._arena = shapes, dtypes, batch, arena
        self._towards, self.found = towards, dict[str, Tensor]()
        self.steps: list[Backward | Sum | Gate] = []
        self._maker = {unit.output: unit for unit in units}
        self._wanted = self._names_that_need_a_gradient(units)
        self._to_come = Counter(name for unit in units for name in unit.reads if unit.output in self._wanted)
        last, self._end = units[-1].output, last_step(units)
        self.output = self._new_like(last, len(units))
        self._sums = {last: self.output}
        if last in self._wanted and self._gate(last):
            self._sums[last] = self._gated(units[-1], self.output, len(units))
        for i, unit in reversed(list(enumerate(units))):
            if unit.output in self._wanted:  # otherwise nothing before it learns, nor does it
                self._back(unit, self._sums.pop(unit.output), self._end - i)

    def _names_that_need_a_gradient(self, units: Sequence[Unit]) -> set[str]:
        """Return the values that somebody asks for: ``towards``, and those of units that learn or have such a value or
        unit before them."""
        wanted = set(self._towards)
        for unit in units:
            if unit.node.layer.grads or wanted.intersection(unit.reads):
                wanted.add(unit.output)
        return wanted

    def _gate(self, name: str) -> Unit | None:
        """The unit that yields a value, if a gradient has to go back through an activation before the unit gets it."""
        unit = self._maker.get(name)
        return unit if unit and unit.activation and not unit.node.layer.gates_itself else None

    def _back(self, unit: Unit, dy: Tensor, step: int) -> None:
        dy.use(step)
        layer = unit.node.layer
        dadd = None
        if unit.add is not None and unit.add in self._wanted:
            changed = bool(layer.gates_itself and unit.activation)
            dadd = self._new_like(unit.add, step) if changed and dy.shared else dy
            dy.shared |= not changed
        backward = Backward(unit, dy, dadd, [])
        self.steps.append(backward)
        first = unit.inputs[0]
        finished = layer.finishes_gradient and self._to_come[first] == 1 and first not in self._towards
        for name in unit.inputs:
            backward.dx.append(self._dx(backward, name, step, finished) if name in self._wanted else None)
        if layer.passes_gradient:
            dy.shared = True
        if dadd is not None and unit.add is not None:
            self._send(unit.add, dadd, step)
        for name, dx in zip(unit.inputs, backward.dx, strict=True):
            if dx is not None:
                self._send(name, dx, step, finished)

    def _dx(self, backward: Backward, name: str, step: int, finished: bool) -> Tensor:
        """Where the gradient of one input goes, and what is fused into its store."""
        layer, dy = backward.unit.node.layer, backward.dy
        if layer.passes_gradient:
            return dy
        if finished:
            backward.before, backward.gate = self._sums.get(name), self._gate(name)
            if backward.before is not None and not backward.before.use(step).shared:
                return backward.before
        elif layer.dx_may_be_dy and backward.dadd is None and not dy.shared and self._like(name, dy):
            return dy
        return self._new_like(name, step)

    def _send(self, name: str, share: Tensor, step: int, finished: bool = False) -> None:
        """Count in one share of a value's gradient; finished, it already holds the others and the activation."""
        self._to_come[name] -= 1
        before = self._sums.get(name)
        if before is not None and not finished:
            share = self._sum(before, share, step)
        self._sums[name] = share
        if name in self._towards and not self._to_come[name]:
            share.use(self._end).shared = True
            self.found[name] = share
        gate = self._gate(name)
        if gate and not finished and not self._to_come[name]:
            self._sums[name] = self._gated(gate, share, step)

    def _sum(self, a: Tensor, b: Tensor, step: int) -> Tensor:
        """Sum two gradients, into one of them where it is nobody else's."""
        out = next((t for t in (a, b) if not t.shared), None) or self._arena.new(a.shape, a.dtype, step, step)
        self.steps.append(Sum(a.use(step), b.use(step), out.use(step)))
        return out

    def _gated(self, unit: Unit, dy: Tensor, step: int) -> Tensor:
        out = self._arena.new(dy.shape, dy.dtype, step, step) if dy.shared else dy
        self.steps.append(Gate(unit, dy.use(step), out.use(step)))
        return out

    def _new_like(self, name: str, step: int) -> Tensor:
        return self._arena.new((self._batch, *self._shapes[name]), self._dtypes[name], step, step)

    def _like(self, name: str, tensor: Tensor) -> bool:
        return bool(self._shapes[name] == tensor.shape[1:] and self._dtypes[name] == tensor.dtype)
