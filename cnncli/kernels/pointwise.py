"""Door to csrc/pointwise.c: activations. The arrays of a call are all float32 or all bfloat16. The layers are in
cnncli/layers/activation.py."""

from .._kernels import lib
from .bf16 import BFLOAT16, map_dtype
from .door import Array, Call, pointer

ACTIVATIONS = {"relu": lib.CNN_RELU, "relu6": lib.CNN_RELU6, "leaky_relu": lib.CNN_LEAKY_RELU, "silu": lib.CNN_SILU,
               "sigmoid": lib.CNN_SIGMOID, "tanh": lib.CNN_TANH}


def activation_forward(name: str, x: Array, y: Array, slope: float = 0.01) -> Call:
    """Prepare y = f(x), elementwise; x and y of one shape, y may be x. slope is LeakyReLU's."""
    kind = map_dtype(x)
    return Call("cnn_bf16_activation_forward" if kind == BFLOAT16 else "cnn_activation_forward", ACTIVATIONS[name],
                slope, x.size, pointer("x", x, dtype=kind), pointer("y", y, x.shape, kind), keep=(x, y))


def activation_backward(name: str, x: Array | None, y: Array | None, dy: Array, dx: Array, slope: float = 0.01) -> Call:
    """Prepare dx = f'(x) dy, elementwise; all of one shape, dx may be dy.

    SiLU needs x, every other activation y = f(x); the one that is not needed may be None.
    """
    kind = map_dtype(dy)
    return Call("cnn_bf16_activation_backward" if kind == BFLOAT16 else "cnn_activation_backward", ACTIVATIONS[name],
                slope, dy.size, pointer("x", x, dy.shape, kind), pointer("y", y, dy.shape, kind),
                pointer("dy", dy, dtype=kind), pointer("dx", dx, dy.shape, kind), keep=(x, y, dy, dx))
