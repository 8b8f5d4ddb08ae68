"""training/progress.py: sums over an epoch, and which of the epochs is the best."""

from dataclasses import asdict
from typing import Any

import pytest

from cnncli.errors import ModelError
from cnncli.training.progress import FORMAT, Progress, as_good, highest


def test_an_epoch_is_the_sum_of_its_batches() -> None:
    progress = Progress()
    assert (progress.epoch, progress.step, progress.finished, progress.best) == (1, 0, False, None)
    progress.count(0.5, 6, 8)
    progress.count(1.0, 1, 2)
    assert (progress.step, progress.loss, progress.accuracy) == (2, pytest.approx(0.6), pytest.approx(0.7))
    assert (progress.correct, progress.seen) == (7, 10)
    progress.seconds = 3.0
    progress.next_epoch()
    assert progress == Progress(epoch=2)


def test_it_comes_back_from_json_unless_another_version_wrote_it() -> None:
    progress = Progress(epoch=3, step=2, loss_sum=1.5, correct=3, seen=9, seconds=0.5, history=[{"epoch": 1}])
    written: dict[str, Any] = asdict(progress)
    assert Progress.from_json(written) == progress
    assert written["format"] == FORMAT == 1, "a new number where it means something else"
    less = {key: value for key, value in written.items() if key != "seen"}
    for other in ({**written, "format": 2}, {**written, "more": 1}, less):
        with pytest.raises(ModelError, match="of another version"):
            Progress.from_json(other)


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
