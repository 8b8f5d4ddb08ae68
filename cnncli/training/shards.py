"""A batch in parts of equal size, its shards. Each has a gradient and batch-norm statistics of its own. Those of all
parts are added in a fixed order, so that a step depends on the number of parts alone. trainer.py makes a step of them.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from ..kernels import Array, aligned_empty
from ..network import Network

FEWEST = 2  # images of a part
_SEED_STEP = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: seeds of parts lie far from each other


def cuts(images: int, parts: int) -> Iterator[tuple[int, int]]:
    """Yield the first image of each part, and the one behind its last. If the images do not divide, some parts have one
    more. There are fewer parts where they would have less than two images, because batch norm cannot normalise one.
    """
    parts = max(1, min(parts, images // FEWEST))
    for part in range(parts):
        yield images * part // parts, images * (part + 1) // parts


class FixedSum:
    """Adds lists of arrays, which come one after the other, in an order that their number alone decides: always two
    sums of equally many of them, ((0 + 1) + (2 + 3)) + …, and at the end what is left, the last first.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, list[Array]]] = []  # sums, and of how many
        self._spare: list[list[Array]] = []

    def add(self, arrays: Sequence[Array], share: float) -> None:
        """Add so much of each array."""
        found = self._spare.pop() if self._spare else [aligned_empty(array.shape) for array in arrays]
        for array, own in zip(arrays, found, strict=True):
            np.multiply(array, np.float32(share), out=own)
        count = 1
        while self._waiting and self._waiting[-1][0] == count:
            found, count = self._joined(found), 2 * count
        self._waiting.append((count, found))

    def move_into(self, arrays: Sequence[Array]) -> None:
        """Write the sums into these arrays, and begin anew."""
        _, found = self._waiting.pop()
        while self._waiting:
            found = self._joined(found)
        for own, array in zip(found, arrays, strict=True):
            np.copyto(array, own)
        self._spare.append(found)

    def forget(self) -> None:
        """Begin anew."""
        self._spare += [arrays for _, arrays in self._waiting]
        self._waiting.clear()

    def _joined(self, later: list[Array]) -> list[Array]:
        _, earlier = self._waiting.pop()
        for left, right in zip(earlier, later, strict=True):
            left += right
        self._spare.append(later)
        return earlier


class Shards:
    """The parts of the batches that a network learns from: their gradients, and what they make of the batch norms'
    running statistics. ``begin`` comes before the forward pass of each part, ``end`` after its backward pass, and
    ``finish`` after the last part.
    """

    def __init__(self, network: Network, count: int) -> None:
        self.count = count
        self._clock = network.clock
        self._seed = network.clock[0]
        self._statistics = [array for node in network.nodes if node.layer.normalises and not node.layer.fixed
                            for array in node.layer.state.values()]
        self._added = [*network.gradients().values(), *self._statistics]
        self._before = [array.copy() for array in self._statistics]
        self._sums = FixedSum()

    def start(self) -> None:
        """Begin a batch: the running statistics are those that every part begins with."""
        self._seed = self._clock[0]
        self._sums.forget()
        for kept, array in zip(self._before, self._statistics, strict=True):
            np.copyto(kept, array)

    def begin(self, part: int) -> None:
        """Begin a part: with the statistics from before the batch, and dropout of its own."""
        self.undo()
        with np.errstate(over="ignore"):  # it wraps
            self._clock[0] += np.uint64(part) * _SEED_STEP

    def end(self, share: float) -> None:
        """Take what a part found; share is its part of the images."""
        self._sums.add(self._added, share)

    def finish(self) -> None:
        """Leave what the whole batch found in the network."""
        self._sums.move_into(self._added)
        self._clock[0] = self._seed

    def undo(self) -> None:
        """Leave the network as it was before the batch."""
        self._clock[0] = self._seed
        for kept, array in zip(self._before, self._statistics, strict=True):
            np.copyto(array, kept)
