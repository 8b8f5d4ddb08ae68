"""What a class's answers lose where the same place is greyed in all its images: a grid of 8 x 8 cells, and squares of
two by two of them, since a thing may lie across cells. Grey is the mean colour of the preprocessing, 0 to the network.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..kernels import Array
from ..model import Model
from ..plain import in_plain_json
from .places import Place

CELLS = 8
PASSES = CELLS**2 + (CELLS - 1) ** 2 + 1  # for each image


@dataclass(frozen=True, eq=False)
class Greyed:
    """What greying parts of a class's images costs, on average over the images.

    Attributes:
        image_count: How many images were greyed.
        drops: By how much the probability of the class falls, for each cell (8, 8) and for each square of four cells
            (7, 7).
        lost: Which share of the answers is lost, for each cell (8, 8) and for each square of four cells (7, 7).
    """

    image_count: int
    drops: tuple[Array, Array]
    lost: tuple[Array, Array]

    def worst(self, size: tuple[int, int]) -> tuple[Place, float]:
        """Return the place where the probability falls most, and by how much.

        Args:
            size: The (height, width) of the images.
        """
        cell, square = (float(each.max()) for each in self.drops)
        wide = 1 if cell > square else 2
        drops = self.drops[wide - 1]
        row, column = np.unravel_index(int(drops.argmax()), drops.shape)
        return _place(int(row), int(column), wide, size), float(drops.max())

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return its numbers, those of single cells."""
        return {"images": self.image_count, "probability_lost": self.drops[0], "accuracy_lost": self.lost[0]}


def greyed(model: Model, images: Array, label: int, told: Callable[[int], None]) -> Greyed:
    """Grey every place in images, uint8 (n, h, w, c), that get the answer label. told is given passes done."""
    mean = np.round(255 * np.array(model.preprocessing.mean)).astype(np.uint8)
    size = (images.shape[1], images.shape[2])
    before = model.probabilities(images)[:, label].mean()
    told(len(images))
    drops, lost = list[Array](), list[Array]()
    for wide in (1, 2):
        side = CELLS + 1 - wide
        of_drops, of_lost = np.zeros((side, side)), np.zeros((side, side))
        for row, column in np.ndindex(side, side):
            covered = images.copy()
            _place(row, column, wide, size).cut(covered)[...] = mean
            chances = model.probabilities(covered)
            of_drops[row, column] = before - chances[:, label].mean()
            of_lost[row, column] = (chances.argmax(axis=1) != label).mean()
            told(len(images))
        drops.append(of_drops)
        lost.append(of_lost)
    return Greyed(len(images), (drops[0], drops[1]), (lost[0], lost[1]))


def _place(row: int, column: int, wide: int, size: tuple[int, int]) -> Place:
    rows, columns = (np.linspace(0, side, CELLS + 1).round().astype(int).tolist() for side in size)
    return Place(rows[row], columns[column], rows[row + wide], columns[column + wide], size)
