"""Which images are for training, for validation and for the test: samples, and what was found of each part and class.
folder.py finds images on a disk, labels.py in a table, memory.py in arrays; division.py draws the parts that are
missing.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from ..errors import DataError, printable
from ..kernels import Array
from . import files
from .groups import Groups

Split = Literal["train", "val", "test"]
FEW_TESTED = 5  # images of a class; of fewer, its recall is hardly known
PARTS = {"train": "training", "val": "validation", "test": "test"}  # what sentences call their images


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image of a data folder, or of arrays.

    Attributes:
        path: The image's file. For arrays: what messages call the image.
        relative: Its path inside the data folder, with "/". For arrays: its place in the array, which replaces the path
            in splits, folds and lists to exclude.
        label: The number of its class.
        pixels: For arrays: uint8 (h, w), (h, w, 1) or (h, w, 3). None for files.
        group: The name of the images that it is kept together with. None if there are none.
    """

    path: str
    relative: str
    label: int
    pixels: Array | None = field(default=None, compare=False, repr=False)
    group: str | None = field(default=None, compare=False, repr=False)

    @property
    def source(self) -> str | Array:
        """What ``Preprocessing.prepare`` takes: the file's path, or the pixels."""
        return self.path if self.pixels is None else self.pixels

    @property
    def together(self) -> tuple[bool, str]:
        """What it is kept together by: (False, its group) or, without one, (True, its path): itself."""
        return (True, self.relative) if self.group is None else (False, self.group)

    def mark(self) -> str:
        """Return what shows whether the image has changed.

        For a file its size ("-1" if it has gone), for pixels a hash of them.
        """
        if self.pixels is not None:
            digest = blake2b(str(self.pixels.shape).encode(), digest_size=16)
            digest.update(self.pixels.tobytes())
            return digest.hexdigest()
        try:
            return str(files.size(self.path))
        except OSError:
            return "-1"


def marks_of(samples: Sequence[Sample]) -> list[str]:
    """Return the ``mark`` of each sample."""
    if any(sample.pixels is not None for sample in samples):
        return [sample.mark() for sample in samples]
    return [*map(str, files.statuses([sample.path for sample in samples])[:, 0].tolist())]


@dataclass
class Splits:
    """What a data folder holds. Class k is classes[k]. notes are sentences that the user should read. excluded is what
    was to be left out, sorted. refusal is the sentence that refuses a new training because groups or folds leave no
    images for a part of the split; None if they do not. drawn are those of the notes that are about what was drawn, and
    how says how that was done; "" if the data are divided already.
    """

    classes: list[str]
    train: list[Sample]
    val: list[Sample]
    test: list[Sample]
    notes: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    # A fold does not take these over: it needs no test images, and is drawn in another way.
    refusal: str | None = field(default=None, init=False)
    drawn: list[str] = field(default_factory=list, init=False)
    how: str = field(default="", init=False)


@dataclass
class Found:
    """The images of one part: class name -> [(path, path from the class folder's parent)], sorted; and the rest, by
    that path, too.
    """

    classes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)  # images in no class folder
    other: list[str] = field(default_factory=list)  # files in class folders that are not called like images
    special: list[str] = field(default_factory=list)  # FIFOs, sockets and broken links that are called like images
    hidden: list[str] = field(default_factory=list)  # folders that are passed over for their names


@dataclass
class Survey:
    """What lies in a data folder, before anything is decided: part -> its folder ({"train": root} if there are only
    class folders); part -> what was found there; sentences on how it was read; folders of images in no class folder
    that are left out; names of what lies beside the parts; and which images are kept together.
    """

    root: str
    folders: dict[str, str]
    found: dict[str, Found]
    notes: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    groups: Groups | None = None

    def exclude(self, relatives: Container[str]) -> int:
        """Drop the images whose paths inside the data folder are listed; return how many. Raises DataError if a class
        would lose all its training images: the numbers of the classes after it would change; and if a folder is listed.
        """
        dropped = 0
        every = [self.relative(split, item[1]) for split, found in self.found.items()
                 for items in found.classes.values() for item in items]
        folders = {folder for name in every for folder in _folders_around(name)}
        if named := [folder for folder in sorted(folders) if folder in relatives or f"{folder}/" in relatives]:
            raise DataError(f"the list to exclude names images, and {printable(named[0])} is a folder; list its "
                            "images, or move the folder away.")
        for split, found in self.found.items():
            for name, items in found.classes.items():
                kept = [item for item in items if self.relative(split, item[1]) not in relatives]
                if not kept and split == "train":
                    raise DataError(f"every training image of {printable(name)} is on the list to exclude; take some "
                                    "off the list, or remove the folder of the class.")
                dropped += len(items) - len(kept)
                found.classes[name] = kept
            found.classes = {name: items for name, items in found.classes.items() if items}
        return dropped

    def relative(self, split: str, inside: str) -> str:
        """Return the path inside the data folder of what has this path inside a split's folder."""
        between = self.folders[split][len(self.root):].strip(os.sep).replace(os.sep, "/")
        return f"{between}/{inside}" if between else inside

    def sample(self, split: str, item: tuple[str, str], label: int) -> Sample:
        """Return one of the images that were found as a sample."""
        return Sample(item[0], self.relative(split, item[1]), label, group=self.group(split, item))

    def group(self, split: str, item: tuple[str, str]) -> str | None:
        """Return which images one of those that were found is kept together with."""
        return self.groups.of(item[0], self.relative(split, item[1]), item[1]) if self.groups else None

    def samples(self, split: str, name: str, label: int) -> list[Sample]:
        """Return a split's images of the class of that name as samples."""
        return self.samples_of(split, self.found[split].classes.get(name, []), label)

    def samples_of(self, split: str, items: Sequence[tuple[str, str]], label: int) -> list[Sample]:
        """Return images of a split and a class as samples."""
        if self.groups:
            return [self.sample(split, item, label) for item in items]
        before = self.relative(split, "")
        return [Sample(path, before + inside, label) for path, inside in items]


# ---- sentences ----


def _folders_around(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def exclusion_note(name: str, dropped: int, listed: int) -> str:
    """Return a sentence about a list of images to exclude; name is the data's."""
    strange = listed - dropped
    others = f"; {strange:,} more on the list {'is' if strange == 1 else 'are'} not there" if strange else ""
    return (f"{printable(name)}: {dropped:,} image{'s' * (dropped != 1)} left out, because the list to exclude names "
            f"{'it' if dropped == 1 else 'them'}{others}.")


def small_classes_notes(splits: Splits, drawn: Sequence[str] = ()) -> list[str]:
    """Return sentences about the classes that have too few images, and what follows; none if there is no such class.
    drawn are the parts of the split that images were to be drawn for.
    """
    counts = {part: Counter(sample.label for sample in getattr(splits, part)) for part in ("train", *drawn)}
    numbers = {name: counts["train"][label] for label, name in enumerate(splits.classes) if counts["train"][label] < 3}
    notes = []
    if numbers:
        few = listed([f"{name} ({count})" for name, count in numbers.items()])
        notes.append(f"There are fewer than three training images of {few}. That is too few to learn "
                     f"{_these(numbers)}; add images of {'it' if len(numbers) == 1 else 'them'}.")
    if empty := [part for part in drawn if not counts[part]]:
        unknown = " It stays unknown how many of the model's answers to new images are right." * ("test" in empty)
        notes.append(f"There are no {_and_no(empty)} images, because every class has too few images.{unknown}")
    lacking = defaultdict(list)
    for label, name in enumerate(splits.classes):
        if without := tuple(part for part in drawn if counts[part] and not counts[part][label]):
            lacking[without].append(name)
    for without, names in lacking.items():
        have = "it has" if len(names) == 1 else "they have"
        notes.append(f"There are no {_and_no(without)} images of {listed(names)}, because {have} too few images. "
                     f"{nothing_about(names, without)}")
    return notes


def few_tested_notes(tested: Mapping[str, int]) -> list[str]:
    """Return a sentence about the classes of which a test has very few images; none if there is no such class, or no
    test. tested says how many images of each class it has."""
    few = [f"{name} ({count})" for name, count in tested.items() if count < FEW_TESTED]
    if not few or not any(tested.values()):
        return []
    return [f"There are fewer than {FEW_TESTED} test images of {listed(few)}. The recall of {_these(few)} will "
            "hardly be known."]


def nothing_about(names: Sequence[str], parts: Sequence[str]) -> str:
    """Return the sentence on what follows if parts of the split have no images of some classes."""
    return (f"The accuracy on the {' and '.join(PARTS[part] for part in parts)} images says nothing about "
            f"{_these(names)}.")


def _and_no(parts: Iterable[str]) -> str:
    return " and no ".join(PARTS[part] for part in parts)


def _these(names: Sized) -> str:
    return "this class" if len(names) == 1 else "these classes"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return names as a sentence lists them, so many at most."""
    shown = ", ".join(printable(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
