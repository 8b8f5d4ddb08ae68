"""A batch in parts of equal size, its shards. Each has a gradient and batch-norm statistics of its own. Those of all
parts are added in a fixed order, so that a step depends on the number of parts alone: not on how many processes compute
them. Several processes send each other what they found of the last layers while they still compute the first ones.
trainer.py makes a step of the parts.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import UsageError
from ..kernels import Array, aligned_empty
from ..network import Network
from ..ranks.tree import Block, Tree, places
from ..ranks.world import ALONE, World

FEWEST = 2  # images of a part
BUCKET = 2**22  # bytes that are sent together: enough for the network's full speed, and little to wait for at the end
_SEED_STEP = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: seeds of parts lie far from each other


def cuts(images: int, parts: int) -> Iterator[tuple[int, int]]:
    """Yield the first image of each part, and the one behind its last. If the images do not divide, some parts have one
    more. There are fewer parts where they would have less than two images, because batch norm cannot normalise one.
    """
    parts = max(1, min(parts, images // FEWEST))
    for part in range(parts):
        yield images * part // parts, images * (part + 1) // parts


def check_shards(shards: int, processes: int) -> None:
    """Raise UsageError if so many processes cannot compute so many parts, equally many each."""
    if shards % processes:
        fit = [str(number) for number in range(1, shards + 1) if shards % number == 0]
        many = ", ".join(fit[:-1]) + " or " + fit[-1] if len(fit) > 1 else fit[0]
        raise UsageError(f"each batch has {shards} part{'s' * (shards != 1)}, which {processes} processes cannot share "
                         f"equally; start {many} process{'es' * (many != '1')}, or train anew with --shards "
                         f"{processes}.")


class Bucket:
    """Some of the arrays that are added over all parts, as one array: those of a few layers."""

    def __init__(self, arrays: Sequence[Array], layers: int, world: World) -> None:
        self.arrays, self.layers = list(arrays), layers
        self._length = sum(array.size for array in arrays)
        self._tree = Tree()
        self._reduction = world.reduction(self._length) if world.size > 1 else None
        self.missing, self.taken = layers, False  # layers whose gradients are still to come in this part

    def take(self, part: int, share: float) -> None:
        """Add so much of the arrays as this part left them."""
        flat = self._tree.spare.pop() if self._tree.spare else aligned_empty((self._length,))
        for array, place in zip(self.arrays, self._views(flat), strict=True):
            np.multiply(array, np.float32(share), out=place)
        self._tree.add(Block(part, 1, flat))
        self.taken = True

    def start(self, everybody: list[list[tuple[int, int]]]) -> None:
        """Begin to add what the processes have, this one all of its parts. everybody says which parts each has."""
        if self._reduction:
            self._reduction.start(self._tree.blocks, everybody)

    def progress(self) -> bool:
        """Send on what can be sent; return whether the rest needs no more of this."""
        return self._reduction is None or self._reduction.progress()

    def finish(self) -> None:
        """Write the sums of all parts into the arrays."""
        if self._reduction:
            total = self._reduction.finish()
            self._tree.forget()
        else:
            total = self._tree.total()
            self._tree.spare.append(total)
        for array, place in zip(self.arrays, self._views(total), strict=True):
            np.copyto(array, place)

    def forget(self) -> None:
        """Begin anew."""
        self._tree.forget()

    def _views(self, flat: Array) -> Iterator[Array]:
        end = 0
        for array in self.arrays:
            start, end = end, end + array.size
            yield flat[start:end].reshape(array.shape)


class Shards:
    """The parts of the batches that a network learns from: their gradients, and what they make of the batch norms'
    running statistics. This process computes some of them, those that ``own`` yields. ``start`` comes before a batch,
    ``begin`` before the forward pass of each part, ``layer_done`` when backward has a layer's gradients, ``end`` after
    the backward pass, and ``finish`` after the last part.
    """

    def __init__(self, network: Network, count: int, world: World = ALONE) -> None:
        check_shards(count, world.size)
        self.count, self.world, self.most = count, world, count // world.size
        self._clock = network.clock
        self._seed = network.clock[0]
        self._statistics = [array for node in network.nodes if node.layer.normalises and not node.layer.fixed
                            for array in node.layer.state.values()]
        self._before = [array.copy() for array in self._statistics]
        self._buckets, self._of = _buckets(network, self._statistics, world)
        self._started = 0  # buckets that are on their way
        self._share, self._part, self._ends = 1.0, 0, -1
        self._everybody: list[list[tuple[int, int]]] = []

    def of_rank(self, images: int, rank: int) -> list[tuple[int, int, int]]:
        """Return (part, its first image, the one behind its last) for the parts of a batch that a process computes."""
        every = [(part, *cut) for part, cut in enumerate(cuts(images, self.count))]
        return every[rank * self.most : (rank + 1) * self.most]

    def span(self, images: int, rank: int | None = None) -> tuple[int, int]:
        """Return the first image of a batch that a process needs, and the one behind the last: by default this one."""
        parts = self.of_rank(images, self.world.rank if rank is None else rank)
        return (parts[0][1], parts[-1][2]) if parts else (images, images)

    def start(self, images: int) -> None:
        """Begin a batch: the running statistics are those that every part begins with."""
        self._seed = self._clock[0]
        for bucket in self._buckets:
            bucket.forget()
        for kept, array in zip(self._before, self._statistics, strict=True):
            np.copyto(kept, array)
        self._started = 0
        everybody = [self.of_rank(images, rank) for rank in range(self.world.size)]
        self._everybody = [places(parts[0][0], parts[-1][0] + 1) if parts else [] for parts in everybody]
        self._ends = everybody[self.world.rank][-1][0] if everybody[self.world.rank] else -1

    def begin(self, part: int, share: float) -> None:
        """Begin a part, which is this share of the images: with the statistics from before the batch, and dropout of
        its own.
        """
        self.undo()
        self._part, self._share = part, share
        for bucket in self._buckets:
            bucket.missing, bucket.taken = bucket.layers, False
        with np.errstate(over="ignore"):  # it wraps
            self._clock[0] += np.uint64(part) * _SEED_STEP

    def layer_done(self, layer: str) -> None:
        """Take it that the gradients of a layer are there, of this part."""
        bucket = self._of.get(layer)
        if bucket is not None:
            bucket.missing -= 1
            if not bucket.missing and bucket is not self._buckets[-1]:  # which has the statistics, too
                self._take(bucket)
        for bucket in self._buckets[: self._started]:
            if not bucket.progress():
                break  # they come back in the order in which they went

    def end(self) -> None:
        """Take what is still to be taken of a part."""
        for bucket in self._buckets:
            if not bucket.taken:
                self._take(bucket)

    def finish(self) -> None:
        """Leave what the whole batch found in the network."""
        while self._started < len(self._buckets):
            self._start()
        for bucket in self._buckets:
            bucket.finish()
        self._clock[0] = self._seed

    def undo(self) -> None:
        """Leave the network as it was before the batch."""
        self._clock[0] = self._seed
        for kept, array in zip(self._before, self._statistics, strict=True):
            np.copyto(array, kept)

    def together(self, own: Sequence[float]) -> list[float]:
        """Return a number of each part of a batch, of those that this process computed and of all others."""
        padded = np.zeros((1, self.most))
        padded[0, : len(own)] = own
        found: list[float] = self.world.rows(padded, [1] * self.world.size).ravel().tolist()
        return found

    def _take(self, bucket: Bucket) -> None:
        bucket.take(self._part, self._share)
        if self._part == self._ends:
            while self._started < len(self._buckets) and self._buckets[self._started].taken:
                self._start()

    def _start(self) -> None:
        """Send the next bucket. All processes send them in the same order."""
        self._buckets[self._started].start(self._everybody)
        self._started += 1


def _buckets(network: Network, statistics: list[Array], world: World) -> tuple[list[Bucket], dict[str, Bucket]]:
    """Return the arrays of a network that are added, in buckets: the last layers first, as backward finds them, and the
    statistics in the last one. Also the bucket of each layer.
    """
    groups: list[tuple[list[str], list[Array]]] = [([], [])]
    gradients = network.gradients()
    for node in reversed(network.nodes):
        arrays = [array for name, array in gradients.items() if name.rpartition(".")[0] == node.name]
        if not arrays:
            continue
        names, filled = groups[-1]
        if filled and sum(array.nbytes for array in [*filled, *arrays]) > BUCKET:
            groups.append(([], []))
            names, filled = groups[-1]
        names.append(node.name)
        filled += arrays
    groups[-1][1].extend(statistics)
    made = [Bucket(arrays, len(names), world) for names, arrays in groups]
    return made, {name: bucket for bucket, (names, _) in zip(made, groups, strict=True) for name in names}
