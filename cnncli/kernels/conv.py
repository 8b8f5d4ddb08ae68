"""Door to csrc/conv.c: convolutions, forward and backward. The layer is cnncli/layers/conv.py; linear.py in this
folder is the 1 x 1 case."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._kernels import ffi, lib
from .bf16 import BFLOAT16
from .door import Array, Call, aligned_empty, pointer

FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS = lib.CNN_FORWARD, lib.CNN_BACKWARD_DATA, lib.CNN_BACKWARD_WEIGHTS
# The activations that another operation can apply while it stores; "" is none.
FUSED = {"": lib.CNN_IDENTITY, "relu": lib.CNN_RELU, "relu6": lib.CNN_RELU6}


@dataclass(frozen=True)
class Convolution:
    """The sizes of one convolution: x (n, h, w, c), weight (k, c / groups, *kernel), y (n, oh, ow, k).

    padding is (top, bottom, left, right). exact rules Winograd out; inference lets forward round more than training can
    bear. storage says whether x and dx, and y and dy, are bfloat16. Everything is a plain number; nothing is checked
    before ``struct`` is handed to C.
    """

    x_shape: tuple[int, int, int, int]
    k: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    exact: bool = False
    storage: tuple[bool, bool] = (False, False)
    inference: bool = False

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
        """Return a new cnn_conv2d, or a cnn_bf16_conv2d where one of its arrays is bfloat16."""
        n, h, w, c = self.x_shape
        sizes = [n, h, w, c, self.k, *self.kernel, *self.stride, *self.padding, *self.dilation, self.groups,
                 *self.y_shape[1:3], self.exact, self.inference]
        if any(self.storage):
            return ffi.new("cnn_bf16_conv2d *", [sizes, *self.storage])
        return ffi.new("cnn_conv2d *", sizes)

    def either(self, floats: str, halves: str) -> str:
        """Return the name of the function in C for arrays that are stored so."""
        return halves if any(self.storage) else floats

    @property
    def x_dtype(self) -> Any:
        """The dtype of x and dx."""
        return BFLOAT16 if self.storage[0] else np.dtype(np.float32)

    @property
    def y_dtype(self) -> Any:
        """The dtype of y and dy."""
        return BFLOAT16 if self.storage[1] else np.dtype(np.float32)

    def workspace(self, *passes: int) -> int:
        """Return the bytes of workspace that these passes need. Raises ValueError where the sizes make no sense."""
        function = getattr(lib, self.either("cnn_conv2d_workspace", "cnn_bf16_conv2d_workspace"))
        most = max(function(self.struct(), each) for each in passes)
        if most < 0:
            raise ValueError(f"{self} is no convolution that the kernels take")
        return int(most)

    @property
    def pools(self) -> bool:
        """Whether forward takes a finish that is pooled."""
        return bool(getattr(lib, self.either("cnn_conv2d_pools", "cnn_bf16_conv2d_pools"))(self.struct()))

    def packed(self, which: int) -> int:
        """Return the bytes of packed weights that FORWARD or BACKWARD_DATA reads, for any number of images."""
        size = getattr(lib, self.either("cnn_conv2d_packed", "cnn_bf16_conv2d_packed"))(self.struct(), which)
        if size < 0:
            raise ValueError(f"{self} is no convolution that the kernels take")
        return int(size)


@dataclass(frozen=True)
class Finish:
    """What becomes of a convolution's results before they are stored: f(sum + bias + add), or with a gate, the output
    of f where it went forward, (sum + bias + add) * f'. bias is (channels,); add and gate have the result's shape, and
    add may be the result's own array. activation, f, is one of FUSED. Where pooled, only the largest of every 2 x 2
    results is stored, and taps, unless None, receives which that was, uint8 and shaped as the result."""

    bias: Array | None = None
    add: Array | None = None
    activation: str = ""
    gate: Array | None = None
    pooled: bool = False
    taps: Array | None = None

    def shape(self, convolution: Convolution) -> tuple[int, ...]:
        """Return the shape of what a forward pass stores."""
        n, oh, ow, k = convolution.y_shape
        return (n, oh // 2, ow // 2, k) if self.pooled else (n, oh, ow, k)

    def struct(self, convolution: Convolution, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return a new cnn_finish, or cnn_bf16_finish, for results of this shape and dtype."""
        return ffi.new("cnn_bf16_finish *" if any(convolution.storage) else "cnn_finish *", [
            pointer("bias", self.bias, shape[-1:]), pointer("add", self.add, shape, dtype), FUSED[self.activation],
            pointer("gate", self.gate, shape, dtype), self.pooled, pointer("taps", self.taps, shape, np.uint8)])


def _workspace(convolution: Convolution, which: int, workspace: Array) -> Any:
    return _room("workspace", convolution.workspace(which), workspace)


def _packed(convolution: Convolution, which: int, packed: Array) -> Any:
    return _room("packed", convolution.packed(which), packed, "float *")


def _room(name: str, needed: int, array: Array, kind: str = "uint8_t *") -> Any:
    if array.nbytes < needed:
        raise ValueError(f"{name} must hold {needed} bytes, not {array.nbytes}")
    if needed and array.ctypes.data % 64:
        raise ValueError(f"{name} must be 64-byte aligned; use aligned_empty")
    return ffi.cast(kind, pointer(name, array, dtype=np.uint8))


def packed_weights(convolution: Convolution, which: int) -> Array:
    """Return room (uint8) for what ``conv2d_pack`` makes of the weights for FORWARD or BACKWARD_DATA."""
    return aligned_empty((convolution.packed(which),), np.uint8)


def conv2d_pack(convolution: Convolution, which: int, weight: Array, packed: Array) -> Call:
    """Prepare laying the weights out as FORWARD or BACKWARD_DATA reads them on the active instruction set: to be run
    after each change of the weights, before the pass."""
    struct = convolution.struct()
    return Call(convolution.either("cnn_conv2d_pack", "cnn_bf16_conv2d_pack"), struct, which,
                pointer("weight", weight, convolution.weight_shape), _packed(convolution, which, packed),
                keep=(struct, weight, packed))


_NOTHING = Finish()


def conv2d_forward(convolution: Convolution, x: Array, weight: Array, packed: Array, y: Array, workspace: Array,
                   finish: Finish = _NOTHING) -> Call:
    """Prepare y = finish(x * weight) (cross-correlation); packed is ``conv2d_pack``'s, packed and workspace uint8."""
    struct, scratch = convolution.struct(), _workspace(convolution, FORWARD, workspace)
    shape = finish.shape(convolution)
    last = finish.struct(convolution, shape, convolution.y_dtype)
    return Call(convolution.either("cnn_conv2d_forward", "cnn_bf16_conv2d_forward"), struct,
                pointer("x", x, convolution.x_shape, convolution.x_dtype),
                pointer("weight", weight, convolution.weight_shape), _packed(convolution, FORWARD, packed), last,
                pointer("y", y, shape, convolution.y_dtype), scratch,
                keep=(struct, x, weight, packed, finish, last, y, workspace))


def conv2d_backward_data(convolution: Convolution, dy: Array, weight: Array, packed: Array, dx: Array,
                         workspace: Array, finish: Finish = _NOTHING) -> Call:
    """Prepare dx, the gradient of x, from dy; finish as in forward."""
    struct, scratch = convolution.struct(), _workspace(convolution, BACKWARD_DATA, workspace)
    last = finish.struct(convolution, convolution.x_shape, convolution.x_dtype)
    return Call(convolution.either("cnn_conv2d_backward_data", "cnn_bf16_conv2d_backward_data"), struct,
                pointer("dy", dy, convolution.y_shape, convolution.y_dtype),
                pointer("weight", weight, convolution.weight_shape), _packed(convolution, BACKWARD_DATA, packed), last,
                pointer("dx", dx, convolution.x_shape, convolution.x_dtype), scratch,
                keep=(struct, dy, weight, packed, finish, last, dx, workspace))


def conv2d_backward_weights(convolution: Convolution, x: Array, dy: Array, dweight: Array, dbias: Array | None,
                            workspace: Array) -> Call:
    """Prepare dweight and, unless None, dbias (k,) from x and dy."""
    struct, scratch = convolution.struct(), _workspace(convolution, BACKWARD_WEIGHTS, workspace)
    return Call(convolution.either("cnn_conv2d_backward_weights", "cnn_bf16_conv2d_backward_weights"), struct,
                pointer("x", x, convolution.x_shape, convolution.x_dtype),
                pointer("dy", dy, convolution.y_shape, convolution.y_dtype),
                pointer("dweight", dweight, convolution.weight_shape), pointer("dbias", dbias, (convolution.k,)),
                scratch, keep=(struct, x, dy, dweight, dbias, workspace))
