"""runs/kept.py: which epoch's model a run keeps."""

from typing import Any

from cnncli.runs.kept import as_good, highest, judged, kept_row


def test_the_best_epoch_is_the_latest_within_a_standard_error_of_the_highest() -> None:
    rows = [{"epoch": number, "val_accuracy": accuracy, "val_loss": loss} for number, (accuracy, loss) in enumerate(
        [(0.80, 0.5), (0.90, 0.4), (0.87, 0.3), (0.90, 0.3), (0.83, 0.6)], start=1)]
    top = highest(rows)
    assert top["epoch"] == 4  # as many right as epoch 2, with less loss
    # 100 images: a standard error of 0.9 is 0.03
    assert [row["epoch"] for row in rows if as_good(row, top, 100)] == [2, 3, 4]
    assert [row["epoch"] for row in rows if as_good(row, top, 1000)] == [2, 4]
    unjudged = [{"epoch": number, "val_accuracy": None, "val_loss": None} for number in (1, 2)]
    assert highest(unjudged)["epoch"] == 2
    assert as_good(unjudged[0], unjudged[0], 0)


def test_just_a_standard_error_below_is_as_good() -> None:
    """Of 4 images half are right: a standard error is a quarter; of 16 an eighth."""
    top = {"epoch": 1, "val_accuracy": 0.5, "val_loss": 1.0}
    for images, accuracy in ((4, 0.25), (16, 0.375)):
        assert as_good({"epoch": 2, "val_accuracy": accuracy, "val_loss": 1.0}, top, images)
        assert not as_good({"epoch": 2, "val_accuracy": accuracy - 1e-9, "val_loss": 1.0}, top, images)


def rows_of(*accuracies: float | None) -> list[dict[str, Any]]:
    return [{"epoch": i, "val_accuracy": each, "val_loss": None if each is None else 1 - each}
            for i, each in enumerate(accuracies, 1)]


def test_the_epoch_kept_is_the_last_that_was_as_good_when_it_ended() -> None:
    """Of 30 images, with 0.67 as the highest, a standard error is 0.086."""
    rows = rows_of(0.40, 0.67, 0.57, 0.60, 0.50)
    assert [kept for _, kept in judged(rows, 30)] == [True, True, False, True, False]
    assert kept_row(rows, 30) is rows[3]
    assert kept_row(rows, 3000) is rows[1]
    assert kept_row(rows_of(None, None), 0) == {"epoch": 2, "val_accuracy": None, "val_loss": None}
    assert kept_row([], 30) is None
