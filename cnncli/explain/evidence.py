"""Where the evidence for a class lies on its images, by their maps: the small part that has most of it, over all images
of the class, and in each group of maps that are alike (clusters.py).
"""

from collections.abc import Iterator

import numpy as np

from ..errors import UsageError
from ..kernels import Array
from ..model import Model
from ..network.analysis import receptive_field
from .clusters import clusters
from .collection import CELLS
from .explanation import DEFAULT, chosen_layer, chosen_method
from .geometry import Grid, laid_out
from .look import Look
from .methods import Asked
from .places import Place

_PART = 4  # cells along each side of the small part: 6 % of the image


def evident(model: Model, pixels: Array, label: int, seed: int) -> Iterator[tuple[tuple[int, ...], Place]]:
    """Yield which of a class's images, uint8 (n, h, w, c), have their evidence at which place: all of them, and each
    group. Nothing where the network has no positions, or nothing speaks for the class."""
    maps = _maps(model, pixels, label, seed)
    if maps is None or not maps.any():
        return
    groups = clusters(maps)
    sums = maps.sum(axis=(1, 2), keepdims=True)
    yield tuple(range(len(maps))), _densest((maps / np.maximum(sums, 1e-12)).mean(axis=0), pixels.shape[1:3])
    if len(groups) > 1:
        for group in groups:
            yield group.members, _densest(group.mean, pixels.shape[1:3])


def _maps(model: Model, pixels: Array, label: int, seed: int) -> Array | None:
    """Return what speaks for a class, (n, CELLS, CELLS); None where the network has no positions."""
    way, size = chosen_method(DEFAULT), model.preprocessing.size
    try:
        layer = chosen_layer(model.network, None, way)
    except UsageError:
        return None
    look, grid = Look(model.network, layer), Grid.of(receptive_field(model.network)[layer])
    step = model.network.images_at_once()
    found = list[Array]()
    for start in range(0, len(pixels), step):
        images = model.preprocessing.normalise(pixels[start : start + step])
        found += list(way.compute(Asked(model, look, images, np.full(len(images), label), seed)).maps)
    return np.stack([laid_out(each, grid, size, (CELLS, CELLS)) for each in found]).clip(0)


def _densest(evidence: Array, size: tuple[int, ...]) -> Place:
    """Return the square of _PART cells with the most of it."""
    sums = np.pad(evidence, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    windows = sums[_PART:, _PART:] - sums[:-_PART, _PART:] - sums[_PART:, :-_PART] + sums[:-_PART, :-_PART]
    row, column = np.unravel_index(int(windows.argmax()), windows.shape)
    rows, columns = (np.linspace(0, side, CELLS + 1).round().astype(int).tolist() for side in size)
    return Place(rows[row], columns[column], rows[row + _PART], columns[column + _PART], (size[0], size[1]))
