"""Samples become pixels. Every image is decoded once, in threads, into one uint8 array that stays in memory ("ram") or
into a file that later trainings use, too ("disk"), or is decoded again each time it is needed ("none"), to the same
bits, ahead of time. Images that cannot be used are left out, with the reason, and never raised unless strict.
batches.py makes batches of this, cached.py looks after the file.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, get_args

import numpy as np

from .. import kernels
from ..errors import DataError, ImageError, UsageError, no_such, printable
from ..kernels import Array
from ..ranks.world import ALONE, World
from ..values import as_hinted
from . import cached
from .decode import FIRST
from .decoding import PREFETCHED, Decoder, Errors, Progress, look
from .depth import Seen
from .kept import Contents, Kept, Loaded, Writer
from .marks import of_pixels
from .placed import current
from .prefetch import prefetch
from .preprocessing import Preprocessing
from .splits import Sample

_SHARE = 0.8  # of the free memory that the images may fill
_NAMED = 5  # forgiven images that are named one by one

Cache = Literal["auto", "ram", "disk", "none"]
_CHANGED = "it holds another picture by now than when it was first read"
CACHES: tuple[Cache, ...] = get_args(Cache)


class Images:
    """The usable images of one part of the split, in the order of the samples.

    samples and labels (int64) have an entry for each. marks, uint64 (n, 2), has a row that identifies each image
    (marks.py). stored has all of them, uint8 (n, h, w, c), or None if they are not in memory. kept is the file that
    they lie in, if they are on the disk. skipped is a list of (path,
    reason), forgiven one of (path, what is damaged although no pixel is missing). shape is one image's (h, w, c).
    histogram counts the values 0..255 of each channel, int64 (c, 256), as Preprocessing.fitted takes it. seen has the
    values of images of more than 8 bits, and preprocessing what was done to the images, with the range that was found
    for them.
    """

    def __init__(self, samples: Sequence[Sample], preprocessing: Preprocessing, stored: Array | None,
                 skipped: list[tuple[str, str]], histogram: Array, threads: int, marks: Array,
                 forgiven: Sequence[tuple[str, str]] = (), seen: Seen | None = None, kept: Kept | None = None) -> None:
        self.samples, self._kept = list(samples), kept
        self.marks = marks
        self.labels = np.array([sample.label for sample in samples], np.int64)
        self.stored = stored
        self.skipped, self.forgiven = skipped, list(forgiven)
        self.shape = preprocessing.shape
        self.histogram = histogram
        self.preprocessing, self.seen, self._threads = preprocessing, seen or Seen(), threads
        self._folder = current()  # that paths begin in

    def __len__(self) -> int:
        return len(self.samples)

    def pixels(self, indices: Sequence[int] | Array) -> Array:
        """Return those images as uint8 (n, h, w, c). Raises ImageError if a file has vanished or changed since."""
        rows = np.asarray(indices, np.int64)
        if self.stored is not None:
            return np.asarray(self.stored[rows])
        with closing(self._read([rows])) as pieces:
            return next(pieces).all_pixels() if len(rows) else np.empty((0, *self.shape), np.uint8)

    def in_order(self, at_once: int, of: range | None = None) -> Generator[Array, None, None]:
        """Yield all images in order as uint8 (at_once, h, w, c), read-only; the last array is the rest. With of, yield
        only the arrays of these numbers.

        Without a cache the next ones are decoded meanwhile. Raises ImageError if a file has vanished or changed since.
        """
        starts = range(0, len(self), at_once)
        if of is not None:
            starts = starts[of.start : of.stop]
        if self.stored is not None:
            for start in starts:
                yield self.stored[start : start + at_once]
            return
        with closing(self._read(np.arange(start, min(start + at_once, len(self))) for start in starts)) as pieces:
            for piece in pieces:
                yield piece.all_pixels()

    def decoded(self, batches: Iterable[Array]) -> Generator[tuple[Array, Array], None, None]:
        """Yield (uint8 (n, h, w, c), the indices that are in it) for each array of indices. Files are read in threads,
        the next ones while the caller works on the earlier ones. Indices wrap around: after the last image comes the
        first again.

        An image that has vanished, or has another picture than when it was loaded, is left out and added to
        ``skipped``. Raises DataError if that leaves none of an array.
        """
        with closing(self._read(batches)) as pieces:
            for piece in pieces:
                rows, pixels, errors = piece.rows, piece.pixels, piece.errors
                if errors:
                    known = {path for path, _ in self.skipped}
                    self.skipped += [(e.path, e.reason) for e in errors.values() if e.path not in known]
                    kept = [i for i in range(len(rows)) if i not in errors]
                    if not kept:
                        raise DataError(f"none of the {len(rows)} images can be used any more; give others. The first: "
                                        f"{next(iter(errors.values()))}")
                    pixels, rows = pixels[kept], rows[kept]
                yield pixels, rows

    def _read(self, batches: Iterable[Array]) -> "Generator[_Read, None, None]":
        """Decode arrays of indices, each cut into pieces for the threads."""
        decoder = Decoder(self.preprocessing, self._threads, self._folder)

        def pieces() -> Iterator[tuple[_Read, int, int]]:
            for rows in batches:
                read = _Read(rows, np.empty((len(rows), *self.shape), np.uint8))
                size = decoder.piece(len(rows))
                for first in range(0, len(rows), size):
                    yield read, first, min(first + size, len(rows))

        def work(piece: tuple[_Read, int, int]) -> tuple[_Read, int]:
            read, first, end = piece
            errors = self._fill(read.pixels[first:end], read.rows[first:end] % len(self), decoder)
            read.errors.update({first + i: error for i, error in errors.items()})
            return read, end

        with closing(prefetch(work, pieces(), self._threads, PREFETCHED * self._threads, None, decoder.limit)) as done:
            for piece in done:
                if piece and piece[1] == len(piece[0].rows):
                    if self._kept:
                        self._kept.tell()
                    yield piece[0]

    def _fill(self, out: Array, rows: Array, decoder: "Decoder") -> Errors:
        """Fill out with those images, from the disk where they lie there; return {i: error} for those that cannot be
        had."""
        lacking = np.arange(len(rows))
        if self._kept:
            with decoder.limit.slot(len(rows)):
                lacking = self._kept.read(rows, out)
            if not len(lacking):
                return {}
        samples = [self.samples[i] for i in rows[lacking]]
        pixels = out if len(lacking) == len(out) else np.empty((len(lacking), *self.shape), np.uint8)
        errors = decoder.decode(samples, pixels)
        for i, row in enumerate(rows[lacking]):
            if i not in errors and of_pixels(pixels[i]) != self.marks[row, 1]:
                errors[i] = ImageError(samples[i].path, _CHANGED)
        if pixels is not out:
            out[lacking] = pixels
        return {int(lacking[i]): error for i, error in errors.items()}


@dataclass
class _Read:
    """Images being read: their indices, their pixels, and what is wrong with those that could not be."""

    rows: Array
    pixels: Array
    errors: Errors = field(default_factory=dict)

    def all_pixels(self) -> Array:
        if self.errors:
            raise self.errors[min(self.errors)]
        return self.pixels


@as_hinted
def load_images(samples: Sequence[Sample], preprocessing: Preprocessing, threads: int | None = None,
                cache: Cache = "ram", strict: bool = False, progress: Progress | None = None,
                note: Callable[[str], None] | None = None, find_range: bool = False, part: str = "",
                world: World = ALONE) -> Images:
    """Decode samples and return them as Images. The preprocessing's mean and standard deviation are not applied yet.

    threads defaults to the number of CPUs. cache "disk" keeps them in a file, and takes them from there if they are in
    it already; part ("training", "validation") tells apart the files of one folder of images. "none" also reads every
    file once, to know which can be used, but keeps nothing. "auto" is "ram" if they fit into the free memory, else
    "disk", or "none" if there is no room. strict raises the first ImageError instead of skipping. find_range chooses
    one range for images of more than 8 bits, if the preprocessing has none, when all have been seen; these are then
    decoded once more. progress(done, total) is called from the calling thread, at least five times per second; what it
    raises stops the loading. note is called with a sentence if images are damaged although no pixel is missing, and on
    where they are kept unless that is in memory. Raises DataError if the images would not fit into memory, SaveError
    if they cannot be kept on the disk. Several processes share the decoding, and those of one machine have the images
    in common.
    """
    if cache not in CACHES:
        raise UsageError(no_such("cache", cache, CACHES))
    threads, note = threads or kernels.available_cpus(), note or (lambda sentence: None)
    decoder = Decoder(preprocessing, threads)
    short = _shortage(len(samples), preprocessing.shape) if cache == "auto" else ""
    short = next(filter(None, world.gathered(short)), "")  # of any of the processes
    chosen = cached.chosen(cache, short, samples, note)
    if chosen == "disk":  # the first process of a machine writes the file, with the threads of all
        decoder = Decoder(preprocessing, threads * world.local)
        loaded = cached.load(cached.Wanted(samples, preprocessing, find_range, part), cache == "auto", strict,
                             partial(_decoded, samples, decoder, strict, progress, find_range), progress, note)
    else:
        if chosen == "ram" and cache != "auto":
            check_memory(len(samples), preprocessing.shape)
        stored = world.memory((len(samples), *preprocessing.shape), np.uint8) if chosen == "ram" else None
        loaded = _decoded(samples, decoder, strict, progress, find_range, stored, world)
    found = loaded.contents
    usable = [i for i in range(len(samples)) if i not in found.errors]
    stored = loaded.stored
    if stored is not None and found.errors:
        world.once(lambda: _moved_up(stored, usable))
    forgiven = [(samples[i].path, found.forgiven[i]) for i in usable if i in found.forgiven]
    for sentence in forgiven_in_words(forgiven):
        note(sentence)
    return Images([samples[i] for i in usable], loaded.preprocessing,
                  stored[: len(usable)] if stored is not None else None,
                  [(samples[i].path, found.errors[i]) for i in sorted(found.errors)], found.histogram, threads,
                  found.marks[usable], forgiven, found.seen, loaded.kept)


def _decoded(samples: Sequence[Sample], decoder: Decoder, strict: bool, progress: Progress | None, find_range: bool,
             stored: Array | Writer | None, world: World = ALONE) -> Loaded:
    """Decode all samples into stored, if there is one."""
    total, preprocessing = len(samples), decoder.preprocessing
    marks = np.zeros((total, 2), np.uint64)
    found = look(samples, range(total), decoder, stored, marks, strict, progress, world)
    if find_range and found.deep:
        ranged = preprocessing.scaled(found.seen)
        if ranged != preprocessing:
            preprocessing = ranged
            again = look(samples, found.deep, Decoder(ranged, decoder.threads), stored, marks, strict, progress, world)
            found.errors.update(again.errors)
            found.deep_histogram = again.deep_histogram
    errors = {i: error.reason for i, error in found.errors.items()}
    forgiven = {i: decoder.forgiven[sample.path] for i, sample in enumerate(samples)
                if sample.path in decoder.forgiven} if decoder.forgiven else {}
    contents = Contents(marks, found.histogram + found.deep_histogram, found.seen, errors, forgiven)
    return Loaded(contents, preprocessing, stored if isinstance(stored, np.ndarray) else None)


def _moved_up(stored: Array, kept: Sequence[int]) -> None:
    """Move these rows of an array to its beginning, in place: a second copy might not fit."""
    for target, source in enumerate(kept):
        if target != source:
            stored[target] = stored[source]


def forgiven_in_words(forgiven: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield a sentence on (path, what is damaged) of images that are used all the same, and one on those that have more
    frames or pages than the one that is taken.
    """
    first = [(path, why) for path, why in forgiven if why.startswith(FIRST)]
    damaged = [(path, why) for path, why in forgiven if not why.startswith(FIRST)]
    if damaged:
        one = len(damaged) == 1
        yield (f"{len(damaged):,} image{'' if one else 's'} {'is' if one else 'are'} damaged, but no pixel of "
               f"{'it' if one else 'them'}, and used all the same: {_named(damaged)}.")
    if first:
        one = len(first) == 1
        yield (f"{len(first):,} file{' holds' if one else 's hold'} several images, frames or pages, of which one is "
               f"used: {_named(first)}.")


def _named(whys: Sequence[tuple[str, str]]) -> str:
    more = f"; … and {len(whys) - _NAMED:,} more" if len(whys) > _NAMED else ""
    return "; ".join(f"{printable(path)} ({why})" for path, why in whys[:_NAMED]) + more


def check_memory(count: int, shape: tuple[int, int, int]) -> None:
    """Raise DataError, with the remedy, if this many uint8 images would fill most of the free memory."""
    if short := _shortage(count, shape):
        raise DataError(f"{short}; use --cache disk or a smaller --size.")


def _shortage(count: int, shape: tuple[int, int, int]) -> str:
    """Return what this many uint8 images lack, "" if they fit into the free memory."""
    need, free = count * int(np.prod(shape)), free_memory()
    return (f"{count} images of {shape[1]} x {shape[0]} need {need / 2**30:.1f} GiB and only {free / 2**30:.1f} GiB "
            "are free") if free is not None and need > _SHARE * free else ""


def free_memory() -> int | None:
    """Return the bytes of free memory, within a container's limit. None if the system does not say."""
    free = None
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            free = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):
        try:
            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, AttributeError):
            return None
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as limit, \
                open("/sys/fs/cgroup/memory.current", encoding="ascii") as current:
            free = min(free, max(0, int(limit.read()) - int(current.read())))
    except (OSError, ValueError):  # no such file, or "max"
        pass
    return free
