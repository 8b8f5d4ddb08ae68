"""The last step before the network: images in batches, in an order and with an augmentation that depend on nothing
but (seed, epoch, image), each batch prepared in a thread of its own while the one before is trained on. Number of
threads, place in the epoch where a run is resumed, cache or not: all give the same bits.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..kernels import Array
from .images import Images
from .preprocessing import Preprocessing

Batch = tuple[Array, Array, Array]  # float32 (n, h, w, c), int64 labels (n,), int64 indices (n,)

_ORDER, _SHIFT_Y, _SHIFT_X, _FLIP = 1, 2, 3, 4  # what a random number is for


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied: moved by up to shift pixels each way, mirrored at the borders (a random crop
    of the padded image), and, if flip, turned left to right half of the time."""

    shift: int = 0
    flip: bool = False

    @classmethod
    def default(cls, preprocessing: Preprocessing) -> "Augmentation":
        """Return what suits the images: shifts of an eighth of the shorter side and flips in colour (4 pixels at 32,
        as usual for CIFAR); a fourteenth in grey (2 at 28) and no flip, which would turn digits and letters into
        others."""
        side = min(preprocessing.size)
        return cls(side // 14, False) if preprocessing.grey else cls(side // 8, True)

    def moves(self, seed: int, epoch: int, indices: Array, size: tuple[int, int]) -> Array:
        """Return int64 (n, 3): shift down, shift right and flip of each image in that epoch."""
        moves = np.zeros((len(indices), 3), np.int64)
        for column, (stream, side) in enumerate(((_SHIFT_Y, size[0]), (_SHIFT_X, size[1]))):
            most = min(self.shift, side)
            draws = random_bits(seed, epoch, stream, indices) >> np.uint64(32)
            moves[:, column] = ((draws * np.uint64(2 * most + 1)) >> np.uint64(32)).astype(np.int64) - most
        if self.flip:
            moves[:, 2] = (random_bits(seed, epoch, _FLIP, indices) >> np.uint64(63)).astype(np.int64)
        return moves


class Batches:
    """Batches for training: each epoch a new order of all images.

    The last batch of an epoch is smaller where the images do not divide evenly; where a single image would be left
    over it sits this epoch out, because batch norm has nothing to normalise it with. steps is the number of batches.
    """

    def __init__(self, images: Images, preprocessing: Preprocessing, batch_size: int, seed: int = 0,
                 augmentation: Augmentation | None = None) -> None:
        self.images, self.preprocessing = images, preprocessing
        self.batch_size, self.seed = batch_size, seed
        self.augmentation = augmentation
        whole, rest = divmod(len(images), batch_size)
        self.steps = whole + (rest >= 2 or (whole == 0 and rest == 1))

    def order(self, number: int) -> Array:
        """Return the permutation of all images that epoch `number` follows."""
        keys = random_bits(self.seed, number, _ORDER, np.arange(len(self.images)))
        return np.argsort(keys, kind="stable").astype(np.int64)

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield (images, labels, indices) for the steps first_step … steps - 1 of one epoch.

        The arrays are new ones each time. An image that can no longer be read (only without a cache) is missing from
        its batch and noted in images.skipped. Closing the iterator early ends its thread.
        """
        order = self.order(number)
        pieces = [order[step * self.batch_size : (step + 1) * self.batch_size]
                  for step in range(first_step, self.steps)]

        def make(piece: Array, stop: threading.Event) -> Batch:
            moves = None
            if self.augmentation:
                moves = self.augmentation.moves(self.seed, number, piece, self.preprocessing.size)
            return _batch(self.images, self.preprocessing, piece, moves, stop)

        return _ahead(pieces, make)


def in_order(images: Images, preprocessing: Preprocessing, batch_size: int) -> Iterator[Batch]:
    """Yield (images, labels, indices) of all images in order, none varied, the last batch as small as it is."""
    pieces = [np.arange(start, min(start + batch_size, len(images))) for start in range(0, len(images), batch_size)]
    return _ahead(pieces, lambda piece, stop: _batch(images, preprocessing, piece, None, stop))


def random_bits(seed: int, epoch: int, stream: int, indices: Array) -> Array:
    """Return 64 random bits for each index, uint64 (n,), a function of the four arguments alone.

    Each is mixed in by the finaliser of SplitMix64 (Steele, Lea and Flood 2014). Written out here because NumPy's
    own generators may draw differently from one release to the next.
    """
    bits = np.full(len(indices), seed % 2**64, np.uint64)
    for word in (epoch, stream, indices):
        bits = _mix(bits + np.asarray(word).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return bits


def _mix(z: Array) -> Array:
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _batch(images: Images, preprocessing: Preprocessing, piece: Array, moves: Array | None,
           stop: threading.Event) -> Batch:
    # Not in the pool: it belongs to the step that is being trained meanwhile.
    pixels, kept = images.batch(piece, preprocessing, moves, pooled=False, stop=stop)
    return pixels, images.labels[kept], kept


def _ahead(pieces, make) -> Iterator[Batch]:  # type: ignore[no-untyped-def]
    """Yield make(piece, stop) for each piece, the next one being made meanwhile in a thread."""
    if not pieces:
        return
    stop = threading.Event()
    from concurrent.futures import ThreadPoolExecutor  # not at the top: one image is judged without it

    executor = ThreadPoolExecutor(1, thread_name_prefix="cnn-batches")
    try:
        future = executor.submit(make, pieces[0], stop)
        for following in [*pieces[1:], None]:
            batch = future.result()
            if following is not None:
                future = executor.submit(make, following, stop)
            yield batch
    finally:
        stop.set()
        executor.shutdown(wait=True, cancel_futures=True)
