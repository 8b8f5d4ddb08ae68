"""What a recorder says of a training, handed on to another program's library, line by line: tensorboard.py and
trackers.py say to which. Whatever goes wrong there ends that, with a note, and never the training.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import SaveError, printable
from ..evaluation.listing import flat
from ..runs import COLUMNS, SWEEP, Run
from .lines import Line, parsed

Scalars = dict[str, float]
_LAYERS = ("weights", "gradients", "update", "dead")  # of a look, for each layer


class Forwarded:
    """Where a recorder's lines go to: a method for each kind, called like it, which a class for a library has."""

    was_there = False

    def write(self, line: bytes) -> None:
        """Hand a line on. Raises SaveError where the library does not take it, whatever it says then."""
        known = parsed(line)
        taken = getattr(self, known["what"], None) if known else None
        if taken:
            guarded(taken, known)

    def begin(self, line: Line) -> None:
        """A training begins or goes on."""

    def step(self, line: Line) -> None:
        """So many steps are made."""

    def look(self, line: Line) -> None:
        """There has been a look inside."""

    def epoch(self, line: Line) -> None:
        """An epoch is done."""

    def end(self, line: Line) -> None:
        """The training has ended."""

    def close(self) -> None:
        """Let go of everything."""


def guarded(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call what belongs to a library. Raises SaveError where that fails in any way."""
    try:
        return call(*arguments)
    except Exception as error:
        what = printable(error).splitlines() or [""]
        raise SaveError(f"{type(error).__name__}{': ' if what[0] else ''}{what[0]}") from error


def label_of(run: Run) -> str:
    """Return what a run is called where runs of all folders come together: its name, of a sweep's that of the sweep,
    too."""
    return f"{run.path.parent.name}/{run.name}" if (run.path.parent / SWEEP).is_file() else run.name


def settings_of(line: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return a training's settings by name, those inside others as "augment.shift", each a word or number."""
    every = flat({"architecture": line["architecture"], "images": line["images"], **line["recipe"]})
    return {name: value if isinstance(value, str | int | float | bool) else "none" if value is None
            else "x".join(map(str, value)) for name, value in every}


def of_step(line: Line) -> Scalars:
    """Return what there is to say of a step: loss and accuracy of its epoch so far, images a second."""
    return _numbers({f"train/{name}": line[name] for name in ("loss", "accuracy", "images_per_second")})


def of_epoch(line: Line) -> Scalars:
    """Return an epoch's row of history.csv."""
    return _numbers({f"epoch/{name}": line[name] for name in COLUMNS if name != "epoch"})


def of_look(line: Line) -> Scalars:
    """Return what a look saw of each layer."""
    return _numbers({f"{what}/{layer}": seen[what] for what in _LAYERS for layer, seen in line["layers"].items()})


def _numbers(values: Mapping[str, Any]) -> Scalars:
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
