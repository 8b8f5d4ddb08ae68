"""Activations: one elementwise function each, no parameters. The kernels are in csrc/pointwise.c."""

from typing import Any

from .. import kernels
from ..errors import NetworkError, brief
from ..kernels import Call
from .base import Buffers, Layer
from .int8 import ALL_BYTES, Int8Buffers, by_table


class Activation(Layer, abstract=True):
    """An activation: y = f(x) for each number, of any shape. The subclasses say which f."""

    reads_output = dx_may_be_dy = takes_bfloat16 = True
    slope = 0.0

    def forward_calls(self, io: Buffers) -> list[Call]:
        return [kernels.activation_forward(self.function, io.x[0], io.y, self.slope)]

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        return by_table(self.forward(io.steps[0].values_of(ALL_BYTES)[None])[0], io)

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dx[0] is None or io.dy is None:
            return []
        x, y = (io.x[0], None) if self.reads_input else (None, io.y)
        return [kernels.activation_backward(self.function, x, y, io.dy, io.dx[0], self.slope)]


class ReLU(Activation):
    """max(x, 0) (Nair and Hinton 2010)."""

    function = "relu"


class ReLU6(Activation):
    """min(max(x, 0), 6) (Krizhevsky 2010; MobileNet's)."""

    function = "relu6"


class LeakyReLU(Activation):
    """x if it is positive, else negative_slope * x (Maas et al. 2013).

    Args:
        negative_slope: The slope for negative numbers, at least 0.
    """

    function = "leaky_relu"

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        number = isinstance(negative_slope, int | float) and not isinstance(negative_slope, bool)
        if not number or not 0 <= negative_slope < float("inf"):
            # Backward tells the two sides apart by the sign of y.
            raise NetworkError("LeakyReLU's negative_slope must be a number of at least 0, not "
                               f"{brief(negative_slope)}.")
        self.slope = float(negative_slope)

    def config(self) -> dict[str, Any]:
        return {"negative_slope": self.slope}


class SiLU(Activation):
    """x * sigmoid(x), also called swish (Elfwing et al. 2017)."""

    function = "silu"
    reads_input, reads_output = True, False


class Sigmoid(Activation):
    """1 / (1 + e^-x)."""

    function = "sigmoid"


class Tanh(Activation):
    """The hyperbolic tangent, LeNet-5's own activation."""

    function = "tanh"
