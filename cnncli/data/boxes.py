"""Boxes that somebody drew around what images show: a folder of PASCAL VOC annotations (a file.xml for each image), or
a CSV file with the columns file, xmin, ymin, xmax and ymax, and optionally label. Annotations come from strangers: they
are read without entities, and neither their size nor their depth is trusted.
"""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple
from xml.parsers import expat

from ..errors import DataError, ImageError, UsageError, brief, printable, reason_of
from .finding import Missing
from .table import Line, read_table

_MOST_BYTES = 1 << 20  # of one annotation
_MOST_BOXES = 10_000  # in one annotation
_DEEPEST = 32  # tags within tags
_SIDES = ("xmin", "ymin", "xmax", "ymax")


class Box(NamedTuple):
    """A box in an image, by its edges, in pixels. The image's left and top edges are 0.

    Attributes:
        xmin: The left edge.
        ymin: The upper edge.
        xmax: The right edge.
        ymax: The lower edge.
    """

    xmin: float
    ymin: float
    xmax: float
    ymax: float

    @property
    def area(self) -> float:
        """How many pixels it covers."""
        return (self.xmax - self.xmin) * (self.ymax - self.ymin)

    def iou(self, other: "Box") -> float:
        """Return the intersection over the union of two boxes, 0 to 1.

        Args:
            other: The other box.
        """
        wide = min(self.xmax, other.xmax) - max(self.xmin, other.xmin)
        high = min(self.ymax, other.ymax) - max(self.ymin, other.ymin)
        shared = max(wide, 0) * max(high, 0)
        return shared / (self.area + other.area - shared)


class Drawn(NamedTuple):
    """A box that somebody drew, and the class in it, if they said it."""

    box: Box
    label: str | None


@dataclass(frozen=True)
class Truth:
    """The boxes of images: where they were read, by image, and the files there that could not be used. ``of`` finds
    those of an image.
    """

    path: str
    boxes: Mapping[str, list[Drawn]]
    unusable: list[Missing]
    suffixes: bool  # whether images are named with their suffixes

    def of(self, image: str) -> list[Drawn]:
        """Return the boxes of an image by its path: those under the longest end of the path that has any, or else those
        of the only file with its name.
        """
        parts = os.path.abspath(image).replace(os.sep, "/").split("/")
        if not self.suffixes:
            parts[-1] = os.path.splitext(parts[-1])[0]
        ends = ("/".join(parts[i:]) for i in range(len(parts)))
        found = next((self.boxes[end] for end in ends if end in self.boxes), None)
        called = self._called.get(parts[-1], [])
        return found if found is not None else called[0] if len(called) == 1 else []

    @cached_property
    def _called(self) -> dict[str, list[list[Drawn]]]:
        found: dict[str, list[list[Drawn]]] = {}
        for name, boxes in self.boxes.items():
            found.setdefault(name.rpartition("/")[2], []).append(boxes)
        return found


def read_boxes(path: str | os.PathLike[str]) -> Truth:
    """Read a folder of annotations, with its sub-folders, or a CSV file. An annotation that cannot be used is listed.
    Raises DataError for a line of a table that cannot be used and for a folder without annotations, UsageError for
    anything else.
    """
    name = os.fspath(path)
    if not os.path.isdir(name):
        return _of_table(name)
    files = sorted(os.path.join(folder, file) for folder, _, names in os.walk(name) for file in names
                   if file.lower().endswith(".xml"))
    boxes, unusable = dict[str, list[Drawn]](), list[Missing]()
    for file in files:
        try:
            found = read_annotation(file)
        except ImageError as error:
            unusable.append(Missing(file, str(error), error))
        else:
            boxes[os.path.splitext(os.path.relpath(file, name))[0].replace(os.sep, "/")] = found
    if not boxes:
        why = f": {unusable[0].error}" if unusable else "; give a folder of PASCAL VOC annotations, or a CSV file."
        raise DataError(f"{printable(name)} holds no annotation{' that can be used' if unusable else ' (.xml)'}{why}")
    return Truth(name, boxes, unusable, suffixes=False)


def _of_table(name: str) -> Truth:
    if name.lower().endswith(".xml"):
        raise UsageError(f"{printable(name)} is one annotation; give the folder that it lies in, or a CSV file.")
    boxes: dict[str, list[Drawn]] = {}
    for line in read_table(name, ("file", *_SIDES), ("label",)):
        file = line.values["file"].replace("\\", "/").removeprefix("./")
        boxes.setdefault(file, []).append(Drawn(_of_line(line, name), line.values.get("label") or None))
    return Truth(name, boxes, [], suffixes=True)


def _of_line(line: Line, table: str) -> Box:
    try:
        return _box([line.values[side] for side in _SIDES])
    except ValueError as error:
        raise DataError(f"{line.where(table)}: {error}.") from None


def _box(sides: list[str], first: int = 0) -> Box:
    """Return a box from its sides as they are written, counted from first. Raises ValueError, with what is wrong."""
    try:
        numbers = [float(side) for side in sides]
    except ValueError:
        numbers = [math.nan]
    if not all(math.isfinite(number) and abs(number) < 1e9 for number in numbers):
        raise ValueError(f"a box must be four numbers of pixels, not {brief(', '.join(sides))}")
    box = Box(numbers[0] - first, numbers[1] - first, numbers[2], numbers[3])
    if box.xmax <= box.xmin or box.ymax <= box.ymin:
        raise ValueError(f"xmin and ymin must be smaller than xmax and ymax, not {', '.join(sides)}")
    return box


# ---- PASCAL VOC ----


def read_annotation(path: str) -> list[Drawn]:
    """Return the boxes of one annotation; its pixels count from 1, and its boxes' last ones are in them. Raises
    ImageError."""
    if not os.path.isfile(path):
        raise ImageError(path, "it is no file", "missing")
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ImageError(path, f"it cannot be read ({reason_of(error)})", "unreadable") from None
    if len(data) > _MOST_BYTES:
        raise ImageError(path, "it is larger than 1 MB, too large for an annotation", "too large")
    try:
        drawn = [Drawn(_box([values.get(side, "nothing") for side in _SIDES], first=1), values.get("name") or None)
                 for values in _objects(data)]
    except expat.ExpatError as error:
        raise ImageError(path, f"it is no XML ({error})") from None
    except (ValueError, LookupError) as error:  # what it holds makes no sense, or its encoding is none
        raise ImageError(path, str(error)) from None
    if not drawn:
        raise ImageError(path, "it has no object with a bndbox")
    return drawn


def _objects(data: bytes) -> Iterator[dict[str, str]]:
    """Yield what each object of an annotation has: its name and its box's sides. Raises ExpatError, or ValueError for a
    file that no annotation tool writes."""
    found, tags = list[dict[str, str]](), list[str]()
    wanted: dict[tuple[str, ...], str] = {("annotation", "object", "bndbox", side): side for side in _SIDES}
    wanted["annotation", "object", "name"] = "name"

    def begin(tag: str, _: dict[str, str]) -> None:
        tags.append(tag)
        if len(tags) > _DEEPEST or len(found) > _MOST_BOXES:
            raise ValueError("it has more tags within tags, or more objects, than an annotation has")
        if tags == ["annotation", "object"]:
            found.append({})

    def text(data: str) -> None:
        key = wanted.get(tuple(tags))
        if key:
            found[-1][key] = found[-1].get(key, "") + data

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type (<!DOCTYPE …>), which is not read; take that out")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.CharacterDataHandler = begin, text
    parser.EndElementHandler = lambda _: tags.pop()
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.Parse(data, True)
    for values in found:
        if set(_SIDES) & set(values):
            yield {key: value.strip() for key, value in values.items()}
