"""An observer that writes what a training tells, and what a look inside shows, into its run's folder, for pages that
show it (lines.py says how). It takes at most half a percent of the training's time: what it may spend grows with the
time that has gone by, two fifths for the lines of steps, the rest for looks, and what it cannot afford it leaves out.
Lines are spread over the training, so that a long one has no more of them than a short one.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any

import numpy as np

from ..errors import CnnError, printable
from ..report.pictures import data_uri
from ..runs import Row, Run
from ..runs.kept import judged
from ..training.inside import Inside
from ..training.observer import Observer, TrainingSummary
from .lines import Recording, Sink, as_bytes
from .look import EXAMPLES, Looker, chosen, layers_of

SHARE_OF_STEPS, SHARE_OF_LOOKS = 0.002, 0.003  # of the training's time; looks' pays for the rest, too
MOST_STEPS, MOST_LOOKS = 1000, 200  # lines that a training is planned to have
_A_LINE, _A_LOOK = 1e-4, 3e-3  # seconds that the first one is taken to cost, at least
_A_PASS = 1e-6  # seconds that a step costs that passes by
_SETTLED = 5  # steps after which it can be told how long the rest will take


class Purse:
    """Time that may be spent: a share of what goes by."""

    def __init__(self, share: float, began: float, guess: float) -> None:
        self.share, self.began, self.spent, self.cost = share, began, 0.0, guess

    def affords(self, now: float) -> bool:
        """Whether the next one fits, if it costs what the last one did."""
        return self.wait(now) <= 0

    def wait(self, now: float) -> float:
        """Return in how many seconds the next one fits."""
        return (self.spent + self.cost) / self.share - (now - self.began)


def sparing(method: Callable[..., None]) -> Callable[..., None]:
    """Let what goes wrong in a recorder's method end the recording, and not the training."""

    @wraps(method)
    def spared(self: "Recorder", *what: Any) -> None:
        try:
            method(self, *what)
        except (OSError, CnnError, MemoryError) as error:
            self._give_up(error)

    return spared


class Recorder(Observer):
    """Records every run that it is told of as watched.jsonl in the run's folder; a run that is resumed goes on in it.

    A disk that refuses ends the recording, and not the training; say hears of it, in a sentence. clock counts seconds.
    """

    ends = "The training is not recorded for its page any more"  # how the sentence begins that says so

    def __init__(self, say: Callable[[str], None] | None = None,
                 clock: Callable[[], float] = time.perf_counter) -> None:
        self._say, self._clock = say or (lambda sentence: None), clock
        self._forget()

    def open(self, run: Run) -> Sink:
        """Return where the lines of a run go to."""
        return Recording(run.path)

    def _forget(self) -> None:
        """Be ready for the next run."""
        self._run: Run | None = None
        self._recording: Sink | None = None
        self._inside: Inside | None = None
        self._looker: Looker | None = None
        self._summary: TrainingSummary
        self._before: list[Row] = []
        self._notes: list[str] = []
        self._resumed_step = self._done = self._passes = 0

    # ---- before the first step ----

    @sparing
    def note(self, sentence: str) -> None:
        if self._looker:
            self._write("note", sentence=sentence)
        else:
            self._notes.append(sentence)

    def resumed(self, rows: Sequence[Row], step: int) -> None:
        self._before, self._resumed_step = list(rows), step

    def started(self, run: Run, summary: TrainingSummary) -> None:
        self._run, self._summary = run, summary

    def looking_inside(self, inside: Inside) -> None:
        self._inside = inside
        began = self._clock()
        self._lines, self._looks = Purse(SHARE_OF_STEPS, began, _A_LINE), Purse(SHARE_OF_LOOKS, began, _A_LOOK)

    @sparing
    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        now = self._clock()
        self._epoch, self._steps = epoch, steps
        if self._looker is None and self._inside is not None:
            self._epochs, self._done = epochs, (epoch - 1) * steps + self._resumed_step
            self._first, self._told, self._looked = self._done, self._done, self._done
            self._remembered, self._remembering, self._passes = False, 0.0, 0
            self._spread = max(1, epochs * steps // MOST_STEPS), max(1, epochs * steps // MOST_LOOKS)
            self._begin(self._inside)
            self._looks.spent += self._clock() - now
            now = self._clock()
        self._epoch_began = now, self._done

    def _begin(self, inside: Inside) -> None:
        """Open the recording, say what is trained, and what was told before."""
        assert self._run is not None
        images = inside.validation
        rows, pixels = list[int](), np.empty((0, *inside.model.network.input_shape), np.uint8)
        if images is not None:
            try:
                rows = chosen(images.labels, len(inside.model.classes))
                pixels = images.pixels(rows)
            except CnnError as error:  # without a cache, a file that is gone
                rows = []
                self._notes.append(f"There are no examples: {error}")
        self._looker, self._recording = Looker(inside, pixels), self.open(self._run)
        examples = [{"name": printable(images.samples[row].relative), "label": int(images.labels[row]),
                     "picture": data_uri(each)} for row, each in zip(rows, pixels, strict=True)] if images else []
        summary = self._summary
        self._write("begin", time=time.time(), run=self._run.name, architecture=printable(summary["architecture"]),
                    classes=[printable(name) for name in inside.model.classes],
                    images={**summary["images"], "test": self._run.config["samples"].get("test")},
                    recipe=summary["recipe"], epochs=self._epochs, steps=self._steps, done=self._done,
                    examples=examples, layers=layers_of(inside.model.network))
        if not self._recording.was_there:
            for row, best in judged(self._before, summary["images"]["val"]):
                self._write("epoch", **row, best=best)
        for sentence in self._notes:
            self._write("note", sentence=sentence)

    # ---- while it goes on ----

    def step_done(self, step: int, steps: int, loss: float, accuracy: float) -> None:
        self._passes -= 1  # most steps pass by: even a look at the clock would be dear where they take a millisecond
        if self._passes <= 0 and self._recording:
            self._step(step, loss, accuracy)

    @sparing
    def _step(self, step: int, loss: float, accuracy: float) -> None:
        """Look or write a line of a step, or both, as far as there is time for it; find out which step is the next."""
        now = self._clock()
        before, self._done = self._done, (self._epoch - 1) * self._steps + step
        self._lines.spent += (self._done - before) * _A_PASS
        if self._remembered:
            self._look(now)
            now = self._clock()
        if self._done >= self._told + self._spread[0] and self._lines.affords(now):
            self._told = self._done
            self._write("step", time=time.time(), step=self._done, epoch=self._epoch, loss=loss, accuracy=accuracy,
                        images_per_second=self._speed(now), left=self._left(now))
            self._lines.cost = self._clock() - now
        self._remembered = self._wants_look(now)
        if self._remembered and self._looker:
            then = self._clock()
            self._looker.prepare()
            prepared = self._clock()
            self._looker.remember()
            self._remembering = self._clock() - prepared
            self._looks.spent += prepared - then + self._remembering
            now += prepared - then + self._remembering
        self._passes = 1 if self._remembered else self._steps_to_pass(now)
        self._lines.spent += self._clock() - now

    def _wants_look(self, now: float) -> bool:
        """Whether the next step should be looked at, and there is time for it."""
        if self._looked == self._first:  # nothing is known: a third of what so many images cost in training, forward
            batch = self._summary["recipe"]["batch_size"]
            self._looks.cost = max(_A_LOOK, self._a_step(now) * EXAMPLES / batch / 3)
        following = self._done + 1
        due = following >= self._looked + self._spread[1] or following == self._epochs * self._steps
        return due and self._looks.affords(now)

    def _steps_to_pass(self, now: float) -> int:
        """Return in how many steps the next line or look is due and can be afforded, one at least."""
        a_step = max(self._a_step(now), 1e-9)
        line = max(self._told + self._spread[0] - self._done, self._lines.wait(now) / a_step)
        look = max(self._looked + self._spread[1] - 1 - self._done, self._looks.wait(now) / a_step)
        last = self._epochs * self._steps - 1 - self._done
        return max(1, math.ceil(min(line, look, last if last > 0 else line)))

    def _a_step(self, now: float) -> float:
        """Return how long a step takes, all that comes between two of them included."""
        return (now - self._lines.began) / max(self._done - self._first, 1)

    def _look(self, now: float) -> None:
        """Look, and say what is seen; of the last step the filters, too."""
        if self._looker:
            last = self._done >= self._epochs * self._steps
            self._write("look", time=time.time(), step=self._done, **self._looker.look(whole=last))
        self._looked = self._done
        cost = self._clock() - now
        self._looks.spent += cost
        self._looks.cost = cost + self._remembering

    @sparing
    def epoch_done(self, row: Row, best: bool) -> None:
        now = self._clock()
        if self._recording is None:
            return
        self._write("epoch", time=time.time(), **row, best=best)
        self._done = row["epoch"] * self._steps
        self._looks.spent += self._clock() - now
        # Few steps may pass without a look; and what the training ends with is looked at, whatever that costs.
        never, last = self._looked == self._first, row["epoch"] == self._epochs and self._looked < self._done
        if self._looker and (last or (never and self._looks.affords(self._clock()))):
            self._looker.forget()
            self._look(self._clock())

    @sparing
    def ended(self, cause: str) -> None:
        recording = self._recording
        self._forget()
        if recording:
            try:
                recording.write(as_bytes("end", time=time.time(), cause=cause))
            finally:
                recording.close()

    def _speed(self, now: float) -> float:
        """Return the images a second of the epoch so far."""
        began, before = self._epoch_began
        images = (self._done - before) * self._summary["recipe"]["batch_size"]
        return float(min(images, self._summary["images"]["train"])) / max(now - began, 1e-9)

    def _left(self, now: float) -> float | None:
        done, all_steps = self._done - self._first, self._epochs * self._steps
        return self._a_step(now) * (all_steps - self._done) if done >= _SETTLED else None

    @property
    def spent(self) -> float:
        """The seconds that recording has taken so far."""
        return self._lines.spent + self._looks.spent

    # ---- the file ----

    def _write(self, what: str, **values: Any) -> None:
        if self._recording:
            self._recording.write(as_bytes(what, **values))

    def _give_up(self, error: Exception) -> None:
        """Record nothing more of this run, and say so."""
        self._inside = None  # else the next epoch would begin it again
        if self._recording:
            with suppress(OSError, CnnError):
                self._recording.close()
            self._recording = None
        why = str(error.strerror).lower() if isinstance(error, OSError) and error.strerror else str(error)
        self._say(f"{self.ends}, but goes on: {printable(why).rstrip('.')}.")
