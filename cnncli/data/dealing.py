"""Dealing a list of images to processes that know nothing of each other (--shard 3/8): each finds the whole list and
takes its own part of it, as cards are dealt. report/parts.py says what a part's output holds, so that it can be merged.

Part 3 of 8 has the images 3, 11, 19 and so on. So the parts take about equally long, because neighbours are alike:
images of one folder often have one size. And a source that does not know how many images it has can be dealt, too.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import TypeVar

from ..errors import UsageError, brief
from ..values import plain
from .finding import Missing, Picture

Shard = tuple[int, int]  # the number of a part, from 1, and how many there are
Item = TypeVar("Item")


def shard_of(text: str) -> Shard:
    """Return what "3/8" means. Raises UsageError where it means nothing."""
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if not found:
        raise UsageError(f"--shard must be the number of a part and how many there are, like 3/8, not {brief(text)}.")
    return check_shard((int(found[1]), int(found[2])))


def check_shard(shard: Sequence[int]) -> Shard:
    """Return a part's number and how many there are. Raises UsageError where there is no such part."""
    numbers = [*map(plain, shard)]
    if len(numbers) != 2 or not all(isinstance(each, int) and not isinstance(each, bool) for each in numbers):
        raise UsageError("--shard must be two whole numbers, the part and how many there are, like (3, 8), not "
                         f"{brief(shard)}.")
    part, of = numbers
    if of < 1:
        raise UsageError(f"--shard: images cannot be divided into {of} parts; give 1 or more.")
    if not 1 <= part <= of:
        raise UsageError(f"--shard: there is no part {part} of {of}; parts are counted from 1 to {of}.")
    return part, of


def dealt(images: list[Item] | Iterator[Item], shard: Shard) -> list[Item] | Iterator[Item]:
    """Return a part of a list of images. Of a source that does not know how many it has, return an iterator."""
    part, of = shard
    return images[part - 1 :: of] if isinstance(images, list) else islice(images, part - 1, None, of)


def count(images: int, shard: Shard) -> int:
    """Return how many of so many images a part has."""
    part, of = shard
    return max(0, (images - part) // of + 1)


def digest_of(found: Iterable[str | Missing | Picture]) -> str:
    """Return a digest of a list of images by their names, in order."""
    digest = sha256()
    for item in found:
        digest.update(os.fsencode(item if isinstance(item, str) else item.path) + b"\0")
    return digest.hexdigest()
