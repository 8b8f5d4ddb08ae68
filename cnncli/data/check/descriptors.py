"""What near copies are found by: the low frequencies of each thumbnail, weighted so that all vary equally in the data
set, and what moving, scaling and toning the picture would add to them. neighbours.py compares the frequencies alone,
difference.py fits one picture to another.
"""

import numpy as np

from ...kernels import Array

SIDE = 16  # pixels a side of what is compared: half a thumbnail's
WAVES = 8  # cosines a side of the descriptor, without the mean: 63 numbers
PIECE = 2048  # images, or pairs of them, that are taken at a time
_MOST = 60000  # that a float16 is asked to hold
_PRIOR = 50  # images that the law below is worth when the variances of a data set are estimated


def _cosines() -> Array:
    """The first WAVES rows of the discrete cosine transform over SIDE points."""
    at = (np.arange(SIDE) + 0.5) / SIDE
    return np.cos(np.pi * np.arange(WAVES)[:, None] * at).astype(np.float32)


_COSINES = _cosines()


def halved(thumbs: Array) -> Array:
    """Thumbnails as float32 (n, SIDE, SIDE)."""
    n = len(thumbs)
    pictures: Array = thumbs.reshape(n, SIDE, 2, SIDE, 2).mean(axis=(2, 4), dtype=np.float32)
    return pictures


def transformed(pictures: Array) -> Array:
    """(n, SIDE, SIDE) -> cosine coefficients without the mean, (n, WAVES² - 1)."""
    waves: Array = np.matmul(np.matmul(_COSINES, pictures), _COSINES.T)
    return waves.reshape(len(waves), -1)[:, 1:]


def weights_of(thumbs: Array) -> Array:
    """Return the factors of the coefficients with which all vary equally in this data set. If there are few images, the
    law that pictures follow on average helps: a variance that falls with the square of the frequency.
    """
    total, squares, count = 0.0, 0.0, len(thumbs)
    for start in range(0, count, PIECE):
        part = transformed(halved(thumbs[start : start + PIECE])).astype(np.float64)
        total, squares = total + part.sum(axis=0), squares + (part**2).sum(axis=0)
    variance = np.maximum(squares / count - (total / count) ** 2, 0)
    waves = np.arange(WAVES)
    law = 1 / (waves[:, None] ** 2 + waves**2).ravel()[1:]
    law *= max(float(variance.mean()), 1.0) / law.mean()
    weights: Array = (1 / np.sqrt((count * variance + _PRIOR * law) / (count + _PRIOR))).astype(np.float32)
    return weights


def features_of(pictures: Array, weights: Array) -> Array:
    """(n, SIDE, SIDE) -> (n, 6, 63): the weighted coefficients of the picture and of what a small shift to the right
    and down, a small scaling across and down and another tone would add to it."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * (SIDE / 2)
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) * (SIDE / 2)
    place = ((np.arange(SIDE) + 0.5) / SIDE - 0.5).astype(np.float32)
    maps = (pictures, across, down, across * place, down * place[:, None], (pictures - 128) ** 2 / 128)
    return np.stack([transformed(m) * weights for m in maps], axis=1)


def all_features(thumbs: Array, weights: Array) -> Array:
    """``features_of`` thumbnails, float16 (n, 6, 63)."""
    features = np.empty((len(thumbs), 6, WAVES**2 - 1), np.float16)  # they vary by about 1
    for start in range(0, len(thumbs), PIECE):
        found = features_of(halved(thumbs[start : start + PIECE]), weights)
        # Where thousands of images are one picture, whatever varies has no bounds.
        features[start : start + PIECE] = np.clip(found, -_MOST, _MOST, out=found)
    return features
