"""Where something may be written. Every command and every function that writes for a user checks it here before work
begins, and again when it writes. Only what the same command wrote is overwritten: a kind of file declares by which mark
its files are recognised. atomic.py says how a file then gets onto the disk. A run's own files (runs/run.py,
model/checkpoint.py) lie in a folder that is made new and locked, and are written directly.
"""

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from ..atomic import write_atomically
from ..errors import SaveError, UsageError, brief, printable
from .layout import is_called_like_a_split
from .suffixes import SUFFIXES

try:
    import fcntl
except ImportError:  # no POSIX: commands are not kept apart
    fcntl = None  # type: ignore[assignment]

StrPath = str | os.PathLike[str]
_HEAD, _TAIL = 4096, 64  # bytes of a file that are looked at for a mark
_PROBE = 4096  # bytes that are written to see whether a folder takes them
_LEVELS = 4  # folders above an output that are looked at: data/train/cat/more/x.png lies in data/
_LOOKED_AT = 50  # sub-folders, and entries of each, that tell whether a folder holds classes
_MODELS = frozenset((".safetensors", ".pth", ".pt"))
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_SOFTWARE = b"tEXtSoftware\0cnn "  # how the mark of a picture begins
# What the command at work holds: real paths, the kind of each, and whether a foreign file may be replaced there.
_HELD: ContextVar[Mapping[str, "tuple[Kind, bool]"] | None] = ContextVar("cnncli-outputs", default=None)


@dataclass(frozen=True)
class Kind:
    """A kind of file that is written: what messages call it, how its name ends (strictly, or else anything but the
    endings of images and models), and a function that says whether the file at a path is one that we wrote.
    """

    what: str
    suffix: str
    ours: Callable[[str], bool]
    strict: bool = True


def marked(pattern: bytes) -> Callable[[str], bool]:
    """Return what tells whether a file's first and last bytes, put together, match a pattern."""
    mark = re.compile(pattern, re.DOTALL)

    def ours(path: str) -> bool:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
            file.seek(-min(_TAIL, os.fstat(file.fileno()).st_size), os.SEEK_END)
            return bool(mark.search(head + file.read()))

    return ours


def drawing(what: str) -> Kind:
    """Return the kind of a PNG file whose text "Software" is software() of it."""
    return Kind(f"a picture of {what}", ".png", marked(rb"\A\x89PNG.*" + re.escape(_SOFTWARE + what.encode())))


def software(kind: Kind) -> str:
    """Return the mark of a drawing."""
    return f"cnn {kind.what.removeprefix('a picture of ')}"


# ---- before the work ----


@contextlib.contextmanager
def claim(files: Mapping[StrPath, Kind], *, models: Iterable[StrPath] = (), reads: Iterable[StrPath] = (),
          data: Iterable[StrPath] = (), force: bool = False, make: bool = False, remedy: str = "") -> Iterator[None]:
    """Reserve files, all in one folder, that are going to be written: meanwhile no other command writes them.

    models and reads are files that are read meanwhile; data are folders of images that models learn from. force allows
    files of others to be replaced, and files among images that models learn from. make makes the folder, which is
    removed again if nothing is written into it. remedy is what messages advise in place of force.

    Raises UsageError if a file must not be written, SaveError if the folder takes none or another process is writing
    it. Files that are reserved already may be claimed again, which does nothing.
    """
    given = {os.path.realpath(checked_path(path)): path for path in files}
    held = _HELD.get() or {}
    for target, path in given.items():
        if target in held and held[target][0] != files[path]:
            raise UsageError(f"{printable(path)} is named for two outputs, {held[target][0].what} and "
                             f"{files[path].what}; give each its own name.")
    if all(target in held for target in given):
        yield
        return
    for target, path in given.items():
        _check_read(path, target, models, reads)
        _check_name(path, target, files[path])
        if not force:
            _check_foreign(path, target, files[path], remedy or "give another name, or --force to replace it")
    first = next(iter(given))
    if not force:
        _check_inside(given[first], os.path.dirname(first), data, remedy)
    with _made(given[first], os.path.dirname(first), make), _locked(given[first], first):
        check_room(os.path.dirname(first))
        token = _HELD.set({**held, **{target: (files[path], force) for target, path in given.items()}})
        try:
            yield
        finally:
            _HELD.reset(token)


@contextlib.contextmanager
def claim_folder(folder: StrPath, force: bool = False) -> Iterator[None]:
    """Reserve a folder that is going to be filled; it need not be there yet. Raises as ``claim``."""
    target = os.path.realpath(folder)
    if not force:
        _check_inside(folder, os.path.dirname(target), ())
    with _locked(folder, target), _made(folder, target, make=True):
        check_room(target)
        yield


def check_runs(runs: StrPath, data: object, needed: int = 0, option: str = "--runs") -> None:
    """Raise UsageError if runs, or what option names, must not go into a folder, because it lies in data or another
    folder of images; SaveError if the folder takes no file, or has no room for this many bytes. What is made to find
    out is removed again.
    """
    target = os.path.realpath(runs)
    data = [data] if isinstance(data, str | os.PathLike) else []
    _check_inside(runs, target, data, remedy=f"give another place with {option}")
    with _made(runs, target, make=True, remedy=f"give another place with {option}"):
        check_room(target, needed)


def check_room(folder: StrPath, needed: int = 0) -> None:
    """Raise SaveError where a folder takes no file, or has no room for so many bytes."""
    import shutil
    import tempfile

    shown = printable(folder)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:  # without a name, so that nothing is left of it
            file.write(bytes(_PROBE))
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SaveError(f"{shown} takes no files ({reason[:1].lower()}{reason[1:]}); make room or change its "
                        "permissions, or give another place.") from None
    if free < needed:
        raise SaveError(f"no space left in {shown}: {free:,} bytes are free, and {needed:,} bytes are needed; make "
                        "room, or give another place.")


# ---- when it is written ----


def write(path: StrPath, data: bytes, kind: Kind) -> None:
    """Write data to path, whole or not at all. Raises UsageError if the file that is there is not of that kind and not
    reserved with force, SaveError if it could not be written. What is not reserved is claimed first.
    """
    target = os.path.realpath(checked_path(path))
    _, force = (_HELD.get() or {}).get(target, (kind, None))
    if not force:
        _check_foreign(path, target, kind, "move it away, or give another name")
    with claim({path: kind}, remedy="give another name") if force is None else contextlib.nullcontext():
        write_atomically(path, data)


# ---- what is refused ----


def checked_path(path: StrPath) -> StrPath:
    """Return the path of what is to be written. Raises UsageError for anything else, such as an open file."""
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"{brief(path)} is no path that can be written to; give a path, as text or as a pathlib.Path.")
    return path


def _check_name(path: StrPath, target: str, kind: Kind) -> None:
    suffix = os.path.splitext(path)[1].lower()
    if suffix != kind.suffix and (kind.strict or suffix in SUFFIXES | _MODELS):
        raise UsageError(f"{printable(path)} cannot be the name of {kind.what}; give one that ends in {kind.suffix}.")
    if os.path.lexists(target) and not os.path.isfile(target):
        what = "a folder" if os.path.isdir(target) else "no regular file"
        raise UsageError(f"{printable(path)} is {what}; give a file.")


def _check_read(path: StrPath, target: str, models: Iterable[StrPath], reads: Iterable[StrPath]) -> None:
    """Refuse what is read meanwhile, through whatever link or second name."""
    if os.path.exists(target):
        if any(_same(target, each) for each in models):
            raise UsageError(f"{printable(path)} is the model in use; give another name.")
        if any(_same(target, each) for each in reads):
            raise UsageError(f"{printable(path)} would be read and written at once; give another name.")


def _check_foreign(path: StrPath, target: str, kind: Kind, remedy: str) -> None:
    """Refuse to replace what we did not write, or what somebody has made read-only."""
    try:
        status = os.stat(target)
    except OSError:
        return
    if not status.st_mode & 0o222:
        raise UsageError(f"{printable(path)} is write-protected; {remedy}.")
    if status.st_size and not _ours(target, kind):
        leads = f" leads to {printable(target)}, which" if os.path.islink(path) else ""
        raise UsageError(f"{printable(path)}{leads} is there already and is not {kind.what} that cnn wrote; {remedy}.")


def _ours(target: str, kind: Kind) -> bool:
    try:
        return os.path.isfile(target) and (kind.ours(target) or _of_earlier_run(target))
    except OSError:
        return False


def _of_earlier_run(target: str) -> bool:
    """Whether it is a picture or page in the folder of a run whose own curves bear no mark: of an earlier version."""
    run = next((folder for folder in (os.path.dirname(target), os.path.dirname(os.path.dirname(target)))
                if os.path.isfile(os.path.join(folder, "config.json"))), None)
    if run is None or not target.endswith((".png", ".html")):
        return False
    curves = os.path.join(run, "curves.png")
    return os.path.isfile(curves) and not _is_our_picture(curves)


_is_our_picture = marked(rb"\A\x89PNG.*" + re.escape(_SOFTWARE))


def _check_inside(path: StrPath, folder: str, data: Iterable[StrPath], remedy: str = "") -> None:
    """Refuse a folder in which images that models learn from lie: one of data, or one that looks like it."""
    above = [folder]
    while os.path.dirname(above[-1]) != above[-1]:
        above.append(os.path.dirname(above[-1]))
    known = {os.path.realpath(each) for each in data}
    ours = _with_parents(os.path.realpath(os.curdir))  # where somebody works, folders of images may lie beside others
    for number, each in enumerate(above):
        if each in known or (number < _LEVELS and each not in ours and _holds_classes(each)):
            raise UsageError(f"{printable(path)} lies in {printable(each)}, a folder of images that models learn from; "
                             f"{remedy or 'give a place outside, or --force'}.")


def _with_parents(folder: str) -> set[str]:
    found = {folder}
    while os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
        found.add(folder)
    return found


def _holds_classes(folder: str) -> bool:
    """Whether all sub-folders, two at least, hold images and nothing else; or those of train/ and its like do."""
    below = _below(folder)
    splits = [each for each in below if is_called_like_a_split(os.path.basename(each))]
    return any(_are_classes(_below(each)) for each in splits) or _are_classes(below)


def _are_classes(folders: list[str]) -> bool:
    return len(folders) > 1 and all(map(_only_images, folders))


def _below(folder: str) -> list[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = (entry.path for entry in entries if not entry.name.startswith((".", "__")) and entry.is_dir())
        return [path for path, _ in zip(found, range(_LOOKED_AT), strict=False)]
    return []


def _only_images(folder: str) -> bool:
    """Whether a folder holds images, but no pictures of ours, and nothing else."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        visible = (entry for entry in entries if not entry.name.startswith(".") and not entry.is_dir())
        files = [entry.path for entry, _ in zip(visible, range(_LOOKED_AT), strict=False)]
        return (bool(files) and all(os.path.splitext(path)[1].lower() in SUFFIXES for path in files)
                and not _is_our_picture(files[0]))
    return False


def _same(one: StrPath, other: StrPath) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


# ---- holding ----


@contextlib.contextmanager
def _made(path: StrPath, folder: str, make: bool, remedy: str = "give another") -> Iterator[None]:
    """Make a folder where that is wanted; remove what was made of it again if it stays empty."""
    missing = []
    while not os.path.isdir(folder) and not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise UsageError(f"{printable(path)} cannot be written, because {printable(folder)} is a file; {remedy}.")
    if missing and not make:
        named = os.path.realpath(os.path.dirname(path)) == missing[0]  # else a link leads there
        raise UsageError(f"{printable(path)} cannot be written, because there is no folder "
                         f"{printable(os.path.dirname(path) if named else missing[0])}; make it first.")
    try:
        for each in reversed(missing):
            os.mkdir(each)
    except FileExistsError:  # somebody else made it just now
        pass
    except OSError as error:
        raise SaveError(f"no folder can be made at {printable(missing[0])} ({(error.strerror or '').lower()}); "
                        f"{remedy}.") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for each in missing:
                os.rmdir(each)


@contextlib.contextmanager
def _locked(path: StrPath, target: str) -> Iterator[None]:
    """Keep other processes from writing to target. The lock lies where temporary files lie, so a process that is killed
    leaves nothing beside the output. The system drops the lock with the process.
    """
    import hashlib
    import tempfile

    name = f"cnn-{hashlib.sha256(os.fsencode(target)).hexdigest()[:20]}.lock"
    lock = _lock(os.path.join(tempfile.gettempdir(), name), path) if fcntl else None
    try:
        yield
    finally:
        if lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(tempfile.gettempdir(), name))
            os.close(lock)


def _lock(place: str, path: StrPath) -> int | None:
    """Return the descriptor that holds a lock, None where there are no locks. Raises SaveError where it is held."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    while True:
        try:
            file = os.open(place, flags, 0o666)
        except OSError:  # no place for temporary files, or another user's lock: no reason to refuse
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.pread(file, 32, 0).decode("ascii", "replace").strip()
            os.close(file)
            if error.errno in _NO_LOCKS:
                return None
            raise SaveError(f"{printable(path)} is being written by process {pid or '?'}; wait for it, or give another "
                            "name.") from None
        if _same_file(place, file):
            with contextlib.suppress(OSError):  # a full disk: nobody learns the number
                os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
            return file
        os.close(file)  # its owner has removed it just now


def _same_file(path: str, descriptor: int) -> bool:
    with contextlib.suppress(OSError):
        return os.stat(path).st_ino == os.fstat(descriptor).st_ino
    return False
