"""The sum of arrays over several processes of one machine, as reduction.py has it for several machines, but through
memory that they have in common: nothing is sent but the word that something is there.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..kernels import Array
from .reduction import has_come, wait_eagerly
from .tree import Block, Place, Tree


class SharedReduction:
    """Sums arrays of one length, as ``Reduction`` does. memory returns an array that the processes have in common; out
    and back are for the words that the arrays are there, and that the sum is.
    """

    def __init__(self, out: Any, back: Any, memory: Callable[[Sequence[int]], Array], length: int) -> None:
        self._out, self._back, self._memory = out, back, memory
        self._shape, self._rank = (out.Get_size(), length), out.Get_rank()
        size = out.Get_size()
        self._own = slice(length * self._rank // size, length * (self._rank + 1) // size)
        self._given = [memory(self._shape)]  # for each round, a row for each process
        self._sum = memory((length,))
        self._request: Any = None
        self._places: list[list[Place]] = []
        self._added = False

    def start(self, blocks: Sequence[Block], places: list[list[Place]]) -> None:
        """Begin to sum. blocks are the sums of this process's parts; places says of every process what it has."""
        while len(self._given) < max(map(len, places)):
            self._given.append(self._memory(self._shape))
        for number, block in enumerate(blocks):
            self._given[number][self._rank] = block.array
        self._places, self._added = places, False
        self._request = self._out.Ibarrier()

    def progress(self, to_the_end: bool = False) -> bool:
        """Sum this process's slice if all arrays are there; return whether that is done."""
        if not self._added:
            if not (wait_eagerly if to_the_end else has_come)(self._request):
                return False
            tree = Tree()
            for rank, of in enumerate(self._places):
                for number, (first, parts) in enumerate(of):
                    tree.add(Block(first, parts, self._given[number][rank, self._own]))
            self._sum[self._own] = tree.total()
            self._added = True
            self._request = self._back.Ibarrier()
        return True

    def finish(self) -> Array:
        """Return the sum, when it is there. The next ``start`` overwrites it."""
        self.progress(to_the_end=True)
        wait_eagerly(self._request)
        return self._sum
