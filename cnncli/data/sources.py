"""What is given as data: the path of a folder (folder.py), or arrays in memory (memory.py). All code that takes data
asks here, so both can be given everywhere.
"""

import os
from collections.abc import Collection, Mapping, Sequence

from ..errors import UsageError, printable
from ..values import as_hinted
from . import folder, memory
from .division import FRACTIONS
from .groups import Groups
from .labels import Labels
from .memory import Pair
from .splits import Sample, Split, Splits

Path = str | os.PathLike[str]
Arrays = Pair | Mapping[str, Pair]
Data = Path | Arrays  # a folder; (images, labels); {"train": (images, labels), "val": …, "test": …}


def name_of(data: Data) -> str:
    """Return what sentences call the data."""
    return printable(os.fspath(data)) if isinstance(data, str | os.PathLike) else memory.NAME


def folder_of(data: Data) -> str | None:
    """Return the absolute path of a data folder, by which it is found again. None for arrays, which cannot be found
    again.
    """
    return os.path.abspath(data) if isinstance(data, str | os.PathLike) else None


@as_hinted
def scan(data: Data, fractions: Sequence[float] = FRACTIONS, seed: int = 0, exclude: Collection[str] = (),
         labels: Labels | None = None, groups: Groups | None = None) -> Splits:
    """Find the classes and images of data and split them into train, val and test, as folder.scan says."""
    if isinstance(data, str | os.PathLike):
        return folder.scan(data, fractions, seed, exclude, labels, groups)
    if labels is not None:
        raise UsageError("a table of labels cannot be given together with arrays; give arrays with their labels, as "
                         "(images, labels).")
    return memory.scan(data, fractions, seed, exclude, groups)


def within(data: Data, labels: Labels | None, groups: Groups | None) -> tuple[Labels | None, Groups | None]:
    """Return tables that somebody gave, with the paths of the images of these data. Raises DataError."""
    if not isinstance(data, str | os.PathLike):
        return labels, groups
    root = os.fspath(data)
    return labels and labels.within(root), groups and groups.within(root)


@as_hinted
def scan_part(data: Data, classes: Sequence[str], split: Split | None = None, labels: Labels | None = None,
              groups: Groups | None = None, **why: str) -> tuple[list[Sample], list[str], str | None]:
    """Return every image of data, labelled by a model's classes, notes, and the part that they are of, as
    folder.scan_part says."""
    if isinstance(data, str | os.PathLike):
        return folder.scan_part(data, classes, split, labels, groups, **why)
    part = memory.part_of(data) if isinstance(data, Mapping) else None
    return memory.scan_labelled(data, classes), [], part


@as_hinted
def scan_labelled(data: Data, classes: Sequence[str], split: Split | None = None) -> tuple[list[Sample], list[str]]:
    """Return the samples and the notes of ``scan_part``."""
    return scan_part(data, classes, split)[:2]
