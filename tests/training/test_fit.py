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
        self.weight, self.mean, self.changes = np.zeros(1, np.float32), np.zeros(1, np.float32), 0

    def parameters(self) -> dict[str, np.ndarray]:
        return {"weight": self.weight}

    def buffers(self) -> dict[str, np.ndarray]:
        return {"mean": self.mean}

    def changed(self) -> None:
        self.changes += 1


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
                    summary={"recipe": {"fold": None}}, observer=Seen(), averaged=averaged)
    made.write_into(SimpleNamespace(path=Path("run"), name="run", histories=[], as_option=lambda: "run",
                                    write_history=lambda rows: None))
    return made


@pytest.fixture(autouse=True)
def saved(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Keep what models say of their training, and what they are calibrated by, instead of writing them."""
    models: list[dict[str, Any]] = []
    monkeypatch.setattr(checkpoint, "save_model", lambda path, model: models.append(
        {**model.training, "calibration": model.calibration}))
    monkeypatch.setattr(checkpoint, "save_state", lambda *everything: None)
    monkeypatch.setattr("cnncli.training.fit.calibrate", lambda logits, labels: len(labels))
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


def test_a_kept_model_says_what_it_reached_and_is_calibrated_by_just_that(saved: list[dict[str, Any]]) -> None:
    made = closed(fit(), [0.5], images=40)
    made.progress.count(0.3, 6, 8)
    made.close_epoch(None)
    assert [sorted(model) for model in saved] == [[
        "calibration", "epoch", "learning_rate", "recipe", "train_accuracy", "train_loss", "val_accuracy",
        "val_loss"]] * 2
    assert [(model["calibration"], model["val_accuracy"]) for model in saved] == [(40, 0.5), (None, None)]
    assert made.model.calibration is None, "the state's weights are others"


def test_a_state_says_the_epoch_whose_weights_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two epochs that is the last one, in the middle of one this."""
    states: list[Any] = []
    monkeypatch.setattr(checkpoint, "save_state", lambda path, model, arrays, progress: states.append(
        (model.training["epoch"], progress["epoch"], progress["step"])))
    made = closed(fit(), [0.5, 0.6])
    made.progress.count(0.3, 6, 8)
    made._save_state()
    assert states == [(1, 2, 0), (2, 3, 0), (3, 3, 1)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that moves when it is set."""
    made = SimpleNamespace(now=0.0)
    monkeypatch.setattr("cnncli.training.fit.time", SimpleNamespace(monotonic=lambda: made.now))
    return made


@pytest.mark.parametrize(("seconds", "saved_at"), [(90, [3]), (90.5, [2, 4]), (200, [1, 2, 3, 4])])
def test_a_long_epoch_is_saved_every_three_minutes(seconds: float, saved_at: list[int], clock: SimpleNamespace,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """After each step but the last, behind which the epoch is closed."""
    states: list[tuple[int, float]] = []
    monkeypatch.setattr(checkpoint, "save_state", lambda path, model, arrays, progress: states.append(
        (progress["step"], progress["seconds"])))
    made = fit(steps=5)

    def steps() -> Iterator[None]:
        for _ in range(5):
            clock.now += seconds
            made.progress.count(0.3, 6, 8)
            yield

    made._steps = steps
    made._learn()
    assert states == [(step, seconds * step) for step in saved_at]
    assert made.progress.seconds == 5 * seconds
    clock.now += 7
    made._save_state()
    made.progress.step = 0
    clock.now += 7
    made._save_state()
    assert made.progress.seconds == 5 * seconds + 7, "between two epochs no step takes time"
    made.progress.seconds = 0
    made.progress.count(0.3, 6, 8)
    made.close_epoch(None)
    assert made.progress.history[0]["seconds"] == 7, "with what closes the epoch"
    assert made.progress.history[0]["images_per_second"] == 48 / 1e-9, "as many as there are, where no time is told"


def test_what_is_not_finite_is_never_saved(saved: list[dict[str, Any]]) -> None:
    made = closed(fit(), [0.5])
    made.trainer.network.mean[0] = np.inf
    with pytest.raises(TrainingError, match=r"epoch 2, checking .* mean became infinite .*of epoch 1 is kept"):
        closed(made, [0.9])
    assert len(saved) == 1


# ---- steps ----


class Learner:
    """Stands for a Trainer that gives every image the same logits."""

    def __init__(self, network: Number) -> None:
        self.network, self.logits, self.learnt = network, np.zeros((0, 2)), list[Any]()
        self.optimiser = SimpleNamespace(lr=0.0)

    def step(self, images: Any, labels: Any, mixed: Any) -> None:
        self.learnt.append((images, mixed))
        self.logits = np.tile(np.array([0.0, 1.0], np.float32), (len(labels), 1))
        self.network.weight += 1


MISS, HIT = np.log(1 + np.e), np.log(1 + 1 / np.e)  # the cross-entropies of the two classes


def test_a_step_has_its_rate_and_counts_what_is_right() -> None:
    made = fit(steps=4, averaged=1.0)
    made.trainer, made.progress = Learner(made.trainer.network), Progress(epoch=3, step=1)
    made.lookahead = SimpleNamespace(after=lambda done: done == 11)
    done = [made._step((f"images {i}", np.array(labels), None)) for i, labels in enumerate([[1, 1, 0], [1]])]
    assert done == [(pytest.approx((2 * HIT + MISS) / 3), 2, 3), (pytest.approx(HIT), 1, 1)]
    assert made.trainer.learnt == [("images 0", None), ("images 1", None)]
    assert made.trainer.optimiser.lr == 10.0, "that of the eleventh step"
    assert made.trainer.network.changes == 1, "where slow weights have come into the place of the others"
    assert made._average is None
    assert (made.progress.step, made.progress.seen, made.progress.correct) == (3, 4, 3)
    made._step(("images", np.array([0]), None))
    assert made._average is not None, "after twelve"


def test_of_mixed_images_the_larger_part_is_what_is_right() -> None:
    made = fit(steps=4)
    made.trainer = Learner(made.trainer.network)
    labels, others, shares = np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]), np.array([0.4, 0.5, 0.5, 0.3], np.float32)
    done = made._step(("images", labels, None, (others, shares)))
    own = np.array([MISS, MISS, HIT, HIT])
    assert done == (pytest.approx((shares * own + (1 - shares) * own[::-1]).mean(), rel=1e-6), 2, 4)
    assert made.trainer.learnt == [("images", (others, shares))]


def test_a_step_that_breaks_is_told_by_its_number() -> None:
    made = fit(steps=4)
    made.progress.step = 2

    def broken(*_: Any) -> None:
        raise TrainingError("the loss became inf.")

    made.trainer = SimpleNamespace(optimiser=SimpleNamespace(), step=broken)
    with pytest.raises(TrainingError, match=r"epoch 1, step 3: the loss became inf. .*no model had been saved yet"):
        made._step(("images", np.array([0]), None))


# ---- the head ----


@pytest.mark.parametrize(("only", "fitted"), [(False, [(1, 0)]), (True, [(1, 0), (1, 2), (2, 0)])])
def test_the_head_is_fitted_before_the_first_step(only: bool, fitted: list[tuple[int, int]], clock: Any) -> None:
    """A probe fits it wherever it is; then there are no steps."""
    found: list[tuple[int, int]] = []
    for place in ((1, 0), (1, 2), (2, 0)):
        made = fit()
        made.head_first, made.head_only, made.progress = True, only, Progress(epoch=place[0], step=place[1], seen=1)
        made._steps = lambda: (None for _ in ())

        def look(place: tuple[int, int] = place) -> Any:
            found.append(place)
            clock.now += 3
            return SimpleNamespace(loss=0.5, right=6, images=8)

        made.fit_head = look
        made._learn()
        assert made.progress.seconds == (3 if place in fitted else 0)
        assert (made.progress.correct, made.progress.seen) == ((6, 9) if only else (0, 1))
    assert found == fitted


def test_all_images_are_looked_at_for_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fit()
    made.batches.images, made.validation, made.trainer.loss = range(8), range(3), "loss"
    assert made.head_images == 0, "where it is not fitted"
    made.head_first = True
    assert made.head_images == 11
    asked: list[Any] = []

    def fitted(model: Any, loss: Any, train: Any, val: Any, watch: Any, world: Any) -> Any:
        asked.extend([model, loss, train, val])
        watch(2, 11)
        return SimpleNamespace(images=8, right=6)

    monkeypatch.setattr("cnncli.training.fit.fit_head", fitted)
    looked: list[tuple[int, int]] = []
    made.observer.computing_features = lambda *how_far: looked.append(how_far)
    made.fit_head()
    assert asked == [made.model, "loss", range(8), range(3)]
    assert looked == [(2, 11)]
    assert made.observer.notes == [
        "The last layer is fitted to features of 8 images; with it, 75.00% of them are right."]
    made.validation = None
    assert made.head_images == 8
