"""training/progress.py: sums over an epoch, and which of the epochs is the best."""

from dataclasses import asdict
from typing import Any

import pytest

from cnncli.errors import ModelError
from cnncli.training.progress import FORMAT, Progress


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
