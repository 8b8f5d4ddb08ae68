"""The picture of a sweep, sweep.png in its folder: from its runs to what report/swept.py draws. If it cannot be drawn,
the sweep is not lost."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import CnnError, printable
from ..runs import Run
from ..runs.kept import Row
from .observer import Observer
from .sweep_settings import LOGARITHMIC, Point, shown, typed_name

FILE = "sweep.png"
Ran = tuple[Point, Run | None, float | None, int]  # settings, run, accuracy (None: it failed), epoch that is kept


def draw(path: Path, runs: Sequence[Ran], images: int, error: float, observer: Observer) -> Path | None:
    """Draw the runs of the sweep in a folder, the best first, and return the picture's file: None where no run has
    finished, or it cannot be drawn, which the observer is told. They are validated on so many images; error is the
    standard error of the best accuracy."""
    from ..report import swept

    if all(accuracy is None for _, _, accuracy, _ in runs):
        return None
    entries = [swept.Entry({typed_name(name): value for name, value in point.items()},
                           {typed_name(name): shown(name, value) for name, value in point.items()},
                           _rows(run), accuracy, epoch) for point, run, accuracy, epoch in runs]
    file, many = path / FILE, f"{len(runs):,} run{'s' * (len(runs) != 1)}"
    try:
        return swept.draw(entries, file, f"{path.name}: {many}, {images:,} validation images",
                          [*map(typed_name, LOGARITHMIC)], error)
    except (OSError, ImportError, RuntimeError, CnnError) as reason:  # RuntimeError: matplotlib got no thread
        observer.note(f"{printable(file)} could not be drawn: {reason}")
        return None


def _rows(run: Run | None) -> list[Row]:
    """Return the history of a run, also of one that failed on its way."""
    try:
        return run.history if run else []
    except CnnError:  # damaged
        return []
