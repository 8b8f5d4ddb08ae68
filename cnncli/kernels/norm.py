"""Door to csrc/norm.c: batch normalisation. The layer is in cnncli/layers/norm.py."""

from typing import Any

import numpy as np

from .._kernels import ffi, lib
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
        "rows": rows, "c": channels, "x": pointer("x", x), "weight": pointer("weight", weight, shape),
        "bias": pointer("bias", bias, shape), "activation": FUSED[activation],
        "statistics": pointer("statistics", statistics, (2, channels), np.float64),
        "workspace": pointer("workspace", workspace, dtype=np.uint8)})


def batch_norm_train(x: Array, weight: Array | None, bias: Array | None, y: Array, running_mean: Array,
                     running_var: Array, statistics: Array, workspace: Array, eps: float, momentum: float,
                     add: Array | None = None, activation: str = "") -> Call:
    """Prepare y = activation(normalised x (…, c) + add) with the batch's statistics, and the update of the running
    ones (c,).

    add, of x's shape, may be y; activation is "relu", "relu6" or "" for none. statistics, float64 (2, c), is filled
    for backward. x must hold two rows of channels or more.
    """
    struct = _struct(x, weight, bias, activation, statistics, workspace)
    return Call("cnn_batch_norm_train", struct, eps, momentum, pointer("add", add, x.shape), pointer("y", y, x.shape),
                pointer("running_mean", running_mean, x.shape[-1:]), pointer("running_var", running_var, x.shape[-1:]),
                keep=(struct, x, weight, bias, add, y, running_mean, running_var, statistics, workspace))


def batch_norm_again(x: Array, weight: Array | None, bias: Array | None, y: Array, statistics: Array,
                     workspace: Array, activation: str = "") -> Call:
    """Prepare batch_norm_train's y (…, c) once more, to the bit, from its x and statistics; nothing was added."""
    struct = _struct(x, weight, bias, activation, statistics, workspace)
    return Call("cnn_batch_norm_again", struct, pointer("y", y, x.shape),
                keep=(struct, x, weight, bias, y, statistics, workspace))


def batch_norm_infer(x: Array, weight: Array | None, bias: Array | None, mean: Array, var: Array, y: Array,
                     workspace: Array, eps: float, add: Array | None = None, activation: str = "",
                     statistics: Array | None = None) -> Call:
    """Prepare y = activation(x (…, c) normalised with a given mean and var (c,) + add); y may be x or add. statistics,
    float64 (2, c), is filled for backward."""
    struct = _struct(x, weight, bias, activation, statistics, workspace)
    return Call("cnn_batch_norm_infer", struct, eps, pointer("mean", mean, x.shape[-1:]),
                pointer("var", var, x.shape[-1:]), pointer("add", add, x.shape), pointer("y", y, x.shape),
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
    struct = _struct(x, weight, bias, activation, statistics, workspace)
    return Call("cnn_batch_norm_backward", struct, pointer("y", y, x.shape), pointer("dy", dy, x.shape), int(fixed),
                pointer("dx", dx, x.shape), pointer("dadd", dadd, x.shape), pointer("dweight", dweight, x.shape[-1:]),
                pointer("dbias", dbias, x.shape[-1:]),
                keep=(struct, x, y, weight, bias, dy, statistics, dx, dadd, dweight, dbias, workspace))
