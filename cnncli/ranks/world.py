"""The processes that work together, as the rest of the program sees them. ``World`` is one process that is alone: it
agrees with itself. many.py has the same for several, with MPI. current.py knows which one this process is part of.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np

from ..kernels import Array

if TYPE_CHECKING:
    from .reduction import Reduction
    from .shared import SharedReduction

T = TypeVar("T")


class World:
    """One process that is alone, and what the processes of one that is not can ask of each other.

    All processes call the methods in the same order, and wait in them for each other. rank is the number of this
    process, from 0, size how many there are, local how many of them run on this machine. The process of rank 0 leads:
    it alone prints, writes and decides.
    """

    rank, size, local = 0, 1, 1

    @property
    def leads(self) -> bool:
        """Whether this process prints, writes and decides."""
        return self.rank == 0

    def agreed(self, make: Callable[[], T]) -> T:
        """Return what make returns in the leading process. The others do not call it."""
        return make()

    def gathered(self, value: T) -> list[T]:
        """Return the value of each process, by rank."""
        return [value]

    def largest(self, value: int) -> int:
        """Return the largest of the processes' values."""
        return value

    def rows(self, own: Array, counts: Sequence[int]) -> Array:
        """Return the rows of all processes, in the order of their ranks. own has those of this process, as many as
        counts says of it.
        """
        return own

    def clock(self) -> float:
        """Return the seconds of a clock of the leading process, so that all processes decide alike by it."""
        return time.perf_counter()

    def share(self, count: int) -> range:
        """Return which of so many things this process does: those from a first to a last one."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def handed_in(self, value: object) -> Callable[[], object]:
        """Send something to the leading process; return what waits until it is there."""
        raise AssertionError("one process has nobody to send to")

    def handed_in_by(self, rank: int) -> Any:
        """Return the next thing that another process has sent to this one, which leads."""
        raise AssertionError("one process gets nothing from others")

    def memory(self, shape: Sequence[int], dtype: Any) -> Array:
        """Return an array of zeros that all processes of this machine have in common."""
        return np.zeros(tuple(shape), dtype)

    def completed(self, array: Array, rows: Sequence[Sequence[int]]) -> None:
        """Wait until all processes have written their rows of an array of ``memory``, and bring those of other machines
        here. rows says which rows each process has written.
        """

    def once(self, change: Callable[[], None]) -> None:
        """Change what the processes of a machine have in common: in one of them, while the others wait."""
        change()

    def same(self, what: str, value: Any, remedy: str) -> None:
        """Raise UsageError if the processes do not all have this value. what names it, "the version of cnn"."""

    def reduction(self, length: int) -> "Reduction | SharedReduction":
        """Return what sums arrays of this length over the processes."""
        raise AssertionError("one process has nothing to sum with")

    def advise(self, sentence: str) -> None:
        """Have this said if one of the processes ends: what continues the work."""

    def fail(self, code: int, sentence: str) -> NoReturn:
        """End this process and all others, because of an error in this one, with this exit code."""
        sys.exit(code)


ALONE = World()


__all__ = ["ALONE", "World"]
