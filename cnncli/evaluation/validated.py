"""What a run's model says of its validation images after the last epoch, image by image: validated.csv in the run's
folder. training/fit.py writes it where somebody asks later: in a fold of a cross-validation, and where images are kept
together in groups. training/folds.py puts the tables of the folds together.
"""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..atomic import write_atomically
from ..data import Sample
from ..data.table import table_of
from .grouped import GroupScore
from .scores import Evaluation

VALIDATED = "validated.csv"
COLUMNS = ("path", "label", "answer", "probability", "group")


@dataclass(frozen=True)
class Validated:
    """What was said of one validation image.

    Attributes:
        path: Its path inside the data folder.
        label: The name of its class.
        answer: The name of the most likely class.
        probability: How likely that class is, as the network says without calibration, 0 to 1.
        group: The name of the images that it is kept together with. Its path if there are none.
    """

    path: str
    label: str
    answer: str
    probability: float
    group: str

    @property
    def right(self) -> bool:
        """Whether the answer is right."""
        return self.answer == self.label

    def row(self) -> tuple[Any, ...]:
        """Return the cells of its row in a table."""
        return self.path, self.label, self.answer, f"{self.probability:.6f}", self.group


def answers(samples: Sequence[Sample], found: Evaluation) -> list[Validated]:
    """Return what was said of each sample."""
    names, sure = found.class_names, found.confidences
    return [Validated(sample.relative, names[label], names[guess], round(float(p), 6), sample.together[1])
            for sample, label, guess, p in zip(samples, found.labels, found.guesses, sure, strict=True)]


def groups_of(rows: Sequence[Validated]) -> list[GroupScore]:
    """Return the scores of the groups, by name; an image that is in none is one by itself."""
    found: dict[str, list[bool]] = {}
    for row in rows:
        found.setdefault(row.group, []).append(row.right)
    return [GroupScore(name, len(right), sum(right)) for name, right in sorted(found.items())]


def write(path: str | os.PathLike[str], rows: Sequence[Validated]) -> None:
    """Write a table. Raises SaveError."""
    write_atomically(path, table_of(COLUMNS, (row.row() for row in rows)))


def read(path: str | os.PathLike[str]) -> list[Validated]:
    """Return what ``write`` wrote; nothing if it is not there, or cannot be read."""
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            return [Validated(row["path"], row["label"], row["answer"], float(row["probability"]), row["group"])
                    for row in csv.DictReader(file, strict=True)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return []
