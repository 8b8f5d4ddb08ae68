"""The files that `cnn test` writes about a test: the page, the confusion matrix as a picture and a table, the sheet of
mistakes, and the figures for other programs. Each has a module of its own here.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data import Data
from ..data.outputs import Kind, marked
from ..data.outputs import write as write_output
from ..errors import UsageError, told
from ..evaluation.evaluate import ModelTest
from ..evaluation.held_out import Note
from ..explain.mistakes import reasons
from ..runs.opened import Opened
from ..values import as_hinted
from . import confusion, mistakes, page
from .pictures import Why

FIGURES = Kind("the figures of a test", ".json",
               marked(rb'\A{\n  "model": [^\n]*,\n  "images": \d+,\n  "accuracy": '))
TIMED = 4  # mistakes that are explained before it is told how long all take
WRITTEN = {"report.html": page.PAGE, "confusion.png": confusion.MATRIX, "confusion.csv": confusion.COUNTS,
           "mistakes.png": mistakes.MISTAKES, "test.json": FIGURES}


@contextmanager
def claimed(opened: Opened, folder: str | os.PathLike[str] | None = None, data: Data | None = None,
            force: bool = False) -> Iterator[Path]:
    """Hold the files about a test of a model, WRITTEN, before it is tested, for as long as this lasts; the folder is
    what ``write`` takes. data is what it is tested on; force replaces other files of these names, and lets them lie
    among images that models learn from. Raises UsageError or SaveError as ``cnncli.data.outputs.claim``."""
    into = opened.place(folder, "test")
    with opened.claim({into / file: kind for file, kind in WRITTEN.items()}, data=data, force=force, make=True):
        yield into


@as_hinted
def write(found: ModelTest, folder: str | os.PathLike[str] | None = None, force: bool = False, why: bool = True,
          note: Note | None = None) -> Path:
    """Write the report of a test into a folder: report.html, confusion.png, confusion.csv, mistakes.png and test.json.

    Args:
        found: What ``evaluate`` returned.
        folder: The folder, which is made if need be. None: the run's folder, or else ./<model>-test.
        force: True replaces other files of these names. Older reports are always replaced.
        why: Whether the page shows which parts of the images each mistake comes from.
        note: Is called with a sentence on how long that takes. None: nobody is told.

    Returns:
        The folder.

    Raises:
        UsageError: Another file has one of these names, or found is no result of ``evaluate``.
        SaveError: A file could not be written.
    """
    if not isinstance(found, ModelTest):
        raise UsageError("cnncli.write_report takes what cnncli.evaluate returned, not "
                         f"{type(found).__name__}; write cnncli.write_report(cnncli.evaluate(model, data)).")
    with claimed(found.opened, folder, force=force) as into:
        _write(found, into, _why(found, note or (lambda sentence: None)) if why else None)
    return into


def _write(found: ModelTest, into: Path, why: Why | None) -> None:
    name = found.opened.name
    report, matrix, table, sheet, figures = (into / file for file in WRITTEN)
    page.write(found, report, title=f"Test of {name}", pixels=found.pixels,
               names=[sample.relative for sample in found.samples], facts=found.facts, groups=found.groups,
               notes=found.notes + _on_unseen(found) + found.comparison, why=why)
    confusion.draw(found, matrix, f"Confusion matrix of {name}")
    confusion.write_csv(found, table)
    mistakes.draw(found, found.pixels, [sample.path for sample in found.samples], sheet, f"Worst mistakes of {name}")
    write_output(figures, (json.dumps(found.as_json(), indent=2) + "\n").encode(), FIGURES)


def _on_unseen(found: ModelTest) -> list[str]:
    """Return a sentence on the images that the model was not trained on, if others were tested, too."""
    if not found.trained_on or found.accuracy_unseen is None or found.interval_unseen is None:
        return []
    low, high = found.interval_unseen
    return [f"Of the {page.count(found.image_count - found.trained_on, 'image')} that it was not trained on, "
            f"{page.percent(found.accuracy_unseen)} are right (95 % interval {page.percent(low)} to "
            f"{page.percent(high)})."]


def _why(found: ModelTest, note: Note) -> Why | None:
    """Return what shows where mistakes come from; None where no layer of the network can tell. The first few tell how
    long all will take."""
    model = found.opened.model
    if not model.has_positions:
        return None

    def strips(some: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        began = time.monotonic()
        for part in filter(len, (some[:TIMED], some[TIMED:])):
            yield from reasons(model, found.pixels(part), found.guesses[part], found.labels[part])
            if part[0] == some[0] and len(some) > TIMED:
                seconds = (time.monotonic() - began) / TIMED * len(some)
                note(told(f"The report shows what {len(some)} mistakes come from, which takes {seconds:.1f} s; "
                          "--no-why leaves that out."))

    return strips
