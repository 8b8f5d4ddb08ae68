"""The sum of arrays over several processes, in an order that does not depend on how many processes there are, while the
processes compute something else. Each process sums one slice of the array: it gets that slice of everybody's sums so
far (Ialltoallv), adds them in the order of a tree over all parts, and sends the result to all (Iallgatherv). As many
bytes travel as in a ring (Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce algorithms").
"""

import os
import time
from collections.abc import Sequence
from typing import Any

from ..kernels import Array, aligned_empty
from .tree import Block, Place, Tree

_FLOAT = "f"  # what messages hold: float32, as MPI calls it
EAGER, PAUSE = 0.002, 0.0002  # seconds that are waited for while asking all the time; and then between two questions


def wait(request: Any) -> bool:
    """Wait until a message has come or gone, and leave the CPU to others meanwhile."""
    end = None
    while not request.Test():
        if end is None:
            end = time.perf_counter() + EAGER
        if time.perf_counter() > end:
            time.sleep(PAUSE)
        elif hasattr(os, "sched_yield"):
            os.sched_yield()
    return True


def has_come(request: Any) -> bool:
    """Return whether a message has come or gone."""
    return bool(request.Test())


def wait_eagerly(request: Any) -> bool:
    """Wait until a message has come or gone. A long one goes on only while somebody asks."""
    while not request.Test():
        if hasattr(os, "sched_yield"):
            os.sched_yield()
    return True


class Reduction:
    """Sums arrays of one length. ``start`` begins it, ``progress`` sends on what can be sent, ``finish`` waits for the
    sum. All processes start their reductions in the same order. out and back are for what goes out to be summed, and
    for what comes back: each has an order of its own.
    """

    def __init__(self, out: Any, back: Any, length: int) -> None:
        self._out, self._back = out, back
        size, self._rank = out.Get_size(), out.Get_rank()
        self._starts = [length * rank // size for rank in range(size + 1)]
        self._counts = [end - start for start, end in zip(self._starts, self._starts[1:], strict=False)]
        self._own = self._counts[self._rank]
        self._received: list[Array] = []  # one array for each round
        self._sum, self._slice = aligned_empty((length,)), aligned_empty((self._own,))
        self._request: Any = None
        self._waiting: list[Any] = []
        self._places: list[list[Place]] = []

    def start(self, blocks: Sequence[Block], places: list[list[Place]]) -> None:
        """Begin to sum. blocks are the sums of this process's parts; places says of every process what it has."""
        self._places, self._request = places, None
        self._kept = [block.array for block in blocks]  # as long as they travel
        size = len(self._counts)
        for number in range(max(map(len, places))):  # a round for each block that a process may have
            if len(self._received) == number:
                self._received.append(aligned_empty((size * self._own,)))
            has = number < len(blocks)
            outgoing = self._kept[number] if has else self._sum
            send = [outgoing, (self._counts if has else [0] * size, self._starts[:-1]), _FLOAT]
            incoming = [self._own if number < len(of) else 0 for of in places]
            receive = [self._received[number], (incoming, [rank * self._own for rank in range(size)]), _FLOAT]
            self._waiting.append(self._out.Ialltoallv(send, receive))

    def progress(self, to_the_end: bool = False) -> bool:
        """Send on what can be sent; return whether the slice of this process is on its way to the others."""
        if self._request is None:
            done = wait_eagerly if to_the_end else has_come
            self._waiting = [request for request in self._waiting if not done(request)]
            if self._waiting:
                return False
            self._add()
            receive = [self._sum, (self._counts, self._starts[:-1]), _FLOAT]
            self._request = self._back.Iallgatherv([self._slice, _FLOAT], receive)
        return True

    def finish(self) -> Array:
        """Return the sum, when it is there. The next ``start`` overwrites it."""
        self.progress(to_the_end=True)
        wait_eagerly(self._request)
        self._kept = []
        return self._sum

    def _add(self) -> None:
        """Sum what came for this process's slice, in the order of the parts."""
        tree = Tree()
        for rank, of in enumerate(self._places):
            for number, (first, count) in enumerate(of):
                slice_ = self._received[number][rank * self._own : (rank + 1) * self._own]
                tree.add(Block(first, count, slice_))
        self._slice[:] = tree.total()
