"""The loop: epochs of steps, validation, the best and the last checkpoint. training/__init__.py prepares what is needed
here and comes back for the result; trainer.py makes one step, signals.py says when to stop, observer.py who is told.

Why a resumed run continues to the very bits: a state holds the weights, the optimiser's memory, the epoch, the step in
it and the sums over it so far; everything random is a function of seed, epoch, step and image, so that nothing else
needs keeping. Files are written in the order best model, history, state: what a killed process leaves is at or ahead
of the state, and the same bits are written over it when training goes on from there.
"""

import contextlib
import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..data import Batch, Batches, Images
from ..errors import Interrupted, ModelError, SaveError, TrainingError, printable
from ..evaluation.scores import Evaluation, evaluate
from ..kernels import Array, Mixed
from ..loss import CrossEntropy
from ..model import Model, checkpoint
from ..model.calibration import calibrate
from ..optim.average import WeightAverage
from ..optim.lookahead import Lookahead
from ..runs import Row, Run
from .observer import Observer
from .signals import StopFlag
from .trainer import Trainer

AVERAGE_STEPS = 4  # between two updates of the weights' average
AVERAGE_MEMORY = 0.25  # how far it looks back, as a part of the stretch that is averaged
_AVERAGE = "average."  # what its arrays' names begin with in a saved state
SAVE_SECONDS = 180.0  # the longest stretch of an epoch that a power cut can cost
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


class _StopHere(Exception):
    """A signal came in the middle of a validation."""


class _Measure:
    """The plain cross-entropy of batches of one shape, its arrays and call kept from one step to the next."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._logits, self._labels = np.empty(shape, np.float32), np.empty(shape[0], np.int64)
        self._mixed, self._losses = (np.empty(shape[0], np.int64), np.empty(shape[0], np.float32)), np.empty(shape[0])
        self._calls = CrossEntropy().calls(self._logits, self._labels, self._losses, mixed=self._mixed)

    def __call__(self, logits: Array, labels: Array, mixed: Mixed | None) -> float:
        np.copyto(self._logits, logits)
        np.copyto(self._labels, labels)
        others, shares = mixed or (labels, 1.0)
        np.copyto(self._mixed[0], others)
        np.copyto(self._mixed[1], shares)
        for call in self._calls:
            call()
        return float(self._losses.sum())


@dataclass
class Fit:
    """A training with everything that it needs; ``run_to_the_end`` does it.

    model is the network with its classes and preprocessing; images is what the validation runs over, None for none.
    summary is what the model files say about the training, without the epoch. averaged is the last part of all steps
    over which the weights are averaged; the model is then that average.
    """

    trainer: Trainer
    batches: Batches
    schedule: Callable[[int], float]
    epochs: int
    patience: int | None
    model: Model
    validation: Images | None
    summary: dict[str, Any]
    observer: Observer
    progress: Progress = field(default_factory=Progress)
    averaged: float = 0.0
    lookahead: Lookahead | None = None

    def __post_init__(self) -> None:
        self._average: WeightAverage | None = None
        self._measures: dict[int, _Measure] = {}
        self._saved = self._began = time.monotonic()
        self.stop = StopFlag()

    def run_to_the_end(self, run: Run, stop: StopFlag) -> None:
        """Train until the last epoch, or until patience ends, or until stop is up; write into the run's folder.

        Raises Interrupted, after saving, where a signal came; TrainingError where loss or gradients are not finite;
        SaveError where the disk refuses. What was saved before stays usable each time.
        """
        self.run, self.stop = run, stop
        try:
            while not self.progress.finished:
                self._began = time.monotonic()
                self.observer.epoch_started(self.progress.epoch, self.epochs, self.batches.steps)
                self._learn()
                self.close_epoch()
        except SaveError as error:
            raise SaveError(f"{error} Put that right, then continue with: {self._command}") from error

    @property
    def _command(self) -> str:
        """What continues this run, for a sentence; of a fold, all of the cross-validation."""
        name, fold = self.run.name, self.summary["recipe"]["fold"]
        if fold and name.endswith(f"-fold{fold[0]}"):
            return f"cnn train --folds {fold[1]} --resume {printable(name.removesuffix(f'-fold{fold[0]}'))}"
        return f"cnn train --resume {printable(name)}"

    # ---- one epoch ----

    def _learn(self) -> None:
        """Make the steps of the epoch that are left."""
        progress, steps = self.progress, self.batches.steps
        self._stop_if_asked()
        if progress.epoch == 1 and not progress.step:
            self.open()
        with contextlib.closing(self.steps()) as done:
            for step in done:
                self.observer.step_done(step, steps, progress.loss_sum / progress.seen,
                                        progress.correct / progress.seen)
                if step < steps and time.monotonic() - self._saved > SAVE_SECONDS:
                    self._check_finite()
                    self._save_state()
                self._stop_if_asked()
        self._count_seconds()

    def open(self) -> None:
        """Do what comes before the first step: here nothing."""

    @property
    def opening_images(self) -> int:
        """How many images ``open`` looks at."""
        return 0

    def steps(self) -> Generator[int, None, None]:
        """Make the steps of the epoch that are left, one each time that the next is asked for; yield its number."""
        progress = self.progress
        with contextlib.closing(self.batches.epoch(progress.epoch, progress.step, reuse=True)) as batches:
            for batch in batches:
                self._step(batch)
                yield progress.step

    def _step(self, batch: Batch) -> None:
        progress, images, labels = self.progress, batch[0], batch[1]
        mixed = batch[3] if len(batch) == 4 else None
        done = (progress.epoch - 1) * self.batches.steps + progress.step
        self.trainer.optimiser.lr = self.schedule(done)
        try:
            self.trainer.step(images, labels, mixed)
        except TrainingError as error:
            raise self._broken(f"step {progress.step + 1}", error) from None
        if self.lookahead and self.lookahead.after(done + 1):
            self.trainer.network.changed()
        self._follow(done + 1)
        logits = self.trainer.logits
        most = labels if mixed is None else np.where(mixed[1] < 0.5, mixed[0], labels)  # what the larger part shows
        correct = int((logits.argmax(axis=1) == most).sum())
        if len(labels) not in self._measures:
            self._measures[len(labels)] = _Measure(logits.shape)
        measure = self._measures[len(labels)]
        progress.count(measure(logits, labels, mixed), correct, len(labels))

    def close_epoch(self) -> None:
        """Validate, write the epoch's row, the best model and the state, and go on to the next epoch."""
        self._close(self._validate())

    def _follow(self, done: int) -> None:
        """Move the weights' average along after so many steps in all, where they are averaged by then."""
        if not self._averages(done) or done % AVERAGE_STEPS:
            return
        if self._average is None:
            self._average = self._new_average()
        else:
            self._average.update()

    def _averages(self, done: int) -> bool:
        return done > (1 - self.averaged) * self.epochs * self.batches.steps

    def _new_average(self) -> WeightAverage:
        updates = self.averaged * self.epochs * self.batches.steps / AVERAGE_STEPS
        return WeightAverage(self.trainer.network, 1 / max(1.0, AVERAGE_MEMORY * updates))

    def _judged(self) -> contextlib.AbstractContextManager[None]:
        """The network as it is validated and saved as the model: averaged, where there is an average."""
        return self._average.in_place() if self._average else contextlib.nullcontext()

    def _validate(self) -> Evaluation | None:
        """Return what the validation images say, None without any."""
        if self.validation is None:
            return None

        def watch(done: int, total: int) -> None:
            if self.stop:
                raise _StopHere
            self.observer.validating(done, total)

        try:
            with self._judged():
                return evaluate(self.model, self.validation, progress=watch)
        except _StopHere:
            raise self._interrupted() from None  # by now the network has the weights again that belong into the state
        except ModelError as error:
            raise self._broken("validation", error) from None

    def _close(self, validation: Evaluation | None) -> None:
        progress = self.progress
        row: Row = {
            "epoch": progress.epoch,
            "train_loss": progress.loss_sum / progress.seen,
            "train_accuracy": progress.correct / progress.seen,
            "val_loss": validation.loss if validation else None,
            "val_accuracy": validation.accuracy if validation else None,
            "learning_rate": self.schedule(progress.epoch * self.batches.steps - 1),
            "images_per_second": progress.seen / max(progress.seconds, 1e-9),
            "seconds": progress.seconds + time.monotonic() - self._began,
        }
        self._check_finite()
        progress.history.append(row)
        top, images = highest(progress.history), len(validation.labels) if validation else 0
        best = progress.best is None or as_good(row, top, images)
        if best:
            self._save_best(row, validation)
            progress.best = row
        self.run.write_history(progress.history)
        waited = row["epoch"] - top["epoch"]
        progress.finished = row["epoch"] >= self.epochs or (self.patience is not None and waited >= self.patience)
        progress.next_epoch()
        self._save_state()
        self.observer.epoch_done(row, best)
        if progress.finished and row["epoch"] < self.epochs:
            self.observer.note(f"stopped early: the last {waited} epochs were no better than epoch "
                               f"{row['epoch'] - waited}.")

    # ---- saving and stopping ----

    def _save_best(self, row: Row, validation: Evaluation | None) -> None:
        """Save the model, calibrated by what the validation images have just said of it."""
        kept = {k: v for k, v in row.items() if k not in ("images_per_second", "seconds")}
        self.model.training = {**self.summary, **kept}
        self.model.calibration = calibrate(validation.logits, validation.labels) if validation else None
        with self._judged():
            checkpoint.save_model(self.run.path / checkpoint.MODEL, self.model)
        self.model.calibration = None  # it is of these weights alone

    def _save_state(self) -> None:
        """Save what resuming needs; the state before it stays as previous.safetensors."""
        if self.progress.step:
            self._count_seconds()
        self.model.training = {**self.summary, "epoch": self.progress.epoch - (not self.progress.step)}
        checkpoint.save_state(self.run.path, self.model, self._arrays(), asdict(self.progress))
        self._saved = time.monotonic()

    def _arrays(self) -> dict[str, Array]:
        """What resuming needs beside weights and progress: the optimiser's memory, slow weights, and the average."""
        average = self._average.state() if self._average else {}
        slow = self.lookahead.state() if self.lookahead else {}
        return {**self.trainer.optimiser.state(), **slow, **{_AVERAGE + name: a for name, a in average.items()}}

    def restore(self, progress: Progress, arrays: dict[str, Array]) -> None:
        """Put the training where a saved state was; the model has its weights already."""
        average = {name.removeprefix(_AVERAGE): array for name, array in arrays.items() if name.startswith(_AVERAGE)}
        self.trainer.optimiser.load_state({k: v for k, v in arrays.items() if not k.startswith(_AVERAGE)})
        if self.lookahead:
            self.lookahead.load_state(arrays)
        self.trainer.steps_done = (progress.epoch - 1) * self.batches.steps + progress.step
        if average and self._averages(self.trainer.steps_done):  # a training made longer may have begun too early
            self._average = self._new_average()
            self._average.load_state(average)
        self.progress = progress

    def _count_seconds(self) -> None:
        """Put the time since the epoch, or the last save, began into the progress."""
        now = time.monotonic()
        self.progress.seconds += now - self._began
        self._began = now

    def _stop_if_asked(self) -> None:
        """Save and raise Interrupted where a signal came."""
        if self.stop:
            raise self._interrupted()

    def _interrupted(self) -> Interrupted:
        """Save, and return what is to be raised."""
        progress = self.progress
        self.observer.stopping(self.stop.cause)
        if progress.step:
            self._check_finite()
            self._save_state()
        return Interrupted(
            f"stopped by {self.stop.cause} in epoch {progress.epoch}, {progress.step} of {self.batches.steps} steps "
            f"done, all saved; continue with: {self._command}", self.stop.signal)

    def _check_finite(self) -> None:
        """Refuse to save what is not finite: batch norm's running statistics can overflow while the loss does not."""
        network = self.trainer.network
        for name, array in {**network.parameters(), **network.buffers()}.items():
            if not np.isfinite(array).all():
                raise self._broken("checking the weights", f"{name} became infinite or NaN; use a lower learning rate.")

    def _broken(self, where: str, why: object) -> TrainingError:
        best = self.progress.best
        kept = (f"the model of epoch {best['epoch']} is kept in {printable(self.run.path / checkpoint.MODEL)}" if best
                else "no model had been saved yet")
        return TrainingError(f"epoch {self.progress.epoch}, {where}: {why} Training stopped; {kept}.")


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
    error = math.sqrt(top["val_accuracy"] * (1 - top["val_accuracy"]) / max(images, 1))
    return bool(row["val_accuracy"] >= top["val_accuracy"] - error)
