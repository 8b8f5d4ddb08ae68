"""The memory of a plan: one array in which everything that lives at the same time lies side by side. plan.py and
gradients.py ask for tensors and say from which step to which each is needed; ``lay_out`` gives all of them their place.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..kernels import Array, aligned_empty, aligned_zeros
from ..layers import Shape

_LINE = 64


@dataclass(eq=False)
class Tensor:
    """An array of the plan before it has memory: needed from step ``first`` to step ``last``, both included."""

    shape: Shape
    dtype: Any
    first: int
    last: int
    shared: bool = False  # whether it stands for several gradients, so that nothing may be written into it
    array: Array = field(default_factory=lambda: np.empty(0))

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        size: int = self.numbers * np.dtype(self.dtype).itemsize
        return (size + _LINE - 1) // _LINE * _LINE

    def use(self, step: int) -> "Tensor":
        self.last = max(self.last, step)
        return self


class Arena:
    """All tensors of a plan. ``new`` asks for one, ``lay_out`` ends the asking."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []

    def new(self, shape: Shape, dtype: Any, first: int, last: int) -> Tensor:
        """Return a tensor without memory that is needed from step ``first`` to step ``last``."""
        tensor = Tensor(shape, dtype, first, last)
        self.tensors.append(tensor)
        return tensor

    def lay_out(self) -> int:
        """Give each tensor its array; return the bytes of all together.

        Largest first, each at the lowest place where nothing that lives with it lies (a greedy answer to a hard
        problem, after Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020).
        """
        placed: list[tuple[int, int, Tensor]] = []
        for tensor in sorted(self.tensors, key=lambda t: -t.bytes):
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
