"""Arrays with a guard on both sides: a kernel that writes outside its output changes the guard."""

import math
from typing import Any

import numpy as np

FENCE = 64  # elements on each side


class Guarded:
    """An array `.a` of the given shape in the middle of a larger one that is filled with a sentinel."""

    def __init__(self, shape: tuple[int, ...], dtype: Any = np.float32, sentinel: float = 99) -> None:
        size = math.prod(shape)
        self.whole = np.full(size + 2 * FENCE, sentinel, dtype)
        self.a = self.whole[FENCE : FENCE + size].reshape(shape)
        self.sentinel = sentinel

    def check(self) -> np.ndarray:
        """Return the array after asserting that nothing around it was written."""
        outside = np.concatenate([self.whole[:FENCE], self.whole[-FENCE:]])
        assert (outside == self.sentinel).all(), "wrote outside the output"
        return self.a
