"""The dense layer. Its kernels are those of a 1 x 1 convolution, csrc/conv.c."""

from typing import Any

import numpy as np

from .. import kernels
from ..errors import NetworkError
from ..kernels import Array, Call
from .arguments import outputs, truth, whole
from .base import Buffers, Layer, Shape
from .init import INITIALISERS, checked
from .int8 import Int8Buffers


class Linear(Layer):
    """A dense layer: y = x weight' + bias, (n, in_features) to (n, out_features).

    The weight has the shape (out_features, in_features).

    Args:
        in_features: The length of the input. None: taken from the input.
        out_features: The length of the output.
        bias: Whether a number is added to each output.
        init: The initial weights: "he" (by fan-in), "xavier" or "pytorch".
    """

    reads_input = True
    fuses_add = fuses_activation = finishes_gradient = takes_fold = True
    begins_block = decides = looks_everywhere = True

    def __init__(self, in_features: int | None = None, out_features: int = 0, bias: bool = True,
                 init: str = "he") -> None:
        super().__init__()
        self.in_features = None if in_features is None else whole("in_features", in_features)
        self.out_features = outputs(self, "out_features", out_features, ("in_features", self.in_features))
        self.bias = truth("bias", bias)
        self.init = checked(init)

    def config(self) -> dict[str, Any]:
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias,
                "init": self.init}

    def bind(self, *shapes: Shape) -> None:
        features = self._features(shapes[0])
        self.in_features = features
        self.add_parameter("weight", (self.out_features, features))
        if self.bias:
            self.add_parameter("bias", (self.out_features,))

    def output_shape(self, *shapes: Shape) -> Shape:
        self._features(shapes[0])
        return (self.out_features,)

    def initialise(self, rng: np.random.Generator) -> None:
        weight = self.params["weight"]
        out_features, in_features = weight.shape
        INITIALISERS[self.init](rng, weight, self.params.get("bias"), in_features, out_features, in_features)

    def workspace(self, batch: int, *shapes: Shape, training: bool) -> int:
        passes = (kernels.FORWARD, kernels.BACKWARD_DATA, kernels.BACKWARD_WEIGHTS)
        return self._convolution(batch, shapes[0]).workspace(*(passes if training else passes[:1]))

    def packed(self, *shapes: Shape, training: bool) -> dict[int, int]:
        convolution = self._convolution(1, shapes[0])
        passes = (kernels.FORWARD, kernels.BACKWARD_DATA) if training else (kernels.FORWARD,)
        return {each: convolution.packed(each) for each in passes}

    def pack_calls(self, params: dict[str, Array], packed: dict[int, Array], *shapes: Shape, training: bool
                   ) -> list[Call]:
        return [kernels.linear_pack(which, params["weight"], array) for which, array in packed.items()]

    def forward_calls(self, io: Buffers) -> list[Call]:
        params = io.params or self.params
        finish = kernels.Finish(params.get("bias"), io.add, io.activation)
        return [kernels.linear_forward(io.x[0], params["weight"], io.packed[kernels.FORWARD], io.y, io.workspace,
                                       finish)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dy is None:
            return []
        calls = [kernels.linear_backward_weights(io.x[0], io.dy, self.grads["weight"], self.grads.get("bias"),
                                                 io.workspace)] if self.grads else []
        if io.dx[0] is not None:
            finish = kernels.Finish(None, io.dx_add, io.dx_activation, io.dx_gate)
            calls.append(kernels.linear_backward_data(io.dy, self.params["weight"], io.packed[kernels.BACKWARD_DATA],
                                                      io.dx[0], io.workspace, finish))
        return calls

    def takes_bytes(self, *shapes: Shape) -> bool:
        return kernels.int8_fits(self._convolution(1, shapes[0]))

    def int8_packed(self, weight: Array, *shapes: Shape) -> tuple[Array, Call]:
        convolution = self._convolution(1, shapes[0])
        packed = kernels.int8_packed_weights(convolution)
        return packed, kernels.int8_linear_pack(weight, packed)

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        assert io.packed is not None
        return [kernels.int8_linear_forward(io.x[0], io.steps[0].zero, io.packed, io.requantise(),
                                            None if io.to is None else io.y, self.out_features)]

    def multiply_adds(self, *shapes: Shape) -> int:
        return self._features(shapes[0]) * self.out_features

    def _convolution(self, batch: int, shape: Shape) -> kernels.Convolution:
        return kernels.linear_convolution(batch, self._features(shape), self.out_features)

    def _features(self, shape: Shape) -> int:
        if len(shape) != 1:
            raise NetworkError(f"Linear needs a flat vector, not an image {shape}; put Flatten or GlobalAvgPool2d "
                               "before it.")
        if self.in_features not in (None, shape[0]):
            raise NetworkError(f"Linear takes {self.in_features} features, but its input has {shape[0]}; "
                               "leave in_features out to take what comes.")
        return shape[0]
