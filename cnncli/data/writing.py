"""The way back: arrays of images become a folder of PNG files, one sub-folder per class, as folder.py reads it.
importing.py and sample/ use it. Either the whole folder is there in the end or nothing of it.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image

from .. import kernels
from ..errors import DataError, brief, printable
from ..kernels import Array
from .decoding import Progress
from .outputs import claim_folder
from .prefetch import ConcurrencyLimit, prefetch

try:
    import fcntl
except ImportError:  # no POSIX: nobody can tell whether a writer still lives
    fcntl = None  # type: ignore[assignment]

_PIECE = 256  # images that a thread takes at a time
_AHEAD = 4  # pieces for each thread
_UNFINISHED = ".unfinished"  # hidden, so that nobody mistakes it for a class

# Split name ("" for class folders directly in the directory) -> (uint8 images (n, h, w[, 3 or 4]), labels (n,)).
Arrays = dict[str, tuple[Array, Array]]


@contextmanager
def claim_target(directory: str | os.PathLike[str], force: bool = False) -> Iterator[Path]:
    """Reserve a folder, as outputs.py does, that write_images is going to fill."""
    check_target(directory)
    with claim_folder(directory, force):
        yield check_target(directory)


def check_target(directory: str | os.PathLike[str]) -> Path:
    """Return directory as a path. Raises DataError unless it is an empty folder or not there yet. What a killed process
    left unfinished in it does not count.
    """
    target = Path(directory)
    if target.is_dir():
        if any(entry.name != _UNFINISHED or not _is_dead(entry) for entry in target.iterdir()):
            raise DataError(f"{printable(target)} is not empty; give a new folder.")
    elif os.path.lexists(target):
        raise DataError(f"{printable(target)} is there already and is not a folder; give a new folder.")
    return target


def _is_dead(unfinished: Path) -> bool:
    """Whether the process that wrote a folder was killed: it held a lock on it. Where there are no locks, nobody can
    tell."""
    with suppress(OSError), _locked(unfinished):
        return fcntl is not None
    return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder. Raises OSError where another process does."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def check_names(classes: Sequence[str]) -> None:
    """Raise DataError where class names cannot be folder names, each its own."""
    for name in classes:
        bad = not name or name.startswith(".") or "/" in name or os.sep in name or "\0" in name
        if bad or len(os.fsencode(name)) > 255:
            raise DataError(f"the class name {brief(name)} cannot be the name of a folder, which is short, has no '/' "
                            "and begins with no dot; name the classes with --classes.")
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise DataError(f"two classes are called {brief(twice)}; give each its own name with --classes.")


def write_images(directory: str | os.PathLike[str], splits: Arrays, classes: Sequence[str],
                 threads: int | None = None, progress: Progress | None = None) -> dict[str, int]:
    """Write directory/<split>/<class>/00001.png …, numbered by place in the arrays; return images per split.

    The directory must be empty or missing. What was written is removed again where something goes wrong (OSError
    for a full disk, for one). progress(done, total) is called from the calling thread.
    """
    check_names(classes)
    with filled(directory) as folder:
        _write_all(folder, splits, classes, threads or kernels.available_cpus(), progress)
    return {split: len(labels) for split, (_, labels) in splits.items()}


@contextmanager
def filled(directory: str | os.PathLike[str]) -> Iterator[Path]:
    """Hand out a hidden folder in an empty or missing one, to write into. What it holds in the end is moved to the
    directory, in the order of the names; if something goes wrong, it is removed again."""
    target = check_target(directory)
    made = not target.exists()
    unfinished = target / _UNFINISHED
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(parents=True)
    try:
        with ExitStack() as held:
            with suppress(OSError):  # a file system without locks
                held.enter_context(_locked(unfinished))
            yield unfinished
        for entry in sorted(unfinished.iterdir()):
            entry.rename(target / entry.name)
        unfinished.rmdir()
    except BaseException as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if made and target.is_dir() and not any(target.iterdir()):
            target.rmdir()
        if isinstance(error, OSError) and error.filename is None:  # a failed write names nothing
            error.filename = os.fspath(target)
        raise


def _write_all(folder: Path, splits: Arrays, classes: Sequence[str], threads: int, progress: Progress | None) -> None:
    work = []
    for split, (images, labels) in splits.items():
        for label in np.unique(labels):
            (folder / split / classes[label]).mkdir(parents=True)
        work += [(split, images, labels, start) for start in range(0, len(images), _PIECE)]
    done, total = 0, sum(len(labels) for _, labels in splits.values())

    limit = ConcurrencyLimit(threads)

    def piece(item: tuple[str, Array, Array, int]) -> int:
        split, images, labels, start = item
        digits, end = max(5, len(str(len(images)))), min(start + _PIECE, len(images))
        for i in limit.wanted(range(start, end)):
            path = os.path.join(folder, split, classes[labels[i]], f"{i + 1:0{digits}}.png")
            Image.fromarray(images[i]).save(path, "PNG")
        return end - start

    with closing(prefetch(piece, work, threads, _AHEAD * threads, None, limit)) as counts:
        for count in counts:
            done += count or 0
            if progress:
                progress(done, total)
