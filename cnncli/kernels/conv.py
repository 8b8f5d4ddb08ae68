"""Door to csrc/conv.c: convolutions, forward and backward. The layer is cnncli/layers/conv.py; linear.py in this
folder is the 1 x 1 case."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._kernels import ffi, lib
from .door import Array, Call, pointer

FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS = lib.CNN_FORWARD, lib.CNN_BACKWARD_DATA, lib.CNN_BACKWARD_WEIGHTS


@dataclass(frozen=True)
class Convolution:
    """The sizes of one convolution: x (n, h, w, c), weight (k, c / groups, *kernel), y (n, oh, ow, k).

    padding is (top, bottom, left, right). Everything is a plain number; nothing is checked before ``struct`` is
    handed to C.
    """

    x_shape: tuple[int, int, int, int]
    k: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """OIHW."""
        return (self.k, self.x_shape[3] // self.groups, *self.kernel)

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """(n, oh, ow, k); oh or ow below 1 where the kernel does not fit."""
        n, h, w, _ = self.x_shape
        top, bottom, left, right = self.padding
        oh = (h + top + bottom - (self.kernel[0] - 1) * self.dilation[0] - 1) // self.stride[0] + 1
        ow = (w + left + right - (self.kernel[1] - 1) * self.dilation[1] - 1) // self.stride[1] + 1
        return n, oh, ow, self.k

    def struct(self) -> Any:
        """Return a new cnn_conv2d."""
        n, h, w, c = self.x_shape
        return ffi.new("cnn_conv2d *", [n, h, w, c, self.k, *self.kernel, *self.stride, *self.padding, *self.dilation,
                                        self.groups, *self.y_shape[1:3]])

    def workspace(self, *passes: int) -> int:
        """Return the bytes of workspace that these passes need. Raises ValueError where the sizes make no sense."""
        most = max(lib.cnn_conv2d_workspace(self.struct(), each) for each in passes)
        if most < 0:
            raise ValueError(f"{self} is no convolution that the kernels take")
        return int(most)


def _workspace(convolution: Convolution, which: int, workspace: Array) -> Any:
    needed = convolution.workspace(which)
    if workspace.nbytes < needed:
        raise ValueError(f"workspace must hold {needed} bytes, not {workspace.nbytes}")
    if workspace.ctypes.data % 64:
        raise ValueError("workspace must be 64-byte aligned; use aligned_empty")
    return pointer("workspace", workspace, dtype=np.uint8)


def conv2d_forward(convolution: Convolution, x: Array, weight: Array, bias: Array | None, y: Array,
                   workspace: Array) -> Call:
    """Prepare y = x * weight + bias (cross-correlation); bias (k,) or None, workspace uint8."""
    struct, scratch = convolution.struct(), _workspace(convolution, FORWARD, workspace)
    return Call("cnn_conv2d_forward", struct, pointer("x", x, convolution.x_shape),
                pointer("weight", weight, convolution.weight_shape), pointer("bias", bias, (convolution.k,)),
                pointer("y", y, convolution.y_shape), scratch, keep=(struct, x, weight, bias, y, workspace))


def conv2d_backward_data(convolution: Convolution, dy: Array, weight: Array, dx: Array, workspace: Array) -> Call:
    """Prepare dx, the gradient of x, from dy."""
    struct, scratch = convolution.struct(), _workspace(convolution, BACKWARD_DATA, workspace)
    return Call("cnn_conv2d_backward_data", struct, pointer("dy", dy, convolution.y_shape),
                pointer("weight", weight, convolution.weight_shape), pointer("dx", dx, convolution.x_shape), scratch,
                keep=(struct, dy, weight, dx, workspace))


def conv2d_backward_weights(convolution: Convolution, x: Array, dy: Array, dweight: Array, dbias: Array | None,
                            workspace: Array) -> Call:
    """Prepare dweight and, unless None, dbias (k,) from x and dy."""
    struct, scratch = convolution.struct(), _workspace(convolution, BACKWARD_WEIGHTS, workspace)
    return Call("cnn_conv2d_backward_weights", struct, pointer("x", x, convolution.x_shape),
                pointer("dy", dy, convolution.y_shape), pointer("dweight", dweight, convolution.weight_shape),
                pointer("dbias", dbias, (convolution.k,)), scratch, keep=(struct, x, dy, dweight, dbias, workspace))
