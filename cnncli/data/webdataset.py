"""The conventions of WebDataset: files of a tar archive whose names are alike up to the first dot are one sample. An
image's class lies beside it, as a number in .cls; a text in .txt. archive.py reads what lies beside images, pack.py
writes it, and folder.py makes a table of labels of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .suffixes import is_image

CLASS, TEXT = ".cls", ".txt"
LONGEST_FILE = 4096  # bytes of a file that may hold the name of a class
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Written:
    """What archives say of an image: its class, its part of the split ("": nothing), and the archive that it is in."""

    path: str
    label: str
    part: str
    tar: str


def stem_of(path: str) -> str:
    """Return a path without the ending of its name."""
    return path.rpartition(".")[0]


def key_of(path: str) -> str:
    """Return what WebDataset takes for the name of a sample: a path up to the first dot of the file's name."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + name.partition(".")[0]


def without_companions(paths: Sequence[str]) -> list[str]:
    """Return files without those that lie beside an image in its sample."""
    images = [path for path in paths if is_image(path)]
    keys = {*map(stem_of, images), *map(key_of, images)}
    return [path for path in paths if is_image(path) or (stem_of(path) not in keys and key_of(path) not in keys)]


def classes_of(numbers: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """Return the class of each sample: the name in its .txt, if one name goes with each number in .cls; else what
    stands in .cls. If there is no .cls, it is the text in .txt, if few samples have a text of their own.
    """
    names = dict[str, set[str]]()
    for key, number in numbers.items():
        names.setdefault(number, set()).add(texts.get(key, ""))
    single = {number: next(iter(found)) for number, found in names.items() if len(found) == 1}
    said = numbers
    if numbers and len(single) == len(names) == len({*single.values()} - {""}):
        said = {key: single[number] for key, number in numbers.items()}
    if not numbers and 2 * len({*texts.values()}) <= len(texts):
        said = texts
    return {key: label for key, label in said.items() if len(label) <= _LONGEST_NAME and "\n" not in label}
