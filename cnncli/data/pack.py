"""A folder of images becomes a few tar archives, which are faster to copy and to read than many small files. WebDataset
reads them, too: an image and its class lie side by side, in files of the same name. archive.py reads them as the folder
that they were made of. The bytes of the images are not touched, and the same folder gives the same archives.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, BinaryIO

import numpy as np

from ..atomic import write_atomically
from ..errors import DataError, SaveError, UsageError, brief, printable, reason_of
from ..plain import in_plain_json
from ..values import as_hinted
from . import files, tar
from .archive import SUFFIX
from .decoding import Progress
from .exclude import names_of
from .folder import left_out, survey, written_labels
from .labels import Labels, labels_of
from .outputs import check_room
from .shard_index import NAME, PARTS, ShardIndex
from .splits import Survey, exclusion_note
from .webdataset import key_of, stem_of
from .writing import claim_target, filled

SHARD_SIZE = "256MB"
_LEAST = 10_000  # bytes of an archive
_LARGEST = 1 << 31  # bytes of an image
_UNDIVIDED = "images"  # what archives are called whose images are in no part of the split


@dataclass(frozen=True)
class Packed:
    """What ``pack_images`` has written.

    Attributes:
        directory: The folder.
        archives: The names of the archives in it.
        classes: The names of the classes.
        image_counts: How many images each part has: {"train": 60, "test": 10}, or {"": 70} if there are no parts.
        bytes: How many bytes the archives have together.
        skipped: (path, reason) of each image that could not be read.
    """

    directory: str
    archives: list[str]
    classes: list[str]
    image_counts: dict[str, int]
    bytes: int
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"directory": self.directory, "archives": self.archives, "classes": self.classes,
                "images": self.image_counts, "bytes": self.bytes,
                "skipped": [{"path": path, "error": error} for path, error in self.skipped]}


@dataclass(frozen=True, slots=True)
class _Image:
    """An image: its file, its path inside the folder, the number of its class, and its part of the split."""

    path: str
    inside: str
    label: int
    part: str


@as_hinted
def pack_images(folder: str | os.PathLike[str], directory: str | os.PathLike[str], *,
                shard_size: int | str = SHARD_SIZE, labels: str | os.PathLike[str] | Labels | None = None,
                exclude: str | os.PathLike[str] | Collection[str] = (), force: bool = False,
                note: Callable[[str], None] | None = None, progress: Progress | None = None) -> Packed:
    """Put the images of a folder into tar archives, which ``train`` and the others take in place of the folder.

    Either the whole folder of archives is there in the end, or nothing of it.

    Args:
        folder: The folder of images, as ``train`` takes it.
        directory: The folder of the archives, which must be empty or not there yet.
        shard_size: How many bytes an archive has at most, about: a number, or a text like "256MB" or "1GB".
        labels: A CSV file with the labels, as ``train`` takes it. None: the folders are the classes.
        exclude: Images to leave out: their paths inside the folder, or a file that lists them.
        force: True allows a folder among images that models learn from.
        note: Is called with a sentence on what is left out. None: nobody is told.
        progress: Is called with (done, total), in images. None: nobody is told.

    Returns:
        The archives, and what is in them.

    Raises:
        DataError: The folder can be no data folder, or the directory is not empty.
        UsageError: An option makes no sense, or the directory lies among images that models learn from.
        SaveError: A file could not be written.
    """
    most = bytes_of(shard_size)
    table, excluded = labels_of(labels), frozenset(names_of(exclude))
    root = os.fspath(folder)
    table = table.within(root) if table is not None else None
    by_folder = table is None and written_labels(root) is None
    looked = survey(root, table)
    notes = [*looked.notes, *(sentence for part, found in looked.found.items()
                              for sentence in left_out(looked.folders[part], found))]
    if excluded:
        notes.append(exclusion_note(root, looked.exclude(excluded), len(excluded)))
    for sentence in notes:
        if note:
            note(sentence)
    classes = sorted({name for found in looked.found.values() for name in found.classes})
    images = _images(looked, root, classes)
    with claim_target(directory, force) as target:
        try:
            check_room(target, sum(_room(image, by_folder) for image in images))
            with filled(target) as unfinished:
                return _Packing(os.fspath(unfinished), most, classes, by_folder, images, progress).packed(target)
        except OSError as error:
            raise SaveError(f"{printable(target)} could not be written ({reason_of(error)}); nothing was left there. "
                            "Make room, or give another place.") from None


def bytes_of(text: int | str) -> int:
    """Return how many bytes a text like "256MB" means. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,15}) ?(?:([KMGT])(I?))?B?", str(text).strip().upper())
    count = int(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index(found[2] or " ") if found else 0
    if count < _LEAST:
        raise UsageError(f"--shard-size must be a number of bytes, at least {_LEAST:,}, like 256MB or 1GB, not "
                         f"{brief(text)}.")
    return count


def _images(looked: Survey, root: str, classes: Sequence[str]) -> list[_Image]:
    """Return the images by their parts and paths. Raises DataError where there are none, or a path is too long."""
    divided = looked.folders != {"train": looked.root}
    numbers, images = {name: number for number, name in enumerate(classes)}, list[_Image]()
    for part, found in looked.found.items():
        for name, items in found.classes.items():
            for path, _ in items:
                inside = path[len(root) :].strip(os.sep).replace(os.sep, "/")
                images.append(_Image(path, inside, numbers[name], part if divided else ""))
                if tar.path_inside(inside) != (inside, ""):
                    raise DataError(f"{printable(path)} cannot be packed, because {tar.path_inside(inside)[1]}; rename "
                                    "it.")
    if not images:
        raise DataError(f"{printable(root)} holds no images in class folders; give a folder with one sub-folder per "
                        "class.")
    return sorted(images, key=lambda image: (PARTS.index(image.part), image.inside))


def _room(image: _Image, by_folder: bool) -> int:
    """Return how many bytes an image takes in an archive, about."""
    try:
        return files.size(image.path) + (3 if by_folder else 5) * tar.BLOCK
    except OSError:
        return 0


class _Packing:
    """Writes images into archives in a folder, and the index of them."""

    def __init__(self, folder: str, most: int, classes: Sequence[str], by_folder: bool, images: Sequence[_Image],
                 progress: Progress | None) -> None:
        self._folder, self._most, self._classes, self._by_folder = folder, most, list(classes), by_folder
        self._images, self._progress = images, progress
        self._done = 0
        self._file: BinaryIO | None = None
        self._names, self._sizes, self._numbers = list[str](), list[int](), Counter[str]()
        self._written = list[tuple[_Image, int, int, int]]()  # with number of the archive, place and size
        self._skipped = list[tuple[str, str]]()

    def packed(self, target: str | os.PathLike[str]) -> Packed:
        """Write everything, and return what will be there once the folder is moved to target."""
        try:
            for part, images in groupby(self._images, key=lambda image: image.part):
                for _, together in groupby(images, key=lambda image: key_of(image.inside)):
                    self._add(part, list(together))
                self._close()
        finally:  # where something went wrong
            if self._file is not None:
                self._file.close()
        if not self._written:
            raise DataError(f"none of the {len(self._images):,} images can be read ({self._skipped[0][1]}); check "
                            "their permissions.")
        self._write_index()
        counts = Counter(image.part for image, *_ in self._written)
        return Packed(os.fspath(target), self._names, self._classes, dict(counts), sum(self._sizes), self._skipped)

    def _add(self, part: str, images: Sequence[_Image]) -> None:
        """Write images that WebDataset takes for one sample, with their classes. They lie in one archive."""
        with_room = sum(_room(image, self._by_folder) for image in images)
        if self._file is not None and self._sizes[-1] + with_room > self._most:
            self._close()
        said = dict[str, int]()
        for image in images:
            if not self._copy(part, image):
                continue
            stem = stem_of(image.inside)
            if said.setdefault(stem, image.label) != image.label:
                raise DataError(f"two images are called {printable(stem)}, with different endings and labels; rename "
                                "one of them, because their labels would have the same name in the archive.")
        for stem, label in said.items():
            self._write(part, f"{stem}.cls", str(label).encode())
            if not self._by_folder:
                self._write(part, f"{stem}.txt", self._classes[label].encode("utf-8", "surrogateescape"))

    def _copy(self, part: str, image: _Image) -> bool:
        """Write an image; return whether it could be read."""
        try:
            data = _content(image.path)
        except (OSError, ValueError) as error:
            self._skipped.append((image.path, reason_of(error)))
            return False
        finally:
            self._done += 1
            if self._progress:
                self._progress(self._done, len(self._images))
        start = self._write(part, image.inside, data)
        self._written.append((image, len(self._names) - 1, start, len(data)))
        return True

    def _write(self, part: str, inside: str, data: bytes) -> int:
        """Write a file into the archive that is open, or a new one; return where its bytes begin."""
        if self._file is None:
            name = part or _UNDIVIDED
            self._names.append(f"{name}-{self._numbers[name]:06}{SUFFIX}")
            self._sizes.append(0)
            self._numbers[name] += 1
            self._file = open(os.path.join(self._folder, self._names[-1]), "xb")  # noqa: SIM115
        header = tar.header_of(inside, len(data))
        start = self._sizes[-1] + len(header)
        for piece in (header, data, bytes(-len(data) % tar.BLOCK)):
            self._file.write(piece)
            self._sizes[-1] += len(piece)
        return start

    def _close(self) -> None:
        """End the archive that is open, and see to it that it is on the disk."""
        if self._file is not None:
            end = tar.end_of(self._sizes[-1])
            self._file.write(end)
            self._sizes[-1] += len(end)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def _write_index(self) -> None:
        """Write the index. Its name comes before those of the archives, so that it is there first: where not all of
        them follow, it is known which are missing."""
        images = [image for image, *_ in self._written]
        places, starts, sizes = (np.array([each[i] for each in self._written], np.int64) for i in (1, 2, 3))
        index = ShardIndex(
            self._names, np.array(self._sizes, np.int64), self._classes, self._by_folder,
            [image.inside for image in images], places, starts, sizes,
            np.array([image.label for image in images]), np.array([PARTS.index(image.part) for image in images]))
        write_atomically(os.path.join(self._folder, NAME), index.data())


def _content(path: str) -> bytes:
    """Return what a file holds. Raises OSError, ValueError."""
    with files.reading(path) as (file, size):
        if size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST >> 30} GiB")
        return file.read()
