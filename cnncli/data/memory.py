"""Images and labels in memory, as arrays, in place of a data folder. They become samples that hold their pixels, and
everything after that is as it is for files. sources.py decides which of the two was given.

An image's place in its array stands for the path of a file. The split is drawn and folds are dealt by it, and a list of
images to exclude names it ("17", or "train/17" if parts are given). So images that are appended later move few others,
and a shuffled array has another split.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import DataError, UsageError, brief, printable
from ..kernels import Array
from .division import FRACTIONS, check_fractions, divide, note_division
from .groups import Groups
from .pixels import as_array, as_pictures
from .splits import PARTS, Found, Sample, Splits, Survey, exclusion_note, listed, nothing_about

NAME = "the data in memory"  # what sentences call them
Pair = tuple[Any, Any]  # images and labels

_SPLITS = ("train", "val", "test")


def scan(data: Pair | Mapping[str, Pair], fractions: Sequence[float] = FRACTIONS, seed: int = 0,
         exclude: Collection[str] = (), groups: Groups | None = None) -> Splits:
    """Return the classes and images of (images, labels), or of {"train": (images, labels), "val": …, "test": …}, split
    as folder.scan splits a folder: what is missing is drawn from the training images.

    images: uint8 (n, h, w), (n, h, w, 1) or (n, h, w, 3), the same as floats from 0 to 1, or a list of such images of
    any sizes. labels: n whole numbers or n names. Classes are named like their labels; numbers are in their order,
    names in alphabetical order. Pixels are not copied (floats have to be), so do not change the arrays.

    Raises DataError or UsageError if the arrays cannot be used.
    """
    check_fractions(fractions)
    pairs = _pairs(data)
    if "train" not in pairs:
        raise UsageError(f"the arrays hold {listed(list(pairs))} and no train; give the training images the name "
                         "train.")
    pictures, looked = _survey(pairs, single=not isinstance(data, Mapping))
    _check_groups(groups, {split: len(images) for split, images in pictures.items()}, data)
    classes = list(looked.found["train"].classes)
    if len(classes) == 1:
        raise DataError(f"{NAME} holds images of one class only, {printable(classes[0])}; give images of two or more "
                        "classes.")
    notes = []
    for split, found in looked.found.items():
        if strange := [name for name in found.classes if name not in classes]:
            raise DataError(f"the {split} labels hold {listed(strange)}, which the train labels do not have; leave "
                            "these images out, or add some to train.")
        if missing := [name for name in classes if name not in found.classes]:
            notes.append(f"There are no {PARTS[split]} images of {listed(missing)}. {nothing_about(missing, [split])}")
    looked.groups = groups
    dropped = looked.exclude(frozenset(exclude)) if exclude else 0
    splits = Splits(classes, **divide(looked, classes, fractions, seed), notes=notes, excluded=sorted(exclude))
    for split in _SPLITS:
        setattr(splits, split, _with_pixels(getattr(splits, split), pictures))
    if exclude:
        splits.notes.append(exclusion_note(NAME, dropped, len(splits.excluded)))
    note_division(splits, looked, fractions)
    return splits


def _check_groups(groups: Groups | None, counts: Mapping[str, int], data: Pair | Mapping[str, Pair]) -> None:
    """Refuse a list of groups that does not have one for each image."""
    if groups is None or groups.count is None:
        return
    if isinstance(data, Mapping):
        raise UsageError("--group-by has a list of groups, and the arrays have parts; give a mapping of images to "
                         'groups, like {"train/0": "ann"}.')
    if groups.count != counts["train"]:
        raise DataError(f"there are {counts['train']} images and {groups.count} groups; give one group for each image.")


def scan_labelled(data: Pair | Mapping[str, Pair], classes: Sequence[str]) -> list[Sample]:
    """Return every image, labelled by a model's classes; of several splits that of test, or val where there is none.

    Raises DataError where a label is called like none of the classes: labels are never guessed.
    """
    pairs, split = _pairs(data), part_of(data)
    pictures, looked = _survey({split: pairs[split]}, single=not isinstance(data, Mapping))
    found = looked.found[split].classes
    if strange := [name for name in found if name not in classes]:
        raise DataError(f"the labels hold {listed(strange)}, but the model's classes are {listed(classes)}; give these "
                        "names as labels.")
    return _with_pixels([sample for label, name in enumerate(classes)
                         for sample in looked.samples(split, name, label)], pictures)


def part_of(data: Any) -> str:
    """Return which of several splits is tested on: test, or else val or train."""
    pairs = _pairs(data)
    return next(split for split in ("test", "val", "train") if split in pairs)


def _pairs(data: Any) -> dict[str, Pair]:
    """Return split -> (images, labels). Raises UsageError where data is no such thing."""
    if not isinstance(data, tuple | list | Mapping):
        raise UsageError(f"data must be the path of a folder, or a pair (images, labels), not {type(data).__name__}.")
    if not isinstance(data, Mapping) and any(isinstance(each, str | os.PathLike) for each in data):
        raise UsageError("a list of paths has no labels; give the path of one folder, with a sub-folder per class, or "
                         "a pair (images, labels).")
    pairs = dict(data) if isinstance(data, Mapping) else {"train": data}
    if unknown := [name for name in pairs if name not in _SPLITS]:
        raise UsageError(f"the arrays must be named train, val and test, not {brief(unknown[0])}.")
    for name, pair in pairs.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            what = name if isinstance(data, Mapping) else "the data"
            raise UsageError(f"{what} must be a pair (images, labels), or the path of a folder.")
    if not pairs:
        raise UsageError('no images are given; give (images, labels), or {"train": (images, labels)}.')
    return {split: (pairs[split][0], pairs[split][1]) for split in _SPLITS if split in pairs}


def _survey(pairs: Mapping[str, Pair], single: bool) -> tuple[dict[str, Sequence[Array]], Survey]:
    """Return the images of each split, and what a survey of a folder would have found: the image's name in messages
    for its path, its number for its place in the folder."""
    pictures: dict[str, Sequence[Array]] = {}
    found: dict[str, Found] = {}
    for split, (images, labels) in pairs.items():
        what = "images" if single else f"{split} images"
        pictures[split] = as_pictures(images, what)
        if not len(pictures[split]):
            raise DataError(f"{what}: there is no image; give at least one, with its label.")
        names, numbers = _classes(labels, len(pictures[split]), "labels" if single else f"{split} labels")
        label = "images" if single else split
        found[split] = Found({name: [(f"{label}[{i}]", str(i)) for i in np.flatnonzero(numbers == number).tolist()]
                              for number, name in enumerate(names)})
    return pictures, Survey("", {split: "" if single else split for split in pairs}, found)


def _classes(given: Any, count: int, what: str) -> tuple[list[str], Array]:
    """Return the names of classes, and each image's number among them."""
    if isinstance(given, list | tuple) and len({isinstance(label, str) for label in given}) > 1:
        raise DataError(f"the {what} hold names and numbers; give names only, or whole numbers only.")
    labels = as_array(given, what)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(f"the {what} have the shape {labels.shape}; give one label for each image"
                        + (" (of one-hot rows: labels.argmax(axis=1))." if labels.ndim == 2 else "."))
    if len(labels) != count:
        raise DataError(f"there are {count} images and {len(labels)} {what}; give one label for each image.")
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels):
        labels = labels.astype(np.str_)
    if labels.dtype.kind == "b":
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iuU":
        raise DataError(f"the {what} are of the type {labels.dtype}; give whole numbers or names.")
    values, numbers = np.unique(labels, return_inverse=True)
    names = [str(value) for value in values.tolist()]
    if "" in names:
        raise DataError(f"the {what} hold an empty name; give every class a name.")
    return names, numbers.reshape(-1)


def _with_pixels(samples: Sequence[Sample], pictures: Mapping[str, Sequence[Array]]) -> list[Sample]:
    """Return samples with the images that they are of. Those that are held out were drawn from the training images."""
    only = next(iter(pictures))
    places = (sample.relative.rpartition("/") for sample in samples)
    return [replace(sample, pixels=pictures[split or only][int(number)])
            for sample, (split, _, number) in zip(samples, places, strict=True)]
