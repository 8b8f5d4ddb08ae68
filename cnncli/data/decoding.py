"""Lists of files are decoded: in pieces, by a few threads, and by several processes if they work together. What was
found on the way (marks, errors, counts of values) is put together. images.py asks here.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from .. import kernels
from ..errors import ImageError
from ..kernels import Array
from ..ranks.world import ALONE, World
from .decode import quiet
from .depth import Seen
from .kept import Writer
from .marks import NONE, of_bytes, of_file, of_pixels, whole
from .placed import current
from .prefetch import ConcurrencyLimit, prefetch
from .preprocessing import Preprocessing
from .splits import Sample

_PIECE = 32  # images that a thread takes at a time, at most
PREFETCHED = 4  # for each thread: two batches, where a batch is cut into two pieces for each
_BEAT = 0.2  # seconds between two calls of progress, at most, so that whoever waits can be stopped

Progress = Callable[[int, int], None]
Errors = dict[int, ImageError]


class Decoder:
    """Decodes pieces of a list of files in a few threads; none goes on with its piece once the limit is closed."""

    def __init__(self, preprocessing: Preprocessing, threads: int, folder: str = "") -> None:
        self.preprocessing, self.threads, self.shape = preprocessing, threads, preprocessing.shape
        self._folder = "" if folder == current() else folder  # which paths lead from, where that is not the current one
        self.limit = ConcurrencyLimit(threads)
        self.forgiven: dict[str, str] = {}  # by path

    def piece(self, images: int) -> int:
        """Return how many of so many images a thread should take at a time."""
        return max(1, min(_PIECE, -(-images // (2 * self.threads))))

    def decode(self, samples: Sequence[Sample], out: Array, marks: Array | None = None, seen: Seen | None = None,
               deep: list[int] | None = None) -> Errors:
        """Fill out[i] with the prepared samples[i], marks[i] with its marks; return {i: error} for those that cannot
        be. The values of images deeper than 8 bits are noted in `seen`, which images these are in `deep`."""
        errors: Errors = {}
        with self.limit.slot(len(samples)), quiet():
            for i, sample in enumerate(self.limit.wanted(samples)):
                forgiven: list[str] = []
                try:
                    before = seen.images if seen else 0
                    data = whole(sample.path) if marks is not None and sample.pixels is None else None
                    source = sample.source
                    if self._folder and isinstance(source, str):
                        source = os.path.join(self._folder, source)
                    out[i] = self.preprocessing.prepare(source, forgiven, seen, data)
                    if marks is not None:
                        marks[i] = _of_source(sample, data), of_pixels(out[i])
                    if seen and deep is not None and seen.images > before:
                        deep.append(i)
                except ImageError as error:
                    errors[i] = error
                else:
                    if forgiven:
                        self.forgiven[sample.path] = "; ".join(forgiven)
        return errors


def _of_source(sample: Sample, data: bytes | None) -> int:
    """Return the mark of a sample's file, by what it holds where that has been read."""
    if sample.pixels is not None:
        return NONE
    return of_file(sample.path) if data is None else of_bytes(data)


@dataclass
class Looked:
    """What a pass over images found: errors by their place, how often each value occurs in images of 8 bits and in
    deeper ones, the places of the latter, and their own values."""

    histogram: Array
    deep_histogram: Array
    errors: Errors = field(default_factory=dict)
    deep: list[int] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)

    def add(self, other: "Looked") -> None:
        self.errors.update(other.errors)
        self.histogram += other.histogram
        self.deep_histogram += other.deep_histogram
        self.deep += other.deep
        self.seen.add(other.seen)


def look(samples: Sequence[Sample], rows: Sequence[int], decoder: Decoder, stored: Array | Writer | None, marks: Array,
         strict: bool, progress: Progress | None, world: World = ALONE) -> Looked:
    """Decode those images, into their rows of `stored` where there is one, with their marks: this process its share of
    them, the others theirs. Raises the first error if strict.
    """
    if world.size == 1:
        return _look_at(samples, rows, decoder, stored, marks, strict, progress)
    total = len(rows)
    shares = [rows[total * rank // world.size : total * (rank + 1) // world.size] for rank in range(world.size)]
    own = shares[world.rank]
    found = _look_at(samples, own, decoder, stored, marks, False,
                     progress and (lambda done, _: progress(min(total, done * world.size), total)))
    everything = Looked(np.zeros_like(found.histogram), np.zeros_like(found.histogram))
    for share, (theirs, their_marks, forgiven) in zip(shares, world.gathered((found, marks[own], decoder.forgiven)),
                                                      strict=True):
        everything.add(theirs)
        marks[share] = their_marks
        decoder.forgiven.update(forgiven)
    if strict and everything.errors:
        raise everything.errors[min(everything.errors)]
    if isinstance(stored, np.ndarray):
        world.completed(stored, shares)
    return everything


def _look_at(samples: Sequence[Sample], rows: Sequence[int], decoder: Decoder, stored: Array | Writer | None,
             marks: Array, strict: bool, progress: Progress | None) -> Looked:
    """Decode those images in threads of this process."""
    total, threads, shape = len(rows), decoder.threads, decoder.shape
    size = decoder.piece(total)

    def work(first: int) -> tuple[int, Looked]:
        places = rows[first : first + size]
        straight = isinstance(stored, np.ndarray) and isinstance(places, range)  # a slice: nothing need be copied
        out = stored[places[0] : places[-1] + 1] if isinstance(stored, np.ndarray) and straight else (
            np.empty((len(places), *shape), np.uint8))
        found = Looked(np.zeros((shape[2], 256), np.int64), np.zeros((shape[2], 256), np.int64))
        theirs = np.zeros((len(places), 2), np.uint64)
        errors = decoder.decode([samples[i] for i in places], out, theirs, found.seen, found.deep)
        marks[places] = theirs
        deep = frozenset(found.deep)
        for histogram, chosen in ((found.histogram, [i for i in range(len(out)) if i not in errors and i not in deep]),
                                  (found.deep_histogram, [i for i in found.deep if i not in errors])):
            if chosen:
                kernels.image_histogram(out if len(chosen) == len(out) else out[chosen], histogram)()
        if stored is not None and not straight:
            stored[places] = out
        found.errors, found.deep = {places[i]: e for i, e in errors.items()}, [places[i] for i in found.deep]
        return len(places), found

    everything, done = Looked(np.zeros((shape[2], 256), np.int64), np.zeros((shape[2], 256), np.int64)), 0
    ahead = PREFETCHED * threads
    with closing(prefetch(work, range(0, total, size), threads, ahead, _BEAT, decoder.limit)) as results:
        for result in results:
            if result:
                count, found = result
                if strict and found.errors:
                    raise found.errors[min(found.errors)]
                everything.add(found)
                done += count
            if progress:
                progress(done, total)
    return everything
