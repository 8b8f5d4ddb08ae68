"""Dense layers as the 1 x 1 case of csrc/conv.c: x (n, in), weight (out, in), y (n, out). The layer is
cnncli/layers/linear.py."""

from dataclasses import replace

from .conv import (
    Convolution,
    Finish,
    conv2d_backward_data,
    conv2d_backward_weights,
    conv2d_forward,
    conv2d_pack,
)
from .door import Array, Call


def linear_convolution(batch: int, in_features: int, out_features: int) -> Convolution:
    """Return the convolution that a dense layer is: it says how much packed weights and workspace take."""
    return Convolution((batch, 1, 1, in_features), out_features, (1, 1))


def _convolution(x: Array, weight: Array) -> Convolution:
    out_features, in_features = weight.shape
    return linear_convolution(len(x), in_features, out_features)


def _images(name: str, array: Array, features: int) -> Array:
    """(n, features) as (n, 1, 1, features), the same memory."""
    if array.ndim != 2 or array.shape[1] != features:
        raise ValueError(f"{name} must have shape (n, {features}), not {array.shape}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous; pass np.ascontiguousarray({name})")
    return array.reshape(len(array), 1, 1, features)


def _finish(finish: Finish, features: int) -> Finish:
    """The same on (n, 1, 1, features)."""
    add = None if finish.add is None else _images("add", finish.add, features)
    gate = None if finish.gate is None else _images("gate", finish.gate, features)
    return replace(finish, add=add, gate=gate)


_NOTHING = Finish()


def linear_pack(which: int, weight: Array, packed: Array) -> Call:
    """Prepare laying the weights out for FORWARD or BACKWARD_DATA, as ``conv2d_pack``."""
    out_features, in_features = weight.shape
    return conv2d_pack(linear_convolution(1, in_features, out_features), which, _kernel("weight", weight), packed)


def linear_forward(x: Array, weight: Array, packed: Array, y: Array, workspace: Array,
                   finish: Finish = _NOTHING) -> Call:
    """Prepare y = finish(x weight'); packed as ``linear_pack`` made it, packed and workspace uint8."""
    out_features, in_features = weight.shape
    return conv2d_forward(_convolution(x, weight), _images("x", x, in_features), _kernel("weight", weight), packed,
                          _images("y", y, out_features), workspace, _finish(finish, out_features))


def linear_backward_data(dy: Array, weight: Array, packed: Array, dx: Array, workspace: Array,
                         finish: Finish = _NOTHING) -> Call:
    """Prepare dx = finish(dy weight)."""
    out_features, in_features = weight.shape
    return conv2d_backward_data(_convolution(dx, weight), _images("dy", dy, out_features), _kernel("weight", weight),
                                packed, _images("dx", dx, in_features), workspace, _finish(finish, in_features))


def linear_backward_weights(x: Array, dy: Array, dweight: Array, dbias: Array | None, workspace: Array) -> Call:
    """Prepare dweight = dy' x and, unless None, dbias (out,)."""
    out_features, in_features = dweight.shape
    return conv2d_backward_weights(_convolution(x, dweight), _images("x", x, in_features),
                                   _images("dy", dy, out_features), _kernel("dweight", dweight), dbias, workspace)


def _kernel(name: str, weight: Array) -> Array:
    """(out, in) as (out, in, 1, 1), the same memory."""
    if not weight.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous; pass np.ascontiguousarray({name})")
    return weight.reshape(*weight.shape, 1, 1)
