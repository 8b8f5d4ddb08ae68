"""What a layer gets in int8 inference, where activations are bytes: q stands for scale * (q - zero) (Jacob et al.
2018). network/int8_plan.py asks layers for their calls with it; quantising (quantising/) chooses the scales.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import kernels
from ..kernels import Array, Call, Requantise

_MOST_PARTS = 2**20  # of a sum's input, as csrc/cnn.h has it: a step of 256 times the sum's own
_LARGEST_BIAS = 2**30 - 1  # with it the largest sum that int8_fits allows is still an int32


@dataclass(frozen=True)
class Steps:
    """What the bytes of a tensor stand for: q for scale * (q - zero). zero, 0 to 255, stands for 0."""

    scale: float
    zero: int

    def bytes_of(self, values: Array) -> Array:
        """Return the bytes, uint8, that are nearest to values. NaN becomes 0."""
        with np.errstate(invalid="ignore"):
            steps = np.nan_to_num(np.rint(values / self.scale) + self.zero, nan=0, posinf=255, neginf=0)
        found: Array = np.clip(steps, 0, 255).astype(np.uint8)
        return found

    def values_of(self, found: Array) -> Array:
        """Return what bytes stand for, float32."""
        values: Array = (found.astype(np.float32) - np.float32(self.zero)) * np.float32(self.scale)
        return values


ALL_BYTES = np.arange(256, dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class Int8Weights:
    """A layer's weights in whole numbers: values int8 and shaped as the weight, scales float32, one for each output
    channel, and the bias, float32, or None."""

    values: Array
    scales: Array
    bias: Array | None

    @classmethod
    def of(cls, params: dict[str, Array], scales: Array) -> "Int8Weights":
        """Return the weights of a layer with these parameters."""
        return cls(whole_weights(params["weight"], scales), scales, params.get("bias"))

    def of_sums(self, steps: Steps) -> Array:
        """Return what a 1 in the sums of each channel stands for, float32, if the inputs have these steps."""
        each: Array = np.float32(steps.scale) * self.scales
        return each

    def whole_bias(self, steps: Steps) -> Array:
        """Return the bias in whole numbers, as it joins the sums, float64. It is 0 where there is none."""
        each = self.of_sums(steps).astype(np.float64)
        bias: Array = np.zeros(len(each)) if self.bias is None else np.rint(self.bias / each)
        return bias


def whole_weights(weight: Array, scales: Array) -> Array:
    """Return the int8 numbers, -127 to 127, that times the scales of their channels are nearest to a weight."""
    shape = (-1, *[1] * (weight.ndim - 1))
    return np.clip(np.rint(weight / scales.astype(np.float64).reshape(shape)), -127, 127).astype(np.int8)


@dataclass
class Int8Buffers:
    """The arrays that a layer's int8 calls read and write, for one batch size.

    Attributes:
        x: One array of bytes (n, h, w, c) or (n, features) per input.
        steps: What the bytes of each stand for.
        y: The output: bytes or, if ``to`` is None, float32.
        to: What the bytes of y stand for.
        weights: The layer's weights, if it has any.
        packed: Where they lie as the kernel reads them.
        add: An array of bytes that is added to the output, and what they stand for. None: nothing.
        activation: The name of a fused activation, or "".
    """

    x: list[Array]
    steps: list[Steps]
    y: Array
    to: Steps | None
    weights: Int8Weights | None = None
    packed: Array | None = None
    add: tuple[Array, Steps] | None = None
    activation: str = ""

    def bounds(self) -> tuple[int, int]:
        """Return the least and the largest byte that the activation lets through."""
        assert self.to is not None
        least = self.to.zero if self.activation else 0
        most = self.to.zero + 6 / self.to.scale if self.activation == "relu6" else 255.0
        return least, round(min(most, 255.0))

    def means(self) -> tuple[float, int, int]:
        """Return what a pooling's sums are multiplied by, and the bytes that stand for 0 in x and y."""
        assert self.to is not None
        return self.steps[0].scale / self.to.scale, self.steps[0].zero, self.to.zero

    def requantise(self) -> Requantise:
        """Return what becomes of a layer's sums."""
        assert self.weights is not None
        each = self.weights.of_sums(self.steps[0])
        sums = self.weights.values.reshape(len(each), -1).sum(1, dtype=np.int64)
        own = self.weights.whole_bias(self.steps[0])
        bias = np.clip(own - self.steps[0].zero * sums, -_LARGEST_BIAS, _LARGEST_BIAS).astype(np.int32)
        if self.to is None:
            return Requantise(bias, each, real=self.y)
        least, most = self.bounds()
        fixed: dict[str, Any] = {}
        if self.add is not None:
            array, steps = self.add
            fixed = {"add": array, "add_zero": steps.zero, "add_multiplier": parts(steps, self.to)}
        # In float32, in this order: ONNX Runtime has the same multipliers to the last bit, and so the same bytes.
        return Requantise(bias, each / np.float32(self.to.scale), self.to.zero, least, most, **fixed)


def parts(steps: Steps, to: Steps) -> int:
    """Return what one step of one scale is in another, in parts of kernels.PARTS."""
    return round(steps.scale / to.scale * kernels.PARTS)


def fits_in(steps: Steps, to: Steps) -> bool:
    """Return whether kernels can add bytes of one scale to those of another."""
    return parts(steps, to) < _MOST_PARTS


def by_table(values: Array, io: Int8Buffers) -> list[Call]:
    """Return the call for a function of single numbers: values is what it makes of each byte of io.x[0], float32."""
    assert io.to is not None
    return [kernels.int8_columns(io.x[0], io.to.bytes_of(values), io.y)]


def rescaled(io: Int8Buffers, index: int, first: int = 0) -> Call:
    """Return the call that copies an input to channels ``first`` and on of y, in y's own steps."""
    assert io.to is not None
    steps = io.steps[index]
    table = None if steps == io.to else io.to.bytes_of(steps.values_of(ALL_BYTES))
    return kernels.int8_columns(io.x[index], table, io.y, first)


class OfBytes:
    """What every layer says of int8 inference: at first, that it has none and runs in float32."""

    keeps_numbers = False  # whether all numbers that it yields in evaluation are some of its input

    def takes_bytes(self, *shapes: tuple[int, ...]) -> bool:
        """Return whether ``int8_calls`` computes the layer: at first, whether the layer says how.

        Args:
            *shapes: The shapes of the inputs.
        """
        return type(self).int8_calls is not OfBytes.int8_calls

    def int8_packed(self, weight: Array, *shapes: tuple[int, ...]) -> tuple[Array, Call]:
        """Return room for rearranged int8 weights, and the call that fills it. Needed of layers with weights.

        Args:
            weight: The weights, int8 and shaped as the parameter.
            *shapes: The shapes of the inputs.
        """
        raise TypeError(f"{type(self).__name__} has no int8 weights")

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        """Return the calls that compute io.y from io.x in evaluation, where activations are bytes.

        Args:
            io: The arrays, and what their bytes stand for.
        """
        raise TypeError(f"{type(self).__name__} takes no bytes")
