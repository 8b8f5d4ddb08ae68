"""A plan: what a network does for one batch size, worked out once and run many times. It takes the units that fusion.py
makes of the layers, orders forward and backward as steps, finds when each array is first and last needed, lays all of
them into one arena, and collects the layers' calls. After that a training step allocates nothing and checks nothing.
Network.plan makes and keeps plans.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from ..errors import KernelError
from ..kernels import (
    BACKWARD_DATA,
    BFLOAT16,
    FORWARD,
    Array,
    Call,
    activation_backward,
    add,
    bf16_expand,
    bf16_round,
    from_bfloat16,
    way,
)
from ..layers import Buffers, Shape
from .arena import Arena, Tensor
from .fusion import Unit, fuse
from .gradients import Backward, Gate, Gradients, Sum, last_step
from .graph import INPUT, Node
from .packing import Packed, Packing
from .storage import Stages, dtypes_of

# What backward reads once more is made again rather than kept, where that is cheap and this much is won: this many
# numbers, and this part of all that are kept. It costs one more walk through memory.
_REMADE_NUMBERS, _REMADE_PART = 5 * 2**19, 1 / 24
_KEPT = 6  # the training batch and its last smaller one; two sizes each of an evaluation and of its last part


class Plan:
    """The calls and the memory for one batch size.

    input is the array (n, h, w, c) to fill before ``forward``, output the (n, …) of the last layer after it. In
    training, output_gradient is to be filled with the loss's gradient before ``backward``, which fills the layers'
    ``grads``. keep names layers whose output must survive the whole forward pass; towards names values of a plan for
    training, "input" among them, whose gradients ``backward`` must leave, and which survive as well. precision says how
    values are stored between layers (storage.py).
    """

    def __init__(
        self, nodes: Sequence[Node], input_shape: Shape, batch: int, training: bool, *, clock: Array,
        packing: Packing, keep: frozenset[str] = frozenset(), towards: frozenset[str] = frozenset(),
        precision: str = "float32",
    ) -> None:
        keep |= towards
        self.batch, self.training = batch, training
        self._clock, self._packing = clock, packing
        self._shapes = {INPUT: input_shape, **{n.name: n.shape for n in nodes}}
        self._dtypes = dtypes_of(nodes, input_shape, precision)
        self._way = None if precision == "float32" else way()  # memory is for these
        self._units = fuse(nodes, training, keep)
        self._arena = Arena()
        self._stages = Stages(self._dtypes, self._shapes, self._arena)
        self._stages.prepare(self._units)
        self._staged = {unit.output for unit in self._units if not self._stages.takes(unit)}
        self._end = last_step(self._units)
        self._values = self._lay_out_forward(keep)
        self._saved = self._lay_out_saved() if training else [{} for _ in self._units]
        self._gradients = Gradients(self._units, self._shapes, self._dtypes, batch, self._arena,
                                    towards) if training else None
        self._pooled = self._lay_out_pooled()
        self._lay_out_staged()
        self._lay_out_ends()
        self._fleeting = self._lay_out_fleeting() if training else [{} for _ in self._units]
        workspace = max(u.node.layer.workspace(batch, *self._input_shapes(u), training=training) for u in self._units)
        self._workspace = self._arena.new((workspace,), np.uint8, 0, self._end)
        self.arena_bytes = self._arena.lay_out()
        self._packed = [{} if training else packing.of(unit, self._input_shapes(unit)) for unit in self._units]
        self._packed_weights: list[Packed] = [each for packed in self._packed for each in packed.values()]
        self._packed_state: Any = None
        self._emit()

    @property
    def input(self) -> Array:
        """The images (n, h, w, c), float32: to be filled before forward."""
        return self._images.array

    @property
    def output(self) -> Array:
        """What the last layer yields (n, …), float32, after forward."""
        return self._outputs.array

    @property
    def output_gradient(self) -> Array:
        """The gradient of the loss by ``output``: to be filled before backward."""
        assert self._gradients is not None, "a plan for inference has no backward"
        return self._output_gradients.array

    def kept(self, name: str) -> Array:
        """Return the output of a layer that was named in keep, float32."""
        return _floats(self._values[name].array)

    def gradient(self, name: str) -> Array:
        """Return the gradient by a value that was named in towards, float32, after backward."""
        assert self._gradients is not None, "a plan for inference has no backward"
        return _floats(self._gradients.found[name].array)

    def forward(self) -> None:
        """Compute output from input."""
        if self._way and self._way != way():
            raise KernelError("a plan in bfloat16 runs with the instructions that it was made for; make a new one.")
        state = self._packing.state
        if state != self._packed_state:
            self._packing.refresh(self._packed_weights)
            self._packed_state = state
        for call in self._forward_calls:
            status = call.function(*call.arguments)
            if status:
                call.fail(status)

    def backward(self, done: Callable[[str], None] | None = None) -> None:
        """Compute every layer's grads from output_gradient; forward must have run just before. done is called with the
        name of each layer when its grads are there, the last layers first.
        """
        start = 0
        for layer, end in self._ends if done else ():
            _run(self._backward_calls[start:end])
            start = end
            if done:
                done(layer)
        _run(self._backward_calls[start:] if start else self._backward_calls)

    # ---- who needs what until when: forward of unit i is step i, its backward step end - i ----

    def _input_shapes(self, unit: Unit) -> list[Shape]:
        return [self._shapes[name] for name in unit.inputs]

    def _lay_out_forward(self, keep: frozenset[str]) -> dict[str, Tensor]:
        values = {INPUT: self._arena.new((self.batch, *self._shapes[INPUT]), self._dtypes[INPUT], 0, 0)}
        later: dict[str, list[int]] = {}  # the backward steps that read a value
        for i, unit in enumerate(self._units):
            backward, layer = self._end - i, unit.node.layer
            for name in unit.reads:
                values[name].use(i)
            for name in unit.inputs if self.training and layer.reads_input else ():
                later.setdefault(name, []).append(backward)
            value = self._arena.new((self.batch, *self._shapes[unit.output]), self._dtypes[unit.output], i, i)
            if self.training and (layer.reads_output or unit.activation) and not self._remakes(unit):
                value.use(backward)
            if unit.output in keep:
                value.use(self._end)
            values[unit.output] = value
        if INPUT in keep:
            values[INPUT].use(self._end)
        self._lay_out_remade(values, later, keep)
        # The loss reads the output and, after a step of training, whoever counts the hits.
        values[self._units[-1].output].use(self._end if self.training else len(self._units))
        return values

    def _lay_out_remade(self, values: dict[str, Tensor], later: dict[str, list[int]], keep: frozenset[str]) -> None:
        """Keep the values that backward reads, or find memory where they are made again just before."""
        self._remade: dict[str, Tensor] = {}
        least = max(_REMADE_NUMBERS, _REMADE_PART * sum(values[name].numbers for name in later))
        makers = {unit.output: unit for unit in self._units}
        for name, steps in later.items():
            if values[name].numbers >= least and name in makers and self._remakes(makers[name]) and name not in keep:
                dtype = values[name].dtype
                self._remade[name] = self._arena.new(values[name].shape, dtype, min(steps), max(steps))
            else:
                values[name].use(max(steps))

    def _lay_out_saved(self) -> list[dict[str, Tensor]]:
        return [
            {
                name: self._arena.new(shape, dtype, i, self._end - i)
                for name, (shape, dtype) in unit.node.layer.saved(self.batch, *self._input_shapes(unit)).items()
            }
            for i, unit in enumerate(self._units)
        ]

    def _lay_out_pooled(self) -> set[str]:
        """Return the values that never exist, because the pooling that alone reads them is done in the same call."""
        found = set()
        for i, (unit, behind) in enumerate(pairwise(self._units)):
            value, pooling = self._values[unit.output], behind.node.layer
            if behind.reads != (unit.output,) or value.last > i + 1 or unit.add:
                continue
            if self._dtypes[behind.output] != value.dtype or self._staged & {unit.output, behind.output}:
                continue
            if pooling.halves(self._shapes[unit.output]) and unit.node.layer.pools(
                    *self._input_shapes(unit), training=self.training):
                found.add(unit.output)
                value.shape = (0, *value.shape[1:])
                for tensor in (self._values[behind.output], *self._saved[i + 1].values()):
                    tensor.first = i
        return found

    def _lay_out_staged(self) -> None:
        """Find room for what layers that take no bfloat16 read and write instead, each for its step."""
        for i, unit in enumerate(self._units):
            if unit.output in self._staged:
                self._stages.lay_out(i, [self._values[name] for name in (*unit.reads, unit.output)])
        for step in self._gradients.steps if self._gradients else ():
            if isinstance(step, Backward) and step.unit.output in self._staged:
                self._stages.lay_out(self._end - self._units.index(step.unit), self._tensors_of(step))

    def _lay_out_ends(self) -> None:
        """Who fills the input, reads the output and fills its gradient finds float32."""
        last = self._values[self._units[-1].output]
        self._images, self._outputs = self._values[INPUT], last
        if self._images.dtype == BFLOAT16:
            self._images = self._arena.new(self._images.shape, np.float32, 0, 0)
        if last.dtype == BFLOAT16:
            self._outputs = self._arena.new(last.shape, np.float32, len(self._units), last.last)
        if self._gradients:
            self._output_gradients = self._gradients.output
            if last.dtype == BFLOAT16:
                step = len(self._units)
                self._output_gradients = self._arena.new(last.shape, np.float32, step, step)

    def _tensors_of(self, step: Backward) -> list[Tensor | None]:
        """What a backward step reads and writes."""
        values = [self._remade.get(name, self._values[name]) for name in step.unit.inputs]
        gate = self._values[step.gate.output] if step.gate else None
        return [*values, self._values[step.unit.output], step.dy, step.dadd, *step.dx, step.before, gate]

    def _lay_out_fleeting(self) -> list[dict[int, Tensor]]:
        """Find room for training's packed weights, each for the one step that reads it."""
        found: list[dict[int, Tensor]] = []
        for i, unit in enumerate(self._units):
            steps = {FORWARD: i, BACKWARD_DATA: self._end - i}
            sizes = unit.node.layer.packed(*self._input_shapes(unit), training=True)
            found.append({which: self._arena.new((size,), np.uint8, steps[which], steps[which])
                          for which, size in sizes.items()})
        return found

    # ---- calls ----

    def _emit(self) -> None:
        buffers: dict[str, Buffers] = {}
        makers = {unit.output: unit for unit in self._units}
        self._forward_calls: list[Call] = _rounded(self._images, self._values[INPUT])
        fleeting = {unit.output: tensors for unit, tensors in zip(self._units, self._fleeting, strict=True)}
        for unit, saved, packed in zip(self._units, self._saved, self._packed, strict=True):
            io = Buffers(
                x=[self._values[name].array for name in unit.inputs],
                y=self._values[unit.output].array,
                training=self.training,
                saved={name: tensor.array for name, tensor in saved.items()},
                packed={which: each.array for which, each in (packed | fleeting[unit.output]).items()},
                workspace=self._workspace.array,
                clock=self._clock,
                params=next((each.params for each in packed.values()), None),
                add=self._values[unit.add].array if unit.add else None,
                activation=unit.activation,
            )
            buffers[unit.output] = io
            self._forward_calls += self._pack(unit, fleeting, FORWARD)
            if unit.inputs[0] in self._pooled:
                unit, io = makers[unit.inputs[0]], _pooled(buffers[unit.inputs[0]], io)
            if unit.output not in self._pooled or io.pooled:
                self._forward_calls += self._forward_of(unit, io)
        last = self._values[self._units[-1].output]
        if self._outputs is not last:
            self._forward_calls.append(bf16_expand(last.array, self._outputs.array))
        self._backward_calls: list[Call] = []
        self._ends: list[tuple[str, int]] = []  # which layer's grads are there after so many of these calls
        if self._gradients:
            self._backward_calls += _rounded(self._output_gradients, self._gradients.output)
        to_remake = dict(self._remade)
        for step in self._gradients.steps if self._gradients else ():
            if isinstance(step, Sum):
                self._backward_calls.append(add(step.a.array, step.b.array, step.out.array))
            elif isinstance(step, Gate):
                y = self._values[step.unit.output].array
                gate = activation_backward(step.unit.activation, None, y, step.dy.array, step.out.array)
                self._backward_calls.append(gate)
            elif not step.unit.node.layer.passes_gradient:
                for name in to_remake.keys() & set(step.unit.inputs):
                    again = replace(buffers[name], y=to_remake.pop(name).array)
                    self._backward_calls += makers[name].node.layer.remake_calls(again)
                if step.dx[0]:
                    self._backward_calls += self._pack(step.unit, fleeting, BACKWARD_DATA)
                self._backward_calls += self._backward_of(step, buffers[step.unit.output])
                if step.unit.node.layer.grads:
                    self._ends.append((step.unit.node.name, len(self._backward_calls)))

    def _pack(self, unit: Unit, fleeting: dict[str, dict[int, Tensor]], which: int) -> list[Call]:
        """The calls that lay a unit's weights out for this pass of training."""
        arrays = {each: t.array for each, t in fleeting[unit.output].items() if each == which}
        layer, shapes = unit.node.layer, self._input_shapes(unit)
        return layer.pack_calls(layer.params, arrays, *shapes, training=True) if arrays else []

    def _forward_of(self, unit: Unit, io: Buffers) -> list[Call]:
        if unit.output not in self._staged:
            return unit.node.layer.forward_calls(io)
        tensors = [self._values[name] for name in (*unit.reads, unit.output)]
        return self._stages.around(self._units.index(unit), tensors, io, unit.node.layer.forward_calls,
                                   [*io.x, io.add], [io.y])

    def _backward_of(self, step: Backward, io: Buffers) -> list[Call]:
        io.x = [self._remade.get(name, self._values[name]).array for name in step.unit.inputs]
        io.dy = step.dy.array
        io.dx = [t.array if t else None for t in step.dx]
        io.dadd = step.dadd.array if step.dadd else None
        io.dx_add = step.before.array if step.before else None
        if step.gate:
            io.dx_activation, io.dx_gate = step.gate.activation, self._values[step.gate.output].array
        if step.unit.output not in self._staged:
            return step.unit.node.layer.backward_calls(io)
        layer, read = step.unit.node.layer, [io.dy, io.dx_add, io.dx_gate]
        read += [*(io.x if layer.reads_input else ()), *([io.y] if layer.reads_output or io.activation else ())]
        return self._stages.around(self._end - self._units.index(step.unit), self._tensors_of(step), io,
                                   layer.backward_calls, read, [*io.dx, io.dadd])

    def _remakes(self, unit: Unit) -> bool:
        """Whether a unit's output can be made again in backward."""
        return unit.node.layer.remakes_output and unit.add is None and unit.output not in self._staged


def _run(calls: Sequence[Call]) -> None:
    for call in calls:
        status = call.function(*call.arguments)
        if status:
            call.fail(status)


def _pooled(io: Buffers, pooling: Buffers) -> Buffers:
    """What a layer needs in order to do the pooling behind it, too."""
    activation = io.activation or pooling.activation
    return replace(io, y=pooling.y, pooled=True, taps=pooling.saved.get("taps"), activation=activation)


def _rounded(tensor: Tensor, other: Tensor) -> list[Call]:
    """The call that rounds one tensor into another, which may be itself."""
    return [] if other is tensor else [bf16_round(tensor.array, other.array)]


def _floats(array: Array) -> Array:
    return from_bfloat16(array) if array.dtype == BFLOAT16 else array


Kind = TypeVar("Kind")


class Plans(OrderedDict[tuple[int, bool], Kind]):
    """The last few plans of a network, by batch size and whether they are for training. Its copy makes its own."""

    def __reduce__(self) -> tuple[type["Plans[Kind]"], tuple[()]]:
        return Plans, ()

    def of(self, key: tuple[int, bool], make: Callable[[int, bool], Kind]) -> Kind:
        """Return a plan, which is made if it is not kept."""
        if key not in self:
            while len(self) >= _KEPT:
                self.popitem(last=False)
            self[key] = make(*key)
        self.move_to_end(key)
        return self[key]
