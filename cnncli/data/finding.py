"""From what people name to image files: a file, a folder, a pattern that the shell passed on, a list on standard input.
Whoever judges images that are in no data folder (predict, features, visualize-filters) begins here; a folder with a
sub-folder per class is folder.py's business.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import DataError
from .folder import SUFFIXES, scan_flat


@dataclass(frozen=True)
class Missing:
    """What was named and stands for no image, and the sentence that says why."""

    path: str
    error: str


Found = str | Missing
Images = str | os.PathLike[str] | Iterable[Found | os.PathLike[str]]  # what image_files takes


def image_files(images: Images) -> list[Found]:
    """Return what find_images finds where one name is given; of a list, such as it returns, the files that are in it
    and the images under its folders: no name in it is a pattern."""
    if isinstance(images, str | os.PathLike):
        return find_images(images)
    found: list[Found] = []
    for image in images:
        found += [image] if isinstance(image, Missing) else _images_of(os.fspath(image))
    return found


def find_images(named: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], listing: bytes = b"") -> list[Found]:
    """Return the image files that one or several names stand for, in order; where one stands for none, a Missing.

    A folder stands for the images under it, sorted; a pattern ("photos/*.png", "**" too) that is not itself a file
    for what it matches, sorted; "-" for the files and folders of listing, one a line, or each ended by a NUL byte.
    Files are not opened, and a file that is named outright need not have an image's suffix.
    """
    found: list[Found] = []
    for name in [named] if isinstance(named, str | os.PathLike) else named:
        for each in _listed(listing) if name == "-" else _matches(os.fspath(name)):
            found += _images_of(each)
    return found


def _listed(listing: bytes) -> list[str]:
    parts = listing.split(b"\0") if b"\0" in listing else [line.removesuffix(b"\r") for line in listing.split(b"\n")]
    return [os.fsdecode(part) for part in parts if part]


def _matches(name: str) -> list[str]:
    """Return what a pattern that the shell passed on as it stands matches; anything else is itself."""
    import glob

    if os.path.lexists(name) or not glob.has_magic(name):
        return [name]
    matches = sorted(glob.glob(name, recursive=True))
    if "**" in name:  # its files are matched, too
        matches = [path for path in matches if not os.path.isdir(path) and _is_image(path)]
    return matches or [name]


def _images_of(name: str) -> list[Found]:
    if not os.path.isdir(name):
        return [name]
    try:
        return list(scan_flat(name))
    except DataError as error:
        return [Missing(name, str(error))]


def _is_image(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in SUFFIXES
