"""RISE: how much surer the network is of a class when it sees the place, over a thousand images partly hidden."""

from collections.abc import Iterator

import numpy as np

from ...kernels import Array
from .method import Asked, Found, method, plain_grounds

MASKS, CELLS = 1000, 8  # cells along a side
SEEN = 0.5  # of the cells, as in the paper; at the 0.1 of the authors' notebook small images give noisier maps


@method("rise", "RISE", on="image", paper="Petsiuk et al. 2018", passes=f"{MASKS} forward",
        says="How much likelier the class is when the place is visible than on average. A thousand copies of the "
             "image are judged, each with a random part hidden. The method uses only the network's answers.")
def rise(asked: Asked) -> Found:
    """Return the mean probability, weighted by how much of a pixel each mask lets through, less the plain mean: 0 says
    that seeing the pixel changes nothing. The paper has no such zero: there a pixel that says nothing gets the plain
    mean. What is hidden becomes the mean of all images (0)."""
    shape = asked.images.shape[:3]
    weighted, plain, seen = np.zeros(shape), np.zeros(shape[0]), np.zeros(shape[1:])
    for masks in _masks(asked.seed, (shape[1], shape[2]), asked.look.at_once):
        seen += masks.sum(axis=0, dtype=np.float64)
        for i, (image, weights) in enumerate(zip(asked.images, asked.weights, strict=True)):
            chances = asked.scores(image * masks[..., None]) @ weights
            weighted[i] += np.einsum("m,mhw->hw", chances, masks)
            plain[i] += chances.sum()
    return Found((weighted / seen - plain[:, None, None] / MASKS).astype(np.float32),
                 doubts=plain_grounds(asked.images))


def _masks(seed: int, size: tuple[int, int], at_once: int) -> Iterator[Array]:
    """Yield masks of this (height, width), float32 (n, height, width), so many at once, 0 hidden to 1 seen: corners of
    cells drawn 0 or 1, linear between them, and the cells moved by a part of their side."""
    rng = np.random.default_rng(seed)
    sides = [-(-n // CELLS) for n in size]
    corners = (rng.random((MASKS, CELLS + 2, CELLS + 2)) < SEEN).astype(np.float32)
    moved = rng.integers(0, sides, (MASKS, 2))
    for start in range(0, MASKS, at_once):
        some = slice(start, start + at_once)
        yield np.stack([_laid(*each, sides, size) for each in zip(corners[some], moved[some], strict=True)])


def _laid(corners: Array, moved: Array, sides: list[int], size: tuple[int, int]) -> Array:
    for n, by, side in zip(size, moved, sides, strict=True):
        places = (np.arange(n) + by) / np.float32(side)
        lower = places.astype(np.int64)
        share = (places - lower).astype(np.float32)[:, None]
        corners = (corners[lower] * (1 - share) + corners[lower + 1] * share).T
    return corners
