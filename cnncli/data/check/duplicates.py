"""Findings about images that are alike: those with the same pixels, by their digests, and those that are almost the
same picture, by near.py. What matters is where the copies lie: in two parts of the split, in two classes, or side by
side.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from ...kernels import Array
from ..splits import listed
from .facts import Facts
from .findings import File, Finding
from .near import Pairs, groups, near_duplicates
from .neighbours import Progress
from .rules import Looked
from .usual import BLANK

_STAYS = ("test", "val", "train")  # whose copy is kept where several splits have one: a test should stay what it was


def of_copies(looked: Sequence[Looked], thumbs: Array, near: bool = True, progress: Progress | None = None
              ) -> Iterator[Finding]:
    """Find copies among the usable images that are not blank; thumbs are uint8 (n, 32, 32), in the same order. near:
    also those that are only almost the same.
    """
    same: dict[bytes, list[int]] = {}
    for i, item in enumerate(looked):
        if isinstance(item.facts, Facts) and item.facts.span > BLANK:
            same.setdefault(item.facts.digest, []).append(i)
    for copies in same.values():
        if len(copies) > 1:
            yield from _exact([looked[i].file for i in copies])
    if near:
        firsts = [copies[0] for copies in same.values()]
        pairs = near_duplicates(thumbs[np.array(firsts, np.int64)], progress)
        members = list(same.values())
        yield from _near(looked, members, pairs)


def _exact(copies: list[File]) -> Iterator[Finding]:
    files, rest = _ordered(copies)
    count = f"{len(files)} files with the same pixels"
    labels, splits, apart = {f.label for f in files}, {f.split for f in files}, _in_groups(files)
    if len(labels) > 1:
        yield Finding("duplicate-two-labels", files, f"{count} in {len(labels)} classes.{apart}", 0.0, exclude=files)
    if len(splits) > 1:
        yield Finding("duplicate-across-splits", files, f"{count} in {len(splits)} splits.{apart}", 0.0, exclude=rest)
    if len(labels) == len(splits) == 1 and apart:
        yield Finding("duplicate-two-groups", files, f"{count}.{apart}", 0.0, exclude=files)
    elif len(labels) == len(splits) == 1:
        yield Finding("duplicate", files, f"{count}.", 0.0, exclude=rest)


def _near(looked: Sequence[Looked], members: list[list[int]], pairs: Pairs) -> Iterator[Finding]:
    difference: dict[int, float] = {}  # of each picture to the one most like it
    for i, j, value in pairs:
        for k in (i, j):
            difference[k] = min(value, difference.get(k, value))
    for group in sorted(groups(pairs), key=lambda group: min(difference[k] for k in group)):
        files, rest = _ordered([looked[i].file for k in group for i in members[k]])
        value = round(min(difference[k] for k in group), 4)
        text = f"{len(files)} almost the same pictures (difference {value:.2f})"
        labels, splits, apart = {f.label for f in files}, {f.split for f in files}, _in_groups(files)
        if len(labels) > 1:
            yield Finding("near-duplicate-two-labels", files, f"{text} in {len(labels)} classes.{apart}", value)
        if len(splits) > 1:
            outside = tuple(f for f in rest if f.split != files[0].split)
            yield Finding("near-duplicate-across-splits", files, f"{text} in {len(splits)} splits.{apart}", value,
                          exclude=outside)
        if len(labels) == len(splits) == 1 and apart:
            yield Finding("near-duplicate-two-groups", files, f"{text}.{apart}", value)
        elif len(labels) == len(splits) == 1:
            yield Finding("near-duplicate", files, f"{text}.", value)


def _ordered(files: list[File]) -> tuple[tuple[File, ...], tuple[File, ...]]:
    """Return the files with the one that may stay first, and the others by themselves."""
    order = sorted(files, key=lambda f: (_STAYS.index(f.split or "train"), f.relative))
    return tuple(order), tuple(order[1:])


def _in_groups(files: Sequence[File]) -> str:
    """Return a sentence on copies that are in different groups, which images of one slide or patient cannot be."""
    names = sorted({file.group for file in files if file.group is not None})
    return f" They are in {len(names)} groups ({listed(names)})." if len(names) > 1 else ""
