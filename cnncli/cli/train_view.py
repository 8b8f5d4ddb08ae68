"""How ``cnn train`` shows a training: notes on stderr, a line for each epoch where the table goes, and in between a bar
with the time left on a terminal, or a plain line now and then elsewhere. cli/train.py hands it to the training.
"""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..runs import Row, Run
from ..training.observer import Observer, TrainingSummary
from .output import console, emit, is_terminal, note

if TYPE_CHECKING:
    from rich.progress import Progress

PLAIN_SECONDS = 30.0  # between two lines of progress where nobody watches
SHOW_SECONDS = 0.1  # between two movements of the bar
HEADER = "    epoch train loss accuracy  val loss accuracy     rate  images/s    time kept"  # 80 columns
LONG = 600  # seconds of a whole training that its user is told of after the first epoch


class TrainView(Observer):
    """Shows a training. quiet_stdout sends the table to stderr, because stdout is for something else."""

    def __init__(self, quiet_stdout: bool = False) -> None:
        self._to_stdout = not quiet_stdout
        self._bar: Progress | None = None
        self._task: Any = None
        self._began = self._told = time.monotonic()
        self._epoch, self._epochs, self._steps = 0, 0, 1
        self._first_step: int | None = None  # of the whole training, when the clock for the time left started
        self._header_shown = self._timed = False

    def __enter__(self) -> "TrainView":
        if is_terminal():
            self._bar = _make_bar()
            self._bar.start()
            self._task = self._bar.add_task("looking at the images", total=None, left="")
            self._bar.refresh()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._stop_bar()

    def _stop_bar(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    # ---- what the training tells ----

    def note(self, sentence: str) -> None:
        note(sentence)

    def loading(self, what: str, done: int, total: int) -> None:
        self._show(f"decoding {what} images", done, total, always=done == total)

    def computing_features(self, done: int, total: int) -> None:
        self._show("computing features", done, total)

    def testing_rates(self, done: int, total: int) -> None:
        self._show("testing learning rates", done, total)

    def started(self, run: Run, summary: TrainingSummary) -> None:
        recipe, images = summary["recipe"], summary["images"]
        height, width = recipe["size"]
        parts = f" in {recipe['shards']} parts" if "shards" in recipe else ""
        steps = (f"{recipe['optimizer']}, {recipe['schedule']} up to {recipe['lr']:g}, batches of "
                 f"{recipe['batch_size']}{parts}, ")
        how = "" if recipe["probe"] else steps
        split = f", split seed {recipe['split_seed']}" if "split_seed" in recipe else ""
        precision = f", {recipe['precision']}" if "precision" in recipe else ""
        note(f"Training {summary['architecture']} on {images['train']:,} images of {width} x {height} pixels, "
             f"validating on {images['val']:,}; {how}seed {recipe['seed']}{split}{precision}.")
        note(f"Run: {run.path}")
        self._told, self._timed = time.monotonic(), recipe.get("time") is not None
        self._first_step = None  # a run of a cross-validation may have been before it

    def resumed(self, rows: Sequence[Row], step: int) -> None:
        note(f"Resuming after {len(rows)} epoch{'s' * (len(rows) != 1)}" + (f" and {step} steps." if step else "."))

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        self._epoch, self._epochs, self._steps = epoch, epochs, steps
        if not self._header_shown:
            self._line(HEADER)
            self._header_shown = True

    def step_done(self, step: int, steps: int, loss: float, accuracy: float) -> None:
        done = (self._epoch - 1) * steps + step
        if self._first_step is None:
            self._first_step, self._began = done, time.monotonic()
        self._show(f"epoch {self._epoch}/{self._epochs}  loss {loss:.4f}  accuracy {accuracy:.1%}", done,
                   self._epochs * steps)

    def validating(self, done: int, total: int) -> None:
        self._show(f"epoch {self._epoch}/{self._epochs}  validating {done:,} of {total:,}", self._epoch * self._steps,
                   self._epochs * self._steps)

    def epoch_done(self, row: Row, best: bool) -> None:
        self._line(epoch_line(row, self._epochs, best))
        if row["epoch"] == 1 and not self._timed and (whole := row["seconds"] * self._epochs) > LONG:
            note(f"All {self._epochs} epochs will take about {clock(whole)}. Ctrl-C saves and stops; with --time 10m, "
                 "a new training has as many epochs as fit into 10 minutes.")
        if self._bar is None:
            self._told = time.monotonic()

    def stopping(self, cause: str) -> None:
        self._stop_bar()
        note(f"{cause}: saving …")

    # ---- showing it ----

    def _line(self, text: str) -> None:
        """Write a line of the table. A reader that has gone stops no training: from then on stderr has it."""
        try:
            if self._to_stdout:
                emit(text)
                sys.stdout.flush()
        except (OSError, ValueError):
            self._to_stdout = False
            note("The output cannot be written any more; training goes on.")
        if not self._to_stdout:
            note(text)

    def _show(self, what: str, done: int, total: int, always: bool = False) -> None:
        now = time.monotonic()
        if now - self._told < (SHOW_SECONDS if self._bar else PLAIN_SECONDS) and not (always and self._bar):
            return
        self._told = now
        if self._bar:
            self._bar.update(self._task, description=what, completed=done, total=total, left=self._left(done, total),
                             refresh=True)
        else:
            note(f"{what}  ({done:,} of {total:,}{self._left(done, total)})")

    def _left(self, done: int, total: int) -> str:
        """Return ", 3:20 left" once that can be told: after the first steps of the training."""
        if self._first_step is None or done - self._first_step < 5:
            return ""
        seconds = (time.monotonic() - self._began) / (done - self._first_step) * (total - done)
        return f", {clock(seconds)} left"


def epoch_line(row: Row, epochs: int, best: bool) -> str:
    """Return an epoch's line of the table; a star marks one whose model is kept, in place of an earlier one."""
    epoch = f"{row['epoch']}/{epochs}"
    validation = (f"{'-':>10}{'-':>9}" if row["val_loss"] is None
                  else f"{row['val_loss']:>10.4f}{row['val_accuracy']:>9.2%}")
    return (f"{epoch:>9}{row['train_loss']:>11.4f}{row['train_accuracy']:>9.2%}{validation}"
            f"{row['learning_rate']:>9.2g}{row['images_per_second']:>10,.0f}{clock(row['seconds']):>8}"
            f"{' *' if best else ''}")


def clock(seconds: float) -> str:
    """Return a time as 0:07, 12:30 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _make_bar() -> "Progress":
    from rich import progress

    screen = console(stderr=True)
    columns = (progress.TextColumn("{task.description}", markup=False), progress.BarColumn(20),
               progress.TextColumn("{task.percentage:.0f}%{task.fields[left]}", markup=False))
    # A table that goes to the same terminal is written above the bar; one that goes elsewhere is left alone.
    # It moves when something is told, without a thread of its own, which a limit on processes could refuse.
    return progress.Progress(*columns, console=screen, transient=True, redirect_stdout=is_terminal(sys.stdout),
                             auto_refresh=False)
