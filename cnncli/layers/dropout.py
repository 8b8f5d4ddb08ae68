"""Dropout. The kernel is in csrc/elementwise.c."""

from typing import Any

from .. import kernels
from ..errors import NetworkError, brief
from ..kernels import Call
from .base import Buffers, Layer
from .int8 import Int8Buffers, rescaled


class Dropout(Layer):
    """In training, sets each number to 0 with probability p and divides the others by 1 - p (Srivastava et al. 2014).

    Which ones depends on the seed, the step, the layer and the number's place only.

    Args:
        p: The probability, 0 to 1.
    """

    keeps_numbers = takes_bfloat16 = True

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
            raise NetworkError(f"Dropout's p must be a probability from 0 to 1, not {brief(p)}.")
        self.p = float(p)

    def config(self) -> dict[str, Any]:
        return {"p": self.p}

    def still(self) -> "Dropout":
        same = super().still()
        assert isinstance(same, Dropout)
        same.p = 0.0
        return same

    def forward_calls(self, io: Buffers) -> list[Call]:
        if not io.training or self.p == 0:
            return [kernels.copy(io.x[0], io.y)]
        return [kernels.dropout(io.x[0], io.y, self.p, io.clock, self.stream)]

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        return [rescaled(io, 0)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dx[0] is None or io.dy is None:
            return []
        if self.p == 0:
            return [kernels.copy(io.dy, io.dx[0])]
        return [kernels.dropout(io.dy, io.dx[0], self.p, io.clock, self.stream)]
