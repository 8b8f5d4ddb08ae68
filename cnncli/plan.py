"""A plan: what a network does for one batch size, worked out once and run many times. It orders forward and backward
as steps, finds when each array is first and last needed, lays all of them into one arena, and collects the layers'
calls. After that a training step allocates nothing and checks nothing. Network.plan makes and keeps plans.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .kernels import Array, Call, add, aligned_empty, aligned_zeros
from .layers import Buffers, Shape

if TYPE_CHECKING:
    from .network import Node

_LINE = 64
INPUT = "input"


@dataclass(eq=False)
class Tensor:
    """An array of the plan before it has memory: needed from step ``first`` to step ``last``, both included."""

    shape: Shape
    dtype: Any
    first: int
    last: int
    shared: bool = False  # whether it stands for several gradients, so that nothing may be added into it
    array: Array = field(default_factory=lambda: np.empty(0))

    @property
    def bytes(self) -> int:
        size = int(np.prod(self.shape, dtype=object)) * np.dtype(self.dtype).itemsize
        return (size + _LINE - 1) // _LINE * _LINE

    def use(self, step: int) -> "Tensor":
        self.last = max(self.last, step)
        return self


@dataclass
class Sum:
    """A step that adds two gradients of one tensor."""

    a: Tensor
    b: Tensor
    out: Tensor


@dataclass
class Backward:
    """A layer's backward step: the gradient that comes in, and where those of its inputs go (None: nobody asks)."""

    node: "Node"
    dy: Tensor
    dx: list[Tensor | None]


class Plan:
    """The calls and the memory for one batch size.

    input is the array (n, h, w, c) to fill before ``forward``, output the (n, …) of the last layer after it. In
    training, output_gradient is to be filled with the loss's gradient before ``backward``, which fills the layers'
    ``grads``. keep names layers whose output must survive the whole forward pass.
    """

    def __init__(
        self, nodes: Sequence["Node"], input_shape: Shape, batch: int, training: bool, *, clock: Array,
        keep: frozenset[str] = frozenset(),
    ) -> None:
        self.batch, self.training = batch, training
        self._nodes, self._clock = nodes, clock
        self._tensors: list[Tensor] = []
        self._end = 2 * len(nodes) + 1
        self._shapes = {INPUT: input_shape, **{n.name: n.shape for n in nodes}}
        self._values = self._lay_out_forward(keep)
        self._saved = self._lay_out_saved() if training else [{} for _ in nodes]
        self._packed = [
            {which: self._new((size,), np.uint8, 0, self._end)
             for which, size in n.layer.packed(*self._input_shapes(n), training=training).items()}
            for n in nodes
        ]
        self._steps: list[Backward | Sum] = []
        self._output_gradient = self._lay_out_backward() if training else None
        workspace = max(n.layer.workspace(batch, *self._input_shapes(n), training=training) for n in nodes)
        self._workspace = self._new((workspace,), np.uint8, 0, self._end)
        self.arena_bytes = _allocate(self._tensors)
        self._emit()

    @property
    def input(self) -> Array:
        """The images (n, h, w, c), float32: to be filled before forward."""
        return self._values[INPUT].array

    @property
    def output(self) -> Array:
        """What the last layer yields (n, …), float32, after forward."""
        return self._values[self._nodes[-1].name].array

    @property
    def output_gradient(self) -> Array:
        """The gradient of the loss by ``output``: to be filled before backward."""
        assert self._output_gradient is not None, "a plan for inference has no backward"
        return self._output_gradient.array

    def kept(self, name: str) -> Array:
        """Return the output of a layer that was named in keep."""
        return self._values[name].array

    def forward(self) -> None:
        """Compute output from input."""
        for call in self._forward_calls:
            status = call.function(*call.arguments)
            if status:
                call.fail(status)

    def backward(self) -> None:
        """Compute every layer's grads from output_gradient; forward must have run just before."""
        for call in self._backward_calls:
            status = call.function(*call.arguments)
            if status:
                call.fail(status)

    # ---- who needs what until when: forward of node i is step i, its backward step end - i ----

    def _new(self, shape: Shape, dtype: Any, first: int, last: int) -> Tensor:
        tensor = Tensor(shape, dtype, first, last)
        self._tensors.append(tensor)
        return tensor

    def _input_shapes(self, node: "Node") -> list[Shape]:
        return [self._shapes[name] for name in node.inputs]

    def _lay_out_forward(self, keep: frozenset[str]) -> dict[str, Tensor]:
        values = {INPUT: self._new((self.batch, *self._shapes[INPUT]), np.float32, 0, 0)}
        for i, node in enumerate(self._nodes):
            backward = self._end - i
            for name in node.inputs:
                values[name].use(backward if self.training and node.layer.reads_input else i)
            value = self._new((self.batch, *node.shape), np.float32, i, i)
            if self.training and node.layer.reads_output:
                value.use(backward)
            if node.name in keep:
                value.use(self._end)
            values[node.name] = value
        # The loss reads the output and, after a step of training, whoever counts the hits.
        values[self._nodes[-1].name].use(self._end if self.training else len(self._nodes))
        return values

    def _lay_out_saved(self) -> list[dict[str, Tensor]]:
        return [
            {
                name: self._new(shape, dtype, i, self._end - i)
                for name, (shape, dtype) in node.layer.saved(self.batch, *self._input_shapes(node)).items()
            }
            for i, node in enumerate(self._nodes)
        ]

    def _lay_out_backward(self) -> Tensor:
        """Lay out the gradients, back to front. A layer with several consumers gets the sum of what they send."""
        last = self._nodes[-1]
        output_gradient = self._new((self.batch, *last.shape), np.float32, len(self._nodes), len(self._nodes))
        gradients = {last.name: output_gradient}
        wanted = self._names_that_need_a_gradient()
        for i, node in reversed(list(enumerate(self._nodes))):
            step = self._end - i
            if node.name not in gradients:
                continue  # nothing before it learns, nor does it
            dy = gradients.pop(node.name).use(step)
            dx: list[Tensor | None] = [
                None if name not in wanted
                else dy if node.layer.passes_gradient
                else self._new((self.batch, *self._shapes[name]), np.float32, step, step)
                for name in node.inputs
            ]
            self._steps.append(Backward(node, dy, dx))
            dy.shared |= node.layer.passes_gradient
            for name, gradient in zip(node.inputs, dx, strict=True):
                if gradient is None:
                    continue
                before = gradients.get(name)
                gradients[name] = gradient if before is None else self._add(before, gradient, step)
        return output_gradient

    def _names_that_need_a_gradient(self) -> set[str]:
        """Return the layers that have parameters or such a layer before them: nobody asks for the others' gradient."""
        wanted: set[str] = set()
        for node in self._nodes:
            if node.layer.params or wanted.intersection(node.inputs):
                wanted.add(node.name)
        return wanted

    def _add(self, a: Tensor, b: Tensor, step: int) -> Tensor:
        """Sum two gradients, into one of them where it is nobody else's."""
        out = next((t for t in (a, b) if not t.shared), None) or self._new(a.shape, a.dtype, step, step)
        self._steps.append(Sum(a.use(step), b.use(step), out.use(step)))
        return out

    # ---- calls ----

    def _emit(self) -> None:
        buffers: dict[str, Buffers] = {}
        self._forward_calls: list[Call] = []
        for node, saved, packed in zip(self._nodes, self._saved, self._packed, strict=True):
            io = Buffers(
                x=[self._values[name].array for name in node.inputs],
                y=self._values[node.name].array,
                training=self.training,
                saved={name: tensor.array for name, tensor in saved.items()},
                packed={which: tensor.array for which, tensor in packed.items()},
                workspace=self._workspace.array,
                clock=self._clock,
            )
            buffers[node.name] = io
            self._forward_calls += node.layer.pack_calls(io) + node.layer.forward_calls(io)
        self._backward_calls: list[Call] = []
        for step in self._steps:
            if isinstance(step, Sum):
                self._backward_calls.append(add(step.a.array, step.b.array, step.out.array))
                continue
            io = buffers[step.node.name]
            io.dy = step.dy.array
            io.dx = [t.array if t else None for t in step.dx]
            if not step.node.layer.passes_gradient:
                self._backward_calls += step.node.layer.backward_calls(io)


def _allocate(tensors: list[Tensor]) -> int:
    """Lay tensors that live at the same time side by side in one arena, and give each its array; return its bytes.

    Largest first, each at the lowest place where nothing that lives with it lies (a greedy answer to a hard problem,
    after Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020).
    """
    placed: list[tuple[int, int, Tensor]] = []
    for tensor in sorted(tensors, key=lambda t: -t.bytes):
        start = 0
        for low, high, _ in sorted((p for p in placed if _overlap(p[2], tensor)), key=lambda p: p[0]):
            if start + tensor.bytes <= low:
                break
            start = max(start, high)
        placed.append((start, start + tensor.bytes, tensor))
    total = max(high for _, high, _ in placed)
    arena = aligned_empty((total,), np.uint8) if total else aligned_zeros((0,), np.uint8)
    for start, _, tensor in placed:
        size = int(np.prod(tensor.shape)) * np.dtype(tensor.dtype).itemsize
        tensor.array = arena[start : start + size].view(tensor.dtype).reshape(tensor.shape)
    return total


def _overlap(a: Tensor, b: Tensor) -> bool:
    return a.first <= b.last and b.first <= a.last
