"""From what the user names or gives to images: a file, a folder, a pattern that the shell passed on, a list on standard
input, an array, a file's bytes. It is for images that are in no data folder (predict, features, visualize-filters).
folder.py reads folders with a sub-folder per class.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO, Union

from ..errors import Cause, CnnError, DataError, ImageError, UsageError, brief, printable
from ..kernels import Array
from ..values import as_hinted
from .encoded import content, is_encoded
from .exclude import without_mark
from .files import exists, is_folder
from .folder import scan_flat
from .pixels import as_array, as_picture, as_pictures, refuse_planes, refuse_transparency
from .suffixes import is_image, is_passed_over

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

    from .depth import Seen
    from .preprocessing import Preprocessing

_PATIENCE, _GROUP = 0.05, 128  # seconds that a group of images is waited for; how many images it has at most
_ONE = (1, 3)  # the channels that make three dimensions one image, and not several grey ones


@dataclass(frozen=True)
class Missing:
    """What was named and is no image.

    Attributes:
        path: What was named.
        error: Why it is no image, in a sentence.
        exception: The error of that sentence, an ``ImageError`` for one image. None: only the sentence is known.
    """

    path: str
    error: str
    exception: CnnError | None = field(default=None, compare=False, repr=False)

    @property
    def cause(self) -> Cause | None:
        """Why it is no image, in a word: "missing", "damaged" or another of ``ImageError.cause``. None if not known."""
        return getattr(self.exception, "cause", None)


def alone(sentence: str, error: CnnError | None) -> str:
    """Return why an image cannot be used without naming the image, as lists of skipped images do, if that is known."""
    return error.reason if isinstance(error, ImageError) else str(sentence)


@dataclass(frozen=True)
class Picture:
    """An image in memory.

    Attributes:
        path: What messages call it.
        pixels: Its pixels, uint8 (h, w), (h, w, 1) or (h, w, 3).
        plane_of: The shape of the array that it is one of three grey images of. Empty: it is not of such an array.
    """

    path: str
    pixels: Array = field(compare=False, repr=False)
    plane_of: tuple[int, ...] = field(default=(), kw_only=True, compare=False, repr=False)

    def prepared(self, preprocessing: "Preprocessing", forgiven: list[str] | None = None,
                 seen: "Seen | None" = None) -> Array:
        """Return what the preprocessing makes of it, as ``Preprocessing.prepare`` does of a file.

        Args:
            preprocessing: What is done to the image.
            forgiven: Gets sentences on what is damaged although no pixel is missing. None: not collected.
            seen: Collects the values of images with more than 8 bits. None: not collected.

        Raises:
            DataError: It is one of three grey images of an array, and the network wants colours: these are probably the
                channels of one image.
        """
        if self.plane_of and not preprocessing.grey:
            refuse_planes(self.plane_of, "images")
        return preprocessing.prepare_array(self.pixels)


class Encoded(Picture):
    """An image in memory that is decoded as a file is, when it is wanted."""

    def __init__(self, path: str, data: bytes) -> None:
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "data", data)

    @cached_property
    def pixels(self) -> Array:
        """Its pixels. Raises ImageError."""
        from .decode import pixels_in

        return pixels_in(self.path, self.data)

    def prepared(self, preprocessing: "Preprocessing", forgiven: list[str] | None = None,
                 seen: "Seen | None" = None) -> Array:
        """Return what the preprocessing makes of a file with this content. Raises ImageError."""
        return preprocessing.prepare(self.path, forgiven, seen, self.data)

    data: bytes


Named = str | os.PathLike[str]
Found = str | Missing
# One image in memory that is no array: the bytes of a file, an open file or a Pillow image (encoded.py).
InMemory = Union[bytes, bytearray, memoryview, BinaryIO, "PillowImage"]
OneImage = Named | Array | InMemory
# What image_files takes: names, what it or find_images returned, and arrays of one image or of several.
Images = Named | Array | InMemory | Iterable[Named | Array | InMemory | Missing | Picture]


def image_files(images: Images) -> list[str | Missing | Picture]:
    """Return what find_images finds if one name is given. Of a list, such as find_images returns: its files, the images
    in its folders and its arrays; no name in it is a pattern. Raises as ``each_image``, whose arrays it takes.
    """
    if isinstance(images, str | os.PathLike) and not is_folder(images):
        return [*find_images(images)]
    return [*each_image(images)]


def images_of(images: Images) -> list[str | Missing | Picture] | Iterator[str | Missing | Picture]:
    """Return what ``image_files`` returns. Of a source that does not know how many images it has, such as a generator,
    return an iterator, which takes each image when it is wanted.
    """
    return each_image(images) if is_endless(images) else image_files(images)


def is_endless(images: Images) -> bool:
    """Whether a source does not know how many images it has, as a generator does not."""
    return isinstance(images, Iterable) and not hasattr(images, "__len__") and not is_encoded(images)


def each_image(images: Images) -> Iterator[str | Missing | Picture]:
    """Return an iterator over a file's path or a Picture for each image that is meant.

    A path stands for itself, a folder for the images in it, sorted. An array is one image, (h, w), (h, w, 1) or (h, w,
    3), or several, with n first; the i-th is called "images[i]". The bytes of a file, an open file and a Pillow image
    are one image. A list may hold paths, arrays of one image each, and these; what else it holds is Missing. Raises
    UsageError or DataError if the argument is none of all this; files are not opened here.
    """
    if isinstance(images, str | os.PathLike):
        name = os.fspath(images)
        return iter(scan_flat(name) if is_folder(name) else [name])
    if is_encoded(images):
        return iter([_encoded(images, "images[0]")])
    if hasattr(images, "__array__"):
        return iter([*_of_array(images)])
    if isinstance(images, Iterable) and not isinstance(images, dict):
        return _of_list(images)
    raise UsageError("the images must be a path, a folder, an array, the bytes of a file, a Pillow image or a list "
                     f"of these, not {type(images).__name__}.")


def _of_list(images: Iterable[Any]) -> Iterator[str | Missing | Picture]:
    for i, image in enumerate(images):
        if isinstance(image, str | os.PathLike) and os.fspath(image):
            yield from _images_of(os.fspath(image))
        elif isinstance(image, Missing | Picture):
            yield image
        else:
            yield _one(image, f"images[{i}]")


def _one(given: Any, name: str) -> Picture | Missing:
    """Return one image of a list that is in memory, or why it is none."""
    try:
        if isinstance(given, str | os.PathLike):
            _refuse_empty(given, name)
        return _encoded(given, name) if is_encoded(given) else Picture(name, as_picture(given, name))
    except (DataError, UsageError) as error:
        reason = str(error).removeprefix(f"{name}: ").rstrip(".")
        reason = f"it is {reason.removeprefix(f'{name} is ')}" if reason.startswith(f"{name} is ") else reason
        unusable = ImageError(name, reason, "kind")
        return Missing(name, str(unusable), unusable)


def _encoded(given: Any, name: str) -> Encoded | Missing:
    try:
        return Encoded(name, content(given, name))
    except ImageError as error:
        return Missing(name, str(error), error)


def as_they_come(images: Iterable[str | Missing | Picture], most: int) -> Iterator[list[str | Missing | Picture]]:
    """Yield images in groups that can be worked on together: many, or those that a slow source has had so far, so that
    nobody waits for images that are not there yet. A group has at most so many images that are in memory.
    """
    group, held, began = list[str | Missing | Picture](), 0, monotonic()
    for image in images:
        group.append(image)
        held += not isinstance(image, str)
        if held >= most or len(group) >= _GROUP or monotonic() - began > _PATIENCE:
            yield group
            group, held, began = [], 0, monotonic()
    if group:
        yield group


def _of_array(given: Any) -> Iterator[str | Missing | Picture]:
    array = as_array(given, "images")
    if array.dtype.kind in "UO" and all(isinstance(one, str | os.PathLike) for one in array.reshape(-1)):
        yield from each_image(array.reshape(-1).tolist())
    elif array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _ONE):
        yield Picture("images[0]", as_picture(array, "images[0]"))
    elif array.ndim and not len(array):
        return
    else:
        refuse_transparency(array, "images")
        planes = array.shape if array.ndim == 3 and len(array) == 3 else ()
        for i, pixels in enumerate(as_pictures(array, "images")):
            yield Picture(f"images[{i}]", pixels, plane_of=planes)


@as_hinted
def find_images(named: Named | Iterable[Named], listing: bytes = b"", note: Callable[[str], None] | None = None
                ) -> list[Found]:
    """Return the image files that names stand for, in order.

    Files are not opened. A file that is named itself need not end like an image.

    Args:
        named: One name or several: a file; a folder, for the images in it, sorted; a pattern like "photos/*.png" or
            with "**", for what it matches, sorted; or "-", for the files and folders in listing.
        listing: Files and folders, one per line, or each ended by a NUL byte.
        note: Is called with a sentence on files in folders that are left out because they do not end like images. None:
            nobody is told.

    Returns:
        The files. A folder without images is a Missing in its place, and so is a name that is neither there nor called
        like an image.

    Raises:
        DataError: All names are such.
    """
    if not isinstance(named, str | os.PathLike | Iterable) or isinstance(named, bytes):
        raise UsageError(f"{brief(named)} is no name of a file; give a path or a pattern, or a list of these.")
    found: list[Found] = []
    for i, name in enumerate([named] if isinstance(named, str | os.PathLike) else named):
        _refuse_empty(name, f"path {i + 1} of the images")
        for each in _listed(listing) if name == "-" else _matches(os.fspath(name)):
            found += _images_of(each, note) if is_image(each) or exists(each) else [_nothing(each)]
    nothing = [each for each in found if isinstance(each, _Nothing)]
    if found and len(nothing) == len(found):
        raise DataError(f"{nothing[0].error}; give an image, or a folder with images.")
    return found


def _refuse_empty(name: Named, what: str) -> None:
    if not os.fspath(name):
        raise UsageError(f"{what} is empty; name a file or a folder.")


def _listed(listing: bytes) -> list[str]:
    listing = without_mark(listing)
    parts = listing.split(b"\0") if b"\0" in listing else [line.removesuffix(b"\r") for line in listing.split(b"\n")]
    return [os.fsdecode(part) for part in parts if part]


def _matches(name: str) -> list[str]:
    """Return what a pattern that the shell passed on as it stands matches; anything else is itself."""
    import glob

    if os.path.lexists(name) or not glob.has_magic(name):
        return [name]
    matches = [path for path in sorted(glob.glob(name, recursive=True)) if not _is_litter(path, name)]
    if "**" in name:  # its files are matched, too
        matches = [path for path in matches if not os.path.isdir(path) and is_image(path)]
    return matches or [name]


def _is_litter(path: str, pattern: str) -> bool:
    """Whether a match lies in what an archive or a system left behind ("__MACOSX"), without being asked for."""
    named = re.split(r"[/\\]", pattern)
    return any(is_passed_over(part) and part not in named for part in path.split(os.sep) if part not in ("", ".", ".."))


class _Nothing(Missing):
    """A name that is neither there nor called like an image."""


def _nothing(name: str) -> _Nothing:
    error = DataError(f"there is no file or folder {printable(name)}")
    error.cause = "missing"
    return _Nothing(name, str(error), error)


def _images_of(name: str, note: Callable[[str], None] | None = None) -> list[Found]:
    if not is_folder(name):
        return [name]
    try:
        return list(scan_flat(name, note))
    except DataError as error:
        error.cause = error.cause or "empty"
        return [Missing(name, str(error), error)]
