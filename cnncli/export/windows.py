"""Pooling windows as others count them: onnx_layers.py and csource.py ask how many pixels each window's divisor is."""

from typing import Any

import numpy as np

from ..kernels import Array
from ..layers import AvgPool2d, LPPool2d, Shape
from ..network import Node


def windows_of(node: Node) -> Any:
    """Return a pooling layer's kernels.Windows."""
    return node.layer.windows  # type: ignore[attr-defined]


def mean_factors(node: Node, shape: Shape) -> Array:
    """Return what the sum over each window is multiplied by, float64 (oh, ow), in a layer whose input is of that shape:
    for LPPool2d the mean over what is there, times the full window, as PyTorch has it."""
    layer = node.layer
    padded = layer.count_include_pad if isinstance(layer, AvgPool2d) else True
    factors = 1 / np.outer(*(_counts(node, shape, axis, padded) for axis in (0, 1)))
    kernel = windows_of(node).kernel
    return factors * kernel[0] * kernel[1] if isinstance(layer, LPPool2d) else factors


def _counts(node: Node, shape: Shape, axis: int, with_padding: bool) -> Array:
    """Return how many rows (or columns) of each window count in the divisor."""
    k, s, p = (getattr(windows_of(node), name)[axis] for name in ("kernel", "stride", "padding"))
    start = np.arange(node.shape[axis]) * s - p
    first, last = (start, shape[axis] + p) if with_padding else (np.maximum(start, 0), shape[axis])
    return np.minimum(start + k, last) - first
