"""The nearest images of each image by the cosine between descriptors. Of a few thousand images all pairs are compared,
by blocked matrix products; of more, those that cells.py puts together. near.py looks at the pairs more closely.
"""

from collections.abc import Callable

import numpy as np

from ... import kernels
from ...kernels import Array
from .descriptors import WAVES

NEIGHBOURS = 8  # of each image that are looked at
LEAST_LIKE = 0.5  # cosine between descriptors
_ROWS, _COLUMNS = 256, 1024  # of a block of the matrix of all pairs, which should stay in cache
_MERGES, _MERGE = (1, 2, 4), 8  # after which blocks of a row, and every how many, the best are sorted out

Progress = Callable[[int, int], None]


def nearest_of_all(descriptors: Array, progress: Progress | None) -> tuple[Array, Array]:
    """Return the pairs (i, j), i < j, in which one is among the other's NEIGHBOURS nearest by cosine."""
    n = len(descriptors)
    # Each block gets images from all over the folder: where classes come one after the other, most rows would meet
    # their nearest late, and hold thousands of others until then.
    blocks = -(-n // _COLUMNS)
    order = np.concatenate([np.arange(first, n, blocks) for first in range(blocks)])
    unit = unit_vectors(descriptors[order])
    product = Product(min(_ROWS, n), min(_COLUMNS, n))
    found = []
    for start in range(0, n, _ROWS):
        rows, columns = _nearest_of(unit, start, min(start + _ROWS, n), product)
        found.append((order[rows], order[columns]))
        if progress:
            progress(min(start + _ROWS, n), n)
    first, second = (np.concatenate(ends) for ends in zip(*found, strict=True))
    return sorted_pairs(first, second, n)


def unit_vectors(descriptors: Array) -> Array:
    """Return float32 (n, 64) of length 1, or 0 where there is nothing."""
    unit = np.zeros((len(descriptors), WAVES**2), np.float32)  # one zero more than numbers: kernels like whole vectors
    unit[:, : descriptors.shape[1]] = descriptors
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), np.float32(1e-20))
    return unit


def sorted_pairs(first: Array, second: Array, n: int) -> tuple[Array, Array]:
    """Return each of some pairs of n images once, (i, j) with i < j, in order."""
    keys = np.unique(np.minimum(first, second) * n + np.maximum(first, second))
    return keys // n, keys % n


class Product:
    """Products of blocks of vectors by our own kernels. They are the same on any number of threads, and not slower if
    other programs use the cores.
    """

    def __init__(self, rows: int, columns: int) -> None:
        depth, sizes = WAVES**2, kernels.linear_convolution(rows, WAVES**2, columns)
        self._x, self._weight = np.zeros((rows, depth), np.float32), np.zeros((columns, depth), np.float32)
        self._y = kernels.aligned_empty((rows, columns))
        packed = kernels.aligned_empty((sizes.packed(kernels.FORWARD),), np.uint8)
        workspace = kernels.aligned_empty((sizes.workspace(kernels.FORWARD),), np.uint8)
        self._pack = kernels.linear_pack(kernels.FORWARD, self._weight, packed)
        self._multiply = kernels.linear_forward(self._x, self._weight, packed, self._y, workspace)

    def take(self, rows: Array) -> None:
        """Take the vectors on the left."""
        self._x[: len(rows)] = rows

    def meet(self, columns: Array) -> None:
        """Take the vectors on the right."""
        self._weight[: len(columns)] = columns
        self._pack()

    def of(self, rows: int, columns: int) -> Array:
        """Return the products of the first so many of those taken, (rows, columns); the next call overwrites them."""
        self._multiply()
        return self._y[:rows, :columns]


def _nearest_of(unit: Array, start: int, end: int, product: Product) -> tuple[Array, Array]:
    """Return the pairs of the images start … end - 1 with their nearest among all."""
    count, n = end - start, len(unit)
    least = np.full((count, 1), LEAST_LIKE, np.float32)  # what a pair must exceed: each row's last place so far
    best = _Best(start)
    product.take(unit[start:end])
    for number, left in enumerate(range(0, n, _COLUMNS)):
        product.meet(unit[left : left + _COLUMNS])
        like = product.of(count, min(_COLUMNS, n - left))
        if number == 0 and like.shape[1] > NEIGHBOURS + 1:  # spares sorting thousands; itself is one of them
            last = np.partition(like, -NEIGHBOURS - 1, axis=1)[:, -NEIGHBOURS - 1 :].min(axis=1)
            least[:, 0] = np.maximum(least[:, 0], np.nextafter(last, np.float32(-1)))
        rows, columns = np.divmod(np.flatnonzero(like > least), like.shape[1])  # nonzero takes forty times as long
        best.add(rows, columns, like, left)
        if number in _MERGES or number % _MERGE == 0:
            best.merge(least)
    best.merge(least)
    return best.rows + start, best.columns


class _Best:
    """The nearest that were found of some images so far, and those that may be among them."""

    def __init__(self, start: int) -> None:
        self._start = start
        self.rows, self.columns = np.empty(0, np.int64), np.empty(0, np.int64)
        self._likes = np.empty(0, np.float32)
        self._waiting: list[tuple[Array, Array, Array]] = []

    def add(self, rows: Array, columns: Array, like: Array, left: int) -> None:
        """Note hits, by their places in a block of products that begins with image ``left``."""
        if len(rows):
            other = rows + self._start != columns + left
            rows, columns = rows[other], columns[other]
            self._waiting.append((rows, columns + left, like[rows, columns]))

    def merge(self, least: Array) -> None:
        """Keep the best of each row, and raise least (rows, 1) to the last of them."""
        if not self._waiting:
            return
        every = [(self.rows, self.columns, self._likes), *self._waiting]
        rows, columns, likes = (np.concatenate(parts) for parts in zip(*every, strict=True))
        self._waiting = []
        order = np.lexsort((columns, -likes, rows))
        rows, columns, likes = rows[order], columns[order], likes[order]
        place = np.arange(len(rows)) - np.searchsorted(rows, rows)
        kept = place < NEIGHBOURS
        self.rows, self.columns, self._likes = rows[kept], columns[kept], likes[kept]
        full = place[kept] == NEIGHBOURS - 1
        least[self.rows[full], 0] = self._likes[full]
