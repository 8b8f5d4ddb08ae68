"""``--time``: how many epochs fit into a given time. A rehearsal makes some real steps, validates some images and saves
once, with a network of its own that is then thrown away. So the training is exactly the one that ``--epochs`` with the
chosen number would give. prepare.py asks here before a run begins; resuming never measures again.
"""

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from ..data import Images
from ..errors import SaveError
from ..evaluation.scores import Evaluation
from ..kernels import Array
from ..model import Model
from ..ranks.world import ALONE
from ..runs import Run
from .fit import Fit
from .progress import Progress

Clock = Callable[[], float]

MARGIN = 0.05  # of the time, for what a machine does beside
AFTERWARDS = 2.0  # seconds for the picture of the curves
SHARE, LEAST, MOST = 0.03, 0.3, 10.0  # of the time that steps are measured in, at least and at most so many seconds
WARM_UP, FEWEST = 1, 4  # steps that are not counted, because arrays are touched for the first time, and that are
SLOW = 4.0  # times the seconds meant for measuring, after which one step that counts is enough
AT_ONCE = 64  # images of a validation
ROWS = 400  # of a history that is saved to know what each costs


@dataclass(frozen=True)
class Cost:
    """What a training takes, in seconds: a step, the validation, the end of an epoch (mostly saving), what each row of
    the history adds to the end of every later epoch, and the time before the first step. Also how many images per
    second the steps learn from.
    """

    step: float
    validation: float
    closing: float
    row: float
    images_per_second: float
    opening: float = 0.0

    def epoch(self, steps: int) -> float:
        """Return the seconds of an epoch of so many steps, the first one."""
        return steps * self.step + self.validation + self.closing


def epochs_within(seconds: float, cost: Cost, steps: int) -> int:
    """Return how many epochs fit into a time, at least 1. What comes after them, and a margin, is set aside.

    n epochs take n * epoch + n * (n - 1) / 2 * row seconds; the equation is solved for n.
    """
    left, first = seconds * (1 - MARGIN) - AFTERWARDS, cost.epoch(steps) - cost.row / 2
    if left <= 0:
        return 1
    epochs = left / first if cost.row <= 0 else 2 * left / (first + math.sqrt(first * first + 2 * cost.row * left))
    return max(1, int(epochs))


def choose_epochs(seconds: float, began: float, rehearsal: Fit, runs: str) -> tuple[int, str]:
    """Return how many epochs end within ``seconds`` of ``began`` (a time.monotonic), and a sentence about it.

    rehearsal is the training with a network that is thrown away. runs is the folder on whose disk it would write.
    """
    most = min(max(SHARE * seconds, LEAST), MOST)
    cost, steps = measure(rehearsal, most, runs), rehearsal.batches.steps
    left = seconds - (time.monotonic() - began) - cost.opening
    epochs = epochs_within(left, cost, steps)
    beside = cost.validation + cost.closing
    why = (f"Time: {cost.images_per_second:,.0f} images a second, and {_shown(beside)} to validate and save, make "
           f"{_shown(cost.epoch(steps))} an epoch; ")
    if epochs * cost.epoch(steps) > left:
        return epochs, f"{why}not even one epoch ends in {_shown(seconds)}, but one is trained."
    return epochs, f"{why}{epochs:,} epoch{'s' * (epochs > 1)} end{'s' * (epochs == 1)} in {_shown(seconds)}."


def measure(fit: Fit, seconds: float, runs: str, clock: Clock | None = None) -> Cost:
    """Measure what the training that fit is takes. It takes about this many seconds, and more if a few steps take
    longer. clock is by default one that all processes have in common.
    """
    clock = clock or fit.world.clock
    step = _step(fit, seconds, clock)
    images = min(fit.batches.batch_size, len(fit.batches.images))
    validation, judged = fit.validation, None
    each = 0.0
    if validation is not None:
        each, count = _judging(fit.model, validation, seconds / 3, clock)
        judged = fit.validate(_Part(validation, count))
    closing, row = fit.world.agreed(lambda: _closing_alone(fit, judged, runs, clock))
    everything = 0 if validation is None else len(validation.labels)
    return Cost(step, each * everything, closing, row, images / step, fit.head_images * (each or step / images))


def _step(fit: Fit, seconds: float, clock: Clock) -> float:
    """Return the mean seconds of a step, including making its batch."""
    began, warm = clock(), 0.0
    with contextlib.closing(fit.endless_steps()) as steps:
        for made, _ in enumerate(steps, 1):
            now = clock()
            if made == WARM_UP:
                warm = now
            counted = made - WARM_UP
            enough = counted >= FEWEST and now - warm >= seconds
            if enough or (counted > 0 and now - began >= SLOW * seconds):
                return (now - warm) / counted
    raise AssertionError("steps never end")


def _judging(model: Model, images: Images, seconds: float, clock: Clock) -> tuple[float, int]:
    """Return the seconds that validation takes per image, and how many images it judges in about this many seconds."""
    total, done, began = len(images.labels), 0, 0.0
    with contextlib.closing(images.in_order(AT_ONCE)) as batches:
        for pixels in batches:
            if not done:  # once more than needed: the first time lays out weights and arrays
                model.logits(pixels)
                began = clock()
            model.logits(pixels)
            done += len(pixels)
            if clock() - began >= seconds:
                break
    return (clock() - began) / done, min(done, total)


class _Part:
    """The first ``count`` of labelled images, for an evaluation."""

    def __init__(self, images: Images, count: int) -> None:
        self.labels, self.skipped = images.labels[:count], images.skipped
        self._images = images

    def in_order(self, at_once: int, of: range | None = None) -> Generator[Array, None, None]:
        """Yield them as uint8 (at_once, h, w, c); with of, only the batches of these numbers."""
        count = len(self.labels)
        numbers = range(-(-count // at_once)) if of is None else of
        with contextlib.closing(self._images.in_order(at_once, numbers)) as batches:
            for number, pixels in zip(numbers, batches, strict=False):
                yield pixels[: count - number * at_once]


def _closing_alone(fit: Fit, judged: Evaluation | None, runs: str, clock: Clock) -> tuple[float, float]:
    """Do the same as ``_closing``, in the leading process of several, while the others wait."""
    world, fit.world = fit.world, ALONE
    try:
        return _closing(fit, judged, runs, clock if world.size == 1 else time.perf_counter)
    finally:
        fit.world = world


def _closing(fit: Fit, judged: Evaluation | None, runs: str, clock: Clock) -> tuple[float, float]:
    """Return what the end of an epoch takes, with files written to the disk of the runs, and what a row of history
    adds. If nothing can be written there, it seems to take no time; the training will say so.
    """
    place = Path(os.path.abspath(runs))
    while not place.is_dir() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryDirectory(prefix=".cnn-time-", dir=place) as folder:
            fit.write_into(Run(folder))
            times: list[float] = []
            for rows in (0, 0, ROWS):
                # One image has been seen; no epoch is the best yet, so that the best model is saved, too.
                history = fit.progress.history[:1] * rows
                fit.restore(Progress(epoch=1, step=1, seen=1, loss_sum=1.0, history=history), fit.arrays())
                began = clock()
                fit.close_epoch(judged)
                times.append(clock() - began)
            return times[1], max(0.0, (times[2] - times[1]) / ROWS)
    except (OSError, SaveError):
        return 0.0, 0.0


def _shown(seconds: float) -> str:
    """Return a time for a sentence: 0.4 s, 12 s, 3:20, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 9.5 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
