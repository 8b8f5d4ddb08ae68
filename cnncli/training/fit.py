"""The training loop: epochs of steps, validation, and the files of the best and the last state. It decides nothing.
prepare.py makes it from a recipe, train.py runs it, trainer.py makes one step, signals.py says when to stop,
observer.py says who is told.

Why a resumed run ends with the same bits: a state holds the weights, the optimiser's memory, the epoch, the step in it
and the sums over it so far. Everything random depends only on seed, epoch, step and image, so nothing else needs to be
kept. Files are written in the order best model, history, state. What a killed process leaves is therefore at or ahead
of the state, and the resumed training writes the same bits over it.
"""

import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np

from ..data import Batch, Batches, Images
from ..errors import DataError, Interrupted, ModelError, SaveError, TrainingError, printable
from ..evaluation import validated
from ..evaluation.scores import Evaluation, LabelledImages, evaluate
from ..kernels import Array
from ..model import Model, checkpoint
from ..model.calibration import calibrate
from ..optim.average import WeightAverage
from ..optim.lookahead import Lookahead
from ..ranks.world import ALONE, World
from ..runs import Row, Run, as_written, resuming
from ..runs.kept import as_good, highest
from .measure import Measure
from .observer import Observer, TrainingSummary
from .probe import Probe, fit_head
from .progress import Progress
from .signals import StopFlag
from .strangeness import fit_strangeness
from .trainer import Trainer

AVERAGE_STEPS = 4  # between two updates of the weights' average
AVERAGE_MEMORY = 0.25  # how far it looks back, as a part of the stretch that is averaged
_AVERAGE = "average."  # what its arrays' names begin with in a saved state
SAVE_SECONDS = 180.0  # the longest stretch of an epoch that a power cut can cost


class _StopHere(Exception):
    """A signal came during a validation."""


class Done(NamedTuple):
    """One step that was made: the mean plain cross-entropy of its batch, how many of its images were right, of how
    many.
    """

    loss: float
    right: int
    images: int


@dataclass(kw_only=True)
class Fit:
    """A training with everything that it needs; ``run_to_the_end`` does it.

    model is the network with its classes and preprocessing. validation has the images that judge every epoch, None
    without any. summary is what the model files say about the training, without the epoch. averaged is the last part of
    all steps over which the weights are averaged; the model is then that average. head_first: the last layer is fitted
    to features before the first step. head_only: and nothing else is done. goes_on is the command that continues a
    stopped training, if it is not one of `cnn train`. world has the processes that train together: all run this loop,
    and the leading one alone writes.

    The loop consists of ``fit_head``, ``endless_steps``, ``write_into``, ``validate`` and ``close_epoch``. A training
    that is only measured and then thrown away calls these one by one.
    """

    trainer: Trainer
    batches: Batches
    schedule: Callable[[int], float]
    epochs: int
    patience: int | None
    model: Model
    validation: Images | None
    summary: TrainingSummary
    observer: Observer
    progress: Progress = field(default_factory=Progress)
    averaged: float = 0.0
    lookahead: Lookahead | None = None
    head_first: bool = False
    head_only: bool = False
    goes_on: str = ""
    world: World = ALONE

    def __post_init__(self) -> None:
        self._average: WeightAverage | None = None
        self._measures: dict[int, Measure] = {}
        self._saved = self._began = time.monotonic()
        self._stop = StopFlag()

    def run_to_the_end(self, run: Run, stop: StopFlag) -> None:
        """Train until the last epoch, until patience ends, or until stop is set. Write into the run's folder.

        Raises Interrupted if a signal came, and DataError if images can no longer be read; both after saving. Raises
        TrainingError if loss or gradients are not finite, SaveError if a file could not be written. What was saved
        before stays usable each time.
        """
        self.write_into(run)
        self._stop = stop
        try:
            while not self.progress.finished:
                self._began = time.monotonic()
                self.observer.epoch_started(self.progress.epoch, self.epochs, self.batches.steps)
                self._learn()
                self.close_epoch(self.validate(self.validation))
        except SaveError as error:
            raise SaveError(f"{error} Put that right, then continue with: {self.command}") from error
        except DataError as error:  # without a cache, files are read as long as the training lasts
            if self.progress.step:
                self._check_finite()
                self._save_state()
            raise DataError(f"{error} Training stopped in epoch {self.progress.epoch}, all saved; put that right, then "
                            f"continue with: {self.command}") from error

    def write_into(self, run: Run) -> None:
        """Write everything that is saved from now on into a run's folder."""
        self.run = run
        self.world.advise(f"To continue: {self.command}")

    @property
    def command(self) -> str:
        """The command that continues this run, for a sentence; for a fold, the whole cross-validation."""
        return self.goes_on or resuming(self.run, self.summary["recipe"]["fold"])

    # ---- one epoch ----

    def _learn(self) -> None:
        """Make the remaining steps of the epoch."""
        progress, steps = self.progress, self.batches.steps
        self._stop_if_asked()
        if self.head_only or (self.head_first and progress.epoch == 1 and not progress.step):
            found = self.fit_head()
            if self.head_only:
                progress.count(found.loss, found.right, found.images)
                self._count_seconds()
                return
        with contextlib.closing(self._steps()) as done:
            for _ in done:
                self.observer.step_done(progress.step, steps, progress.loss, progress.accuracy)
                if progress.step < steps and time.monotonic() - self._saved > SAVE_SECONDS:
                    self._check_finite()
                    self._save_state()
                self._stop_if_asked()
        self._count_seconds()

    @property
    def head_images(self) -> int:
        """How many images ``fit_head`` uses; 0 if the last layer is not fitted."""
        if not self.head_first:
            return 0
        return len(self.batches.images) + (len(self.validation) if self.validation else 0)

    def fit_head(self) -> Probe:
        """Fit the last layer to features of all images, which the layers before it compute once."""

        def watch(done: int, total: int) -> None:
            self.observer.computing_features(done, total)
            self._stop_if_asked()

        found = fit_head(self.model, self.trainer.loss, self.batches.images, self.validation, watch, self.world)
        self.observer.note(f"The last layer is fitted to features of {found.images:,} images; with it, "
                           f"{found.right / found.images:.2%} of them are right.")
        return found

    def endless_steps(self) -> Generator[Done, None, None]:
        """Yield steps, epoch after epoch; each is made when the next is asked for. Nothing is judged or saved."""
        while True:
            yield from self._steps()
            self.progress.next_epoch()

    def _steps(self) -> Generator[Done, None, None]:
        """Yield the remaining steps of the epoch; each is made when the next is asked for."""
        progress = self.progress
        with contextlib.closing(self.batches.epoch(progress.epoch, progress.step, reuse=True)) as batches:
            for batch in batches:
                yield self._step(batch)

    def _step(self, batch: Batch) -> Done:
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
        right = int((logits.argmax(axis=1) == most).sum())
        if len(labels) not in self._measures:
            self._measures[len(labels)] = Measure(logits.shape)
        before, measure = progress.loss_sum, self._measures[len(labels)]
        progress.count(measure(logits, labels, mixed), right, len(labels))
        # What the epoch's sum grew by: what is told of the steps adds up to what is told of the epoch.
        return Done((progress.loss_sum - before) / len(labels), right, len(labels))

    def _follow(self, done: int) -> None:
        """Update the average of the weights after this many steps in all, if averaging has begun by then."""
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

    def _averaged_weights(self) -> contextlib.AbstractContextManager[None]:
        """Inside the with statement, the network has the averaged weights, if there is an average: as it is validated
        and saved.
        """
        return self._average.in_place() if self._average else contextlib.nullcontext()

    def validate(self, images: LabelledImages | None) -> Evaluation | None:
        """Return how good the model is now on the validation images, None without any."""
        if images is None:
            return None

        def watch(done: int, total: int) -> None:
            if self._stop.agree(self.world):
                raise _StopHere
            self.observer.validating(done, total)

        try:
            with self._averaged_weights():
                return evaluate(self.model, images, progress=watch, world=self.world)
        except _StopHere:
            raise self._interrupted() from None  # by now the network has the weights again that belong into the state
        except ModelError as error:
            raise self._broken("validation", error) from None

    def close_epoch(self, validation: Evaluation | None) -> None:
        """Write the epoch's row, the best model, calibrated by the validation, and the state. Begin the next epoch."""
        progress = self.progress
        row: Row = {
            "epoch": progress.epoch,
            "train_loss": progress.loss,
            "train_accuracy": progress.accuracy,
            "val_loss": validation.loss if validation else None,
            "val_accuracy": validation.accuracy if validation else None,
            "learning_rate": self.schedule(progress.epoch * self.batches.steps - 1),
            "images_per_second": progress.seen / max(progress.seconds, 1e-9),
            "seconds": progress.seconds + time.monotonic() - self._began,
        }
        self._check_finite()
        progress.history.append(row)
        top, images = highest(progress.history), len(validation.labels) if validation else 0
        kept, best = progress.best, progress.best is None or as_good(row, top, images)
        if best:
            self._save_best(row, validation)
            progress.best = row
        if self.world.leads:
            self._write_validated(validation)
            self.run.write_history(progress.history)
        waited = row["epoch"] - top["epoch"]
        progress.finished = row["epoch"] >= self.epochs or (self.patience is not None and waited >= self.patience)
        if progress.finished and self.validation and self.world.agreed(self._fit_strangeness):
            progress.history.pop()  # the epoch is validated and closed again when the training goes on
            progress.best, progress.finished = kept, False
            self._stop.agree(self.world)
            raise self._interrupted()
        progress.next_epoch()
        self._save_state()
        self.observer.epoch_done(as_written(row), best)
        if progress.finished and row["epoch"] < self.epochs:
            self.observer.note(f"stopped early: the last {waited} epochs were no better than epoch "
                               f"{row['epoch'] - waited}.")

    def _write_validated(self, validation: Evaluation | None) -> None:
        """Write what is said of each validation image, in a fold, and if images are kept together in groups."""
        if not (validation and self.validation):
            return
        every = self.validation.samples + self.batches.images.samples
        if self.summary["recipe"]["fold"] or any(sample.group is not None for sample in every):
            rows = validated.answers(self.validation.samples, validation)
            validated.write(self.run.path / validated.VALIDATED, rows)

    def _fit_strangeness(self) -> bool:
        """Add to the best model's file what tells images that belong to no class. Return whether a signal came. The
        state that says that all is done is saved after that, so a training that is killed here makes its last epoch
        again.
        """
        assert self.validation is not None, "there is nothing to compare with"

        def watch(done: int, total: int) -> None:
            self.observer.computing_features(done, total)
            if self._stop:
                raise _StopHere

        try:
            fit_strangeness(self.run.path / checkpoint.MODEL, self.batches.images, self.validation, watch)
        except _StopHere:
            return True
        except DataError as error:  # without a cache, a file that is gone
            self.observer.note(f"The model cannot recognise images that belong to no class: {error}")
        return False

    # ---- saving and stopping ----

    def _save_best(self, row: Row, validation: Evaluation | None) -> None:
        """Save the model, calibrated by the validation of this epoch."""
        if not self.world.leads:
            return
        kept = {k: v for k, v in row.items() if k not in ("images_per_second", "seconds")}
        self.model.training = {**self.summary, **kept}
        self.model.calibration = calibrate(validation.logits, validation.labels) if validation else None
        with self._averaged_weights():
            checkpoint.save_model(self.run.path / checkpoint.MODEL, self.model)
        self.model.calibration = None  # it is of these weights alone

    def _save_state(self) -> None:
        """Save what resuming needs. The state before it stays as previous.safetensors."""
        if not self.world.leads:
            return
        if self.progress.step:
            self._count_seconds()
        self.model.training = {**self.summary, "epoch": self.progress.epoch - (not self.progress.step)}
        checkpoint.save_state(self.run.path, self.model, self.arrays(), asdict(self.progress))
        self._saved = time.monotonic()

    def arrays(self) -> dict[str, Array]:
        """What resuming needs beside weights and progress: the optimiser's memory, slow weights, and the average."""
        average = self._average.state() if self._average else {}
        slow = self.lookahead.state() if self.lookahead else {}
        return {**self.trainer.optimiser.state(), **slow, **{_AVERAGE + name: a for name, a in average.items()}}

    def restore(self, progress: Progress, arrays: dict[str, Array]) -> None:
        """Set the training to a saved state. The model has its weights already."""
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
        """Add the time since the epoch began, or since the last save, to the progress."""
        now = time.monotonic()
        self.progress.seconds += now - self._began
        self._began = now

    def _stop_if_asked(self) -> None:
        """Save and raise Interrupted if a signal came, to any of the processes."""
        if self._stop.agree(self.world):
            raise self._interrupted()

    def _interrupted(self) -> Interrupted:
        """Save, and return the error to raise."""
        progress = self.progress
        self.observer.stopping(self._stop.cause)
        if progress.step:
            self._check_finite()
            self._save_state()
        self.world.gathered(None)  # nobody ends before all is saved
        return Interrupted(
            f"stopped by {self._stop.cause} in epoch {progress.epoch}, {progress.step} of {self.batches.steps} steps "
            f"done, all saved; continue with: {self.command}", self._stop.signal, self.run)

    def _check_finite(self) -> None:
        """Refuse to save numbers that are not finite: batch norm's running statistics can overflow although the loss
        does not.
        """
        network = self.trainer.network
        for name, array in {**network.parameters(), **network.buffers()}.items():
            if not np.isfinite(array).all():
                raise self._broken("checking the weights", f"{name} became infinite or NaN; use a lower learning rate.")

    def _broken(self, where: str, why: object) -> TrainingError:
        best = self.progress.best
        kept = (f"the model of epoch {best['epoch']} is kept in {printable(self.run.path / checkpoint.MODEL)}" if best
                else "no model had been saved yet")
        return TrainingError(f"epoch {self.progress.epoch}, {where}: {why} Training stopped; {kept}.")
