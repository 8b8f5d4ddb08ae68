"""Which epoch's model a run keeps: decided while it trains, and told from its history afterwards."""

import math
from collections.abc import Sequence
from typing import TypedDict


class Row(TypedDict):
    """What an epoch reached: a row of history.csv.

    Attributes:
        epoch: Which epoch it is, from 1.
        train_loss: The mean loss of the training images, as they were changed, during the epoch.
        train_accuracy: The share of them that was classified right, 0 to 1.
        val_loss: The mean loss of the validation images. None without any.
        val_accuracy: The share of the validation images that was classified right, 0 to 1. None without any.
        learning_rate: The learning rate of the epoch's last step.
        images_per_second: How many training images were used in a second.
        seconds: How long the epoch took.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    images_per_second: float
    seconds: float


def highest(history: Sequence[Row]) -> Row:
    """Return the row with the highest validation accuracy; of equal ones that with the lowest loss; without validation
    the last.
    """
    return max(history, key=lambda row: (row["epoch"],) if row["val_accuracy"] is None
               else (row["val_accuracy"], -(row["val_loss"] or 0.0)))


def as_good(row: Row, top: Row, images: int) -> bool:
    """Return whether an epoch's model replaces an earlier one: its validation accuracy is within one standard error of
    the highest so far, so this many images cannot tell the two apart. The later one is then better: weights settle
    towards the end of a schedule, and the highest of many noisy numbers is too high (compare the one-standard-error
    rule, Breiman et al. 1984).
    """
    if row["val_accuracy"] is None or top["val_accuracy"] is None:
        return True
    error = math.sqrt(top["val_accuracy"] * (1 - top["val_accuracy"]) / images)
    return bool(row["val_accuracy"] >= top["val_accuracy"] - error)


def judged(rows: Sequence[Row], images: int) -> list[tuple[Row, bool]]:
    """Return the rows of a history, each with whether its model was kept when it ended, as the accuracy on so many
    validation images decides. The last one that was kept is the run's model."""
    found: list[tuple[Row, bool]] = []
    top: Row | None = None
    for row in rows:
        first, top = top is None, highest([row] if top is None else [top, row])
        found.append((row, first or as_good(row, top, images)))
    return found


def kept_row(rows: Sequence[Row], images: int) -> Row | None:
    """Return the row of the epoch whose model is kept. None if no epoch has ended."""
    return next((row for row, kept in reversed(judged(rows, images)) if kept), None)
