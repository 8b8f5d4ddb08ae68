"""Door to csrc/norm.c: batch normalisation. Maps and their gradients are all float32 or all bfloat16. The layer is in
cnncli/layers/norm.py."""

from typing import Any

import numpy as np

from .._kernels import ffi, lib
from .bf16 import BFLOAT16, map_dtype
from .conv import FUSED
from .door import Array, Call, pointer


def batch_norm_workspace(rows: int, channels: int) -> int:
    """Return the bytes of working memory that each call below needs for rows = n * h * w."""
    size = int(lib.cnn_batch_norm_workspace(rows, channels))
    if size < 0:
        raise ValueError(f"{rows} rows of {channels} channels are out of range")
    return size


def _struct(x: Array, weight: Array | None, bias: Array | None, activation: str, statistics: Array | None,
            workspace: Array) -> Any:
    """Return a new cnn_norm."""
    channels = x.shape[-1]
    rows, shape = x.size // channels, (channels,)
    needed = batch_norm_workspace(rows, channels)
    if workspace.nbytes < needed:
        raise ValueError(f"workspace must hold {needed} bytes, not {workspace.nbytes}")
    return ffi.new("cnn_norm *", {
        "rows": rows, "c": channels, "x": ffi.NULL if x.dtype == BFLOAT16 else pointer("x", x),
        "weight": pointer("weight", weight, shape),
        "bias": pointer("bias", bias, shape), "activation": FUSED[activation],
        "statistics": pointer("statistics", statistics, (2, channels), np.float64),
        "workspace": pointer("workspace", workspace, dtype=np.uint8)})


def _entry(floats: str, halves: str, x: Array) -> tuple[str, tuple[Any, ...]]:
    """Return the name of the function for x's numbers, and the pointer to x where that takes it beside the struct."""
    return (halves, (pointer("x", x, dtype=BFLOAT16),)) if x.dtype == BFLOAT16 else (floats, ())


def batch_norm_train(x: Array, weight: Array | None, bias: Array | None, y: Array, running_mean: Array,
                     running_var: Array, statistics: Array, workspace: Array, eps: float, momentum: float,
                     add: Array | None = None, activation: str = "") -> Call:
    """Prepare y = activation(normalised x (…, c) + add) with the batch's statistics, and the update of the running
    ones (c,).

    add, of x's shape, may be y; activation is "relu", "relu6" or "" for none. statistics, float64 (2, c), is filled
    for backward. x must hold two rows of channels or more.
    """
    struct, kind = _struct(x, weight, bias, activation, statistics, workspace), map_dtype(x)
    name, own = _entry("cnn_batch_norm_train", "cnn_bf16_batch_norm_train", x)
    return Call(name, struct, eps, momentum, *own, pointer("add", add, x.shape, kind), pointer("y", y, x.shape, kind),
                pointer("running_mean", running_mean, x.shape[-1:]), pointer("running_var", running_var, x.shape[-1:]),
                keep=(struct, x, weight, bias, add, y, running_mean, running_var, statistics, workspace))


def batch_norm_again(x: Array, weight: Array | None, bias: Array | None, y: Array, statistics: Array,
                     workspace: Array, activation: str = "") -> Call:
    """Prepare batch_norm_train's y (…, c) once more, to the bit, from its x and statistics; nothing was added."""
    struct = _struct(x, weight, bias, activation, statistics, workspace)
    name, own = _entry("cnn_batch_norm_again", "cnn_bf16_batch_norm_again", x)
    return Call(name, struct, *own, pointer("y", y, x.shape, map_dtype(x)),
                keep=(struct, x, weight, bias, y, statistics, workspace))


def batch_norm_infer(x: Array, weight: Array | None, bias: Array | None, mean: Array, var: Array, y: Array,
                     workspace: Array, eps: float, add: Array | None = None, activation: str = "",
                     statistics: Array | None = None) -> Call:
    """Prepare y = activation(x (…, c) normalised with a given mean and var (c,) + add); y may be x or add. statistics,
    float64 (2, c), is filled for backward."""
    struct, kind = _struct(x, weight, bias, activation, statistics, workspace), map_dtype(x)
    name, own = _entry("cnn_batch_norm_infer", "cnn_bf16_batch_norm_infer", x)
    return Call(name, struct, eps, pointer("mean", mean, x.shape[-1:]), pointer("var", var, x.shape[-1:]), *own,
                pointer("add", add, x.shape, kind), pointer("y", y, x.shape, kind),
                keep=(struct, x, weight, bias, mean, var, add, y, statistics, workspace))


def batch_norm_backward(x: Array, weight: Array | None, bias: Array | None, dy: Array, statistics: Array,
                        dx: Array | None, dweight: Array | None, dbias: Array | None, workspace: Array,
                        y: Array | None = None, activation: str = "", dadd: Array | None = None,
                        fixed: bool = False) -> Call:
    """Prepare the gradients of batch_norm_train or, with fixed, of batch_norm_infer, whose statistics do not follow x;
    dx, dadd, dweight and dbias may each be None.

    y, forward's result, is needed where it had an activation and something to add. dadd may be dy; without dadd, dx
    may be dy.
    """
    struct, kind = _struct(x, weight, bias, activation, statistics, workspace), map_dtype(x)
    name, own = _entry("cnn_batch_norm_backward", "cnn_bf16_batch_norm_backward", x)
    return Call(name, struct, *own, pointer("y", y, x.shape, kind), pointer("dy", dy, x.shape, kind), int(fixed),
                pointer("dx", dx, x.shape, kind), pointer("dadd", dadd, x.shape, kind),
                pointer("dweight", dweight, x.shape[-1:]), pointer("dbias", dbias, x.shape[-1:]),
                keep=(struct, x, y, weight, bias, dy, statistics, dx, dadd, dweight, dbias, workspace))
