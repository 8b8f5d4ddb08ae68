"""How far a training has got, and which of its epochs is the best: what fit.py counts, saves and decides by. Plain data
and two rules; nothing here trains.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ModelError
from ..runs import Row

FORMAT = 1  # of what Progress holds


@dataclass
class Progress:
    """How far a training has got; JSON values only. epoch is the one under way, counted from 1, of which ``step``
    steps are done, with the sums over their images and the seconds spent on them. best is the row of the epoch
    whose model is kept, history all rows."""

    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0
    finished: bool = False
    best: Row | None = None
    history: list[Row] = field(default_factory=list)
    format: int = FORMAT

    @property
    def loss(self) -> float:
        """The mean loss of the images that the epoch has seen."""
        return self.loss_sum / self.seen

    @property
    def accuracy(self) -> float:
        """The share of the images that the epoch has seen that was right."""
        return self.correct / self.seen

    def count(self, loss: float, correct: int, images: int) -> None:
        """Add one step's batch."""
        self.step += 1
        self.loss_sum += loss * images
        self.correct += correct
        self.seen += images

    def next_epoch(self) -> None:
        """Close the epoch under way."""
        self.epoch, self.step = self.epoch + 1, 0
        self.loss_sum, self.correct, self.seen, self.seconds = 0.0, 0, 0, 0.0

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Progress":
        """Read what ``asdict`` wrote. Raises ModelError where another version of cnn wrote it."""
        if value.get("format") != FORMAT or value.keys() != cls.__dataclass_fields__.keys():
            raise ModelError("the saved state is of another version of cnn; train anew, or continue it with that one.")
        return cls(**value)


def highest(history: Sequence[Row]) -> Row:
    """Return the row of the highest validation accuracy; of several that of the least loss; without validation the
    last."""
    return max(history, key=lambda row: (row["epoch"],) if row["val_accuracy"] is None
               else (row["val_accuracy"], -row["val_loss"]))


def as_good(row: Row, top: Row, images: int) -> bool:
    """Whether an epoch's model takes the place of an earlier one: its validation accuracy lies within a standard error
    of the highest so far, so that this many images cannot tell the two apart. Later is better then: weights settle
    towards a schedule's end, and the highest of many noisy figures flatters (cf. the one-standard-error rule, Breiman
    et al. 1984)."""
    if row["val_accuracy"] is None:
        return True
    error = math.sqrt(top["val_accuracy"] * (1 - top["val_accuracy"]) / images)
    return bool(row["val_accuracy"] >= top["val_accuracy"] - error)
