"""Door to csrc/elementwise.c: addition, a factor, dropout, softmax, copies of channel ranges, Flatten's reordering. The
arrays of a call are all float32 or, but for softmax, all bfloat16; features are float32. The layers are in
cnncli/layers/combine.py, dropout.py, flatten.py, scale.py and softmax.py."""

import numpy as np

from .bf16 import BFLOAT16, map_dtype
from .door import Array, Call, pointer


def add(a: Array, b: Array, out: Array) -> Call:
    """Prepare out = a + b, all of one shape; out may be a or b."""
    kind = map_dtype(a)
    return Call("cnn_bf16_add" if kind == BFLOAT16 else "cnn_add", a.size, pointer("a", a, dtype=kind),
                pointer("b", b, a.shape, kind), pointer("out", out, a.shape, kind), keep=(a, b, out))


def scale(x: Array, y: Array, factor: float) -> Call:
    """Prepare y = factor * x, both of one shape; y may be x."""
    kind = map_dtype(x)
    return Call("cnn_bf16_scale" if kind == BFLOAT16 else "cnn_scale", x.size, factor, pointer("x", x, dtype=kind),
                pointer("y", y, x.shape, kind), keep=(x, y))


def dropout(x: Array, y: Array, p: float, clock: Array, stream: int) -> Call:
    """Prepare y = x / (1 - p) where kept, 0 with probability p; y may be x.

    clock, uint64 (seed, step), is read when the call runs; stream tells the layers of a network apart. Called on
    gradients before the clock moves on, it is its own backward.
    """
    kind = map_dtype(x)
    return Call("cnn_bf16_dropout" if kind == BFLOAT16 else "cnn_dropout", p,
                pointer("clock", clock, (2,), np.uint64), stream, x.size, pointer("x", x, dtype=kind),
                pointer("y", y, x.shape, kind), keep=(x, y, clock))


def softmax_forward(x: Array, y: Array) -> Call:
    """Prepare y = softmax of x (…, c) over the last axis; y may be x."""
    return Call("cnn_softmax_forward", x.size // x.shape[-1], x.shape[-1], pointer("x", x),
                pointer("y", y, x.shape), keep=(x, y))


def softmax_backward(y: Array, dy: Array, dx: Array) -> Call:
    """Prepare the gradient of softmax_forward from its output y; dx may be dy."""
    return Call("cnn_softmax_backward", y.size // y.shape[-1], y.shape[-1], pointer("y", y),
                pointer("dy", dy, y.shape), pointer("dx", dx, y.shape), keep=(y, dy, dx))


def copy(x: Array, y: Array) -> Call:
    """Prepare y = x, both of one shape."""
    pointer("x", x, dtype=map_dtype(x))  # what is not contiguous, reshape would copy: the call would read the copy
    pointer("y", y, x.shape, map_dtype(x))
    return copy_channels(x.reshape(-1, x.shape[-1]), y.reshape(-1, x.shape[-1]))


def copy_channels(x: Array, y: Array, x_start: int = 0, y_start: int = 0) -> Call:
    """Prepare the copy of channels from one array to another, both (…, c) with the same number of rows.

    As many channels as the narrower of the two has are taken from x_start on and put at y_start. Raises ValueError
    where they do not fit.
    """
    width, rows = min(x.shape[-1], y.shape[-1]), x.size // x.shape[-1]
    inside = 0 <= x_start <= x.shape[-1] - width and 0 <= y_start <= y.shape[-1] - width
    if y.size // y.shape[-1] != rows or not inside:
        raise ValueError(f"cannot copy {width} channels of {x.shape} from {x_start} to {y.shape} at {y_start}")
    kind = map_dtype(x)
    return Call("cnn_bf16_copy_columns" if kind == BFLOAT16 else "cnn_copy_columns", rows, width,
                pointer("x", x, dtype=kind) + x_start, x.shape[-1], pointer("y", y, dtype=kind) + y_start, y.shape[-1],
                keep=(x, y))


def flatten_forward(x: Array, y: Array) -> Call:
    """Prepare y (n, c * h * w), float32, = x (n, h, w, c), float32 or bfloat16, in PyTorch's order c, h, w."""
    n, h, w, c = x.shape
    kind = map_dtype(x)
    return Call("cnn_bf16_flatten_forward" if kind == BFLOAT16 else "cnn_flatten_forward", n, h * w, c,
                pointer("x", x, dtype=kind), pointer("y", y, (n, c * h * w)), keep=(x, y))


def flatten_backward(dy: Array, dx: Array) -> Call:
    """Prepare dx (n, h, w, c) from dy (n, c * h * w), the inverse of flatten_forward."""
    n, h, w, c = dx.shape
    kind = map_dtype(dx)
    return Call("cnn_bf16_flatten_backward" if kind == BFLOAT16 else "cnn_flatten_backward", n, h * w, c,
                pointer("dy", dy, (n, c * h * w)), pointer("dx", dx, dtype=kind), keep=(dy, dx))
