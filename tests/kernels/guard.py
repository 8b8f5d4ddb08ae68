"""Arrays with a guard on both sides: a kernel that writes outside its output changes the guard, whatever it writes.

The guard is a signalling NaN: whatever is computed from one is a quiet NaN or none, so that even adding zero shows.
The output begins as the same, so that what is added to instead of overwritten shows, too. Integers have no such value:
where one is written that was there before, nothing shows."""

import math
from typing import Any

import numpy as np

FENCE = 64  # elements on each side
_FLOAT, _DOUBLE = 0x7FA5A5A5, 0x7FF5A5A5A5A5A5A5


def _fill(whole: np.ndarray) -> None:
    """Fill a flat array with the value, cut short at its end where that falls within one."""
    value = np.array(_DOUBLE, "<u8") if whole.dtype == np.float64 else np.array(_FLOAT, "<u4")
    filled = whole.nbytes // value.itemsize * value.itemsize
    places = whole.view(np.uint8)
    places[:filled].view(value.dtype)[:] = value
    places[filled:] = np.frombuffer(value.tobytes(), np.uint8)[: whole.nbytes - filled]


class Guarded:
    """An array `.a` of the given shape in the middle of a larger one that is filled with signalling NaNs. `fence` says
    how many elements are before it: an odd number aligns it with nothing."""

    def __init__(self, shape: tuple[int, ...], dtype: Any = np.float32, fence: int = FENCE) -> None:
        size = math.prod(shape)
        self.whole = np.empty(size + fence + FENCE, dtype)
        _fill(self.whole)
        self.a = self.whole[fence : fence + size].reshape(shape)
        self._sides = (slice(fence), slice(fence + size, None))
        self._before = self._fences()

    def _fences(self) -> list[bytes]:
        return [self.whole[side].tobytes() for side in self._sides]

    def check(self) -> np.ndarray:
        """Return the array after asserting that nothing around it was written."""
        assert self._fences() == self._before, "wrote outside the output"
        return self.a
