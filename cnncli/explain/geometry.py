"""Where a layer's positions lie on the image, so that a map is laid where it belongs: by the middles of the positions'
receptive fields, through whatever part of the image the preprocessing took. Maps are not stretched to fit: paddings and
strides move a layer's positions against the image, by half its side in a deep network.
"""

from dataclasses import dataclass

import numpy as np

from ..data.preprocessing import Preprocessing
from ..kernels import Array
from ..network.analysis import Field


@dataclass(frozen=True)
class Grid:
    """Positions along rows and columns: the middle of the first, and how far the next is, in pixels of the prepared
    image, counted from the middle of its first pixel."""

    start: tuple[float, float]
    step: tuple[float, float]

    @classmethod
    def of(cls, field: Field) -> "Grid":
        """Return the positions of a layer with this receptive field."""
        return cls(field.start, (float(field.step[0]), float(field.step[1])))


PIXELS = Grid((0.0, 0.0), (1.0, 1.0))  # of the prepared image itself


def on_image(values: Array, grid: Grid, preprocessing: Preprocessing, size: tuple[int, int], most: int | None = None
             ) -> Array:
    """Return a map (rows, columns) on an image of its own size, (height, width): float32, linear between the middles of
    positions, 0 where the preprocessing cut the image off. Beyond the outermost middles it stays as it is there for
    half a step, and fades to 0 in another half: a layer without padding has no positions at the border. most: drawn
    smaller where the image's longer side has more pixels, for a picture of which it is far more than enough."""
    height, width = size
    box, factor = preprocessing.box((width, height)), min(1.0, (most or max(size)) / max(size))
    drawn = (max(1, round(height * factor)), max(1, round(width * factor)))
    left, top, right, bottom = box
    across, down = drawn[1] / width, drawn[0] / height
    return _laid(values, grid, preprocessing.size, drawn, (left * across, top * down, right * across, bottom * down))


def laid_out(values: Array, grid: Grid, prepared: tuple[int, int], size: tuple[int, int]) -> Array:
    """Return a map (rows, columns) on the prepared image, itself (height, width), drawn at another size: float32."""
    return _laid(values, grid, prepared, size, (0, 0, size[1], size[0]))


def _laid(values: Array, grid: Grid, prepared: tuple[int, int], size: tuple[int, int],
          box: tuple[float, float, float, float]) -> Array:
    """Return a map on an image of some size, of which the box (left, top, right, bottom) is the prepared image."""
    places, inside = [], []
    for own, begin, end, side, start, step in zip(size, box[1::-1], box[:1:-1], prepared, grid.start, grid.step,
                                                  strict=True):
        pixels = np.arange(own) + 0.5
        places.append((((pixels - begin) * side / (end - begin) - 0.5) - start) / step)
        inside.append((pixels > begin) & (pixels < end))
    laid = _linear(_linear(values.astype(np.float64), places[0]).T, places[1]).T
    laid *= _fading(places[0], values.shape[0])[:, None] * _fading(places[1], values.shape[1])
    laid[~inside[0]] = 0
    laid[:, ~inside[1]] = 0
    placed: Array = np.ascontiguousarray(laid, np.float32)
    return placed


def on_prepared(maps: Array, grid: Grid, size: tuple[int, int]) -> Array:
    """Return maps (rows, columns, k) on the prepared image, of this (height, width): float32 (height, width, k), linear
    between the middles of positions, level beyond."""
    y, x = ((np.arange(own) - start) / step for own, start, step in zip(size, grid.start, grid.step, strict=True))
    laid = _linear(_linear(maps.astype(np.float64), y).swapaxes(0, 1), x).swapaxes(0, 1)
    placed: Array = np.ascontiguousarray(laid, np.float32)
    return placed


def _linear(rows: Array, places: Array) -> Array:
    """Return rows (n, ...) at fractional places, (places, ...), linear between them, level beyond."""
    places = places.clip(0, len(rows) - 1)
    lower = np.minimum(places.astype(np.int64), max(len(rows) - 2, 0))
    share = (places - lower).reshape(-1, *(1,) * (rows.ndim - 1))
    between: Array = rows[lower]
    between *= 1 - share
    above = rows[np.minimum(lower + 1, len(rows) - 1)]
    above *= share
    between += above
    return between


def _fading(places: Array, rows: int) -> Array:
    """Return how much is left of values at fractional places: all as far as half a step beyond the outermost rows,
    nothing from a whole step on."""
    shares: Array = (2 - 2 * np.maximum(-places, places - (rows - 1))).clip(0, 1)
    return shares
