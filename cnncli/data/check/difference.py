"""How different two pictures are that may be the same: a linear fit of shift, scale and tone from their descriptors,
and the same fit repeated on pixels that were moved accordingly. near.py decides which pairs are compared.
"""

import numpy as np

from ...kernels import Array
from .descriptors import PIECE, features_of, halved, transformed

_ROUNDS = 3  # of moving the pixels and fitting again
_MOST_SHIFT, _SCALES, _GAINS = 0.15, (0.75, 1.15), (0.3, 3.0)  # of what can still be called the same picture


def fitted(features: Array, first: Array, second: Array) -> Array:
    """Explain each second picture by the first, moved, scaled and with another contrast: the differences."""
    differences = np.empty(len(first), np.float32)
    for start in range(0, len(first), PIECE):
        part = slice(start, start + PIECE)
        differences[part], _ = _explained(features[first[part]].astype(np.float32),
                                          features[second[part], 0].astype(np.float32))
    return differences


def _explained(features: Array, target: Array) -> tuple[Array, Array]:
    """Least squares of target (n, 63) by features (n, 6, 63): the share of target that is left, and the solution."""
    gram = np.matmul(features, features.transpose(0, 2, 1))
    size = np.einsum("nkk->nk", gram)
    gram += (1e-3 * size + 1e-6)[:, :, None] * np.eye(6, dtype=np.float32)
    solution = np.linalg.solve(gram, np.matmul(features, target[:, :, None]))
    left = target - np.matmul(solution.transpose(0, 2, 1), features)[:, 0]
    return np.sqrt((left**2).sum(axis=1) / np.maximum((target**2).sum(axis=1), 1e-6)), solution[:, :, 0]


def refined(thumbs: Array, weights: Array, first: Array, second: Array) -> Array:
    """Like ``fitted``, but the first pictures' pixels are moved and scaled again in each round. 1 if that ends in
    something that nobody would call the same picture.
    """
    target = transformed(halved(thumbs[second])) * weights
    scale: Array = np.ones((len(first), 2), np.float32)
    shift: Array = np.zeros((len(first), 2), np.float32)
    best = np.ones(len(first), np.float32)
    for _ in range(_ROUNDS):
        moved = _moved(thumbs[first], scale, shift)
        left, solution = _explained(features_of(moved, weights), target)
        gain = solution[:, 0]
        sane = ((gain > _GAINS[0]) & (gain < _GAINS[1]) & (np.abs(shift) <= _MOST_SHIFT).all(axis=1)
                & (scale > _SCALES[0]).all(axis=1) & (scale < _SCALES[1]).all(axis=1))
        best = np.where(sane, np.minimum(best, left), best)
        step = np.clip(solution[:, 1:5] / np.where(np.abs(gain) < 0.1, 1, gain)[:, None], -0.1, 0.1)
        # The features are slopes: a picture p(u) that is asked for p + t p' + s u p' is p(u + t + s u).
        shift = shift + scale * step[:, 0:2]
        scale = scale * (1 + step[:, 2:4])
    return best


def _moved(thumbs: Array, scale: Array, shift: Array) -> Array:
    """Return thumbnails sampled at scale * u + shift, u from -1/2 to 1/2 across and down, as float32 (n, SIDE, SIDE);
    beyond the border is the border."""
    side = thumbs.shape[1]
    place = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    ranks = np.arange(len(thumbs))[:, None, None]
    (x0, x1, fx), (y0, y1, fy) = (_sampled(place, scale[:, axis], shift[:, axis], side) for axis in (0, 1))
    pixels = thumbs.astype(np.float32)
    across = (pixels[ranks, np.arange(side)[:, None], x0[:, None, :]] * (1 - fx[:, None, :])
              + pixels[ranks, np.arange(side)[:, None], x1[:, None, :]] * fx[:, None, :])
    both = (across[ranks[:, :, 0], y0] * (1 - fy[:, :, None]) + across[ranks[:, :, 0], y1] * fy[:, :, None])
    return halved(both)


def _sampled(place: Array, scale: Array, shift: Array, side: int) -> tuple[Array, Array, Array]:
    at = np.clip((scale[:, None] * place + shift[:, None] + 0.5) * side - 0.5, 0, side - 1)
    low = np.floor(at).astype(np.int64)
    return low, np.minimum(low + 1, side - 1), (at - low).astype(np.float32)
