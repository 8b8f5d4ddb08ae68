"""Door to csrc/norm.c: batch normalisation. The layer is in cnncli/layers/norm.py."""

from typing import Any

import numpy as np

from .._kernels import lib
from .conv import FUSED
from .door import Array, Call, pointer


def batch_norm_workspace(rows: int, channels: int) -> int:
    """Return the bytes of working memory that each call below needs for rows = n * h * w."""
    size = int(lib.cnn_batch_norm_workspace(rows, channels))
    if size < 0:
        raise ValueError(f"{rows} rows of {channels} channels are out of range")
    return size


def _workspace(rows: int, channels: int, workspace: Array) -> Any:
    needed = batch_norm_workspace(rows, channels)
    if workspace.nbytes < needed:
        raise ValueError(f"workspace must hold {needed} bytes, not {workspace.nbytes}")
    return pointer("workspace", workspace, dtype=np.uint8)


def batch_norm_train(x: Array, weight: Array | None, bias: Array | None, y: Array, running_mean: Array,
                     running_var: Array, statistics: Array, workspace: Array, eps: float, momentum: float,
                     add: Array | None = None, activation: str = "") -> Call:
    """Prepare y = activation(normalised x (…, c) + add) with the batch's statistics, and the update of the running
    ones (c,).

    add, of x's shape, may be y; activation is "relu", "relu6" or "" for none. statistics, float64 (2, c), is filled
    for backward. x must hold two rows of channels or more.
    """
    channels = x.shape[-1]
    rows, shape = x.size // channels, (channels,)
    return Call("cnn_batch_norm_train", rows, channels, eps, momentum, pointer("x", x),
                pointer("weight", weight, shape), pointer("bias", bias, shape), pointer("add", add, x.shape),
                FUSED[activation], pointer("y", y, x.shape), pointer("running_mean", running_mean, shape),
                pointer("running_var", running_var, shape),
                pointer("statistics", statistics, (2, channels), np.float64), _workspace(rows, channels, workspace),
                keep=(x, weight, bias, add, y, running_mean, running_var, statistics, workspace))


def batch_norm_again(x: Array, weight: Array | None, bias: Array | None, y: Array, statistics: Array,
                     workspace: Array, activation: str = "") -> Call:
    """Prepare batch_norm_train's y (…, c) once more, to the bit, from its x and statistics; nothing was added."""
    channels = x.shape[-1]
    rows, shape = x.size // channels, (channels,)
    return Call("cnn_batch_norm_again", rows, channels, pointer("x", x), pointer("weight", weight, shape),
                pointer("bias", bias, shape), pointer("statistics", statistics, (2, channels), np.float64),
                FUSED[activation], pointer("y", y, x.shape), _workspace(rows, channels, workspace),
                keep=(x, weight, bias, y, statistics, workspace))


def batch_norm_infer(x: Array, weight: Array | None, bias: Array | None, mean: Array, var: Array, y: Array,
                     workspace: Array, eps: float, add: Array | None = None, activation: str = "",
                     statistics: Array | None = None) -> Call:
    """Prepare y = activation(x (…, c) normalised with a given mean and var (c,) + add); y may be x or add. statistics,
    float64 (2, c), is filled for backward."""
    channels = x.shape[-1]
    rows, shape = x.size // channels, (channels,)
    return Call("cnn_batch_norm_infer", rows, channels, eps, pointer("x", x), pointer("weight", weight, shape),
                pointer("bias", bias, shape), pointer("mean", mean, shape), pointer("var", var, shape),
                pointer("add", add, x.shape), FUSED[activation], pointer("y", y, x.shape),
                pointer("statistics", statistics, (2, channels), np.float64), _workspace(rows, channels, workspace),
                keep=(x, weight, bias, mean, var, add, y, statistics, workspace))


def batch_norm_backward(x: Array, weight: Array | None, bias: Array | None, dy: Array, statistics: Array,
                        dx: Array | None, dweight: Array | None, dbias: Array | None, workspace: Array,
                        y: Array | None = None, activation: str = "", dadd: Array | None = None,
                        fixed: bool = False) -> Call:
    """Prepare the gradients of batch_norm_train or, with fixed, of batch_norm_infer, whose statistics do not follow x;
    dx, dadd, dweight and dbias may each be None.

    y, forward's result, is needed where it had an activation and something to add. dadd may be dy; without dadd, dx
    may be dy.
    """
    channels = x.shape[-1]
    rows, shape = x.size // channels, (channels,)
    return Call("cnn_batch_norm_backward", rows, channels, pointer("x", x), pointer("y", y, x.shape),
                pointer("weight", weight, shape), pointer("bias", bias, shape), FUSED[activation],
                pointer("dy", dy, x.shape), pointer("statistics", statistics, (2, channels), np.float64), int(fixed),
                pointer("dx", dx, x.shape), pointer("dadd", dadd, x.shape), pointer("dweight", dweight, shape),
                pointer("dbias", dbias, shape), _workspace(rows, channels, workspace),
                keep=(x, y, weight, bias, dy, statistics, dx, dadd, dweight, dbias, workspace))
