"""What many explanations have in common, by the class that was said: the mean map, the images that the model was surest
of, how much of the evidence lies at the border and how much in the middle, and the groups that the maps fall into
(clusters.py). Explanations come one after the other; of each class some are kept, however many there are."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import heappush, heapreplace, nlargest
from typing import Any

import numpy as np

from ..kernels import Array
from .clusters import Cluster, clusters
from .explanation import Explanation
from .geometry import laid_out

CELLS = 16  # of the mean map, along each side of the prepared image
BORDER, MIDDLE = 2, 4  # cells from the edge: the frame has 44 % of the area, the middle 25 %
SUREST, OF_CLUSTER = 3, 2  # images that are shown of a class, and of each group of its maps
COMPARED = 200  # maps of a class, of which the groups are made


@dataclass(order=True)
class Kept:
    """An explanation that may be shown, what is shown of it, and the map's positive part, (CELLS, CELLS), adding up to
    1, None where there is none."""

    probability: float
    number: int
    path: str = field(compare=False)
    shown: Any = field(compare=False)
    cells: Array | None = field(compare=False, repr=False)


@dataclass
class Group:
    """What is known of the images that were called one class: how many there are, of how many it is known what is in
    them, for how many of these the answer was wrong, how many had any evidence for the class, the sum of their maps'
    positive parts, each divided by its own sum, (CELLS, CELLS), the surest, and those that are compared: the ones with
    the smallest hashes, which do not depend on the images' order."""

    label: str
    images: int = 0
    judged: int = 0
    wrong: int = 0
    shown: int = 0
    total: Array = field(default_factory=lambda: np.zeros((CELLS, CELLS)))
    best: list[Kept] = field(default_factory=list)
    compared: list[tuple[int, Kept]] = field(default_factory=list)

    def add(self, found: Explanation, kept: Kept) -> None:
        """Take in one."""
        self.images += 1
        self.judged += found.truth is not None
        self.wrong += found.wrong
        keep_largest(self.best, kept, SUREST)
        if kept.cells is not None:
            self.shown += 1
            self.total += kept.cells
            hashed = sha256(os.fsencode(kept.path) + b"\0" + kept.cells.tobytes()).digest()
            keep_largest(self.compared, (-int.from_bytes(hashed[:8], "big"), kept), COMPARED)

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

    def clusters(self) -> Iterator[tuple[Cluster, list[Kept]]]:
        """Yield the groups that the maps fall into, the largest first, each with its surest images."""
        kept = [each for _, each in self.compared]
        for cluster in clusters([each.cells for each in kept if each.cells is not None]):
            yield cluster, nlargest(OF_CLUSTER, (kept[i] for i in cluster.members))


def keep_largest(heap: list[Any], item: Any, most: int) -> None:
    """Put an item into a heap that keeps so many of the largest."""
    if len(heap) < most:
        heappush(heap, item)
    elif item > heap[0]:
        heapreplace(heap, item)


def _cells(found: Explanation) -> Array:
    """Return the evidence in each of CELLS x CELLS parts of the prepared image, float64: the mean of the map's positive
    part, of which a map by pixels has many in each."""
    down, across = (max(1, -(-side // CELLS)) for side in found.values.shape)
    laid = laid_out(found.values, found.grid, found.preprocessing.size, (CELLS * down, CELLS * across)).clip(0)
    cells: Array = laid.reshape(CELLS, down, CELLS, across).mean(axis=(1, 3), dtype=np.float64)
    return cells


BORDER_AREA = 1 - (1 - 2 * BORDER / CELLS) ** 2
MIDDLE_AREA = (1 - 2 * MIDDLE / CELLS) ** 2


class Collection:
    """Takes in explanations of answers, each with what is shown of it, and tells of each class that was said."""

    def __init__(self) -> None:
        self.images = 0
        self._groups: dict[str, Group] = {}

    def add(self, found: Explanation, shown: Any) -> None:
        """Take in one."""
        cells = _cells(found)
        total = cells.sum() if found.target == found.label else 0
        kept = Kept(found.probability, -self.images, found.path, shown, cells / total if total > 0 else None)
        self._groups.setdefault(found.label, Group(found.label)).add(found, kept)
        self.images += 1

    @property
    def judged(self) -> int:
        """Of how many images it is known what is in them."""
        return sum(group.judged for group in self._groups.values())

    @property
    def wrong(self) -> int:
        """For how many of these the answer was wrong."""
        return sum(group.wrong for group in self._groups.values())

    def groups(self) -> Iterator[Group]:
        """Yield the classes, those with the most images first."""
        yield from sorted(self._groups.values(), key=lambda group: (-group.images, group.label))
