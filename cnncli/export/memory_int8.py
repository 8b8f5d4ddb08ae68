"""Where the values of a quantised network lie in a device's memory, one byte a number: as few bytes as can be. What is
changed number by number stays in its place, and a sum lies where what is added to it lay.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .. import layers
from ..layers import Shape
from ..network import INPUT
from ..network.fusion import Unit

_IN_PLACE = (layers.LeakyReLU, layers.ReLU, layers.ReLU6, layers.Scale, layers.SiLU, layers.Sigmoid, layers.Tanh,
             layers.Dropout, layers.Add)


@dataclass(eq=False)
class _Room:
    """What one or several values lie in, from the unit ``first`` to the unit ``last``, both included."""

    size: int
    first: int
    last: int
    start: int = 0

    @property
    def end(self) -> int:
        return self.start + self.size


class Memory:
    """Places for the values of some units, whose shapes are given by name. ``bytes`` is how much they need."""

    def __init__(self, units: Sequence[Unit], shapes: Mapping[str, Shape]) -> None:
        last = {name: place for place, unit in enumerate(units) for name in unit.reads}
        last[units[-1].output] = len(units)
        self._rooms = {INPUT: _Room(size_of(shapes[INPUT]), -1, last[INPUT])}
        for place, unit in enumerate(units):
            until = last.get(unit.output, place)
            free = (self._rooms[name] for name in _may_hold(unit, shapes) if self._rooms[name].last == place)
            room = next(free, None)
            if room is None:
                room = _Room(size_of(shapes[unit.output]), place, until)
            room.last = until
            self._rooms[unit.output] = room
        rooms = list(dict.fromkeys(self._rooms.values()))
        orders = sorted(rooms, key=lambda room: -room.size), sorted(rooms, key=lambda room: room.first)
        self.bytes = _laid_out(min(orders, key=_laid_out))

    def place(self, name: str) -> int:
        """Return where a value's first byte lies."""
        return self._rooms[name].start


def size_of(shape: Iterable[int]) -> int:
    """Return how many numbers a shape has."""
    return math.prod(shape)


def _may_hold(unit: Unit, shapes: Mapping[str, Shape]) -> list[str]:
    """Return the values in whose place the unit may write its own, if nobody reads them later."""
    if unit.add is not None:
        return [unit.add] if unit.add not in unit.inputs else []
    kind, shape = type(unit.node.layer), shapes[unit.inputs[0]]
    same = kind is layers.Flatten and (shape[-1] == 1 or size_of(shape[:-1]) == 1)
    return list(unit.inputs) if kind in _IN_PLACE or same else []


def _laid_out(rooms: Sequence[_Room]) -> int:
    """Give each room the lowest place where none lies that was placed before and is needed with it; return how many
    bytes all take."""
    placed: list[_Room] = []
    for room in rooms:
        room.start = 0
        for other in sorted(placed, key=lambda each: each.start):
            if other.first > room.last or room.first > other.last:
                continue
            if room.end <= other.start:
                break
            room.start = max(room.start, other.end)
        placed.append(room)
    return max(room.end for room in rooms)
