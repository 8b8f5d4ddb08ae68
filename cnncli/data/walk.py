"""Looking at a disk, or into archives: the entries of a folder that count, and every image in it. No image is opened;
only names and kinds of files are looked at. layout.py and folder.py say what their places mean.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ..errors import DataError, printable, reason_of
from . import files
from .splits import Found
from .suffixes import is_image, is_passed_over

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
Entry = os.DirEntry[str] | files.Entry


def check_folder(root: str) -> None:
    """Raise DataError where that is no folder and no archive, or cannot be asked."""
    if files.looks_through(root):
        return
    try:
        mode = os.stat(root).st_mode
    except FileNotFoundError:
        raise DataError(f"there is no folder {printable(root)}; check the path.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{printable(root)} cannot be read ({reason_of(error)}); check its path and its "
                        "permissions.") from None
    if root.lower().endswith(_COMPRESSED):
        raise DataError(f"{printable(root)} is compressed, and images are read straight from an archive; decompress it "
                        f"to a .tar file first.")
    if not stat.S_ISDIR(mode):
        raise DataError(f"{printable(root)} is a file, not a folder; give a folder with one sub-folder per class.")


def entries(folder: str, hidden: list[str] | None = None, prefix: str = "") -> list[Entry]:
    """Return a folder's entries that are neither hidden nor litter, sorted by name; prefix + the names of folders that
    are go into `hidden`. Those of archives are what lies in them. Raises DataError."""
    every: list[Entry]
    try:
        inside = files.entries(folder)
        if inside is not None:
            every = [*inside]
        else:
            with os.scandir(folder) as found:
                every = sorted(found, key=lambda e: e.name)
    except OSError as error:
        raise DataError(f"{printable(folder)} cannot be read ({reason_of(error)}); check its path and its "
                        "permissions.") from None
    if hidden is not None:
        hidden += [prefix + e.name for e in every if is_passed_over(e.name) and is_folder(e)]
    return [e for e in every if not is_passed_over(e.name)]


def is_folder(entry: Entry) -> bool:
    """Whether it is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def leads_up(entry: Entry) -> bool:
    """Whether it is a link to a folder that it lies in: everything would be found under it again."""
    if isinstance(entry, files.Entry) or not entry.is_symlink():
        return False
    status = entry.stat()
    return (status.st_dev, status.st_ino) in set(_identities(Path(os.path.abspath(entry.path)).parents))


def images_in(folder: str) -> int:
    """Count the files called like images that lie directly in a folder."""
    return sum(is_image(entry.name) and _is_file(entry) for entry in entries(folder))


def filled_folders(folder: str, most: int | None = None) -> list[str]:
    """Return the names of the folders in a folder that have images in them, however deep; so many at most."""
    found: list[str] = []
    for entry in entries(folder):
        if is_folder(entry) and not leads_up(entry) and next(walk(entry.path, "", Found()), None) is not None:
            found.append(entry.name)
            if len(found) == most:
                break
    return found


def walk(folder: str, relative: str, found: Found) -> Iterator[tuple[str, str]]:
    """Yield (path, relative path) of every image in a folder and its sub-folders. Each real folder is entered once, and
    none that it lies in, so links that lead back up end and bring no other class's images. What is no image or no
    regular file is counted in `found`.
    """
    seen = set(_identities(Path(os.path.realpath(folder)).parents))
    stack = [(folder, relative)]
    while stack:
        folder, relative = stack.pop()
        identity = next(_identities([folder]), None)
        if identity is None and not files.is_in_archive(folder):  # where nothing leads back up
            continue
        if identity in seen:
            continue
        if identity is not None:
            seen.add(identity)
        below = []
        prefix = f"{relative}/" if relative else ""
        for entry in entries(folder, found.hidden, prefix):
            name = prefix + entry.name
            if is_folder(entry):
                below.append((entry.path, name))
            elif not is_image(entry.name):
                found.other.append(name)
            elif _is_file(entry):
                yield entry.path, name
            else:
                found.special.append(name)
        stack += reversed(below)


def _identities(folders: Iterable[Path | str]) -> Iterator[tuple[int, int]]:
    for folder in folders:
        with suppress(OSError):
            status = os.stat(folder)
            yield status.st_dev, status.st_ino


def _is_file(entry: Entry) -> bool:
    """Whether it is a regular file or a link to one: no FIFO, socket or device, which could block a reader."""
    try:
        return entry.is_file()
    except OSError:
        return False
