"""A constant factor. The kernel is in csrc/elementwise.c."""

import math
from typing import Any

from .. import kernels
from ..errors import NetworkError, brief
from ..kernels import Call
from .base import Buffers, Layer
from .int8 import ALL_BYTES, Int8Buffers, by_table


class Scale(Layer):
    """y = factor * x. The factor does not learn.

    At the end of a network, a factor below 1 is a temperature: the logits stay small and learn slowly.

    Args:
        factor: The factor, a finite number.
    """

    dx_may_be_dy = takes_bfloat16 = True

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        number = isinstance(factor, int | float) and not isinstance(factor, bool)
        if not number or not math.isfinite(factor):
            raise NetworkError(f"Scale's factor must be a finite number, not {brief(factor)}.")
        self.factor = float(factor)

    def config(self) -> dict[str, Any]:
        return {"factor": self.factor}

    def forward_calls(self, io: Buffers) -> list[Call]:
        return [kernels.scale(io.x[0], io.y, self.factor)]

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        return by_table(io.steps[0].values_of(ALL_BYTES) * self.factor, io)

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dx[0] is None or io.dy is None:
            return []
        return [kernels.scale(io.dy, io.dx[0], self.factor)]
