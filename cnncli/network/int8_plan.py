"""A plan in whole numbers: what a quantised network does for one batch size, worked out once and run many times. It
takes the units that fusion.py makes of the layers. Units that layers compute of bytes (Layer.int8_calls) pass bytes on;
others run in float32, with calls between that turn floats into bytes and back. Whatever is computed of bytes is the
same on every machine, to the bit.

Int8Plans makes and keeps plans. ``Quantisation`` is what quantising a network found (quantising/); it is in the model
file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import kernels
from ..kernels import Array, Call, int8_dequantise, int8_quantise
from ..layers import Buffers, Shape
from ..layers.int8 import Int8Buffers, Int8Weights, Steps, fits_in
from .arena import Arena, Tensor
from .fusion import Unit, fuse
from .graph import INPUT, Node
from .packing import Packed, Packing
from .plan import Plans

BYTES, REAL = np.uint8, np.float32  # the two forms of a value


@dataclass(frozen=True, eq=False)
class Quantisation:
    """How a network computes in whole numbers.

    Attributes:
        steps: What the bytes of "input" and of each layer's output stand for. A value without steps stays float32.
        scales: For each layer with int8 weights: what a 1 stands for, float32, for each output channel.
    """

    steps: Mapping[str, Steps]
    scales: Mapping[str, Array]

    def takes_bytes(self, unit: Unit, shapes: Sequence[Shape]) -> bool:
        """Return whether a unit is computed of bytes: its layer can be, and all that it reads and yields has steps. If
        its output has none, it leaves floats."""
        layer = unit.node.layer
        known = all(name in self.steps for name in unit.reads)
        yields = unit.output in self.steps or _yields_real(unit)
        weights = "weight" not in layer.params or unit.node.name in self.scales
        if known and unit.output in self.steps:
            added = [*(unit.inputs if layer.sums else ()), *([unit.add] if unit.add else ())]
            known = all(fits_in(self.steps[name], self.steps[unit.output]) for name in added)
        if known and layer.keeps_numbers:
            yields = self.steps.get(unit.output) == self.steps[unit.inputs[0]]
        return known and yields and weights and unit.norm is None and layer.takes_bytes(*shapes)

    def part(self, behind: str | None = None) -> "Quantisation":
        """Return the quantisation of a part of the network: of all that follows a layer, whose output is "input"."""
        if behind is None:
            return self
        steps = {name: each for name, each in self.steps.items() if name != INPUT}
        return Quantisation(steps | ({INPUT: steps[behind]} if behind in steps else {}), self.scales)


def _yields_real(unit: Unit) -> bool:
    """Whether a unit with weights can leave its sums as floats: nothing else is to be done to them."""
    return "weight" in unit.node.layer.params and not unit.add and not unit.activation


@dataclass(eq=False)
class Int8Packing:
    """The rearranged int8 weights of a network, which plans for all batch sizes read."""

    _packed: dict[str, tuple[Int8Weights, Array, Call]] = field(default_factory=dict)
    _made: Any = None

    def of(self, unit: Unit, scales: Array, shapes: Sequence[Shape]) -> tuple[Int8Weights, Array]:
        """Return a layer's weights and where they lie; to be made by ``refresh``."""
        name = unit.node.name
        if name not in self._packed:
            weights = Int8Weights.of(unit.node.layer.params, scales)
            self._packed[name] = weights, *unit.node.layer.int8_packed(weights.values, *shapes)
            self._made = None
        return self._packed[name][:2]

    def refresh(self) -> None:
        """Make what is out of date."""
        state = kernels.way()
        if self._made != state:
            for _, _, pack in self._packed.values():
                pack()
            self._made = state

    def __reduce__(self) -> tuple[type["Int8Packing"], tuple[()]]:
        return Int8Packing, ()  # a copy makes its own


class Int8Plan:
    """The calls and the memory for one batch size: ``input`` is to be filled before ``forward``, ``output`` is there
    after it, both float32."""

    training = False

    def __init__(self, nodes: Sequence[Node], input_shape: Shape, batch: int, quantisation: Quantisation, *,
                 clock: Array, packing: Packing, int8_packing: Int8Packing) -> None:
        self.batch = batch
        self._clock, self._packing, self._int8_packing = clock, packing, int8_packing
        self._quantisation = quantisation
        self._shapes = {INPUT: input_shape, **{node.name: node.shape for node in nodes}}
        self._units = fuse(nodes, False)
        self._arena = Arena()
        self._tensors: dict[tuple[str, Any], Tensor] = {}
        self._steps: list[_Step] = []
        self._new(INPUT, REAL, 0)
        for unit in self._units:
            self._append(unit)
        last = self._units[-1].output
        self._need(last, REAL)
        self._tensors[last, REAL].use(len(self._steps))
        workspace = max([0, *(self._workspace_of(step.unit) for step in self._steps if step.unit and not step.bytes)])
        self._workspace = self._arena.new((workspace,), np.uint8, 0, len(self._steps))
        self._arena.lay_out()
        self._packed_weights: list[Packed] = []
        self._packed_state: Any = None
        self._calls = [call for step in self._steps for call in self._calls_of(step)]

    @property
    def input(self) -> Array:
        """The images (n, h, w, c), float32: to be filled before forward."""
        return self._tensors[INPUT, REAL].array

    @property
    def output(self) -> Array:
        """What the last layer yields (n, …), float32, after forward."""
        return self._tensors[self._units[-1].output, REAL].array

    def forward(self) -> None:
        """Compute output from input."""
        state = self._packing.state
        if state != self._packed_state:
            self._packing.refresh(self._packed_weights)
            self._packed_state = state
        self._int8_packing.refresh()
        for call in self._calls:
            status = call.function(*call.arguments)
            if status:
                call.fail(status)

    def takes_bytes(self, unit: Unit) -> bool:
        """Return whether a unit is computed of bytes."""
        return self._quantisation.takes_bytes(unit, self._input_shapes(unit))

    # ---- the order, and who needs what until when ----

    def _append(self, unit: Unit) -> None:
        """Append the step that computes a unit, and before it those that bring what it reads into the right form."""
        of_bytes = self.takes_bytes(unit)
        form = BYTES if of_bytes else REAL
        for name in unit.reads:
            self._need(name, form)
        result = BYTES if of_bytes and unit.output in self._quantisation.steps else REAL
        self._steps.append(_Step(unit, of_bytes, unit.output, result))
        place = len(self._steps) - 1
        for name in unit.reads:
            self._tensors[name, form].use(place)
        self._new(unit.output, result, place)

    def _need(self, name: str, form: Any) -> None:
        """Make sure that a value is there in a form."""
        if (name, form) in self._tensors:
            return
        self._steps.append(_Step(None, False, name, form))
        place = len(self._steps) - 1
        self._tensors[name, REAL if form == BYTES else BYTES].use(place)
        self._new(name, form, place)

    def _new(self, name: str, form: Any, place: int) -> None:
        self._tensors[name, form] = self._arena.new((self.batch, *self._shapes[name]), form, place, place)

    def _input_shapes(self, unit: Unit) -> list[Shape]:
        return [self._shapes[name] for name in unit.inputs]

    def _workspace_of(self, unit: Unit) -> int:
        return unit.node.layer.workspace(self.batch, *self._input_shapes(unit), training=False)

    # ---- calls ----

    def _calls_of(self, step: "_Step") -> list[Call]:
        unit, y = step.unit, self._tensors[step.value, step.form].array
        if unit is None:
            return self._turned(step.value, step.form, y)
        if not step.bytes:
            return self._in_floats(unit, y)
        found = self._quantisation
        weights, packed = None, None
        if unit.node.name in found.scales:
            shapes = self._input_shapes(unit)
            weights, packed = self._int8_packing.of(unit, found.scales[unit.node.name], shapes)
        io = Int8Buffers(
            x=[self._tensors[name, BYTES].array for name in unit.inputs], steps=[found.steps[i] for i in unit.inputs],
            y=y, to=found.steps[unit.output] if step.form == BYTES else None, weights=weights, packed=packed,
            add=(self._tensors[unit.add, BYTES].array, found.steps[unit.add]) if unit.add else None,
            activation=unit.activation)
        return unit.node.layer.int8_calls(io)

    def _turned(self, name: str, form: Any, y: Array) -> list[Call]:
        """The call that turns a value's floats into bytes, or its bytes into floats."""
        steps = self._quantisation.steps[name]
        if form == BYTES:
            return [int8_quantise(self._tensors[name, REAL].array, steps.scale, steps.zero, y)]
        return [int8_dequantise(self._tensors[name, BYTES].array, steps.scale, steps.zero, y)]

    def _in_floats(self, unit: Unit, y: Array) -> list[Call]:
        packed = self._packing.of(unit, self._input_shapes(unit))
        self._packed_weights += packed.values()
        return unit.node.layer.forward_calls(Buffers(
            x=[self._tensors[name, REAL].array for name in unit.inputs], y=y, training=False,
            packed={which: each.array for which, each in packed.items()}, workspace=self._workspace.array,
            clock=self._clock, params=next((each.params for each in packed.values()), None),
            add=self._tensors[unit.add, REAL].array if unit.add else None, activation=unit.activation))



class Int8Plans:
    """The last few plans of a network in whole numbers, and the weights that they read. packing is the network's, for
    what runs in float32."""

    def __init__(self, quantisation: Quantisation, nodes: Sequence[Node], input_shape: Shape, clock: Array,
                 packing: Packing) -> None:
        self.quantisation = quantisation
        self._nodes, self._input_shape, self._clock, self._packing = nodes, input_shape, clock, packing
        self._int8_packing = Int8Packing()
        self._plans: Plans[Int8Plan] = Plans()

    def of(self, batch: int) -> Int8Plan:
        """Return the plan for so many images."""
        return self._plans.of((batch, False), self._new)

    def _new(self, batch: int, _: bool) -> Int8Plan:
        return Int8Plan(self._nodes, self._input_shape, batch, self.quantisation, clock=self._clock,
                        packing=self._packing, int8_packing=self._int8_packing)


@dataclass(frozen=True)
class _Step:
    """One step: a unit, computed of bytes or of floats, or without one a value that is brought into another form. It
    yields that value in that form."""

    unit: Unit | None
    bytes: bool
    value: str
    form: Any
