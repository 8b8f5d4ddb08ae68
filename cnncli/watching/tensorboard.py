"""``--tensorboard DIR``: what a training tells as event files that TensorBoard reads, in a folder for each run. They
are written by the library tensorboardX, which is imported when it is asked for; its own writer has a thread and a queue
that a full disk would stop the training with, so that only what is below it is used.
"""

import base64
import io
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from ..data import Data
from ..data.outputs import check_runs
from ..errors import UsageError
from ..extras import install
from ..runs import Run
from ..values import as_hinted
from .forwarding import Forwarded, Scalars, guarded, label_of, of_epoch, of_look, of_step, settings_of
from .lines import Line
from .recorder import Recorder

_EVENTS = ".tfevents."


class TensorBoard(Recorder):
    """An observer that writes each run for TensorBoard, into folder/NAME/.

    It writes loss, accuracy and images per second of each step, the columns of history.csv of each epoch, the norms of
    weights and gradients, filters, examples, and the settings. All are over the number of steps. A run that is resumed
    continues there. Needs the package tensorboardX.

    Args:
        folder: The folder for the runs' event files.
        say: Is called with a sentence if the writing had to stop. None: nobody is told.
        data: The images that are trained on; the folder must not lie among them. None: not checked.
        clock: Returns the time in seconds, for the images per second.

    Raises:
        UsageError: tensorboardX is not installed, or the folder cannot be used.
    """

    ends = "The training is not written for TensorBoard any more"

    @as_hinted
    def __init__(self, folder: str | os.PathLike[str], say: Callable[[str], None] | None = None,
                 data: Data | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(say, clock)
        _library()
        check_runs(folder, data, option="--tensorboard")
        self.folder = Path(folder)

    def open(self, run: Run) -> Forwarded:
        return guarded(_Events, place_of(run, self.folder), self._rate)  # type: ignore[no-any-return]

    def _rate(self) -> float:
        return self._inside.learning_rate if self._inside else 0.0


def _library() -> Any:
    """Import tensorboardX. Raises UsageError where it is not installed."""
    try:
        import tensorboardX
    except ImportError:
        raise UsageError("--tensorboard needs the package tensorboardX; get it with: "
                         f"{install('tensorboard')}") from None
    return tensorboardX


def place_of(run: Run, folder: Path) -> Path:
    """Return the folder of a run's events: called like the run, with a number behind where that has those of another
    run, which were there before this one began."""
    began, number = _began(run), 1
    while True:
        path = folder / (label_of(run) + (f"-{number}" if number > 1 else ""))
        if not (events := events_in(path)) or _written(events[0]) >= int(began):
            return path
        number += 1


def events_in(path: Path) -> list[Path]:
    """Return the event files of a folder, the oldest first."""
    return sorted((each for each in path.glob(f"*{_EVENTS}*") if each.is_file()), key=_written)


def _written(path: Path) -> float:
    """Return when an event file was begun, which its name says."""
    seconds = path.name.partition(_EVENTS)[2].partition(".")[0]
    return float(seconds) if seconds.isdecimal() else path.stat().st_mtime


def _began(run: Run) -> float:
    try:
        return datetime.fromisoformat(run.config["began"]).timestamp()
    except (LookupError, TypeError, ValueError):  # a run of an earlier version
        return 0.0


class _Events(Forwarded):
    """One event file."""

    def __init__(self, path: Path, rate: Callable[[], float]) -> None:
        from tensorboardX import summary
        from tensorboardX.proto import event_pb2, summary_pb2
        from tensorboardX.record_writer import RecordWriter

        before = events_in(path)
        self.was_there = bool(before)
        self._rate, self._events, self._summaries, self._text = rate, event_pb2, summary_pb2, summary
        self._steps = 0  # of an epoch
        path.mkdir(parents=True, exist_ok=True)
        # With a number, because files are called by the second, and another would be written over.
        self._file = RecordWriter(os.fspath(path / f"events.out{_EVENTS}{int(time.time()):010}.cnn.{len(before)}"))
        self._write(file_version="brain.Event:2")

    def begin(self, line: Line) -> None:
        done, self._steps = line["done"], line["steps"]
        if self.was_there:  # what was written behind that place is done again: readers drop it
            start = self._events.SessionLog(status=self._events.SessionLog.START)
            self._write(step=done + 1, session_log=start)
        settings = settings_of(line)
        rows = "\n".join(f"| {name} | {value} |" for name, value in settings.items())
        experiment, begun, self._ended = self._text.hparams(settings, {"epoch/val_accuracy": 0, "epoch/val_loss": 0})
        for each in (experiment, begun, self._text.text("settings", f"| setting | value |\n|---|---|\n{rows}")):
            self._add(each, done)
        if not self.was_there:
            for number, example in enumerate(line["examples"]):
                self._add(self._picture(f"examples/{number:02} {line['classes'][example['label']]}",
                                        example["picture"]), done)
        self._file.flush()

    def step(self, line: Line) -> None:
        self._scalars({**of_step(line), "train/learning_rate": self._rate()}, line["step"])

    def look(self, line: Line) -> None:
        self._scalars(of_look(line), line["step"])
        if line["filters"]:
            self._add(self._picture(f"filters/{line['filters']['layer']}", line["filters"]["picture"]), line["step"])

    def epoch(self, line: Line) -> None:
        self._scalars({**of_epoch(line), "epoch/number": line["epoch"]}, line["epoch"] * self._steps)
        self._file.flush()

    def end(self, line: Line) -> None:
        self._add(self._ended, 0)

    def close(self) -> None:
        guarded(self._file.close)

    def _scalars(self, values: Scalars, step: int) -> None:
        each = [self._summaries.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._add(self._summaries.Summary(value=each), step)

    def _picture(self, tag: str, uri: str) -> Any:
        data = base64.b64decode(uri.partition(",")[2])
        width, height = Image.open(io.BytesIO(data)).size
        image = self._summaries.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=data)
        return self._summaries.Summary(value=[self._summaries.Summary.Value(tag=tag, image=image)])

    def _add(self, summary: Any, step: int) -> None:
        self._write(step=step, summary=summary)

    def _write(self, **event: Any) -> None:
        self._file.write(self._events.Event(wall_time=time.time(), **event).SerializeToString())
