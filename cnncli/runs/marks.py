"""The images of a run, by what they are: images.csv in its folder has a line for each, with its split, class, path
inside the data folder, size, and the marks (data/marks.py) of those that were trained and validated on. samples.py asks
here whether a folder is the run's data, wherever it lies by now. The model file has the marks of the training images,
too, without their names (Model.seen), for models that have left their run.
"""

import csv
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat, takewhile

import numpy as np

from ..data import Images, Sample, Splits
from ..data.marks import FILE, NONE, PIXELS
from ..data.splits import marks_of
from ..data.table import table_of
from ..kernels import Array
from .run import IMAGES, Run

_COLUMNS = ("split", "class", "path", "bytes", "file", "pixels")


@dataclass(frozen=True, slots=True)
class Listed:
    """One image that a run was trained or validated on: its size ("-1" where it was not told), its marks, and the class
    that it had then."""

    split: str
    size: str
    file: int
    pixels: int
    label: str = ""

    def is_like(self, marks: Sequence[int]) -> bool:
        """Whether an image with these marks is the same."""
        return bool((self.file != NONE and self.file == marks[FILE])
                    or (self.pixels != NONE and self.pixels == marks[PIXELS]))


def as_csv(splits: Splits, train: Images, val: Images | None) -> bytes:
    """Return what images.csv holds of a training: the images that can be used, and those held out for a test."""
    learnt = [_rows(split, splits.classes, images.samples, marks_of(images.samples), images.marks)
              for split, images in (("train", train), ("val", val)) if images is not None]
    tested = len(splits.test)
    rest = _rows("test", splits.classes, splits.test, [""] * tested, np.full((tested, 2), NONE, np.uint64))
    return table_of(_COLUMNS, chain(*learnt, rest))


def _rows(split: str, classes: Sequence[str], samples: Sequence[Sample], sizes: Sequence[str], marks: Array
          ) -> Iterable[tuple[str, ...]]:
    """Return the lines of some images. They are put together column by column, because there may be a million."""
    return zip(repeat(split, len(samples)), [classes[sample.label] for sample in samples],
               [sample.relative for sample in samples],
               [size if sample.pixels is None else "" for size, sample in zip(sizes, samples, strict=True)],
               _words(marks[:, FILE]), _words(marks[:, PIXELS]), strict=True)


def _words(marks: Array) -> list[str]:
    """Return marks as the table has them: 16 digits to the base of 16, or nothing."""
    digits = marks.astype(">u8").tobytes().hex()
    none = (marks == NONE).tolist()
    return ["" if none[i] else digits[16 * i : 16 * i + 16] for i in range(len(none))]


def read(run: Run) -> dict[str, Listed] | None:
    """Return what the run's images.csv says of training and validation images, by their paths inside the data folder;
    None where there is none, as of earlier versions, or it cannot be read."""
    try:
        with open(run.path / IMAGES, newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.DictReader(file)
            return {row["path"]: Listed(row["split"], row["bytes"], _mark(row["file"]), _mark(row["pixels"]),
                                        row["class"] or "")
                    for row in rows if _is_to_learn(row)}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None


def taught(run: Run | None) -> dict[int, frozenset[str]]:
    """Return the classes that the run's training images had when it was trained, by the marks of their files. Copies
    may have had several."""
    found: dict[int, frozenset[str]] = {}
    for image in ((read(run) or {}) if run else {}).values():
        if image.split == "train" and image.file != NONE:
            found[image.file] = found.get(image.file, frozenset()) | {image.label}
    return found


def validated(run: Run) -> Counter[tuple[int, int]] | None:
    """Return how often the run was validated on each image, by the marks; None where that is not known."""
    listed = read(run)
    return None if listed is None else Counter((image.file, image.pixels) for image in listed.values()
                                               if image.split == "val")


def _is_to_learn(row: Mapping[str, str]) -> bool:
    """Whether a line is of a training or validation image. Raises ValueError where it is none of as_csv."""
    if row["split"] not in ("train", "val", "test") or not row["path"]:
        raise ValueError("not a line of this table")
    return row["split"] != "test"


def _mark(word: str) -> int:
    mark = int(word or "0", 16)
    if not 0 <= mark < 2**64:
        raise ValueError("not a mark")
    return mark


def placed(listed: Mapping[str, Listed], samples: Sequence[Sample]) -> dict[str, Listed]:
    """Return what ``read`` did, by the paths that the images have where they lie by now: folders around all of them may
    be others. samples are images of the same splits."""
    was, now = around(listed), around([sample.relative for sample in samples])
    return {now + name[len(was):]: image for name, image in listed.items()}


def around(names: Collection[str]) -> str:
    """Return the folders that all of these names lie in, with a slash behind."""
    first, last = (name.split("/")[:-1] for name in (min(names, default=""), max(names, default="")))
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(f"{folder}/" for folder, _ in shared)


def unlike(run: Run, samples: Sequence[Sample], marks: Array) -> list[Sample]:
    """Return those of the run's training images that are none of some others, of whose marks there is a row each."""
    training = {name: image for name, image in (read(run) or {}).items() if image.split == "train"}
    listed, others = placed(training, samples), set(marks.ravel().tolist()) - {NONE}
    return [sample for sample in samples
            if (image := listed.get(sample.relative)) is None or not {image.file, image.pixels} & others]
