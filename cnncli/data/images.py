"""Samples become pixels: every file is decoded once, in threads, into one uint8 array that stays in memory ("ram"), or
is decoded again each time it is needed ("none"), to the same bits. Images that cannot be used are left out, with the
reason, and never raised unless strict. batches.py makes batches of this.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from .. import kernels
from ..errors import DataError, ImageError, UsageError
from ..kernels import Array, aligned_empty
from .folder import Sample
from .preprocessing import Preprocessing

_PIECE = 32  # images that a thread takes at a time, at most
_BEAT = 0.2  # seconds between two calls of progress, at most, so that whoever waits can be stopped
_SHARE = 0.8  # of the free memory that the images may fill

Progress = Callable[[int, int], None]


class Images:
    """The usable images of one split, in the order of the samples.

    samples and labels (int64) have an entry for each of them; skipped is a list of (path, reason); shape is one
    image's (h, w, c); histogram counts the values 0..255 of each channel, int64 (c, 256), as Preprocessing.fitted
    takes it.
    """

    def __init__(self, samples: Sequence[Sample], preprocessing: Preprocessing, stored: Array | None,
                 skipped: list[tuple[str, str]], histogram: Array, threads: int) -> None:
        self.samples = list(samples)
        self.labels = np.array([sample.label for sample in samples], np.int64)
        self.skipped = skipped
        self.shape = preprocessing.shape
        self.histogram = histogram
        self._preprocessing, self._stored, self._threads = preprocessing, stored, threads

    def __len__(self) -> int:
        return len(self.samples)

    def pixels(self, indices: Sequence[int] | Array) -> Array:
        """Return those images as uint8 (n, h, w, c). Raises ImageError where a file has vanished since."""
        rows = np.asarray(indices, np.int64)
        if self._stored is not None:
            return np.asarray(self._stored[rows])
        pixels, errors = self._read(rows, None)
        if errors:
            raise next(iter(errors.values()))
        return pixels

    def batch(self, indices: Sequence[int] | Array, preprocessing: Preprocessing, moves: Array | None = None,
              pooled: bool = True, stop: threading.Event | None = None) -> tuple[Array, Array]:
        """Return (float32 (n, h, w, c) normalised and moved, the indices that are in it).

        moves is int64 (n, 3), as kernels.image_batch takes it. An image that has vanished or changed since it was
        loaded (only possible without a cache) is left out and added to ``skipped``; DataError if that leaves none.
        With stop set meanwhile, returns early with whatever.
        """
        rows = np.ascontiguousarray(indices, np.int64)
        if self._stored is not None:
            y = aligned_empty((len(rows), *self.shape))
            if len(rows):
                kernels.image_batch(self._stored, y, preprocessing.mean, preprocessing.std, rows, moves, pooled)()
            return y, rows
        pixels, errors = self._read(rows, stop)
        if errors:
            known = {path for path, _ in self.skipped}
            self.skipped += [(e.path, e.reason) for e in errors.values() if e.path not in known]
            kept = np.array([i for i in range(len(rows)) if i not in errors], np.int64)
            if not len(kept):
                raise DataError(f"none of {len(rows)} images can be read any more; the first: "
                                f"{next(iter(errors.values()))}")
            pixels, rows, moves = pixels[kept], rows[kept], None if moves is None else moves[kept]
        y = aligned_empty((len(rows), *self.shape))
        if len(rows):
            kernels.image_batch(pixels, y, preprocessing.mean, preprocessing.std, None, moves, pooled)()
        return y, rows

    def _read(self, rows: Array, stop: threading.Event | None) -> tuple[Array, dict[int, ImageError]]:
        out = np.zeros((len(rows), *self.shape), np.uint8)
        errors: dict[int, ImageError] = {}
        for _ in _decode_all([self.samples[i].path for i in rows], self._preprocessing, out, errors, self._threads,
                             stop):
            pass
        return out, errors


def load_images(samples: Sequence[Sample], preprocessing: Preprocessing, threads: int | None = None,
                cache: str = "ram", strict: bool = False, progress: Progress | None = None) -> Images:
    """Decode samples and return them as Images; mean and deviation of the preprocessing are not applied yet.

    threads defaults to the CPUs there are. cache "none" also reads every file once, to know which can be used, but
    keeps nothing. strict raises the first ImageError instead of skipping. progress(done, total) is called from the
    calling thread, five times a second at least; what it raises stops the loading. Raises DataError where the images
    would not fit into memory.
    """
    if cache not in ("ram", "none"):
        raise UsageError(f"cache {cache!r} makes no sense; give ram or none.")
    threads = threads or kernels.available_cpus()
    shape = preprocessing.shape
    if cache == "ram":
        check_memory(len(samples), shape)
        stored = np.zeros((len(samples), *shape), np.uint8)
    errors: dict[int, ImageError] = {}
    histogram = np.zeros((shape[2], 256), np.int64)
    total, done = len(samples), 0
    step = total if cache == "ram" else 32 * _PIECE
    for start in range(0, total, max(1, step)):
        part = samples[start : start + step]
        out = stored if cache == "ram" else np.zeros((len(part), *shape), np.uint8)
        failed: dict[int, ImageError] = {}
        for first, count in _decode_all([s.path for s in part], preprocessing, out, failed, threads):
            bad = [i for i in range(first, first + count) if i in failed]
            if strict and bad:
                raise failed[bad[0]]
            _count(histogram, np.delete(out[first : first + count], [i - first for i in bad], axis=0) if bad
                   else out[first : first + count])
            done += count
            if progress:
                progress(done, total)
        errors.update({start + i: error for i, error in failed.items()})
    kept = [i for i in range(total) if i not in errors]
    if cache == "ram" and errors:
        for target, source in enumerate(kept):  # in place: a second copy might not fit
            if target != source:
                stored[target] = stored[source]
    skipped = [(errors[i].path, errors[i].reason) for i in sorted(errors)]
    return Images([samples[i] for i in kept], preprocessing, stored[: len(kept)] if cache == "ram" else None,
                  skipped, histogram, threads)


def check_memory(count: int, shape: tuple[int, int, int]) -> None:
    """Raise DataError, with the remedy, where so many uint8 images would fill most of the free memory."""
    need, free = count * int(np.prod(shape)), free_memory()
    if free is not None and need > _SHARE * free:
        raise DataError(f"{count} images of {shape[1]} x {shape[0]} need {need / 2**30:.1f} GiB and only "
                        f"{free / 2**30:.1f} GiB are free; use --cache none or a smaller --size.")


def free_memory() -> int | None:
    """Return the bytes of memory that are free, a container's limit considered; None where the system won't say."""
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


def _decode_all(paths: Sequence[str], preprocessing: Preprocessing, out: Array, errors: dict[int, ImageError],
                threads: int, stop: threading.Event | None = None) -> Iterator[tuple[int, int]]:
    """Fill out[i] with the prepared paths[i], or errors[i]; yield (first, count) of each piece that is done, in order,
    and (first, 0) now and then while waiting for one.

    Ends soon after stop is set, and leaves no thread at work when it is closed half-way.
    """
    closed = threading.Event()
    size = max(1, min(_PIECE, -(-len(paths) // (2 * threads))))

    def piece(first: int) -> int:
        for i in range(first, min(first + size, len(paths))):
            if closed.is_set() or (stop and stop.is_set()):
                break
            try:
                out[i] = preprocessing.prepare(paths[i])
            except ImageError as error:
                errors[i] = error
        return min(size, len(paths) - first)

    if len(paths) <= 1:
        for first in range(len(paths)):
            yield first, piece(first)
        return
    from concurrent.futures import ThreadPoolExecutor, wait  # not at the top: one image is judged without it

    executor = ThreadPoolExecutor(threads, thread_name_prefix="cnn-decode")
    try:
        for first, future in [(first, executor.submit(piece, first)) for first in range(0, len(paths), size)]:
            while not wait([future], _BEAT).done:
                yield first, 0
            yield first, future.result()
    finally:
        closed.set()
        executor.shutdown(wait=True, cancel_futures=True)


def _count(histogram: Array, pixels: Array) -> None:
    for channel in range(len(histogram)):
        histogram[channel] += np.bincount(pixels[..., channel].ravel(), minlength=256)
