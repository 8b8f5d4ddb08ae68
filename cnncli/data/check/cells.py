"""The nearest images of each image among many, without comparing all pairs. Images are dealt into cells: a few images
are drawn at random, and each image goes to the one that it is most like. A large cell is divided again, until none has
more than CELL. Images in the same cell are compared. Copies that one deal separates meet in another (trees of random
divisions, after Dasgupta and Freund 2008). An image is compared with fewer than DEALS * CELL others, however many there
are and however alike.
"""

from collections.abc import Iterator

import numpy as np

from ...kernels import Array
from .neighbours import LEAST_LIKE, NEIGHBOURS, Product, Progress, sorted_pairs, unit_vectors

CELL = 1024  # images of a cell at most
DEALS = 16  # of all images into cells
_DRAWN = 32  # images that a cell is divided by, at most
_DEEPEST = 24  # divisions of divisions; a cell that is too large even then is cut anywhere
_ROWS = 128  # of a block of products
_WIDTHS = (_DRAWN, 256, 512, 768, CELL)  # columns of one


def nearest_in_cells(descriptors: Array, progress: Progress | None) -> tuple[Array, Array]:
    """Return nearly all pairs that ``nearest_of_all`` would. Of images with the same descriptor only the first is
    compared; each of the others makes a pair with it.
    """
    n = len(descriptors)
    as_bytes = np.ascontiguousarray(descriptors).view(np.dtype((np.void, descriptors[0].nbytes))).ravel()
    _, places, which = np.unique(as_bytes, return_index=True, return_inverse=True)
    first, alone = places[which], np.sort(places)
    search = _Search(unit_vectors(descriptors[alone]))
    for deal in range(DEALS):
        for cell in search.cells(np.random.default_rng(deal)):
            search.compare(cell)
            if progress:
                progress(search.compared * n // (DEALS * len(alone)), n)
    again = np.flatnonzero(first != np.arange(n))
    one, other = search.pairs()
    return sorted_pairs(np.concatenate([alone[one], first[again]]), np.concatenate([alone[other], again]), n)


class _Search:
    """The nearest of some vectors (n, 64) of length 1 that have been found so far."""

    def __init__(self, unit: Array) -> None:
        self._unit, self._products = unit, {width: Product(_ROWS, width) for width in _WIDTHS}
        self._likes = np.full((len(unit), NEIGHBOURS), LEAST_LIKE, np.float32)
        self._nearest = np.full((len(unit), NEIGHBOURS), -1, np.int32)
        self._place = np.full(len(unit), -1, np.int32)  # in the cell that is being compared
        self.compared = 0  # images in cells, those of earlier deals included

    def pairs(self) -> tuple[Array, Array]:
        """Return the pairs that were found near each other."""
        rows, ranks = np.nonzero(self._nearest >= 0)
        return rows, self._nearest[rows, ranks].astype(np.int64)

    def cells(self, lots: np.random.Generator) -> Iterator[Array]:
        """Deal all vectors into cells: arrays of their numbers."""
        waiting = [(np.arange(len(self._unit)), 0)]
        while waiting:
            members, depth = waiting.pop()
            if len(members) <= CELL:
                yield members
            elif depth == _DEEPEST:
                yield from np.array_split(members, -(-len(members) // CELL))
            else:
                waiting += [(part, depth + 1) for part in self._divided(members, lots)]

    def _divided(self, members: Array, lots: np.random.Generator) -> list[Array]:
        """Put each with the one of those drawn that it is most like."""
        drawn = members[lots.choice(len(members), min(_DRAWN, -(-2 * len(members) // CELL)), replace=False)]
        most = np.concatenate([like.argmax(axis=1) for _, like in self._likeness(members, drawn)])
        return [part for k in range(len(drawn)) if len(part := members[most == k])]

    def _likeness(self, members: Array, others: Array) -> Iterator[tuple[Array, Array]]:
        """Yield blocks: some members, and their cosines with all the others, until the next is asked for."""
        product = self._products[next(width for width in _WIDTHS if width >= len(others))]
        product.meet(self._unit[others])
        for start in range(0, len(members), _ROWS):
            rows = members[start : start + _ROWS]
            product.take(self._unit[rows])
            yield rows, product.of(len(rows), len(others))

    def compare(self, cell: Array) -> None:
        """Compare all in a cell with each other."""
        self._place[cell] = np.arange(len(cell), dtype=np.int32)
        for rows, like in self._likeness(cell, cell):
            like[np.arange(len(rows)), self._place[rows]] = -1  # itself
            known = np.where(self._nearest[rows] < 0, -1, self._place[self._nearest[rows]])
            row, rank = np.nonzero(known >= 0)
            like[row, known[row, rank]] = -1
            better = np.flatnonzero((like > self._likes[rows].min(axis=1, keepdims=True)).any(axis=1))
            if len(better):
                self._take(rows[better], cell, like[better])
        self._place[cell] = -1
        self.compared += len(cell)

    def _take(self, rows: Array, cell: Array, like: Array) -> None:
        """Keep the best of those that were known and those in the cell."""
        if like.shape[1] > NEIGHBOURS:
            best = np.argpartition(like, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
            like, found = np.take_along_axis(like, best, axis=1), cell[best]
        else:
            found = np.broadcast_to(cell, like.shape)
        likes = np.concatenate([self._likes[rows], like], axis=1)
        nearest = np.concatenate([self._nearest[rows], found], axis=1)
        kept = np.argpartition(likes, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
        self._likes[rows] = np.take_along_axis(likes, kept, axis=1)
        self._nearest[rows] = np.take_along_axis(nearest, kept, axis=1)
