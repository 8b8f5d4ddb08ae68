"""The index beside the archives of a data set: for each image its path, its class, its part of the split, and where
its bytes lie, so that nobody has to read through the archives for that. It is a NumPy file (.npz) of plain arrays, read
without pickle. It is not trusted: archive.py takes one only if it fits the archives.
"""

import io
import os
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..kernels import Array
from .tar import BLOCK

NAME = "cnn-index.npz"
PARTS = ("", "train", "val", "test")  # "" of images that are not divided
_VERSION = 1
_MOST_BYTES = 1 << 33
_ARRAYS = {"version": "<i8", "tars": "|u1", "tar_sizes": "<i8", "classes": "|u1", "by_folder": "|b1", "paths": "|u1",
           "tar": "<i4", "start": "<i8", "size": "<i8", "label": "<i4", "part": "|i1"}
# A path that begins or ends with "/", or has an empty part, "." or ".."; paths are separated by zero bytes.
_STRANGE = re.compile(rb"(?:^|[\0/])\.{0,2}(?:[\0/]|$)")


class Unfit(Exception):
    """An index cannot be used; the text says why."""


class Lacking(Unfit):
    """An archive that an index lists is not there; the text is its name."""


@dataclass(frozen=True)
class ShardIndex:
    """What an index says. tars are the names of the archives, and tar_sizes how many bytes they have. Image i has the
    path paths[i], and its bytes are size[i] from start[i] on in archive tar[i]. Its class is classes[label[i]] (-1:
    none), and its part PARTS[part[i]]. by_folder: the classes are the folders that the images lie in.
    """

    tars: list[str]
    tar_sizes: Array
    classes: list[str]
    by_folder: bool
    paths: list[str]
    tar: Array
    start: Array
    size: Array
    label: Array
    part: Array

    def data(self) -> bytes:
        """Return the bytes of its file, the same for the same index."""
        file = io.BytesIO()
        values = {"version": np.array(_VERSION), "tars": _text(self.tars), "tar_sizes": self.tar_sizes,
                  "classes": _text(self.classes), "by_folder": np.array(self.by_folder), "paths": _text(self.paths),
                  "tar": self.tar, "start": self.start, "size": self.size, "label": self.label, "part": self.part}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as made:
            for name, kind in _ARRAYS.items():
                array = io.BytesIO()
                np.lib.format.write_array(array, np.asarray(values[name]).astype(kind), (1, 0), allow_pickle=False)
                made.writestr(zipfile.ZipInfo(f"{name}.npy"), array.getvalue())  # its time is always 1980
        return file.getvalue()


def read_index(path: str, sizes: dict[str, int]) -> ShardIndex:
    """Return the index of archives that have these names and sizes. Raises Unfit where it is none, or not theirs."""
    try:
        found = _arrays(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, MemoryError,
            OverflowError):
        raise Unfit("it is damaged") from None
    if int(found["version"]) != _VERSION:
        raise Unfit("another version of cnn wrote it")
    tars, paths, classes = (_names(found[name]) for name in ("tars", "paths", "classes"))
    index = ShardIndex(tars, found["tar_sizes"], classes, bool(found["by_folder"]), paths,
                       *(found[name] for name in ("tar", "start", "size", "label", "part")))
    _check(index, found["paths"].tobytes())
    for name, size in zip(tars, index.tar_sizes.tolist(), strict=True):
        if name not in sizes:
            raise Lacking(name)
        if sizes[name] != size:
            raise Unfit(f"{name} has {sizes[name]:,} bytes, and had {size:,}")
    if more := sorted(set(sizes) - set(tars)):
        raise Unfit(f"it does not know {more[0]}")
    return index


def _arrays(path: str) -> dict[str, Array]:
    """Return the arrays of a file. Nothing in it is compressed, so none is larger than the file."""
    found = dict[str, Array]()
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > _MOST_BYTES:
            raise ValueError("too large")
        with zipfile.ZipFile(file) as archive:
            for name, kind in _ARRAYS.items():
                info = archive.getinfo(f"{name}.npy")
                if info.compress_type != zipfile.ZIP_STORED or info.file_size > os.fstat(file.fileno()).st_size:
                    raise ValueError("compressed")
                with archive.open(info) as member:
                    data = io.BytesIO(member.read())
                array = np.lib.format.read_array(data, allow_pickle=False)
                if array.dtype != np.dtype(kind) or array.ndim != (0 if name in ("version", "by_folder") else 1):
                    raise ValueError("another kind of array")
                found[name] = array
    return found


def _check(index: ShardIndex, joined: bytes) -> None:
    """Raise Unfit where numbers lie outside of what they count, or paths leave the archive."""
    images, tars = len(index.paths), len(index.tars)
    arrays = (index.tar, index.start, index.size, index.label, index.part)
    good = len(index.tar_sizes) == tars and all(len(array) == images for array in arrays) and images > 0
    good = good and len(set(index.paths)) == images and (not joined or _STRANGE.search(joined) is None)
    good = good and _within(index.tar, 0, tars) and _within(index.label, -1, len(index.classes))
    good = good and _within(index.part, 0, len(PARTS)) and _within(index.start, BLOCK, 1 << 62)
    good = good and bool((index.start % BLOCK == 0).all()) and _within(index.size, 0, 1 << 62)
    if not good or not bool((index.start + index.size <= index.tar_sizes[index.tar]).all()):
        raise Unfit("it is damaged")


def _within(numbers: Array, low: int, end: int) -> bool:
    return bool(((numbers >= low) & (numbers < end)).all())


def _text(names: Sequence[str]) -> Array:
    return np.frombuffer(os.fsencode("\0".join(names)), np.uint8)


def _names(array: Array) -> list[str]:
    text = os.fsdecode(array.tobytes())
    return text.split("\0") if text else []
