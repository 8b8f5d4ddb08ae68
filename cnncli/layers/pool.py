"""Pooling over windows of an image and over a whole image. The kernels are in csrc/pool.c."""

from typing import Any

import numpy as np

from .. import kernels
from ..errors import NetworkError, brief
from ..kernels import Array, Call, Windows
from .arguments import image_shape, pair, truth
from .base import Buffers, Layer, Shape, Spec
from .int8 import ALL_BYTES, Int8Buffers

Size = int | tuple[int, int] | list[int]


class Pool(Layer, abstract=True):
    """Windows of kernel_size every stride (kernel_size where None): (h, w, c) -> (oh, ow, c), PyTorch's sizes.

    ceil_mode lets the last window reach beyond the image's end, if it starts inside the image or its left padding.
    """

    shows_maps = True

    def __init__(self, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size, ceil_mode: bool) -> None:
        super().__init__()
        kernel, spread = pair("kernel_size", kernel_size), pair("dilation", dilation)
        self.windows = Windows(kernel, kernel if stride is None else pair("stride", stride),
                               pair("padding", padding, least=0), spread)
        self.ceil_mode = truth("ceil_mode", ceil_mode)
        for k, p in zip(kernel, self.windows.padding, strict=True):
            if 2 * p > k:
                raise NetworkError(f"{type(self).__name__}: padding {p} is more than half the kernel of {k}; use "
                                   f"at most {k // 2}.")

    def output_shape(self, *shapes: Shape) -> Shape:
        h, w, c = image_shape(self, shapes[0])
        return self._steps(h, 0), self._steps(w, 1), c

    def reach(self, *shapes: Shape) -> Windows:
        return self.windows

    def _steps(self, size: int, axis: int) -> int:
        """Return how many windows fit along one axis. Raises NetworkError where none does."""
        k, s, p, d = (getattr(self.windows, name)[axis] for name in ("kernel", "stride", "padding", "dilation"))
        span = d * (k - 1) + 1
        steps: int = (size + 2 * p - span + (s - 1 if self.ceil_mode else 0)) // s + 1
        if self.ceil_mode and (steps - 1) * s >= size + p:
            steps -= 1
        if steps < 1:
            raise NetworkError(f"{type(self).__name__}'s window of {span} is larger than its input of {size} pixels; "
                               "use a smaller kernel_size or pool less before it.")
        for i in range(steps):
            start = i * s - p
            first = start if start >= 0 else start + -(start // d) * d
            if first >= size or first >= start + span:
                raise NetworkError(f"{type(self).__name__}: with dilation {d} and padding {p} a window misses all "
                                   f"of {size} pixels; use less padding.")
        return steps


class MaxPool2d(Pool):
    """The largest number of each window. Padding is never the largest, NaN always is.

    Args:
        kernel_size: The size of a window in pixels: one number or (rows, columns).
        stride: The distance between windows in pixels. None: kernel_size.
        padding: The pixels around the image, at most half of kernel_size.
        dilation: The distance between the pixels of a window.
        ceil_mode: Whether the last window may reach beyond the image, if it starts inside it or its left padding.
    """

    fuses_activation = gates_itself = swaps_with_activation = keeps_numbers = takes_bfloat16 = True

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
                 ceil_mode: bool = False) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        if kernels.tap_dtype(self.windows.kernel) is None:
            raise NetworkError(f"MaxPool2d's window of {self.windows.kernel[0]} x {self.windows.kernel[1]} is too "
                               "large; use at most 65535 pixels, such as 255 x 255.")

    def config(self) -> dict[str, Any]:
        w = self.windows
        return {"kernel_size": list(w.kernel), "stride": list(w.stride), "padding": list(w.padding),
                "dilation": list(w.dilation), "ceil_mode": self.ceil_mode}

    def halves(self, shape: Shape) -> bool:
        h, w, c = image_shape(self, shape)
        return self.windows == Windows((2, 2), (2, 2)) and self.output_shape(shape) == (h // 2, w // 2, c)

    def saved(self, batch: int, *shapes: Shape) -> dict[str, Spec]:
        return {"taps": ((batch, *self.output_shape(*shapes)), kernels.tap_dtype(self.windows.kernel))}

    def forward_calls(self, io: Buffers) -> list[Call]:
        return [kernels.max_pool_forward(self.windows, io.x[0], io.y, io.saved.get("taps"), io.activation)]

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        calls = [kernels.int8_max_pool(io.x[0], self.windows, io.y)]
        if io.activation:
            calls.append(kernels.int8_columns(io.y, np.clip(ALL_BYTES, *io.bounds()), io.y))
        return calls

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dx[0] is None or io.dy is None:
            return []
        y = io.y if io.activation else None
        return [kernels.max_pool_backward(self.windows, io.saved["taps"], io.dy, io.dx[0], y, io.activation)]


class AvgPool2d(Pool):
    """The mean of each window: (h, w, c) to (oh, ow, c).

    Args:
        kernel_size: The size of a window in pixels: one number or (rows, columns).
        stride: The distance between windows in pixels. None: kernel_size.
        padding: The pixels around the image, at most half of kernel_size.
        ceil_mode: Whether the last window may reach beyond the image, if it starts inside it or its left padding.
        count_include_pad: Whether padding counts as zeros or not at all.
    """

    takes_bfloat16 = True

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True) -> None:
        super().__init__(kernel_size, stride, padding, 1, ceil_mode)
        self.count_include_pad = truth("count_include_pad", count_include_pad)

    def config(self) -> dict[str, Any]:
        w = self.windows
        return {"kernel_size": list(w.kernel), "stride": list(w.stride), "padding": list(w.padding),
                "ceil_mode": self.ceil_mode, "count_include_pad": self.count_include_pad}

    def forward_calls(self, io: Buffers) -> list[Call]:
        return [kernels.average_pool_forward(self.windows, self.count_include_pad, io.x[0], io.y)]

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        return [kernels.int8_average_pool(io.x[0], self.windows, self.count_include_pad, *io.means(), io.y)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dx[0] is None or io.dy is None:
            return []
        return [kernels.average_pool_backward(self.windows, self.count_include_pad, io.dy, io.dx[0])]


class LPPool2d(Pool):
    """(sum of x^p)^(1/p) over each window, as PyTorch computes it (Sermanet et al. 2012).

    Signs are kept, so an odd p can give NaN where the sum is negative. Windows that ceil_mode cuts short count as the
    mean of what is there, times the full window. The gradient is 0 where the sum is 0.

    Args:
        norm_type: p: 2 for the L2 norm, 1 for the sum.
        kernel_size: The size of a window in pixels: one number or (rows, columns).
        stride: The distance between windows in pixels. None: kernel_size.
        ceil_mode: Whether the last window may reach beyond the image, if it starts inside it.
    """

    reads_input = reads_output = True

    def __init__(self, norm_type: float, kernel_size: Size, stride: Size | None = None,
                 ceil_mode: bool = False) -> None:
        super().__init__(kernel_size, stride, 0, 1, ceil_mode)
        if isinstance(norm_type, bool) or not isinstance(norm_type, int | float) or not 0 < norm_type < float("inf"):
            raise NetworkError(f"norm_type must be a number above 0, not {brief(norm_type)}; 2 gives the L2 norm.")
        self.norm_type = norm_type

    def config(self) -> dict[str, Any]:
        w = self.windows
        return {"norm_type": self.norm_type, "kernel_size": list(w.kernel), "stride": list(w.stride),
                "ceil_mode": self.ceil_mode}

    def forward_calls(self, io: Buffers) -> list[Call]:
        return [kernels.lp_pool_forward(self.windows, self.norm_type, io.x[0], io.y)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dx[0] is None or io.dy is None:
            return []
        return [kernels.lp_pool_backward(self.windows, self.norm_type, io.x[0], io.y, io.dy, io.dx[0])]


class GlobalAvgPool2d(Layer):
    """The mean of each channel over the whole image: (h, w, c) -> (c,) (Lin et al. 2014)."""

    looks_everywhere = takes_bfloat16 = True

    def output_shape(self, *shapes: Shape) -> Shape:
        return (image_shape(self, shapes[0])[2],)

    def forward_calls(self, io: Buffers) -> list[Call]:
        windows, pooled = self._whole(io.x[0], io.y)
        return [kernels.average_pool_forward(windows, True, io.x[0], pooled)]

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        windows, pooled = self._whole(io.x[0], io.y)
        return [kernels.int8_average_pool(io.x[0], windows, True, *io.means(), pooled)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dx[0] is None or io.dy is None:
            return []
        windows, pooled = self._whole(io.dx[0], io.dy)
        return [kernels.average_pool_backward(windows, True, pooled, io.dx[0])]

    def _whole(self, images: Array, flat: Array) -> tuple[Windows, Array]:
        n, h, w, c = images.shape
        return Windows((h, w), (h, w)), flat.reshape(n, 1, 1, c)


class AdaptiveAvgPool2d(Layer):
    """The means of windows that divide an image of any size: (h, w, c) to (oh, ow, c).

    Windows are PyTorch's: row i is the mean of rows floor(i h / oh) to ceil((i + 1) h / oh).

    Args:
        output_size: (oh, ow), or one number for both.
    """

    takes_bfloat16 = True

    def __init__(self, output_size: Size) -> None:
        super().__init__()
        self.output_size = pair("output_size", output_size)

    def config(self) -> dict[str, Any]:
        return {"output_size": list(self.output_size)}

    def output_shape(self, *shapes: Shape) -> Shape:
        return *self.output_size, image_shape(self, shapes[0])[2]

    def reach(self, *shapes: Shape) -> Windows:
        both = list(zip(shapes[0], self.output_size, strict=False))
        rows, columns = (max(-(-(i + 1) * side // n) - i * side // n for i in range(n)) for side, n in both)
        return Windows((rows, columns), (-(-both[0][0] // both[0][1]), -(-both[1][0] // both[1][1])))

    def forward_calls(self, io: Buffers) -> list[Call]:
        return [kernels.adaptive_average_pool_forward(io.x[0], io.y)]

    def int8_calls(self, io: Int8Buffers) -> list[Call]:
        return [kernels.int8_adaptive_average_pool(io.x[0], *io.means(), io.y)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dx[0] is None or io.dy is None:
            return []
        return [kernels.adaptive_average_pool_backward(io.dy, io.dx[0])]
