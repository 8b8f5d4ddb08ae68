"""The convolution layer. The kernels are csrc/conv.c, with conv_dense.c and depthwise.c behind it."""

from typing import Any

import numpy as np

from .. import kernels
from ..errors import NetworkError, no_such
from ..kernels import Array, Call, Windows, aligned_empty
from .arguments import image_shape, outputs, pair, truth, whole
from .base import Buffers, Layer, Shape
from .init import INITIALISERS, checked
from .int8 import Int8Buffers

_PADDINGS = ("valid", "same", "same_tf")


class Conv2d(Layer):
    """A convolution (in fact a cross-correlation): (n, h, w, in_channels) to (n, h', w', out_channels).

    The weight has the shape (out_channels, in_channels / groups, rows, columns). Defaults are PyTorch's.

    Args:
        in_channels: The input's channels. None: taken from the input.
        out_channels: The output's channels, which is how many filters there are.
        kernel_size: The size of a filter in pixels: one number or (rows, columns).
        stride: The distance between positions in pixels: one number or (rows, columns).
        padding: The zeros around the image: one number, (rows, columns), [top, bottom, left, right], "valid" (none),
            "same" (the output is as large as the input; stride 1) or "same_tf" (TensorFlow's: ceil(size / stride)
            positions, and an odd zero goes to the bottom and right).
        dilation: The distance between the pixels that a filter reads: one number or (rows, columns).
        groups: Into how many groups the channels are divided; in_channels makes a depthwise convolution.
        bias: Whether a number is added to each output channel.
        init: The initial weights: "he" (by fan-out of a group), "xavier" or "pytorch".
    """

    reads_input = True
    fuses_add = fuses_activation = finishes_gradient = takes_fold = mixes_storage = True
    begins_block = shows_maps = True

    def __init__(self, in_channels: int | None = None, out_channels: int = 0, kernel_size: Any = 3, stride: Any = 1,
                 padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: bool = True, init: str = "he") -> None:
        super().__init__()
        self.in_channels = None if in_channels is None else whole("in_channels", in_channels)
        self.out_channels = outputs(self, "out_channels", out_channels, ("in_channels", self.in_channels))
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = pair("stride", stride)
        self.dilation = pair("dilation", dilation)
        self.groups = whole("groups", groups)
        self.padding = _padding(padding)
        self.bias = truth("bias", bias)
        self.init = checked(init)
        if self.padding == "same" and self.stride != (1, 1):
            raise NetworkError(f"Conv2d's padding \"same\" needs stride 1, not {self.stride[0]} x {self.stride[1]}; "
                               "use \"same_tf\" or give numbers.")
        if self.out_channels % self.groups:
            raise NetworkError(f"Conv2d's {self.groups} groups do not divide its {self.out_channels} output channels; "
                               "give another number.")
        if self.in_channels is not None:
            self._divide(self.in_channels)

    def config(self) -> dict[str, Any]:
        padding = self.padding if isinstance(self.padding, str) else list(self.padding)
        return {"in_channels": self.in_channels, "out_channels": self.out_channels,
                "kernel_size": list(self.kernel_size), "stride": list(self.stride), "padding": padding,
                "dilation": list(self.dilation), "groups": self.groups, "bias": self.bias, "init": self.init}

    def bind(self, *shapes: Shape) -> None:
        convolution = self._convolution(1, shapes[0])
        self.in_channels = convolution.x_shape[3]
        self.add_parameter("weight", convolution.weight_shape)
        if self.bias:
            self.add_parameter("bias", (self.out_channels,))

    def output_shape(self, *shapes: Shape) -> Shape:
        return self._convolution(1, shapes[0]).y_shape[1:]

    def initialise(self, rng: np.random.Generator) -> None:
        weight = self.params["weight"]
        out, inputs, kh, kw = weight.shape
        fan_in, fan_out = inputs * kh * kw, out // self.groups * kh * kw
        INITIALISERS[self.init](rng, weight, self.params.get("bias"), fan_in, fan_out, fan_out)

    def workspace(self, batch: int, *shapes: Shape, training: bool) -> int:
        passes = (kernels.FORWARD, kernels.BACKWARD_DATA, kernels.BACKWARD_WEIGHTS)
        return self._convolution(batch, shapes[0], training).workspace(*(passes if training else passes[:1]))

    def packed(self, *shapes: Shape, training: bool) -> dict[int, int]:
        convolution = self._convolution(1, shapes[0], training)
        passes = (kernels.FORWARD, kernels.BACKWARD_DATA) if training else (kernels.FORWARD,)
        return {each: convolution.packed(each) for each in passes}

    def pack_calls(self, params: dict[str, Array], packed: dict[int, Array], *shapes: Shape, training: bool
                   ) -> list[Call]:
        convolution = self._convolution(1, shapes[0], training)
        return [kernels.conv2d_pack(convolution, which, params["weight"], array) for which, array in packed.items()]

    def pools(self, *shapes: Shape, training: bool) -> bool:
        return self._convolution(1, shapes[0], training).pools

    def forward_calls(self, io: Buffers) -> list[Call]:
        convolution = self._convolution(len(io.y), io.x[0].shape[1:], io.training)
        params = io.params or self.params
        finish = kernels.Finish(params.get("bias"), io.add, io.activation, pooled=io.pooled, taps=io.taps)
        return [kernels.conv2d_forward(convolution, io.x[0], params["weight"], io.packed[kernels.FORWARD], io.y,
                                       io.workspace, finish)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dy is None:
            return []
        convolution, calls = self._convolution(len(io.dy), io.x[0].shape[1:]), []
        if self.grads:
            dweight = self.grads.get("weight")
            if dweight is None:  # frozen: for the bias's sake all the same
                dweight = aligned_empty(self.params["weight"].shape)
            calls.append(kernels.conv2d_backward_weights(convolution, io.x[0], io.dy, dweight, self.grads.get("bias"),
                                                         io.workspace))
        if io.dx[0] is not None:
            finish = kernels.Finish(None, io.dx_add, io.dx_activation, io.dx_gate)
            calls.append(kernels.conv2d_backward_data(convolution, io.dy, self.params["weight"],
                                                      io.packed[kernels.BACKWARD_DATA], io.dx[0], io.workspace, finish))
        return calls

    def takes_bytes(self, *shapes: Shape) -> bool:
        return kernels.int8_fits(self._convolution(1, shapes[0]))

    def int8_packed(self, weight: Array, *shapes: Shape) -> tuple[Array, Call]:
        convolution = self._convolution(1, shapes[0])
        packed = kernels.int8_packed_weights(convolution)
        return packed, kernels.int8_conv2d_pack(convolution, weight, packed)

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        assert io.packed is not None
        convolution = self._convolution(len(io.y), io.x[0].shape[1:])
        return [kernels.int8_conv2d_forward(convolution, io.x[0], io.steps[0].zero, io.packed, io.requantise(),
                                            None if io.to is None else io.y)]

    def multiply_adds(self, *shapes: Shape) -> int:
        convolution = self._convolution(1, shapes[0])
        _, oh, ow, _ = convolution.y_shape
        out, inputs, kh, kw = convolution.weight_shape
        return oh * ow * out * inputs * kh * kw

    def reach(self, *shapes: Shape) -> Windows:
        return Windows(self.kernel_size, self.stride, dilation=self.dilation)

    def leads(self, *shapes: Shape) -> tuple[float, float]:
        top, _, left, _ = self.zeros(*shapes[0][:2])
        return top, left

    def _divide(self, channels: int) -> None:
        if channels % self.groups:
            raise NetworkError(f"Conv2d's {self.groups} groups do not divide its {channels} input channels; give "
                               "another number.")

    def _convolution(self, batch: int, shape: Shape, training: bool = True) -> kernels.Convolution:
        h, w, c = image_shape(self, shape)
        if self.in_channels not in (None, c):
            raise NetworkError(f"Conv2d takes {self.in_channels} channels, but its input has {c}; "
                               "leave in_channels out to take what comes.")
        self._divide(c)
        top, bottom, left, right = self.zeros(h, w)
        convolution = kernels.Convolution((batch, h, w, c), self.out_channels, self.kernel_size, self.stride,
                                          (top, bottom, left, right), self.dilation, self.groups, self.exact,
                                          self.storage, not training and not any(self.storage))
        if min(convolution.y_shape[1:3]) < 1:
            reach = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)]
            raise NetworkError(
                f"Conv2d's kernel covers {reach[0]} x {reach[1]} pixels, more than its padded input of "
                f"{h + top + bottom} x {w + left + right}; use a smaller kernel, more padding or a larger image.")
        return convolution

    def zeros(self, h: int, w: int) -> tuple[int, int, int, int]:
        """Return the zeros at the top, bottom, left and right of an image.

        Args:
            h: The image's height in pixels.
            w: The image's width in pixels.
        """
        if not isinstance(self.padding, str):
            both = self.padding
            return both if len(both) == 4 else (both[0], both[0], both[1], both[1])
        sides = []
        for size, kernel, stride, dilation in zip((h, w), self.kernel_size, self.stride, self.dilation, strict=True):
            reach, total = (kernel - 1) * dilation + 1, 0
            if self.padding == "same":
                total = reach - 1
            elif self.padding == "same_tf":
                total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            sides += [total // 2, total - total // 2]
        return sides[0], sides[1], sides[2], sides[3]


def _padding(value: Any) -> Any:
    """Return padding as a name, (rows, columns) or (top, bottom, left, right). Raises NetworkError otherwise."""
    if isinstance(value, str):
        if value not in _PADDINGS:
            raise NetworkError(no_such("padding", value, _PADDINGS, f"give numbers, or one of {', '.join(_PADDINGS)}"))
        return value
    if isinstance(value, list | tuple) and len(value) == 4:
        return (*pair("padding", value[:2], 0), *pair("padding", value[2:], 0))
    return pair("padding", value, 0)
