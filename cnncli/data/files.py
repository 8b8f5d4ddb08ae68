"""Where the files of a data set are: on the disk, or in archives (archive.py), which are read as folders. Whoever looks
at images or their folders asks here, so that both can be given everywhere.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np

from ..errors import printable
from ..kernels import Array
from .archive import AS_IT_IS, SUFFIX, archive_at, find, state_of
from .webdataset import Written

StrPath = str | os.PathLike[str]
# The archive that is being looked through: what is given to a command is one or not, whatever lies around it.
_GIVEN: ContextVar[str] = ContextVar("cnncli-archive", default="")


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies in a folder of an archive, as os.scandir has what lies in one on the disk."""

    name: str
    path: str
    folder: bool

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self.folder

    def is_file(self) -> bool:
        """Whether it is a file."""
        return not self.folder


def is_folder(path: StrPath) -> bool:
    """Whether there is a folder, one in an archive, or an archive."""
    name = os.fspath(path)
    return os.path.isdir(name) or (name.lower().endswith(SUFFIX) and os.path.isfile(name)) or is_in_archive(name)


def is_file(path: StrPath) -> bool:
    """Whether there is a regular file, or one in an archive."""
    return os.path.isfile(path) or _has(path)


def exists(path: StrPath) -> bool:
    """Whether there is anything, on the disk or in an archive."""
    return os.path.lexists(path) or _has(path) or is_in_archive(path)


def size(path: StrPath) -> int:
    """Return how many bytes a file has. Raises OSError where it is not there."""
    try:
        return os.stat(path).st_size
    except OSError:
        found = find(path)
        if found is None or not found[0].has(found[1]):
            raise
        return found[0].size(found[1])


def statuses(paths: Sequence[str]) -> Array:
    """Return what the system says of each file: its size in bytes, the nanosecond of its last change, and its number;
    int64 (n, 3), -1 where it is not there. Of a file in an archive the time is the archive's, and the number that of
    its place there.
    """
    archive, inside = (find(paths[0]) if paths else None) or (None, "")
    before = paths[0][: len(paths[0]) - len(inside)] if inside else ""
    if archive is not None and before and all(path.startswith(before) for path in paths):
        return archive.statuses([path[len(before) :].replace(os.sep, "/") for path in paths])
    found = np.empty((len(paths), 3), np.int64)
    for i, path in enumerate(paths):
        found[i] = state_of(path)
        if found[i, 0] < 0 and (there := find(path)) is not None:
            found[i] = there[0].statuses([there[1]])[0]
    return found


def opened(path: StrPath) -> BinaryIO | None:
    """Return a file in an archive, to be read; None where it is in none. Raises OSError."""
    found = find(path)
    return found[0].open(found[1]) if found is not None and found[0].has(found[1]) else None


@contextmanager
def reading(path: StrPath) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file, on the disk or in an archive; hand it out with its size. Raises OSError, ValueError."""
    found = find(path)
    if found is not None and found[0].has(found[1]):
        with found[0].open(found[1]) as archived:
            yield archived, found[0].size(found[1])
        return
    with open(os.open(path, os.O_RDONLY | AS_IT_IS), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no regular file")
        yield file, status.st_size


def is_in_archive(path: StrPath) -> bool:
    """Whether it is a folder in an archive that has been found, or an archive."""
    found = find(path)
    return found is not None and found[0].names_in(found[1]) is not None


def looks_through(root: str) -> bool:
    """Whether what somebody gave is an archive, a folder of them, or a folder in one. From now on ``entries`` has what
    lies in it. Raises DataError where an archive cannot be read."""
    given = archive_at(root) is not None
    _GIVEN.set(os.path.abspath(root) if given else "")
    return given or is_in_archive(root)


def entries(folder: str) -> list[Entry] | None:
    """Return what lies in the archive that was given, or in a folder of an archive, sorted by name; None where it is on
    the disk itself. Archives that lie somewhere in a folder of images are no part of it."""
    place = os.path.abspath(folder)
    found = None if os.path.isdir(place) and place != _GIVEN.get() else find(place)
    names, before = None if found is None else found[0].names_in(found[1]), os.path.join(folder, "")
    return None if names is None else [Entry(name, before + name, is_dir) for name, is_dir in names]


def notes(folder: str) -> list[str]:
    """Return sentences on what is passed over in the archive that a folder is, or lies in."""
    found = find(folder)
    if found is None:
        return []
    archive, inside = found
    root = os.path.normpath(folder)
    root = root[: -len(inside) - 1] if inside else root  # as it was given
    return [printable(root if name == os.path.basename(root) else os.path.join(root, name)) + text
            for name, text in archive.notes]


def written(folder: str) -> tuple[list[Written], Literal[False] | None]:
    """Return what an archive says of the classes of its images, and False if its index says that these are not the
    folders that they lie in, None if there is none; ([], None) where that is no archive, or nothing but these folders.
    """
    archive = archive_at(folder)
    by_folder = archive.index.by_folder if archive is not None and archive.index is not None else None
    return ([], None) if archive is None or by_folder else (archive.written(), by_folder)


def _has(path: StrPath) -> bool:
    found = find(path)
    return found is not None and found[0].has(found[1])
