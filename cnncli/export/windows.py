"""Pooling windows as others count them: onnx_layers.py and calls.py ask how many pixels each window's divisor is."""

import numpy as np

from ..kernels import Array, Windows
from ..layers import Shape


def mean_factors(windows: Windows, shape: Shape, grid: Shape, padded: bool = True) -> Array:
    """Return what the sum over each window becomes a mean by, float64 (oh, ow), where an image of that shape has a grid
    of so many windows. padded: whether padding counts; beyond it nothing does."""
    return 1 / np.outer(*(_counts(windows, shape[axis], grid[axis], axis, padded) for axis in (0, 1)))


def whole_factors(windows: Windows, shape: Shape, grid: Shape) -> Array:
    """Return what the sum over each window is multiplied by where it is the mean over what is there, times the full
    window: LPPool2d's, as PyTorch has it."""
    return mean_factors(windows, shape, grid) * windows.kernel[0] * windows.kernel[1]


def _counts(windows: Windows, size: int, steps: int, axis: int, with_padding: bool) -> Array:
    """Return how many rows (or columns) of each window count in the divisor."""
    k, s, p = windows.kernel[axis], windows.stride[axis], windows.padding[axis]
    start = np.arange(steps) * s - p
    first, last = (start, size + p) if with_padding else (np.maximum(start, 0), size)
    return np.minimum(start + k, last) - first
