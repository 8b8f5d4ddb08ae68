"""The last step before the network: images in batches, in an order and with an augmentation that depend on nothing
but (seed, epoch, image). From memory a batch is put together in C, by all threads of the pool, when it is asked for;
without a cache its files are decoded while the batches before it are trained on. Number of threads, place in the
epoch where a run is resumed, cache or not: all give the same bits.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from .. import kernels
from ..kernels import Array, aligned_empty
from .images import Images
from .order import SAMPLINGS, epoch_order, random_bits
from .preprocessing import Preprocessing

Batch = tuple[Array, Array, Array]  # float32 (n, h, w, c), int64 labels (n,), int64 indices (n,)
Made = Generator[tuple[Array, Array], None, None]  # images and draws (order.py)

_AT_ONCE = 64  # batches whose moves are drawn together: NumPy's calls cost more than the drawing
_SHIFT_Y, _SHIFT_X, _FLIP = 2, 3, 4  # what a random number is for


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
    """Batches for training: each epoch a new order of all images, or, with sampling "balanced", of as many that are
    drawn from every class alike (order.py).

    The last batch of an epoch is smaller where the images do not divide evenly; where a single image would be left
    over it sits this epoch out, because batch norm has nothing to normalise it with. steps is the number of batches.
    """

    def __init__(self, images: Images, preprocessing: Preprocessing, batch_size: int, seed: int = 0,
                 augmentation: Augmentation | None = None, sampling: str = SAMPLINGS[0]) -> None:
        self.images, self.preprocessing = images, preprocessing
        self.batch_size, self.seed = batch_size, seed
        self.augmentation, self.sampling = augmentation, sampling
        whole, rest = divmod(len(images), batch_size)
        self.steps = whole + (rest >= 2 or (whole == 0 and rest == 1))

    def order(self, number: int) -> Array:
        """Return the draws that epoch `number` follows: the images' numbers in another order, where none is drawn
        twice."""
        return epoch_order(self.images.labels, self.sampling, self.seed, number)

    def epoch(self, number: int, first_step: int = 0, reuse: bool = False) -> Generator[Batch, None, None]:
        """Yield (images, labels, indices) for the steps first_step … steps - 1 of one epoch.

        The arrays are new ones each time; with reuse, images is overwritten by the next batch, which spares memory
        and time. An image that can no longer be read (only without a cache) is missing from its batch and noted in
        images.skipped. Closing the iterator early ends its threads.
        """
        order = self.order(number)
        batches = [order[step * self.batch_size : (step + 1) * self.batch_size]
                   for step in range(first_step, self.steps)]
        made = self._from_files(number, batches) if self.images.stored is None else (
            self._from_memory(number, batches, reuse))
        with closing(made):
            for images, draws in made:
                rows = draws % len(self.images)
                yield images, self.images.labels[rows], rows

    def _from_memory(self, number: int, batches: list[Array], reuse: bool) -> Made:
        desks: dict[int, _Desk] = {}
        for start in range(0, len(batches), _AT_ONCE):
            some = batches[start : start + _AT_ONCE]
            moves = np.split(self._moves(number, np.concatenate(some)), np.cumsum([len(draws) for draws in some])[:-1])
            for draws, moved in zip(some, moves, strict=True):
                if not reuse or len(draws) not in desks:
                    desks[len(draws)] = _Desk(self.images, self.preprocessing, len(draws))
                yield desks[len(draws)].batch(draws % len(self.images), moved), draws

    def _from_files(self, number: int, batches: list[Array]) -> Made:
        mean, std = self.preprocessing.mean, self.preprocessing.std
        with closing(self.images.decoded(batches)) as decoded:
            for pixels, draws in decoded:
                batch = aligned_empty(pixels.shape)
                kernels.image_batch(pixels, batch, mean, std, None, self._moves(number, draws))()
                yield batch, draws

    def _moves(self, number: int, draws: Array) -> Array:
        if self.augmentation is None:
            return np.zeros((len(draws), 3), np.int64)
        return self.augmentation.moves(self.seed, number, draws, self.preprocessing.size)


class _Desk:
    """Where batches of one size are put together from images in memory: the arrays, and the call that fills them."""

    def __init__(self, images: Images, preprocessing: Preprocessing, count: int) -> None:
        assert images.stored is not None
        self._rows, self._moves = np.empty(count, np.int64), np.empty((count, 3), np.int64)
        self._batch = aligned_empty((count, *images.shape))
        self._fill = kernels.image_batch(images.stored, self._batch, preprocessing.mean, preprocessing.std, self._rows,
                                         self._moves)

    def batch(self, rows: Array, moves: Array) -> Array:
        """Return those images normalised and moved, float32 (count, h, w, c); the next call overwrites it."""
        np.copyto(self._rows, rows)
        np.copyto(self._moves, moves)
        self._fill()
        return self._batch
