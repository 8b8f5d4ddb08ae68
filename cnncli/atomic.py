"""Writing a file so that whoever looks sees the old one or the new one, whole, and never anything between: also when
the process is killed or the disk fills up on the way. The model file, the resume state and whatever else must not be
lost go through ``write_atomically``; cnncli/model/checkpoint.py says what is in them.
"""

import contextlib
import errno
import io
import os
import re
import shutil
import zlib

from .errors import SaveError, printable

try:
    import fcntl
except ImportError:  # no POSIX: nobody can tell whether a writer still lives, and an open file cannot be renamed
    fcntl = None  # type: ignore[assignment]

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NO_FOLDER_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
_LEFTOVER = re.compile(r"\.cnn-[0-9a-f]{8}-[0-9a-f]{16}\.(tmp|old)")
_AT_ONCE = 2**28  # bytes: one write takes less than 2 GiB


def write_atomically(path: str | os.PathLike[str], data: bytes, keep_as: str | os.PathLike[str] | None = None) -> None:
    """Put data where path is, on disk before this returns; a file that was there is replaced in one step.

    keep_as, a name in the same folder, then holds the file that was replaced. The order is chosen so that at every
    instant path is the old file or the new one, and keep_as is not given up before the new file is on disk: also
    when the old file was damaged already, one of the two names is whole.

    Raises SaveError, naming path and size, where the disk refuses; path and keep_as are then what they were and the
    temporary files are gone. A symbolic link at path is followed, not replaced; a device or pipe is refused. What
    writers that were killed left in that folder is removed.
    """
    target = os.path.realpath(path)
    if os.path.lexists(target) and not os.path.isfile(target):
        raise SaveError(f"{printable(path)} is not a regular file, so nothing was written; give another name.")
    folder, name = os.path.split(target)
    remove_leftovers(folder)
    label = os.path.join(folder, f"{_leftover_prefix(name)}{os.urandom(8).hex()}")
    fresh, old = label + ".tmp", label + ".old"
    try:
        with contextlib.ExitStack() as living:  # holds the locks by which others see that the two are in use
            try:
                _write_new(fresh, data, living)
                replaced = _second_name(target, old)
                if replaced:
                    _hold(old, living)
                _replace(fresh, target, old if replaced else None, keep_as)
            finally:
                for leftover in (fresh, old):
                    with contextlib.suppress(OSError):
                        os.unlink(leftover)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SaveError(f"{printable(path)} could not be written ({reason[:1].lower()}{reason[1:]}): {len(data):,} "
                        "bytes are needed there. What was there before is unchanged.") from error


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files that killed writers left in a folder. Those of a writer that lives, in any process,
    stay: it holds a lock on each, which the system drops when it ends. Where there are no locks, all stay."""
    with contextlib.suppress(OSError):
        for entry in filter(_LEFTOVER.fullmatch, os.listdir(folder or os.curdir)):
            with contextlib.suppress(OSError):
                _remove_if_left(os.path.join(folder, entry))


def _remove_if_left(path: str) -> None:
    if fcntl is None:
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)


def _leftover_prefix(name: str) -> str:
    """Return how the temporary names for a file begin: short, however long its own name is."""
    return f".cnn-{zlib.crc32(os.fsencode(name)):08x}-"


def _write_new(path: str, data: bytes, living: contextlib.ExitStack) -> None:
    """Write a new file, and keep it open and locked as long as living where it may be renamed so."""
    descriptor = _open_new(path)
    living.callback(os.close, descriptor)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest[:_AT_ONCE]) :]
    os.fsync(descriptor)
    if fcntl is None:
        living.close()


def _open_new(path: str) -> int:
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        if fcntl is None:
            return descriptor
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.lexists(path):  # else another took it for a dead one's before the lock was there
            return descriptor
        os.close(descriptor)


def _hold(path: str, living: contextlib.ExitStack) -> None:
    """Lock the second name of the old file as long as living, so that it is not removed as a dead one's."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(living.enter_context(io.FileIO(path)), fcntl.LOCK_SH | fcntl.LOCK_NB)


def _second_name(path: str, second: str) -> bool:
    """Give the file at path a second name; False where there is no file. Copies where there are no hard links."""
    try:
        os.link(path, second)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(path, second)
        with open(second, "rb+") as copy:
            os.fsync(copy.fileno())
    return True


def _replace(fresh: str, target: str, old: str | None, keep_as: str | os.PathLike[str] | None) -> None:
    """Rename fresh to target, flush the folder, then rename old to keep_as; where that fails, put target back."""
    os.replace(fresh, target)
    try:
        flush_folder(os.path.dirname(target))
        if old is not None and keep_as is not None:
            os.replace(old, keep_as)
    except OSError:
        if old is not None:
            os.replace(old, target)
        else:
            os.unlink(target)
        raise


def flush_folder(folder: str) -> None:
    """Wait until the names in a folder are on the disk, where the system can say that."""
    if os.name == "nt":  # Windows has no such call; its renames are journalled
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FLUSH:
            raise
    finally:
        os.close(descriptor)
