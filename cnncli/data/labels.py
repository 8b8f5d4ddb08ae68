"""Images that lie in no class folders: a CSV file with the columns file and label, and optionally split, says which
there are. A label stands for the name of a class folder, so everything after that is the same. folder.py divides what
is found, and a run's config keeps the lines.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import DataError, UsageError, no_such, printable, quoted
from .files import exists, is_file, is_folder
from .layout import split_of
from .splits import Found, Split, Survey
from .table import Line, path_inside, read_table
from .walk import entries

_SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Labelled:
    """An image in a table of labels.

    Attributes:
        file: The image's path.
        label: Its class.
        split: Its part: "train", "val" or "test". None if it is to be drawn or used for training.
        line: Its line in the table, from 1.
    """

    file: str
    label: str
    split: Split | None
    line: int


@dataclass(frozen=True)
class Labels:
    """A table of labels: the classes of images that lie in no class folders.

    Attributes:
        name: What messages call the table.
        images: Its lines.
    """

    name: str
    images: tuple[Labelled, ...]

    def fingerprint(self) -> str:
        """Return a hash of files, labels and parts, in whatever order they are."""
        lines = sorted("\0".join((i.file, i.label, i.split or "")) for i in self.images)
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def config(self) -> dict[str, Any]:
        """Return it as JSON values, which ``from_config`` takes back."""
        return {"name": self.name, "images": [[i.file, i.label, i.split, i.line] for i in self.images]}

    @classmethod
    def from_config(cls, config: Any) -> "Labels":
        """Return the table that ``config`` described.

        Args:
            config: What ``config`` returned.

        Raises:
            DataError: It is no table.
        """
        try:
            images = tuple(Labelled(str(file), str(label), split, int(line)) for file, label, split, line
                           in config["images"])
        except (KeyError, TypeError, ValueError):
            images = ()
        if not images or any(image.split not in (None, *_SPLITS) for image in images):
            raise DataError("the labels in the run's config.json are not as cnn wrote them; put the file back as it "
                            "was, or train again.")
        return cls(str(config.get("name")), images)

    def within(self, root: str) -> "Labels":
        """Return the table with paths inside a folder, each once.

        Args:
            root: The folder.

        Raises:
            DataError: A file is not there, lies outside of the folder, or has two labels or two parts.
        """
        lines: dict[str, Labelled] = {}
        for image in self.images:
            inside = path_inside(image.file, root)
            if inside is None:
                raise DataError(f"{self._where(image)}: {printable(image.file)} lies outside of {printable(root)}; "
                                "give a folder that holds all of the images, and paths inside it.")
            before = lines.setdefault(inside, replace(image, file=inside))
            for what, one, other in (("label", before.label, image.label), ("split", before.split, image.split)):
                if one != other:
                    raise DataError(f"lines {before.line} and {image.line} of {printable(self.name)} give "
                                    f"{printable(inside)} two {what}s, {printable(one or 'none')} and "
                                    f"{printable(other or 'none')}; take one of the lines out.")
        missing = [i for name, i in lines.items() if not is_file(os.path.join(root, *name.split("/")))]
        if missing:
            self._refuse_missing(missing, root)
        return Labels(self.name, tuple(lines[name] for name in sorted(lines)))

    def _refuse_missing(self, missing: Sequence[Labelled], root: str) -> None:
        first, n = missing[0], len(missing)
        path = os.path.join(root, *first.file.split("/"))
        if exists(path):
            raise DataError(f"{self._where(first)}: {printable(path)} is no file; name an image file.")
        more = "" if n == 1 else f" ({n:,} lines name files that are not there)"
        folder, name = os.path.split(path)
        beside = [entry.name for entry in entries(folder)] if is_folder(folder) else []
        near = [entry for entry in beside if os.path.splitext(entry)[0] == name or entry.lower() == name.lower()]
        what = (f"write {printable(near[0])}, which is there" if near
                else f"write the path from {printable(root)} on, or take the line out")
        other = None if near else next((folder for folder in _around(root) if is_file(
            os.path.join(folder, *first.file.split("/")))), None)
        if other is not None:
            what = f"give {quoted(other)}, where the file is, instead of {printable(root)}"
        raise DataError(f"{self._where(first)}: there is no file {printable(path)}; {what}{more}.")

    def _where(self, image: Labelled) -> str:
        return f"line {image.line} of {printable(self.name)}"


def _around(root: str) -> list[str]:
    """Return the folders that a table's paths may begin in where it is not this one: those in it, and that around."""
    within = [entry.path for entry in entries(root) if entry.is_dir()]
    return [*within, os.path.dirname(os.path.normpath(root)) or os.curdir]


def read_labels(path: str | os.PathLike[str]) -> Labels:
    """Read a CSV file with the columns file and label, and perhaps split. Raises UsageError where there is none,
    DataError where a line makes no sense."""
    name = os.fspath(path)
    return Labels(name, tuple(_labelled(line, name) for line in read_table(path, ("file", "label"), ("split",))))


def labels_of(given: Any) -> Labels | None:
    """Return the labels that were given: a file's path, what a config has, or Labels. None for None."""
    if given is None or isinstance(given, Labels):
        return given
    if isinstance(given, dict):
        return Labels.from_config(given)
    if not isinstance(given, str | os.PathLike):
        raise UsageError("the labels must be the path of a CSV file with the columns file and label, not "
                         f"{type(given).__name__}.")
    return read_labels(given)


def _labelled(line: Line, table: str) -> Labelled:
    word = line.values.get("split", "")
    split = split_of(word) if word else None
    if word and split is None:
        raise DataError(f"{line.where(table)}: {no_such('split', word, (), 'write train, val or test, or nothing')}")
    return Labelled(line.values["file"], line.values["label"], split, line.number)


def survey_labels(root: str, labels: Labels, there: Callable[[str], bool] = is_file) -> Survey:
    """Return what a survey of a folder would have found, from a table that was brought ``within`` it. Files that have
    gone since are left out.
    """
    found = {split: Found() for split in _SPLITS}
    for image in labels.images:
        path = os.path.join(root, *image.file.split("/"))
        if there(path):
            found[image.split or "train"].classes.setdefault(image.label, []).append((path, image.file))
    given = [split for split in _SPLITS if found[split].classes or split == "train"]
    undecided = sum(image.split is None for image in labels.images)
    notes = [f"{printable(labels.name)}: {undecided:,} images have no split and are taken as train."] if (
        0 < undecided < len(labels.images)) else []
    return Survey(root, dict.fromkeys(given, root), {split: found[split] for split in given}, notes)


def refuse_strange(labels: Labels, looked: Survey) -> None:
    """Raise DataError if a label has images for validation or test but none for training."""
    train = looked.found["train"].classes
    if not train:
        raise DataError(f"{printable(labels.name)} has no training images; write train into the column split of some "
                        "lines, or leave it empty there.")
    first = next((image for image in labels.images if image.label not in train), None)
    if first is not None and any(first.label in found.classes for found in looked.found.values()):
        raise DataError(f"line {first.line} of {printable(labels.name)}: {printable(first.label)} has images in "
                        f"{first.split}, but none in train; write train into the column split of some, or take its "
                        "lines out.")
