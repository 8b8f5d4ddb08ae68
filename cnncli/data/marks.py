"""What identifies an image, wherever it lies and whatever its name: two marks of 64 bits, a hash of its file's bytes
and one of its pixels as the network gets them. Renamed, moved and copied files keep the first. Pictures that were saved
again without loss, or that come as arrays, keep the second. images.py takes them of what it loads; runs/marks.py keeps
them.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np

from ..kernels import Array
from . import files

FILE, PIXELS = 0, 1  # the columns of marks, uint64 (n, 2)
NONE = 0  # in the place of a mark: of an array's file, or of a file that cannot be read
_CHUNK = 1 << 20
_IN_CACHE = 1 << 18  # bytes of images that are marked at a time
_WHOLE = 16 << 20  # bytes of files that are held in memory, to be marked and decoded in one reading


def of_pixels(pixels: Array) -> int:
    """Return the mark of an image as ``Preprocessing.prepare`` makes it.

    Every loaded image is marked, and cryptographic hashes took a third of the time of decoding small JPEGs. So eight
    bytes at a time are mixed, as SplitMix64 ends (Steele et al. 2014), and summed with random odd weights.
    """
    data = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    rest = -data.size % 8
    words = _mixed(np.frombuffer(data.tobytes() + bytes(rest) if rest else data, "<u8"))
    return _summed(words, blake2b(_kind(pixels), digest_size=8))


def of_images(images: Array) -> Array:
    """Return the marks of several such images of one size, uint64 (n,): for small ones in half the time."""
    data = np.ascontiguousarray(images).reshape(len(images), int(np.prod(images.shape[1:]))).view(np.uint8)
    rest, found = -data.shape[1] % 8, list[int]()
    at_once = max(1, _IN_CACHE // max(1, data.shape[1]))
    for start in range(0, len(images), at_once):
        part = data[start : start + at_once]
        whole = np.hstack([part, np.zeros((len(part), rest), np.uint8)]) if rest else part
        digest = blake2b(_kind(images[0]), digest_size=8)
        words = _mixed(whole.view("<u8"))
        found += [_finished(total, digest.copy()) for total in (words @ _weights(words.shape[1])).tolist()]
    return np.array(found, np.uint64)


def _kind(pixels: Array) -> bytes:
    return repr((pixels.shape, pixels.dtype.str)).encode()


def _mixed(whole: Array) -> Array:
    words = whole >> np.uint64(32)
    words ^= whole
    words *= np.uint64(0x9E3779B97F4A7C15)
    words ^= words >> np.uint64(29)
    return np.asarray(words)


def _summed(words: Array, digest: Any) -> int:
    return _finished(int(np.dot(words, _weights(words.size))), digest)


def _finished(total: int, digest: Any) -> int:
    digest.update(total.to_bytes(8, "little"))
    return _number(digest)


@lru_cache(4)
def _weights(count: int) -> Array:
    return np.asarray(np.random.PCG64(0).random_raw(count) | np.uint64(1))


def whole(path: str | os.PathLike[str]) -> bytes | None:
    """Return a regular file's bytes, to be marked and decoded; None where it cannot be read or is large."""
    try:
        with files.reading(path) as (file, size):
            if size > _WHOLE:
                return None
            data = file.read(size + 1)
    except (OSError, ValueError):
        return None
    return data if len(data) <= size else None  # it grows


def of_bytes(data: bytes) -> int:
    """Return the mark of a file that holds these."""
    return _number(blake2b(data, digest_size=8))


def of_file(path: str | os.PathLike[str]) -> int:
    """Return the mark of a regular file's bytes."""
    digest = blake2b(digest_size=8)
    try:
        with files.reading(path) as (file, size):
            while part := file.read(min(_CHUNK, size + 1)):
                digest.update(part)
    except (OSError, ValueError):
        return NONE
    return _number(digest)


def _number(digest: Any) -> int:
    return max(1, int.from_bytes(digest.digest(), "little"))


def union(*several: Array | None) -> Array:
    """Return all marks of several arrays, whatever their shapes, once each and in order: uint64 (n,)."""
    parts = [np.asarray(part, np.uint64).reshape(-1) for part in several if part is not None]
    every = np.sort(np.concatenate([np.empty(0, np.uint64), *parts]))  # a fifth of the time of np.unique
    first = np.append(True, every[1:] != every[:-1])[: len(every)]
    return np.asarray(every[first & (every != NONE)])


def among(marks: Array, known: Array) -> Array:
    """Return which of some images, with a row of marks each, have a mark that is known: bool (n,)."""
    return np.asarray(np.isin(marks, known).any(axis=1) if len(marks) else np.zeros(0, bool))


def of_files(paths: Sequence[str], sizes: frozenset[int] | None = None) -> Array:
    """Return the marks of files, uint64 (n,); sizes: only files of so many bytes are read, others have none."""
    return np.array([of_file(path) if sizes is None or _size(path) in sizes else NONE for path in paths], np.uint64)


def _size(path: str) -> int:
    try:
        return files.size(path)
    except OSError:
        return -1
