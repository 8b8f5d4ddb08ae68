"""The last step before the network: images in batches, in an order and with an augmentation that depend only on (seed,
epoch, image). If images are in memory, a batch is put together in C by all threads of the pool when it is asked for.
Without a cache, its files are decoded while the earlier batches are trained on. The bits do not depend on the number of
threads, on the place in the epoch where a run is resumed, or on the cache.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

import numpy as np

from .. import kernels
from ..errors import ImageError
from ..kernels import Array, Call, Mixed, aligned_empty
from .augmentation import Augmentation, Mixing, Variation
from .images import Images
from .order import SAMPLINGS, Sampling, epoch_order
from .preprocessing import Preprocessing

# float32 (n, h, w, c), int64 labels (n,), int64 indices (n,); where images are mixed also (other labels, shares)
Batch = tuple[Array, Array, Array] | tuple[Array, Array, Array, Mixed]
Made = Generator[tuple[Array, Array], None, None]  # images, not mixed yet, and draws (order.py)
# Of so many images of a batch, the first that is made, and the one behind the last.
Span = Callable[[int], tuple[int, int]]

_AT_ONCE = 64  # batches whose variations are drawn together: NumPy's calls cost more than the drawing


def steps_of(images: int, batch_size: int) -> int:
    """Return how many batches an epoch of so many images has."""
    whole, rest = divmod(images, batch_size)
    return whole + (rest >= 2 or (whole == 0 and rest == 1))


class Batches:
    """Batches for training: each epoch a new order of all images or, with sampling "balanced", of as many draws,
    equally often from every class (order.py).

    The last batch of an epoch is smaller if the images do not divide evenly. If a single image would be left over, it
    is left out in this epoch, because batch norm cannot normalise one image. steps is the number of batches. If several
    processes share each batch, span says which images of it this one makes; labels and indices are of the whole batch.
    """

    def __init__(self, images: Images, preprocessing: Preprocessing, batch_size: int, seed: int = 0,
                 augmentation: Augmentation | None = None, sampling: Sampling = SAMPLINGS[0],
                 span: Span | None = None) -> None:
        self.images, self.preprocessing, self._span = images, preprocessing, span
        self.batch_size, self.seed = batch_size, seed
        self.augmentation, self.sampling = augmentation, sampling
        self.steps = steps_of(len(images), batch_size)

    def order(self, number: int) -> Array:
        """Return the draws of epoch `number`: the images' numbers in another order, if none is drawn twice."""
        return epoch_order(self.images.labels, self.sampling, self.seed, number)

    def epoch(self, number: int, first_step: int = 0, reuse: bool = False) -> Generator[Batch, None, None]:
        """Yield (images, labels, indices) for the steps first_step … steps - 1 of one epoch. If the augmentation mixes
        images, yield (images, labels, indices, (other labels int64 (n,), shares float32 (n,))): an image has its label
        by its share and the other label by the rest.

        The arrays are new each time. With reuse, images is overwritten by the next batch, which saves memory and time.
        An image that can no longer be read (only without a cache) is missing from its batch and noted in
        images.skipped. Closing the iterator early ends its threads.
        """
        order = self.order(number)
        batches = [order[step * self.batch_size : (step + 1) * self.batch_size]
                   for step in range(first_step, self.steps)]
        if self._span:
            yield from self._shared(number, batches, self._span, reuse)
            return
        labels, mixers = self.images.labels, dict[int, _Mixer]()
        with closing(self._made(number, batches, reuse)) as made:
            for images, draws in made:
                rows = draws % len(self.images)
                if self.augmentation is None or not self.augmentation.mixes:
                    yield images, labels[rows], rows
                    continue
                if not reuse or len(rows) not in mixers:
                    mixers[len(rows)] = _Mixer(images)
                mixing = self.augmentation.mixing(self.seed, number, draws, self.preprocessing.size)
                yield (mixers[len(rows)].mixed(images, mixing), labels[rows], rows,
                       (labels[rows][mixing.partners], mixing.shares))

    def _shared(self, number: int, batches: list[Array], span: Span, reuse: bool) -> Generator[Batch, None, None]:
        """Yield the same batches, of each only the images of the span. An image that is mixed with one of another
        process is made here with it. Raises DataError for an image that can no longer be read.
        """
        mixes = self.augmentation if self.augmentation and self.augmentation.mixes else None

        def mixing_of(draws: Array) -> Mixing | None:
            return mixes.mixing(self.seed, number, draws, self.preprocessing.size) if mixes else None

        def needed(draws: Array) -> Array:
            first, end = span(len(draws))
            mixing = mixing_of(draws)
            return np.concatenate([draws[first:end], draws[mixing.partners[first:end]]]) if mixing else draws[first:end]

        wanted, mixers, labels = [needed(draws) for draws in batches], dict[int, _Mixer](), self.images.labels
        with closing(self._made(number, [own for own in wanted if len(own)], reuse)) as made:
            for draws, own in zip(batches, wanted, strict=True):
                images, found = next(made) if len(own) else (np.empty((0, *self.images.shape), np.float32), own)
                if len(found) != len(own):
                    raise ImageError(*self.images.skipped[-1])
                rows, mixing = draws % len(self.images), mixing_of(draws)
                if mixing is None:
                    yield images, labels[rows], rows
                    continue
                first, end = span(len(draws))
                count = end - first
                if count and (not reuse or count not in mixers):
                    mixers[count] = _Mixer(images)
                if count:
                    images = mixers[count].mixed(images, _with_partners(mixing, first, end))[:count]
                yield images, labels[rows], rows, (labels[rows][mixing.partners], mixing.shares)

    def _made(self, number: int, batches: list[Array], reuse: bool) -> Made:
        return self._from_files(number, batches) if self.images.stored is None else (
            self._from_memory(number, batches, reuse))

    def sample(self, number: int, index: int) -> tuple[Array, int | None, float]:
        """Return one image as in epoch `number`, float32 (h, w, c), the index of the image that it is mixed with, if
        any, and its own share, without making its batch.
        """
        if self.augmentation is None or not self.augmentation.mixes:
            return self._varied(number, np.array([index]))[0], None, 1.0
        order = self.order(number)
        places = np.flatnonzero(order == index)  # none, or beyond the last batch, where the image sits out
        place = int(places[0]) if len(places) else len(order) - 1
        step = min(place // self.batch_size, self.steps - 1)
        draws = order[step * self.batch_size : (step + 1) * self.batch_size]
        mixing = self.augmentation.mixing(self.seed, number, draws, self.preprocessing.size)
        within = min(place - step * self.batch_size, len(draws) - 1)
        other = int(draws[mixing.partners[within]])
        pair = Mixing(np.array([1, 0]), np.repeat(mixing.shares[within], 2),
                      np.repeat(mixing.boxes[[within]], 2, axis=0))
        images = self._varied(number, np.array([index, other]))
        return _Mixer(images).mixed(images, pair)[0], other % len(self.images), float(mixing.shares[within])

    def _from_memory(self, number: int, batches: list[Array], reuse: bool) -> Made:
        assert self.images.stored is not None
        assemblers: dict[int, _Assembler] = {}
        for start in range(0, len(batches), _AT_ONCE):
            some = batches[start : start + _AT_ONCE]
            varied, first = self._variation(number, np.concatenate(some)), 0
            for draws in some:
                variation, first = varied.part(first, first + len(draws)), first + len(draws)
                if not reuse or len(draws) not in assemblers:
                    assemblers[len(draws)] = _Assembler(self.images.stored, self.preprocessing, variation)
                yield assemblers[len(draws)].batch(draws % len(self.images), variation), draws

    def _from_files(self, number: int, batches: list[Array]) -> Made:
        with closing(self.images.decoded(batches)) as decoded:
            for pixels, draws in decoded:
                variation = self._variation(number, draws)
                yield _Assembler(pixels, self.preprocessing, variation).batch(np.arange(len(draws)), variation), draws

    def _varied(self, number: int, draws: Array) -> Array:
        pixels, variation = self.images.pixels(draws % len(self.images)), self._variation(number, draws)
        return _Assembler(pixels, self.preprocessing, variation).batch(np.arange(len(draws)), variation)

    def _variation(self, number: int, draws: Array) -> Variation:
        return (self.augmentation or Augmentation()).draw(self.seed, number, draws, self.images.shape)


def _with_partners(mixing: Mixing, first: int, end: int) -> Mixing:
    """Return how some images of a batch are mixed, if their partners lie behind them in the same order."""
    count = end - first
    return Mixing(np.concatenate([np.arange(count, 2 * count)] * 2), np.tile(mixing.shares[first:end], 2),
                  np.tile(mixing.boxes[first:end], (2, 1)))


class _Assembler:
    """Puts batches of one size together from images in memory: the arrays, and the calls that fill them. All variations
    must have the shapes of the first one.
    """

    def __init__(self, stored: Array, preprocessing: Preprocessing, variation: Variation) -> None:
        count, mean, std = len(variation.moves), preprocessing.mean, preprocessing.std
        self._rows = np.empty(count, np.int64)
        self._variation = Variation(*map(np.empty_like, variation))
        self._batch = aligned_empty((count, *stored.shape[1:]))
        moves, operations, strengths, boxes, noise = self._variation
        self._calls: Sequence[Call] = [
            kernels.augment_batch(stored, self._batch, mean, std, self._rows, moves, operations, strengths)
            if operations.size else kernels.image_batch(stored, self._batch, mean, std, self._rows, moves)]
        if boxes.size:
            self._calls = [*self._calls, kernels.erase_batch(self._batch, mean, std, boxes, noise)]

    def batch(self, rows: Array, variation: Variation) -> Array:
        """Return those images normalised and changed, float32 (count, h, w, c). The next call overwrites it."""
        np.copyto(self._rows, rows)
        for ours, theirs in zip(self._variation, variation, strict=True):
            np.copyto(ours, theirs)
        for call in self._calls:
            call()
        return self._batch


class _Mixer:
    """Mixes the images of batches of one size; the result is overwritten by the next."""

    def __init__(self, images: Array) -> None:
        self._from, self._mixing = images, Mixing(np.empty(len(images), np.int64), np.empty(len(images), np.float32),
                                                  np.empty((len(images), 4), np.int64))
        self._batch = aligned_empty(images.shape)
        self._call = kernels.mix_batch(images, self._batch, *self._mixing)

    def mixed(self, images: Array, mixing: Mixing) -> Array:
        """Return the batch with every image mixed."""
        if images is not self._from:  # made anew: not this one's
            self._call, self._from = kernels.mix_batch(images, self._batch, *self._mixing), images
        for ours, theirs in zip(self._mixing, mixing, strict=True):
            np.copyto(ours, theirs)
        self._call()
        return self._batch
