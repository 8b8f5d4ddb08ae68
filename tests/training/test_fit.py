"""training/fit.py, the loop's own figures, with a network that is one number: over which steps weights are averaged and
how fast, which epochs are kept, when patience ends, and what an epoch's row says."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnncli.errors import TrainingError
from cnncli.model import checkpoint
from cnncli.training.fit import Fit
from cnncli.training.observer import Observer
from cnncli.training.progress import Progress


class Number:
    """A network whose only weight is the number of steps done."""

    def __init__(self) -> None:
        self.weight, self.mean = np.zeros(1, np.float32), np.zeros(1, np.float32)

    def parameters(self) -> dict[str, np.ndarray]:
        return {"weight": self.weight}

    def buffers(self) -> dict[str, np.ndarray]:
        return {"mean": self.mean}

    def changed(self) -> None:
        pass


class Seen(Observer):
    """Keeps which epochs are kept, and what is said."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.notes: list[str] = []

    def epoch_done(self, row: Any, best: bool) -> None:
        self.kept += [row["epoch"]] * best

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


def fit(epochs: int = 4, steps: int = 32, patience: int | None = None, averaged: float = 0.0) -> Any:
    """A training of so many steps an epoch that writes nothing but what it says."""
    network = Number()
    optimiser = SimpleNamespace(state=dict)
    made: Any = Fit(trainer=SimpleNamespace(network=network, optimiser=optimiser), batches=SimpleNamespace(steps=steps),
                    schedule=float, epochs=epochs, patience=patience, model=SimpleNamespace(), validation=None,
                    summary={}, observer=Seen(), averaged=averaged)
    made.write_into(SimpleNamespace(path=Path("run"), name="run", histories=[],
                                    write_history=lambda rows: None))
    return made


@pytest.fixture(autouse=True)
def saved(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Keep what models say of their training instead of writing them."""
    models: list[dict[str, Any]] = []
    monkeypatch.setattr(checkpoint, "save_model", lambda path, model: models.append(model.training))
    monkeypatch.setattr(checkpoint, "save_state", lambda *everything: None)
    monkeypatch.setattr("cnncli.training.fit.calibrate", lambda logits, labels: None)
    return models


# ---- the average of the weights ----


def followed(made: Any, first: int, last: int) -> Iterator[tuple[int, float | None]]:
    """Do steps first … last; yield each with the averaged weight after it, None before there is an average."""
    for step in range(first, last + 1):
        made.trainer.network.weight[0] = step
        made._follow(step)
        yield step, float(made._average.state()["weight"][0]) if made._average else None


@pytest.mark.parametrize(("epochs", "steps", "averaged", "first", "rate"), [
    (4, 32, 0.5, 68, 1 / 4),  # after 64 of 128 steps, every fourth: 16 updates, of which the average remembers 4
    (4, 32, 0.25, 100, 1 / 2),
    (2, 33, 0.5, 36, 1 / (0.25 * 33 / 4)),  # after 33 of 66
    (1, 8, 0.5, 8, 1.0),  # a memory of less than one update is the last weights
])
def test_weights_are_averaged_over_the_last_part_at_the_rate_of_its_length(epochs: int, steps: int, averaged: float,
                                                                        first: int, rate: float) -> None:
    expected = None
    for step, found in followed(fit(epochs, steps, averaged=averaged), 1, epochs * steps):
        if step == first:
            expected = float(step)
        elif expected is not None and step % 4 == 0:
            expected += rate * (step - expected)
        assert found == (None if expected is None else pytest.approx(expected, rel=1e-6)), step
    assert expected is not None


def test_without_a_part_to_average_there_is_no_average() -> None:
    assert all(found is None for _, found in followed(fit(averaged=0.0), 1, 128))


@pytest.mark.parametrize(("epochs", "kept"), [(4, True), (9, False)])
def test_a_resumed_average_goes_on_unless_the_training_was_made_longer(epochs: int, kept: bool) -> None:
    first = fit(averaged=0.5)
    before = [found for _, found in followed(first, 1, 96)][-1]
    made = fit(epochs, averaged=0.5)
    made.trainer.optimiser = SimpleNamespace(state=dict, load_state=lambda arrays: None)
    made.restore(Progress(epoch=4), first.arrays())
    assert made.trainer.steps_done == 96
    assert (made._average is not None) == kept
    if kept:
        assert made._average.state()["weight"][0] == np.float32(before)
        assert list(followed(made, 97, 128)) == list(followed(first, 97, 128))


# ---- epochs ----


def evaluation(accuracy: float, loss: float = 0.5, images: int = 100) -> Any:
    return SimpleNamespace(accuracy=accuracy, loss=loss, labels=np.zeros(images), logits=None)


def closed(made: Any, accuracies: list[float], images: int = 100) -> Any:
    """Close an epoch with each of these accuracies, until the training is finished."""
    for accuracy in accuracies:
        made.progress.count(0.3, 6, 8)
        made.close_epoch(evaluation(accuracy, images=images))
        if made.progress.finished:
            break
    return made


def test_an_epoch_is_compared_with_the_highest_and_not_with_the_last_that_was_kept(saved: list[dict[str, Any]]) -> None:
    """Of 100 images 80 right: a standard error is 4 of them. 0.77 is as good as 0.80; 0.74 is as good as 0.77 only."""
    made = closed(fit(epochs=9), [0.50, 0.80, 0.77, 0.74, 0.73, 0.761, 0.90, 0.80])
    assert made.observer.kept == [1, 2, 3, 6, 7]
    assert [model["epoch"] for model in saved] == [1, 2, 3, 6, 7]
    assert made.progress.best["epoch"] == 7


def test_the_number_of_images_says_what_is_as_good() -> None:
    assert closed(fit(epochs=9), [0.80, 0.77], images=100).observer.kept == [1, 2]
    assert closed(fit(epochs=9), [0.80, 0.77], images=1000).observer.kept == [1]


@pytest.mark.parametrize(("patience", "last"), [(1, 3), (2, 4), (3, 9), (None, 9)])
def test_patience_counts_from_the_highest_epoch(patience: int | None, last: int) -> None:
    made = closed(fit(epochs=9, patience=patience), [0.5, 0.8, 0.79, 0.78, 0.81, 0.82, 0.83, 0.84, 0.85])
    assert made.progress.history[-1]["epoch"] == last
    assert made.progress.finished
    assert made.observer.notes == ([] if last == 9 else [
        f"stopped early: the last {patience} epochs were no better than epoch 2."])


def test_a_row_says_what_the_epoch_was() -> None:
    made = fit(epochs=3, steps=5)
    for loss, right, images in ((0.9, 3, 8), (0.3, 8, 8), (0.6, 1, 2)):
        made.progress.count(loss, right, images)
    made.progress.seconds = 0.5
    made.close_epoch(evaluation(0.75, loss=0.4))
    [row] = made.progress.history
    assert row["train_loss"] == pytest.approx((0.9 * 8 + 0.3 * 8 + 0.6 * 2) / 18)
    assert row["train_accuracy"] == pytest.approx(12 / 18)
    assert (row["val_accuracy"], row["val_loss"], row["epoch"]) == (0.75, 0.4, 1)
    assert row["learning_rate"] == 4.0, "that of the epoch's last step"
    assert row["images_per_second"] == pytest.approx(36)
    assert 0.5 <= row["seconds"] < 60
    assert made.progress == Progress(epoch=2, best=row, history=[row])


def test_a_state_says_the_epoch_whose_weights_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two epochs that is the last one, in the middle of one this."""
    states: list[Any] = []
    monkeypatch.setattr(checkpoint, "save_state", lambda path, model, arrays, progress: states.append(
        (model.training["epoch"], progress["epoch"], progress["step"])))
    made = closed(fit(), [0.5, 0.6])
    made.progress.count(0.3, 6, 8)
    made._save_state()
    assert states == [(1, 2, 0), (2, 3, 0), (3, 3, 1)]


@pytest.mark.parametrize(("seconds", "saved_at"), [(-1, [1, 2, 3, 4]), (180, [])])
def test_a_long_epoch_is_saved_on_the_way(seconds: float, saved_at: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[int] = []
    monkeypatch.setattr(checkpoint, "save_state", lambda path, model, arrays, progress: states.append(progress["step"]))
    monkeypatch.setattr("cnncli.training.fit.SAVE_SECONDS", seconds)
    made = fit(steps=5)

    def steps() -> Iterator[None]:
        for _ in range(5):
            made.progress.count(0.3, 6, 8)
            yield

    made._steps = steps
    made._learn()
    assert states == saved_at, "after each step but the last, behind which the epoch is closed"


def test_what_is_not_finite_is_never_saved(saved: list[dict[str, Any]]) -> None:
    made = closed(fit(), [0.5])
    made.trainer.network.mean[0] = np.inf
    with pytest.raises(TrainingError, match=r"epoch 2, checking .* mean became infinite .*of epoch 1 is kept"):
        closed(made, [0.9])
    assert len(saved) == 1
