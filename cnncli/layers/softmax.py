"""Softmax as a layer of its own; for training, the loss CrossEntropy holds its own softmax. The kernel is in
csrc/elementwise.c."""

from .. import kernels
from ..kernels import Call
from .base import Buffers, Layer


class Softmax(Layer):
    """e^x / sum of e^x over the last axis: the features, or the channels of each pixel."""

    reads_output = True

    def forward_calls(self, io: Buffers) -> list[Call]:
        return [kernels.softmax_forward(io.x[0], io.y)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dx[0] is None or io.dy is None:
            return []
        return [kernels.softmax_backward(io.y, io.dy, io.dx[0])]
