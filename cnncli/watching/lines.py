"""The file that a watched training writes, watched.jsonl: a line of JSON for each thing that it tells, "what" saying
which kind it is. recorder.py appends to it, source.py reads it.

    begin  time, run, architecture, classes, images {train, val, test}, recipe, epochs, steps (an epoch's), done (steps
           before: what was recorded behind them is done again, differently or not at all), examples [{name, label,
           picture}], layers [{name, kind, parameters}]
    step   time, step (counted from the first epoch on), epoch, loss and accuracy (of the epoch so far),
           images_per_second, left (seconds, or null)
    look   time, step, rate (of the step's learning), layers {name: {weights, gradients, update, dead}} (numbers or
           null), probabilities (a row for each example), filters {layer, picture} or, mostly, null
    epoch  time (of what is told as it happens), the row of history.csv, best
    note   sentence
    end    time, cause: "finished", "Ctrl-C", "SIGTERM", "the page", "an error", …
"""

import json
import math
import os
from pathlib import Path
from typing import Any, Protocol

from ..data.outputs import Kind, marked
from ..errors import UsageError, printable

WATCHED = "watched.jsonl"
RECORDING = Kind("a recording of a training", ".jsonl", marked(rb'\A\{"what": ?"begin"'))
_DIGITS = 6  # of a number that is recorded

Line = dict[str, Any]


def as_bytes(what: str, **values: Any) -> bytes:
    """Return a line; numbers that are none become null."""
    return json.dumps({"what": what, **_plain(values)}, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def parsed(raw: bytes) -> Line | None:
    """Return what a line says, None where it is no line of a recording."""
    try:
        line = json.loads(raw, parse_constant=lambda word: None)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and isinstance(line.get("what"), str) else None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return round(value, 3) if abs(value) >= 1e6 else float(f"{value:.{_DIGITS}g}")
    return os.fspath(value) if isinstance(value, os.PathLike) else value


class Sink(Protocol):
    """Where lines go to; was_there says whether those of this run's earlier epochs have."""

    was_there: bool

    def write(self, line: bytes) -> None:
        """Take a line. Raises OSError or CnnError where nothing more can be taken."""

    def close(self) -> None:
        """Let go of everything."""


class Recording:
    """A recording that is appended to. Raises OSError where the disk refuses, UsageError where the file is no such
    thing."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / WATCHED
        self.was_there = self.path.exists() and self.path.stat().st_size > 0
        if self.was_there and not RECORDING.ours(os.fspath(self.path)):
            raise UsageError(f"{printable(self.path)} is there already and is not {RECORDING.what} that cnn wrote")
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
                                   | getattr(os, "O_BINARY", 0), 0o666)
        if self.was_there and os.pread(self._descriptor, 1, os.fstat(self._descriptor).st_size - 1) != b"\n":
            self.write(b"\n")  # whoever wrote it was killed in the middle of a line

    def write(self, line: bytes) -> None:
        """Append a line, at once."""
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
