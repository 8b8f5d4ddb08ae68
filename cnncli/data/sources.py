"""What somebody gives as data: the path of a folder (folder.py), or arrays in memory (memory.py). Whoever takes data
asks here, so that both can be given everywhere.
"""

import os
from collections.abc import Collection, Mapping, Sequence

from ..errors import printable
from . import folder, memory
from .memory import Pair
from .splits import FRACTIONS, Sample, Split, Splits

Path = str | os.PathLike[str]
Arrays = Pair | Mapping[str, Pair]
Data = Path | Arrays  # a folder; (images, labels); {"train": (images, labels), "val": …, "test": …}


def name_of(data: Data) -> str:
    """Return what sentences call data."""
    return printable(os.fspath(data)) if isinstance(data, str | os.PathLike) else memory.NAME


def folder_of(data: Data) -> str | None:
    """Return the absolute path of a data folder, by which it is found again; None of arrays, which are not."""
    return os.path.abspath(data) if isinstance(data, str | os.PathLike) else None


def scan(data: Data, fractions: Sequence[float] = FRACTIONS, seed: int = 0, exclude: Collection[str] = ()) -> Splits:
    """Find the classes and images of data and split them into train, val and test, as folder.scan says."""
    if isinstance(data, str | os.PathLike):
        return folder.scan(data, fractions, seed, exclude)
    return memory.scan(data, fractions, seed, exclude)


def scan_labelled(data: Data, classes: Sequence[str], split: Split | None = None) -> tuple[list[Sample], list[str]]:
    """Return every image of data, labelled by a model's classes, and notes, as folder.scan_labelled says."""
    if isinstance(data, str | os.PathLike):
        return folder.scan_labelled(data, classes, split)
    return memory.scan_labelled(data, classes), []
