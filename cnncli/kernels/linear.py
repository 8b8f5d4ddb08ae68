"""Dense layers as the 1 x 1 case of csrc/conv.c: x (n, in), weight (out, in), y (n, out). The layer is
cnncli/layers/linear.py."""

from .conv import Convolution, conv2d_backward_data, conv2d_backward_weights, conv2d_forward
from .door import Array, Call


def _convolution(x: Array, weight: Array) -> Convolution:
    out_features, in_features = weight.shape
    return Convolution((len(x), 1, 1, in_features), out_features, (1, 1))


def _images(name: str, array: Array, features: int) -> Array:
    """(n, features) as (n, 1, 1, features), the same memory."""
    if array.ndim != 2 or array.shape[1] != features:
        raise ValueError(f"{name} must have shape (n, {features}), not {array.shape}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous; pass np.ascontiguousarray({name})")
    return array.reshape(len(array), 1, 1, features)


def linear_forward(x: Array, weight: Array, bias: Array | None, y: Array, workspace: Array) -> Call:
    """Prepare y = x weight' + bias; bias (out,) or None, workspace uint8 of ``linear_workspace`` bytes."""
    out_features, in_features = weight.shape
    return conv2d_forward(_convolution(x, weight), _images("x", x, in_features), _kernel("weight", weight), bias,
                          _images("y", y, out_features), workspace)


def linear_backward_data(dy: Array, weight: Array, dx: Array, workspace: Array) -> Call:
    """Prepare dx = dy weight."""
    out_features, in_features = weight.shape
    return conv2d_backward_data(_convolution(dx, weight), _images("dy", dy, out_features), _kernel("weight", weight),
                                _images("dx", dx, in_features), workspace)


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


def linear_workspace(batch: int, in_features: int, out_features: int, *passes: int) -> int:
    """Return the bytes of workspace that these passes (kernels.FORWARD …) need."""
    return Convolution((batch, 1, 1, in_features), out_features, (1, 1)).workspace(*passes)
