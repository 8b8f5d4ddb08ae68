"""The division that is drawn if a split is not given: within each class the images are ordered by a hash of seed and
path. The first are for the test, the next for validation, the rest for training. Images of a group (groups.py) stay
together. folds.py deals the images out again for cross-validation.
"""

import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from ..errors import DataError, UsageError, printable, quoted
from .groups import EXAMPLE, GIVEN, Groups
from .layout import split_of
from .splits import PARTS, Sample, Splits, Survey, listed, small_classes_notes

FRACTIONS = (0.8, 0.1, 0.1)  # of the images that go to train, val and test
MOST_VALIDATION = 2500  # images that are drawn for validation: the standard error of accuracy is a point at most

_LISTED, _NAMED = 5, 3  # groups that a sentence names: the largest of all; those of a part of the split
_Item = tuple[str, str]  # of Found.classes


def check_fractions(fractions: Sequence[float]) -> None:
    """Raise UsageError where fractions are not those of train, val and test."""
    good = len(fractions) == 3 and all(0 <= f <= 1 for f in fractions) and abs(sum(fractions) - 1) < 1e-6
    if not good or fractions[0] <= 0:
        raise UsageError(f"the split {'/'.join(map(str, fractions))} cannot be used; give three numbers for train, val "
                         "and test that add up to 1, the first above 0.")


def rank(seed: int, relative: str) -> tuple[bytes, str]:
    """Return the sort key that decides who is held out: a keyed hash of the path inside the split's folder."""
    return blake2b(os.fsencode(relative), digest_size=8, key=str(seed).encode()).digest(), relative


def _counts(n: int, val: float, test: float) -> tuple[int, int]:
    """Return how many of a class's n images go to val and test; at least one always stays in train."""
    if n < 3:
        return 0, 0
    n_val, n_test = (max(1, int(n * share + 0.5)) if share else 0 for share in (val, test))
    while n_val + n_test >= n:
        n_val, n_test = (n_val - 1, n_test) if n_val >= n_test else (n_val, n_test - 1)
    return n_val, n_test


def divide(looked: Survey, classes: Sequence[str], fractions: Sequence[float], seed: int) -> dict[str, list[Sample]]:
    """Return the samples of train, val and test; splits that have no folder are drawn from train, as ``scan`` says."""
    splits: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    found = [looked.found["train"].classes.get(name, []) for name in classes]
    most = MOST_VALIDATION / max(sum(map(len, found)), 1)
    val, test = (0.0 if name in looked.found else share
                 for name, share in (("val", min(fractions[1], most)), ("test", fractions[2])))
    wanted = [_counts(len(items), val, test) for items in found]
    held = _by_group(looked, found, wanted, seed) if looked.groups else _by_image(found, wanted, seed)
    for label, (name, items) in enumerate(zip(classes, found, strict=True)):
        for item, sample in zip(items, looked.samples_of("train", items, label), strict=True):
            splits[held.get(item, "train")].append(sample)
        for split in looked.found:
            if split != "train":
                splits[split] += looked.samples(split, name, label)
    return splits


def _by_image(found: Sequence[Sequence[_Item]], wanted: Sequence[tuple[int, int]], seed: int) -> dict[_Item, str]:
    """Return the split of each image that is held out; found and wanted (val, test) have an entry a class."""
    held: dict[_Item, str] = {}
    for items, (n_val, n_test) in zip(found, wanted, strict=True):
        order = sorted(items, key=lambda item: rank(seed, item[1]))
        held.update((item, "test" if i < n_test else "val") for i, item in enumerate(order[: n_test + n_val]))
    return held


def note_division(splits: Splits, looked: Survey, fractions: Sequence[float]) -> None:
    """Add sentences to the notes of splits: what was drawn of what was found, and which classes have few images. Set
    refusal, too.
    """
    absent = [part for part in ("val", "test") if part not in looked.found]
    folder, slash = printable(looked.root), "/" if looked.root else ""  # images in memory lie nowhere
    if absent:
        splits.how = "in whole groups" if looked.groups else (
            "at random. If several images show one thing, slide or patient, keep them together with "
            f"{'--group-by' if folder else 'group_by'}")
    if looked.folders == {"train": looked.root}:
        if splits.val + splits.test:
            splits.drawn.append(f"{f'{folder} has no train/ and test/' if folder else 'The arrays are not divided'}: "
                                f"{_are(splits.train)} for training, {len(splits.val):,} for validation and "
                                f"{len(splits.test):,} for the test, drawn {splits.how}.")
    else:
        without = {split_of(os.path.basename(path)) for path in looked.unlabelled}
        splits.drawn += [f"There is no {part}{slash}{' with labels' * (part in without)}: "
                         f"{_are(held, f' of train{slash}')} held out as {part}."
                         for part in absent if (held := getattr(splits, part))]
    splits.notes += splits.drawn
    if looked.groups:
        splits.notes += notes_on_groups(looked.groups, splits, absent)
        splits.refusal = few_groups(looked.groups, splits, fractions, absent)
    shares = dict(zip(PARTS, fractions, strict=True))
    small = small_classes_notes(splits, [part for part in absent if shares[part]])
    splits.drawn += small
    splits.notes += small


def _are(samples: Sequence[Sample], of: str = "") -> str:
    return f"{len(samples):,} image{f'{of} is' if len(samples) == 1 else f's{of} are'}"


# ---- images that are kept together ----


def _by_group(looked: Survey, found: Sequence[Sequence[_Item]], wanted: Sequence[tuple[int, int]], seed: int
              ) -> dict[_Item, str]:
    """Return the same if images of a group stay together; an image without a group counts as one. Groups are taken in
    the order of their hashes, and held out if they bring the numbers of images of each class nearer to what is wanted.
    A class with three groups or more of which none would be held out has its smallest held out. At least one group of
    each class is for training.
    """
    groups: dict[tuple[bool, str], list[tuple[int, _Item]]] = {}
    for label, items in enumerate(found):
        for item in items:
            name = looked.group("train", item)
            groups.setdefault((name is None, item[1] if name is None else name), []).append((label, item))
    order = sorted(groups, key=lambda key: rank(seed, key[1]))
    sizes = {key: Counter(label for label, _ in groups[key]) for key in order}
    of_class: list[list[tuple[bool, str]]] = [[] for _ in found]
    for key in order:
        for label in sizes[key]:
            of_class[label].append(key)
    left = Counter({label: len(keys) for label, keys in enumerate(of_class) if keys})
    shared = [left[label] >= 3 for label in range(len(found))]
    chosen: dict[tuple[bool, str], str] = {}
    for place, split, kept in ((1, "test", 2 if any(val for val, _ in wanted) else 1), (0, "val", 1)):
        lacking = Counter({label: both[place] if shared[label] else 0 for label, both in enumerate(wanted)})
        smallest = {label for label, count in lacking.items() if count}

        def take(key: tuple[bool, str], split: str = split, lacking: Counter[int] = lacking,
                 smallest: set[int] = smallest) -> None:
            chosen[key] = split
            lacking.subtract(sizes[key])
            left.subtract(dict.fromkeys(sizes[key], 1))
            smallest.difference_update(sizes[key])

        def free(keys: Sequence[tuple[bool, str]], kept: int = kept) -> Iterator[tuple[bool, str]]:
            """Yield those that may be taken: enough groups of each of their classes stay."""
            for key in keys:
                if key not in chosen and all(left[label] > kept for label in sizes[key]):
                    yield key

        for key in free(order):
            if sum(abs(lacking[label]) - abs(lacking[label] - n) for label, n in sizes[key].items()) > 0:
                take(key)
        for label in sorted(smallest):
            if label in smallest:
                having = list(free(of_class[label]))
                if having:
                    take(min(having, key=lambda key: sum(sizes[key].values())))
    return {item: split for key, split in chosen.items() for _, item in groups[key]}


def notes_on_groups(groups: Groups, splits: Splits, drawn: Sequence[str]) -> list[str]:
    """Return sentences about what a division has made of groups. drawn are the parts of the split that had no images of
    their own. Raises DataError if the groups leave nothing to divide.
    """
    where: dict[str, set[str]] = defaultdict(set)
    sizes: Counter[str] = Counter()
    of_class: dict[int, set[tuple[bool, str]]] = defaultdict(set)
    alone: list[str] = []
    for split in ("train", "val", "test"):
        for sample in getattr(splits, split):
            if sample.group is None:
                alone.append(sample.relative)
            else:
                where[sample.group].add(split)
                sizes[sample.group] += 1
            of_class[sample.label].add(sample.together)
    images = sizes.total() + len(alone)
    shown = printable(groups.name)
    if not where:
        first = printable(splits.train[0].relative if splits.train else "")
        if groups.pattern is None:
            told = f"{shown} name none of the images: the first" if groups.name == GIVEN else (
                f"{shown} names none of the images: its first line")
            raise DataError(f"{told} names {printable(next(iter(groups.table), 'none'))}, and an image is called "
                            f"{first}; write paths inside the data folder.")
        raise DataError(f"--group-by {shown} finds no group in the path of any image, such as {first}; give a regular "
                        f"expression that does, like {shlex.quote(EXAMPLE)}, or a CSV file with the columns file and "
                        "group.")
    if drawn and len(where) == 1 and not alone:
        raise DataError(f"--group-by {shown} puts all {images:,} images into one group, {quoted(next(iter(where)))}, "
                        "and none can be held out; give a regular expression that tells groups apart.")
    notes = [f"{len(where):,} group{'s' * (len(where) > 1)} of images {'are' if len(where) > 1 else 'is'} kept "
             f"together, by {shown}: {_largest(sizes)}."]
    crossing = sorted(name for name, several in where.items() if len(several) > 1)
    if len(where) == images:
        notes = [f"--group-by {shown} finds a different group for each of the {images:,} images, and keeps none of "
                 f"them together. A group is called, for example, {printable(min(where))}."]
    if alone:
        notes.append(f"Warning: {len(alone):,} image{'s are' if len(alone) > 1 else ' is'} in no group, for example "
                     f"{printable(alone[0])}. Each such image is divided by itself.")
    if crossing:
        notes.append(f"{len(crossing):,} of the groups ({listed(crossing)}) lie in more than one of the given splits; "
                     "the test is too easy.")
    few = [name for label, name in enumerate(splits.classes) if 0 < len(of_class[label]) < 3]
    if drawn and few:
        notes.append(f"There are fewer than three groups of {listed(few)}, too few to hold one out for each split.")
    return notes


def _largest(sizes: Counter[str]) -> str:
    """Return the names and sizes of the largest groups, for a sentence."""
    order = sorted(sizes, key=lambda name: (-sizes[name], name))
    few = order[:_LISTED] if len(order) > _LISTED + 1 else order
    shown = [f"{printable(name)} ({sizes[name]:,})" for name in few]
    shown[0] = f"{shown[0][:-1]} image{'s' * (sizes[order[0]] > 1)})"
    return ", ".join(shown) + (f" and {len(order) - len(few):,} more" if len(order) > len(few) else "")


def few_groups(groups: Groups, splits: Splits, fractions: Sequence[float], drawn: Sequence[str]) -> str | None:
    """Return the sentence that refuses groups because of which no image could be drawn for one of these parts of the
    split. None if each has the images that fractions want, or would have none without groups either.
    """
    share = dict(zip(PARTS, fractions, strict=True))
    empty = [split for split in drawn if share[split] and not getattr(splits, split)]
    every = splits.train + splits.val + splits.test
    images = Counter(sample.label for sample in every)
    if not empty or max(images.values(), default=0) < 3:
        return None
    of_class: dict[int, set[tuple[bool, str]]] = {label: set() for label in images}
    for sample in every:
        of_class[sample.label].add(sample.together)
    what = " and no ".join(PARTS[split] for split in empty)
    few = [splits.classes[label] for label, found in of_class.items() if len(found) < 3]
    if all(len(found) == 1 for found in of_class.values()):
        why = f"each class is one group ({listed(sorted({s.group for s in every if s.group is not None}))})"
        remedy = (f"give a regular expression that finds the name of a slide, a patient or a day in the files' paths, "
                  f"like {shlex.quote(EXAMPLE)}")
    else:
        why = f"there are fewer than three groups of {listed(few)}" if few else "the groups are too large"
        remedy = ("use smaller groups, put folders val/ and test/ beside train/, or cross-validate without test "
                  "images: --folds 2")
    return f"--group-by {printable(groups.name)} leaves no {what} images, because {why}; {remedy}."


def groups_by_split(splits: Splits) -> list[str]:
    """Return a sentence that says how many groups each part of the split has, and their names where they are few; no
    sentence if there are no groups.
    """
    found = groups_in(splits)
    every = set().union(*found.values())
    if not every:
        return []
    parts = [f"{len(names):,} {PARTS[split]}" + (f" ({listed(names)})" if 0 < len(names) <= _NAMED else "")
             for split, names in found.items()]
    return [f"{len(every):,} group{'s' * (len(every) > 1)}: {', '.join(parts)}."]


def groups_in(splits: Splits) -> dict[str, list[str]]:
    """Return the names of the groups that each part of the split has, sorted."""
    return {split: sorted({sample.group for sample in getattr(splits, split) if sample.group is not None})
            for split in PARTS}
