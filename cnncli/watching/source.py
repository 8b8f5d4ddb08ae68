"""What there is to show of a run: the lines of its recording, as they come, and of a run that was not recorded as much
of the same as its folder has: configuration, epochs, and the weights of its model. server.py sends it.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CnnError, printable
from ..evaluation.grounds import Grounds, grounds
from ..model import Model
from ..runs import CONFIG, HISTORY, MODEL, Run
from ..runs.kept import judged
from ..runs.run import IMAGES
from .lines import WATCHED, Line, parsed
from .look import layers_of, look_at

_AT_ONCE = 2**26  # bytes of a recording that are read at a time, and the longest line
_BAD = (CnnError, OSError, LookupError, TypeError, ValueError)


@dataclass
class Place:
    """How far somebody has read a run: so many bytes of its recording or, without one, so many lines of others."""

    bytes: int = 0
    lines: int = 0

    def __str__(self) -> str:
        return f"{self.bytes}.{self.lines}"

    @classmethod
    def parsed(cls, text: str) -> "Place":
        """Read what str() wrote; the beginning where it is something else."""
        first, _, second = text.partition(".")
        return cls(int(first), int(second)) if first.isdecimal() and second.isdecimal() and len(text) < 40 else cls()


class Source:
    """One run's lines, for any number of pages."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.waits = False  # for a recording that is about to begin, rather than make something of the folder
        self._lock = threading.Lock()  # several pages ask at once
        self._made: list[Line] = []
        self._stamps: list[tuple[int, int] | None] = []
        self._epochs = self._looked = 0
        self._grounds: tuple[object, Grounds | None] = (None, None)

    def lines(self, place: Place) -> Iterator[Line]:
        """Yield what is new behind a place, which moves along; lines that are broken are left out."""
        size = self._size()
        if size is None:
            if not self.waits:
                yield from self._from_folder(place)
        elif size != place.bytes:
            if size < place.bytes:  # another file
                place.bytes = 0
            yield from self._recorded(place)

    @property
    def is_there(self) -> bool:
        """Whether the run's folder is."""
        return (self.run.path / CONFIG).is_file()

    def grounds(self) -> Grounds | None:
        """Return what the run's accuracy rests on; None where that cannot be read. The files are read where they have
        changed."""
        with self._lock:
            stamps = [_stamp(self.run.path / name) for name in (CONFIG, IMAGES)]
            if stamps != self._grounds[0]:
                found = None
                with suppress(*_BAD):  # it is being written, or damaged
                    found = grounds(self.run)
                self._grounds = stamps, found
            return self._grounds[1]

    def _size(self) -> int | None:
        try:
            return os.stat(self.run.path / WATCHED).st_size or None
        except OSError:
            return None

    def _recorded(self, place: Place) -> Iterator[Line]:
        try:
            with open(self.run.path / WATCHED, "rb") as file:
                file.seek(place.bytes)
                data = file.read(_AT_ONCE)
        except OSError:
            return
        if b"\n" not in data and len(data) == _AT_ONCE:
            place.bytes += len(data)  # no line that anybody wrote
        for raw in data.splitlines(keepends=True):
            if not raw.endswith(b"\n"):
                return  # it is being written
            place.bytes += len(raw)
            line = parsed(raw)
            if line is not None:
                yield line

    # ---- a run that was not recorded ----

    def _from_folder(self, place: Place) -> Iterator[Line]:
        with self._lock:
            stamps = [_stamp(self.run.path / name) for name in (CONFIG, HISTORY, MODEL)]
            if stamps != self._stamps:
                self._stamps = stamps
                with suppress(*_BAD):  # it is being written, or damaged
                    self._look_again()
            made = self._made[place.lines :]
        for line in made:
            place.lines += 1
            yield line

    def _look_again(self) -> None:
        """Make lines of what has come to the folder since."""
        config, rows = self.run.config, self.run.history
        steps = -(-config["images"]["train"] // config["recipe"]["batch_size"])
        model = self.run.model if self.run.has_model else None
        if not self._made:
            self._made.append(_begin(self.run, config, steps, model))
        for row, best in judged(rows, config["images"]["val"])[self._epochs :]:
            self._epochs += 1
            self._made.append({"what": "epoch", **row, "best": best})
        epoch = model.training.get("epoch", 0) if model else 0
        if model and epoch > self._looked:
            self._looked = epoch
            self._made.append({"what": "look", "step": epoch * steps, **look_at(model)})
        if rows and not self.run.in_training and self.run.epochs_done is None:
            self._made.append({"what": "end", "cause": "finished"})


def _begin(run: Run, config: dict[str, Any], steps: int, model: Model | None) -> Line:
    when, recipe = run.trained, config["recipe"]
    return {"what": "begin", "time": when.timestamp() if when else None, "run": run.name,
            "architecture": recipe["arch"], "classes": [printable(name) for name in config["classes"]],
            "images": {**config["images"], "test": config["samples"].get("test")}, "recipe": recipe,
            "epochs": recipe["epochs"], "steps": steps, "done": 0, "examples": [],
            "layers": layers_of(model.network) if model else []}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
