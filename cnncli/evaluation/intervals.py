"""What a figure is worth: the interval that an accuracy lies in, and what would be reached without learning anything,
by always naming the commonest class or by naming that of the most similar training image. cli/test.py asks,
evaluate.py carries the answers, report/page.py shows them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054  # of the normal distribution: 95 %
SIDE = 16  # pixels of a thumbnail: 256 products of numbers up to 128 add up to less than 2^24, exact in float32
_BLOCK = 512  # thumbnails whose distances are computed at once


@dataclass(frozen=True)
class Baseline:
    """What is reached without learning: right of so many images, and in words by whom."""

    right: int
    images: int
    how: str

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return self.right / self.images

    def as_json(self) -> dict[str, Any]:
        """Return it for `cnn test --json`."""
        return {"accuracy": self.accuracy, "interval": list(wilson(self.right, self.images)), "images": self.images,
                "how": self.how}


def wilson(right: int, images: int, z: float = Z) -> tuple[float, float]:
    """Return the interval that a share lies in with 95 % confidence, where so many of so many images were right
    (Wilson 1927). From 0 to 1 where there is no image."""
    if not images:
        return 0.0, 1.0
    share, square = right / images, z * z / images
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * sqrt(share * (1 - share) / images + square / (4 * images))
    return (0.0 if not right else max(0.0, middle - half)), (1.0 if right == images else min(1.0, middle + half))


def thumbnails(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return uint8 (n, h, w, c) as grey images of at most 16 x 16 pixels in a row each, whole numbers from -128 to 127:
    float32 (n, pixels)."""
    n, h, w, c = pixels.shape
    weights = (299, 587, 114) if c == 3 else (1000 // c,) * c
    grey: NDArray[Any] = sum(weight * pixels[..., i].astype(np.int32) for i, weight in enumerate(weights)) / 1000
    for axis, size in ((1, h), (2, w)):
        if size > SIDE:
            edges = np.arange(SIDE) * size // SIDE
            widths = np.diff(np.append(edges, size)).astype(np.float32)
            shape = [1, 1, 1]
            shape[axis] = SIDE
            grey = np.add.reduceat(grey, edges, axis=axis) / widths.reshape(shape)
    return np.asarray(np.rint(grey).reshape(n, min(h, SIDE) * min(w, SIDE)) - 128, np.float32)


def nearest(images: NDArray[np.float32], known: Iterable[tuple[NDArray[np.float32], NDArray[np.int64]]]
            ) -> NDArray[np.int64]:
    """Return, for each thumbnail, the label of the nearest known one, the first of equals.

    images float32 (n, pixels); known yields (thumbnails, labels) blocks. All numbers are whole and below 2^24, so that
    neither blocks nor threads make a difference.
    """
    best = np.full(len(images), np.inf, np.float32)
    labels = np.full(len(images), -1, np.int64)
    for block, names in known:
        if not len(block):
            continue
        squares = (block * block).sum(axis=1)
        for start in range(0, len(images), _BLOCK):
            part = slice(start, start + _BLOCK)
            distances = squares - 2 * (images[part] @ block.T)  # but for the image's own square, the same for all
            first = distances.argmin(axis=1)
            least = distances[np.arange(len(first)), first]
            closer = least < best[part]
            best[part] = np.where(closer, least, best[part])
            labels[part] = np.where(closer, names[first], labels[part])
    return labels


def spread(labels: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the indices, ascending, of at most so many images, evenly from all classes: of each class as many as fit,
    or all, taken at equal distances."""
    if len(labels) <= most:
        return np.arange(len(labels))
    counts = np.bincount(labels)
    low, high = 0, most  # the most of each class that keeps the sum within bounds
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= most else (low, middle - 1)
    chosen = []
    for label in np.flatnonzero(counts):
        own = np.flatnonzero(labels == label)
        take = min(low, len(own))
        chosen.append(own[np.arange(take) * len(own) // max(take, 1)])
    if not low:  # more classes than images
        chosen = [np.arange(most) * len(labels) // most]
    return np.sort(np.concatenate(chosen))
