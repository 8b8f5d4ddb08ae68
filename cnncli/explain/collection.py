"""What many explanations have in common, by the class that was said: the mean map, the images that the model was surest
of, and how much of the evidence lies at the border and how much in the middle. Explanations come one after the other;
what is kept of them does not grow with their number but for a small strip of some."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappush, heapreplace

import numpy as np
from numpy.typing import NDArray

from ..kernels import Array
from .explanation import Explanation
from .geometry import laid_out

CELLS = 16  # of the mean map, along each side of the prepared image
BORDER, MIDDLE = 2, 4  # cells from the edge: the frame has 44 % of the area, the middle 25 %
SUREST = 3
Strip = NDArray[np.uint8]


@dataclass(order=True)
class Kept:
    """An explanation that is shown, and its strip: the image, and the map on it."""

    probability: float
    number: int
    path: str = field(compare=False)
    strip: Strip = field(compare=False)


@dataclass
class Group:
    """What is known of the images that were called one class: how many there are, how many of them had any evidence
    for it, the sum of their maps' positive parts, each divided by its own sum, (CELLS, CELLS), and the surest."""

    label: str
    images: int = 0
    shown: int = 0
    total: Array = field(default_factory=lambda: np.zeros((CELLS, CELLS)))
    best: list[Kept] = field(default_factory=list)

    @property
    def mean(self) -> Array:
        """Where the evidence lies on average: (CELLS, CELLS), adding up to 1; zeros where there was none."""
        return self.total / max(self.shown, 1)

    @property
    def border(self) -> float:
        """The share of the evidence in the outer frame, which has BORDER_AREA of the image."""
        return float(self.mean.sum() - self.mean[BORDER:-BORDER, BORDER:-BORDER].sum())

    @property
    def middle(self) -> float:
        """The share of the evidence in the middle, which has MIDDLE_AREA of the image."""
        return float(self.mean[MIDDLE:-MIDDLE, MIDDLE:-MIDDLE].sum())

    @property
    def surest(self) -> list[Kept]:
        """The images with the highest probabilities, the surest first."""
        return sorted(self.best, reverse=True)


BORDER_AREA = 1 - (1 - 2 * BORDER / CELLS) ** 2
MIDDLE_AREA = (1 - 2 * MIDDLE / CELLS) ** 2


class Collection:
    """Takes in explanations of answers, each with its strip, and tells of each class that was said."""

    def __init__(self) -> None:
        self.images = 0
        self._groups: dict[str, Group] = {}

    def add(self, found: Explanation, strip: Strip) -> None:
        """Take in one."""
        group = self._groups.setdefault(found.label, Group(found.label))
        group.images += 1
        kept = Kept(found.probability, -self.images, found.path, strip)
        self.images += 1
        if len(group.best) < SUREST:
            heappush(group.best, kept)
        elif kept > group.best[0]:
            heapreplace(group.best, kept)
        cells = laid_out(found.values, found.grid, found.preprocessing.size, (CELLS, CELLS)).clip(0).astype(np.float64)
        if found.target == found.label and cells.sum() > 0:
            group.shown += 1
            group.total += cells / cells.sum()

    def groups(self) -> Iterator[Group]:
        """Yield the classes, those with the most images first."""
        yield from sorted(self._groups.values(), key=lambda group: (-group.images, group.label))
