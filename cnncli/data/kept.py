"""Decoded images in one file on the disk, which later epochs, trainings and processes read in place of the images' own
files. cached.py says where the file lies and when it may be used.

The file: a head of 4,096 bytes; the pixels of each image, in order, one size each; tables (marks, what the system said
of the files, counts of values); and JSON with the rest. The head holds a digest of itself, the tables and the JSON. An
image's pixels are compared with its mark (marks.py) each time they are read, which takes some 5 microseconds at 32 x 32
pixels and 0.1 ms at 224 x 224. So a file may be cut or changed at any time, and no wrong pixel comes of it. Nothing is
mapped into memory: a mapped file that somebody cuts would end the process.
"""

import contextlib
import errno
import json
import os
import re
import struct
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np

from ..atomic import flush_folder
from ..kernels import Array
from .depth import Seen
from .marks import PIXELS, of_images
from .preprocessing import Preprocessing

try:
    import fcntl
except ImportError:  # no POSIX: nobody can be waited for
    fcntl = None  # type: ignore[assignment]

MAGIC = b"cnn: decoded images, form 1\n"
HEAD = 4096
_FIXED = struct.Struct("<32sQQQ32s")  # the magic; bytes before the tables, of the JSON and in all; the digest
_DIGEST = slice(_FIXED.size - 32, _FIXED.size)
_LEFTOVER = re.compile(r".*-[0-9a-f]{16}\.decoded-[0-9a-f]{16}\.tmp", re.DOTALL)
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_PRIVATE = 0o600  # photos may be nobody else's business


class Damaged(Exception):
    """The file is not what was written. The message says in which way, as the end of a sentence."""


class Busy(Exception):
    """Another process is writing the same."""


@dataclass
class Contents:
    """All that is known of some images beside their pixels. marks is uint64 (n, 2), histogram int64 (c, 256). errors
    says why images cannot be used, forgiven what is damaged in images that can be, both by the images' places. In a
    file, facts has a row of int64 for each image's own file, and about is JSON: what the images are recognised by.
    """

    marks: Array
    histogram: Array
    seen: Seen
    errors: dict[int, str]
    forgiven: dict[int, str]
    facts: Array = field(default_factory=lambda: np.empty((0, 0), np.int64))
    about: dict[str, Any] = field(default_factory=dict)

    def packed(self) -> tuple[bytes, bytes]:
        """Return the tables and the JSON."""
        seen, counts = self.seen.state()
        tables = [np.asarray(self.marks, "<u8"), np.asarray(self.facts, "<i8"), np.asarray(self.histogram, "<i8"),
                  np.asarray(counts, "<i8")]
        rest = {"about": self.about, "seen": seen, "errors": [*self.errors.items()],
                "forgiven": [*self.forgiven.items()], "shapes": [table.shape for table in tables]}
        return b"".join(table.tobytes() for table in tables), json.dumps(rest).encode("ascii")

    @classmethod
    def unpacked(cls, tables: bytes, text: bytes) -> "Contents":
        """Return what ``packed`` has written."""
        rest, start, found = json.loads(text), 0, list[Array]()
        for shape, kind in zip(rest["shapes"], ("<u8", "<i8", "<i8", "<i8"), strict=True):
            count = int(np.prod(shape))
            found.append(np.frombuffer(tables, kind, count, start).reshape(shape))
            start += 8 * count
        marks, facts, histogram, counts = found
        return cls(marks, histogram.copy(), Seen.from_state(rest["seen"], counts), dict(map(tuple, rest["errors"])),
                   dict(map(tuple, rest["forgiven"])), facts, rest["about"])


class Kept:
    """A whole file of decoded images of one shape, open. places are the rows of those that can be used, in order."""

    def __init__(self, path: str, shape: tuple[int, int, int], note: Callable[[str], None]) -> None:
        self.path, self.shape, self._note = path, shape, note
        self._file = os.open(path, os.O_RDONLY | _FLAGS)
        self._close = _closing(self, self._file)
        self._wrong, self._said = threading.Event(), False
        try:
            self.contents = self._checked()
        except BaseException:
            self._close()
            raise
        self.marks = self.contents.marks
        self.places = np.array([i for i in range(len(self.marks)) if i not in self.contents.errors], np.int64)

    def _checked(self) -> Contents:
        """Return what the file says of the images. Raises Damaged."""
        size = os.fstat(self._file).st_size
        head = _read_at(self._file, HEAD, 0)
        if len(head) < HEAD:
            raise Damaged("it was cut")
        magic, before, text, whole, digest = _FIXED.unpack_from(head)
        if magic.rstrip(b"\0") != MAGIC:
            raise Damaged("it is of another version of cnn, or no such file")
        if size != whole:
            raise Damaged("it was cut" if size < whole else "it has grown")
        if not HEAD <= before <= whole - text <= whole:
            raise Damaged("its head was changed")
        rest = _read_at(self._file, whole - before, before)
        if _digest(head, rest) != digest:
            raise Damaged("it was changed")
        try:
            return Contents.unpacked(rest[: len(rest) - text], rest[len(rest) - text :])
        except (ValueError, KeyError, TypeError):
            raise Damaged("it was changed") from None

    def read(self, rows: Array, out: Array) -> Array:
        """Fill out, uint8 (n, h, w, c), with the images of those rows of ``places``. Return the places in out of those
        that the file does not have any more."""
        rows = self.places[rows]
        size, view = int(np.prod(self.shape)), memoryview(out.data).cast("B")
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
            got = _read_into(self._file, view, HEAD + int(rows[0]) * size)
        else:
            got = sum(_read_into(self._file, view[i * size : (i + 1) * size], HEAD + row * size)
                      for i, row in enumerate(rows.tolist()))
        wrong = np.flatnonzero(of_images(out) != self.marks[rows, PIXELS])
        if len(wrong) or got < len(view):  # what was not read may be right by chance: the array had the same before
            self._wrong.set()
        return wrong

    def tell(self) -> None:
        """Say once that something was not there any more, if so. The file goes, so that it is made anew next time."""
        if self._wrong.is_set() and not self._said:
            self._said = True
            remove(self.path, self._file)
            self._note(f"{_shown(self.path)} was cut or changed since it was written. Images that it does not have any "
                       "more are decoded again from their own files, and the next training makes it anew.")

    def close(self) -> None:
        """Close it before the last reference goes."""
        self._close()


@dataclass
class Loaded:
    """What is known of images, how they were prepared, and where they lie, if they do: in memory or on the disk."""

    contents: Contents
    preprocessing: Preprocessing
    stored: Array | None = None
    kept: Kept | None = None


class Writer:
    """A file of decoded images that is being made, below a name of its own: where somebody dies, nothing that looks
    whole is left. Give it rows of pixels from any thread, writer[rows] = uint8 (n, h, w, c), and then ``finish`` it.
    Raises Busy while another process makes the same.

    With lenient, an error of the disk is kept in ``error`` instead of raised, and nothing more is written.
    """

    def __init__(self, path: str, key: str, shape: tuple[int, int, int], lenient: bool = False) -> None:
        self.path, self._shape, self._lenient = path, shape, lenient
        self._size = int(np.prod(shape))
        self.error: OSError | None = None
        self._end = HEAD
        self._temporary, self._file = _open_new(path, key)
        self._close, self._writing = _closing(self, self._file), threading.Lock()

    def __setitem__(self, rows: Sequence[int], pixels: Array) -> None:
        data = memoryview(np.ascontiguousarray(pixels).data).cast("B")
        with self._writing:  # a thread that nobody waits for any more must not write where the number is another file's
            if self.error is not None or not self._close.alive:
                return
            try:
                if isinstance(rows, range) and rows.step == 1 and len(rows):
                    _write_at(self._file, data, HEAD + rows[0] * self._size)
                else:
                    for i, row in enumerate(rows):
                        _write_at(self._file, data[i * self._size : (i + 1) * self._size], HEAD + row * self._size)
            except OSError as error:
                self.error = error
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, 0)  # others need the room
                if not self._lenient:
                    raise

    def finish(self, contents: Contents, note: Callable[[str], None]) -> Kept | None:
        """Make the file whole and give it its name. Return it, open, or None after an error."""
        if self.error is not None:
            return None
        try:
            before = HEAD + len(contents.marks) * self._size
            before += -before % 8
            tables, text = contents.packed()
            head = bytearray(HEAD)
            _FIXED.pack_into(head, 0, MAGIC, before, len(text), before + len(tables) + len(text), b"")
            head[_DIGEST] = _digest(head, tables + text)
            _write_at(self._file, memoryview(tables + text), before)
            os.fsync(self._file)  # no head before what it stands for
            _write_at(self._file, memoryview(head), 0)
            os.fsync(self._file)
            if fcntl is None:
                self._close()  # an open file cannot be renamed there
            os.replace(self._temporary, self.path)
            self._temporary = ""
            flush_folder(os.path.dirname(self.path))
            return Kept(self.path, self._shape, note)
        except (OSError, Damaged) as error:
            self.error = error if isinstance(error, OSError) else OSError(errno.EIO, os.strerror(errno.EIO))
            if not self._lenient:
                raise self.error from None
            return None

    def close(self) -> None:
        """Remove what is not whole."""
        with self._writing:
            if self._temporary:
                with contextlib.suppress(OSError):
                    os.unlink(self._temporary)
            self._close()


def _closing(owner: object, descriptor: int) -> "weakref.finalize[[int], object]":
    """Return what closes a file, at the latest with its owner. When the process ends, threads may still use it."""
    close = weakref.finalize(owner, os.close, descriptor)
    close.atexit = False
    return close


def remove(path: str, descriptor: int | None = None) -> None:
    """Remove a file, if there is one; with a descriptor, only if that is of it."""
    with contextlib.suppress(OSError):
        if descriptor is None or _same_file(path, descriptor):
            os.unlink(path)


def remove_leftovers(folder: str) -> None:
    """Remove what writers that were killed have left in a folder. Who lives holds a lock on it."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if fcntl is not None and _LEFTOVER.fullmatch(name):
                with contextlib.suppress(OSError):
                    _remove_if_left(os.path.join(folder, name))


def _remove_if_left(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | _FLAGS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(path, descriptor)
    finally:
        os.close(descriptor)


def _open_new(path: str, key: str) -> tuple[str, int]:
    """Open the temporary file for what has this key, which no other process has open. Raises Busy."""
    temporary = f"{path}-{key}.tmp"
    while fcntl is not None:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | _FLAGS, _PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same_file(temporary, descriptor):  # else its owner has finished just now
                os.ftruncate(descriptor, 0)  # what one left who was killed
                return temporary, descriptor
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise Busy from None
            remove(temporary, descriptor)
            os.close(descriptor)
            break
        os.close(descriptor)
    temporary = f"{path}-{os.urandom(8).hex()}.tmp"  # nobody can wait for it
    return temporary, os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, _PRIVATE)


def _same_file(path: str, descriptor: int) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    return False


def _digest(head: bytes | bytearray, rest: bytes) -> bytes:
    digest = blake2b(head[: _DIGEST.start] + head[_DIGEST.stop :], digest_size=32)
    digest.update(rest)
    return digest.digest()


def _shown(path: str) -> str:
    from ..errors import printable

    return printable(path)


# ---- reading and writing at a place ----

_seeking = threading.Lock()  # where there is no pread


def _read_at(file: int, count: int, place: int) -> bytes:
    data = bytearray(count)
    return bytes(data[: _read_into(file, memoryview(data), place)])


def _read_into(file: int, view: memoryview, place: int) -> int:
    """Fill view from that place of a file on, and return how many bytes there were. What cannot be read counts as not
    there."""
    got = count = _read_some(file, view, place)
    while count and got < len(view):
        count = _read_some(file, view[got:], place + got)
        got += count
    return got


def _read_some(file: int, view: memoryview, place: int) -> int:
    try:
        return os.preadv(file, [view], place)
    except OSError:
        return 0
    except AttributeError:
        pass
    with _seeking, contextlib.suppress(OSError):
        os.lseek(file, place, os.SEEK_SET)
        part = os.read(file, len(view))
        view[: len(part)] = part
        return len(part)
    return 0


def _write_at(file: int, data: memoryview, place: int) -> None:
    while data:
        if hasattr(os, "pwrite"):
            count = os.pwrite(file, data[: 2**28], place)
        else:
            with _seeking:
                os.lseek(file, place, os.SEEK_SET)
                count = os.write(file, data[: 2**28])
        data, place = data[count:], place + count
