"""export/windows.py and the windows of onnx_layers.py: how others pad and count, against counting pixel by pixel."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnncli.export.onnx_layers import _pads, _sharing
from cnncli.export.windows import mean_factors, whole_factors
from cnncli.layers import AvgPool2d, MaxPool2d

SHAPES = [(10, 9, 3), (7, 12, 1)]
WAYS: list[dict[str, Any]] = [
    {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": [2, 3], "ceil_mode": True},
    {"kernel_size": [3, 4], "stride": [2, 3], "padding": [1, 2]},
    {"kernel_size": 4, "stride": 3, "ceil_mode": True, "padding": [2, 1]}]


def counted(layer: AvgPool2d, shape: tuple[int, ...], grid: tuple[int, ...], padded: bool) -> np.ndarray:
    """How many pixels each window's mean is over: of the image, or with the padding around it."""
    windows, found = layer.windows, np.zeros(grid[:2])
    (top, left), (h, w, _) = windows.padding, shape
    rows, columns = (range(-top, h + top), range(-left, w + left)) if padded else (range(h), range(w))
    for i in range(grid[0]):
        for j in range(grid[1]):
            y, x = i * windows.stride[0] - top, j * windows.stride[1] - left
            found[i, j] = sum(a in rows and b in columns for a in range(y, y + windows.kernel[0])
                              for b in range(x, x + windows.kernel[1]))
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_factors_are_one_over_the_pixels_counted(way: dict[str, Any], shape: tuple[int, int, int]) -> None:
    layer = AvgPool2d(**way)
    grid = layer.output_shape(shape)
    for padded in (True, False):
        np.testing.assert_allclose(mean_factors(layer.windows, shape, grid, padded),
                                   1 / counted(layer, shape, grid, padded))
    whole = layer.windows.kernel[0] * layer.windows.kernel[1]
    np.testing.assert_allclose(whole_factors(layer.windows, shape, grid), whole / counted(layer, shape, grid, True))


@pytest.mark.parametrize(("way", "shape", "pads"), [
    ({"kernel_size": 3, "stride": 2, "padding": 1}, (10, 9, 3), [1, 1, 0, 1]),
    ({"kernel_size": 3, "stride": 2, "padding": [1, 0]}, (10, 9, 3), [1, 0, 0, 0]),
    ({"kernel_size": [2, 4], "ceil_mode": True}, (9, 10, 3), [0, 0, 1, 2]),
    ({"kernel_size": 2, "dilation": [3, 1], "stride": 1, "padding": [1, 0]}, (8, 8, 3), [1, 0, 1, 0]),
])
def test_what_is_padded_lies_before_the_image_and_what_is_missing_behind_it(way: dict[str, Any],
                                                                             shape: tuple[int, int, int],
                                                                             pads: list[int]) -> None:
    """ONNX's order is top, left, bottom, right; the first two are ours, the others what the last window needs."""
    layer = MaxPool2d(**way)
    place: Any = SimpleNamespace(shape=layer.output_shape(shape), shapes=[shape])
    assert _pads(layer.windows, place) == pads


def test_sharing_out_is_adaptive_pooling() -> None:
    np.testing.assert_allclose(_sharing(5, 2), [[1 / 3, 1 / 3, 1 / 3, 0, 0], [0, 0, 1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(_sharing(2, 4), [[1, 0], [1, 0], [0, 1], [0, 1]])
