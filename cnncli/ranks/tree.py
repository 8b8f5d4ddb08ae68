"""Sums in a fixed order: of as many arrays as there are parts, pairs are added, then pairs of pairs, and so on, whoever
adds them and where.
"""

from typing import NamedTuple

from ..kernels import Array

Place = tuple[int, int]  # the first part of a sum, and of how many parts it is


class Block(NamedTuple):
    """The sum of the arrays of this many parts, from ``first`` on."""

    first: int
    parts: int
    array: Array


class Tree:
    """Adds arrays that come one after the other, in an order that their number alone decides: always two neighbouring
    sums of equally many parts, ((0 + 1) + (2 + 3)) + …, and at the end what is left, the last first. Sums of some of
    the parts, as ``blocks`` returns them, can be added by another tree to the same total. Arrays that are added are
    overwritten; spare has those that are free again.
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.spare: list[Array] = []

    def add(self, block: Block) -> None:
        """Add the array of the next part, or the sum of the next parts."""
        while self.blocks:
            before = self.blocks[-1]
            if before.parts != block.parts or before.first % (2 * block.parts):
                break
            block = self._joined(block)
        self.blocks.append(block)

    def total(self) -> Array:
        """Return the sum of all, and begin anew."""
        found = self.blocks.pop()
        while self.blocks:
            found = self._joined(found)
        return found.array

    def forget(self) -> None:
        """Begin anew."""
        self.spare += [block.array for block in self.blocks]
        self.blocks.clear()

    def _joined(self, later: Block) -> Block:
        earlier = self.blocks.pop()
        earlier.array[...] += later.array
        self.spare.append(later.array)
        return Block(earlier.first, earlier.parts + later.parts, earlier.array)


def places(first: int, end: int) -> list[Place]:
    """Return which sums a tree has after it was given the parts from first to end - 1: pieces whose lengths are powers
    of two and divide their starts.
    """
    found: list[Place] = []
    for part in range(first, end):
        start, count = part, 1
        while found and found[-1][1] == count and found[-1][0] % (2 * count) == 0:
            start, count = found.pop()[0], 2 * count
        found.append((start, count))
    return found
