"""Tar archives as the folder that they would be unpacked into: one .tar file, or a folder of them, such as `cnn pack`
and WebDataset write. shards/cat/1.jpg is then the file cat/1.jpg of an archive in shards/, and its bytes are read where
they lie. files.py asks here for whatever is not on the disk itself. Nothing is unpacked, and nothing is written.

An archive is read through once, header by header (tar.py), or its index is taken (shard_index.py) if it fits.
"""

import io
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import DataError, printable, reason_of
from ..kernels import Array
from . import tar
from .shard_index import NAME, PARTS, Lacking, ShardIndex, Unfit, read_index
from .suffixes import is_image, is_passed_over
from .webdataset import CLASS, LONGEST_FILE, TEXT, Written, classes_of, key_of, stem_of, without_companions

SUFFIX = ".tar"
_NAMED = 5  # of what is passed over, that a sentence names
_LOOKED_AT = 8  # images of each archive whose headers are compared with an index
_OPEN_FILES = 64
_POSITIVE = 2**63 - 1
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: near numbers come to lie far apart
_CHANGED = "the archive that it lies in has been changed"
_SEEKING = threading.Lock()
AS_IT_IS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # nobody waits for a pipe's other end


class Archive:
    """The files in one tar archive or several, by their paths with "/" inside.

    root is the absolute path of the .tar file, or of the folder of them; tars are the names of the archives. notes are
    sentences on what is passed over, and on an index that does not fit: (the file's name, how the sentence goes on).
    """

    def __init__(self, root: str, tars: dict[str, str], state: list[tuple[int, int, int]]) -> None:
        self.root, self.tars, self.state = root, list(tars), state
        self.notes: list[tuple[str, str]] = []
        self._places, self._files = list(tars.values()), OrderedDict[int, _File]()
        self._lock = threading.Lock()
        index = self._index() if os.path.isdir(root) else None
        if index is not None:
            self.paths = index.paths
            self._tar, self._start, self._size = index.tar, index.start, index.size
        else:
            self._read_through()
        if not self.paths:
            why = f" ({printable(''.join(self.notes[0])).removesuffix('.')})" if self.notes else ""
            raise DataError(f"{printable(root)} holds no file that can be used{why}; give an archive with images.")
        self.index = index
        self._number = {path: number for number, path in enumerate(self.paths)}
        self._folders = _tree(self.paths if index is not None else without_companions(self.paths))

    def names_in(self, folder: str) -> list[tuple[str, bool]] | None:
        """Return (name, whether it is a folder) of all that lies in a folder, sorted; None if there is no such."""
        found = self._folders.get(folder)
        return None if found is None else sorted(found.items())

    def has(self, path: str) -> bool:
        """Whether a file has that path."""
        return path in self._number

    def size(self, path: str) -> int:
        """Return how many bytes a file has."""
        return int(self._size[self._number[path]])

    def statuses(self, paths: Sequence[str]) -> Array:
        """Return the size of each file, the nanosecond when its archive was changed, and a number that another file, or
        this one in another place, does not have; int64 (n, 3), -1 where there is no such file."""
        numbers = np.array([self._number.get(path, -1) for path in paths], np.int64)
        _, changed, own = np.array(self.state, np.int64).T
        tars, starts = self._tar[numbers], self._start[numbers]
        places = (own[tars].astype(np.uint64) * _SPREAD + starts.astype(np.uint64)) >> np.uint64(1)
        found = np.stack([self._size[numbers], changed[tars], places.astype(np.int64)], axis=1)
        found[numbers < 0] = -1
        return found

    def open(self, path: str) -> io.BufferedReader:
        """Return a file, to be read. Raises OSError where the archive has gone, or is another by now."""
        number = self._number[path]
        start, size, place = int(self._start[number]), int(self._size[number]), int(self._tar[number])
        file = self._opened(place)
        if not tar.fits(file.read(start - tar.BLOCK, tar.BLOCK), size):
            raise OSError(_CHANGED)
        return io.BufferedReader(_Window(file, start, size))

    def tar_of(self, path: str) -> str:
        """Return the name of the archive that a file is in."""
        return self.tars[int(self._tar[self._number[path]])]

    def written(self) -> list[Written]:
        """Return the class of each image that the archives, or their index, say one of. Raises OSError."""
        index = self.index
        if index is not None:
            rows = zip(index.paths, index.label.tolist(), index.part.tolist(), index.tar.tolist(), strict=True)
            return [Written(path, index.classes[label], PARTS[part], self.tars[place])
                    for path, label, part, place in rows if label >= 0]
        said = classes_of(self._texts(CLASS), self._texts(TEXT))
        found = ((path, said.get(stem_of(path)) or said.get(key_of(path))) for path in self.paths if is_image(path))
        return [Written(path, label, "", self.tar_of(path)) for path, label in found if label]

    def _texts(self, ending: str) -> dict[str, str]:
        """Return what stands in the small files of an ending, by their paths without it."""
        texts = {}
        for path in self.paths:
            if path.lower().endswith(ending) and self.size(path) <= LONGEST_FILE:
                with self.open(path) as file:
                    text = file.read().decode("utf-8", "surrogateescape").strip()
                if text and "\0" not in text:
                    texts[path[: -len(ending)]] = text
        return texts

    def _index(self) -> ShardIndex | None:
        """Return the index beside the archives; None where there is none, or, with a note, where it does not fit."""
        path = os.path.join(self.root, NAME)
        if not os.path.isfile(path):
            return None
        try:
            index = read_index(path, {name: self._opened(i).size for i, name in enumerate(self.tars)})
            order = np.array([self.tars.index(name) for name in index.tars], np.int64)
            index = ShardIndex(self.tars, index.tar_sizes, index.classes, index.by_folder, index.paths,
                               order[index.tar], index.start, index.size, index.label, index.part)
            self._compare(index)
        except Lacking as error:
            raise DataError(f"{printable(self.root)} lacks {printable(error)}, which its index lists; put it there, or "
                            f"delete {printable(path)} to use the archives that there are.") from None
        except Unfit as error:
            self.notes.append((NAME, f" does not fit the archives beside it ({error}), and was not used: they were "
                               "read through. To have one that fits, pack the images again."))
            return None
        return index

    def _compare(self, index: ShardIndex) -> None:
        for place, name in enumerate(self.tars):
            [rows] = np.nonzero(index.tar == place)
            for row in rows[:: max(1, len(rows) // _LOOKED_AT)].tolist():
                header = self._opened(place).read(int(index.start[row]) - tar.BLOCK, tar.BLOCK)
                if not tar.fits(header, int(index.size[row])):
                    raise Unfit(f"{name} has been changed")

    def _read_through(self) -> None:
        """Read the headers of all archives."""
        self.paths = []
        places, starts, sizes = list[int](), list[int](), list[int]()
        known = dict[str, int]()
        for place, name in enumerate(self.tars):
            try:
                found = tar.read(io.BufferedReader(_Window(self._opened(place), 0, None), 1 << 16))
            except tar.NotTar as error:
                if len(self.tars) == 1:
                    raise DataError(f"{printable(self._places[place])} cannot be used: {error}.") from None
                self.notes.append((name, f" is passed over: {error}."))
                continue
            except OSError as error:
                raise _unreadable(self._places[place], error) from None
            folders = {folder for path in found.paths for folder in _around(path)}
            for path, start, size in zip(found.paths, found.starts, found.sizes, strict=True):
                if path in known:
                    where = "" if known[path] == place else f" in {printable(self.tars[known[path]])}"
                    found.refused.append((path, f"another file{where} has the same path"))
                elif path in folders:
                    found.refused.append((path, "a folder has the same path"))
                else:
                    known[path] = place
                    self.paths.append(path)
                    places.append(place)
                    starts.append(start)
                    sizes.append(size)
            self._note(name, found)
        self._tar, self._start, self._size = (np.array(each, np.int64) for each in (places, starts, sizes))

    def _note(self, name: str, found: tar.Contents) -> None:
        if found.cut:
            self.notes.append((name, f" is not whole: {found.cut}."))
        if found.refused:
            count = len(found.refused)
            few = "; ".join(f"{printable(path)} ({reason})" for path, reason in found.refused[:_NAMED])
            more = f"; … and {count - _NAMED:,} more" if count > _NAMED else ""
            self.notes.append((name, f": {count:,} of the files in it {'is' if count == 1 else 'are'} passed over: "
                               f"{few}{more}."))

    def _opened(self, place: int) -> "_File":
        """Return an open archive; those that were used last stay open."""
        with self._lock:
            file = self._files.pop(place, None)
        file = file or _File(self._places[place])
        with self._lock:
            self._files[place] = file
            while len(self._files) > _OPEN_FILES:
                self._files.popitem(last=False)
        return file


class _File:
    """An open file, which is closed once nobody reads it any more: threads may, while it is given up."""

    __slots__ = ("_number", "size")

    def __init__(self, path: str) -> None:
        self._number = -1
        try:
            self._number = os.open(path, os.O_RDONLY | AS_IT_IS)
            status = os.fstat(self._number)
        except OSError as error:
            raise _unreadable(path, error) from None
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{printable(path)} is not a regular file; give a tar archive.")
        self.size = status.st_size

    def __del__(self) -> None:
        if self._number >= 0:
            os.close(self._number)

    def read(self, at: int, count: int) -> bytes:
        """Return so many bytes from a place on, fewer at the end."""
        if hasattr(os, "pread"):
            return os.pread(self._number, count, at)
        with _SEEKING:  # Windows
            os.lseek(self._number, at, os.SEEK_SET)
            return os.read(self._number, count)


class _Window(io.RawIOBase):
    """A part of an open file as a file of its own."""

    def __init__(self, file: _File, start: int, size: int | None) -> None:
        self._file, self._start, self._at = file, start, 0
        self._size = file.size if size is None else size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if at < 0:
            raise OSError("there is nothing before the beginning of a file")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        wanted = min(len(buffer), max(0, self._size - self._at))
        data = self._file.read(self._start + self._at, wanted)
        if wanted and not data:
            raise OSError(_CHANGED)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


# ---- which archives there are ----


_KNOWN: dict[str, Archive] = {}  # by absolute path


def archive_at(path: str) -> Archive | None:
    """Return the archive that a path names: a .tar file, or a folder with .tar files and neither folders nor images.
    None where it is neither. What was read once is kept until its files change.

    Raises DataError where an archive cannot be read.
    """
    root = os.path.abspath(path)
    tars = _tars(root)
    if not tars:
        _KNOWN.pop(root, None)
        return None
    state = [state_of(place) for place in (*tars.values(), os.path.join(root, NAME))]
    known = _KNOWN.get(root)
    if known is None or known.state != state:
        known = _KNOWN[root] = Archive(root, tars, state)
    return known


def find(path: str | os.PathLike[str]) -> tuple[Archive, str] | None:
    """Return the archive that a path leads into, and how it goes on inside; None where it leads into none."""
    place = os.path.abspath(path)
    for root, archive in tuple(_KNOWN.items()):
        if place.startswith(root) and place[len(root) :][:1] in ("", os.sep) and os.path.lexists(root):
            return archive, _inside(place, root)
    there = next((above for above in _and_above(place) if os.path.lexists(above)), place)
    if there == place and not place.lower().endswith(SUFFIX):
        return None
    try:
        found = archive_at(there)
    except DataError:  # who names the archive itself is told why
        return None
    return None if found is None else (found, _inside(place, there))


def _tars(root: str) -> dict[str, str]:
    """Return the archives of a path: name -> path."""
    if root.lower().endswith(SUFFIX) and os.path.isfile(root):
        return {os.path.basename(root): root}
    found = dict[str, str]()
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if is_passed_over(entry.name):
                    continue
                if is_image(entry.name) or entry.is_dir():
                    return {}
                if entry.name.lower().endswith(SUFFIX) and entry.is_file():
                    found[entry.name] = entry.path
    except (OSError, ValueError):
        return {}
    return dict(sorted(found.items()))


def state_of(path: str) -> tuple[int, int, int]:
    """Return what shows whether a file has been changed: its size, the nanosecond when it was, and its number, each
    below 2^63; -1 if it is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return -1, -1, -1
    return status.st_size, status.st_mtime_ns, status.st_ino & _POSITIVE


def _unreadable(path: str, error: OSError) -> DataError:
    return DataError(f"{printable(path)} cannot be read ({reason_of(error)}); check its permissions.")


# ---- paths ----


def _and_above(place: str) -> Iterator[str]:
    yield place
    while (above := os.path.dirname(place)) != place:
        yield above
        place = above


def _inside(place: str, root: str) -> str:
    return place[len(root) :].strip(os.sep).replace(os.sep, "/")


def _around(path: str) -> Iterator[str]:
    """Yield the folders around a file in an archive, the nearest first."""
    while path := path.rpartition("/")[0]:
        yield path


def _tree(paths: list[str]) -> dict[str, dict[str, bool]]:
    """Return what lies in each folder: its name, and whether it is a folder."""
    folders: dict[str, dict[str, bool]] = {"": {}}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in folders:
            inner, below = folder, dict[str, bool]()
            while inner not in folders:
                folders[inner] = below
                outer, _, last = inner.rpartition("/")
                inner, below = outer, {last: True}
            folders[inner].update(below)
        folders[folder][name] = False
    return folders
