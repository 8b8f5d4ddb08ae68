"""Door to csrc/bf16.c: bfloat16, the upper half of a float32. NumPy has no such type: arrays of it are uint16."""

from typing import Any

import numpy as np

from .door import Array, Call, aligned_empty, pointer

BFLOAT16: Any = np.dtype(np.uint16)


def map_dtype(x: Array) -> Any:
    """Return the dtype that goes with a map's in one call: bfloat16 if x is, else float32."""
    return BFLOAT16 if x.dtype == BFLOAT16 else np.dtype(np.float32)


def bf16_expand(x: Array, y: Array) -> Call:
    """Prepare y = x, from bfloat16 to float32 of the same shape."""
    return Call("cnn_bf16_expand", x.size, pointer("x", x, dtype=BFLOAT16), pointer("y", y, x.shape), keep=(x, y))


def bf16_round(x: Array, y: Array) -> Call:
    """Prepare y = x, from float32 to bfloat16 of the same shape: rounded to the nearest, of two to the even one."""
    return Call("cnn_bf16_round", x.size, pointer("x", x), pointer("y", y, x.shape, BFLOAT16), keep=(x, y))


def to_bfloat16(x: Array) -> Array:
    """Return a new array of bfloat16 (uint16) with float32's numbers, rounded."""
    y = aligned_empty(x.shape, BFLOAT16)
    if x.size:
        bf16_round(np.ascontiguousarray(x, np.float32), y)()
    return y


def from_bfloat16(x: Array) -> Array:
    """Return a new array of float32 with bfloat16's numbers."""
    y = aligned_empty(x.shape)
    if x.size:
        bf16_expand(np.ascontiguousarray(x), y)()
    return y
