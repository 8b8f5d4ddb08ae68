"""The files that `cnn test` writes about a test: the page, the confusion matrix as a picture and a table, the sheet of
mistakes, and the figures for other programs. Each has a module of its own here.
"""

import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.labels import labels_of
from ..data.outputs import Kind, marked
from ..data.outputs import write as write_output
from ..data.splits import Split
from ..errors import UsageError, told
from ..evaluation.evaluate import ModelTest
from ..evaluation.held_out import Note, subject_of
from ..evaluation.subject import Subject
from ..explain.mistakes import reasons
from ..model.checkpoint import MODEL
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
def claimed(opened: Opened, folder: str | os.PathLike[str] | None = None,
            data: str | os.PathLike[str] | None = None, *, split: Split | None = None, labels: str | None = None,
            subject: Subject | None = None, force: bool = False) -> Iterator[Path]:
    """Hold the files about a test of a model, WRITTEN, before it is tested, for as long as this lasts; the folder is
    what ``write`` takes. data, split and labels are what it is tested on, as ``evaluate`` takes them, or subject says
    it; force replaces other files of these names, and lets them lie among images that models learn from. Raises
    UsageError or SaveError as ``cnncli.data.outputs.claim``, and what ``evaluate`` raises for such data."""
    into = (opened.place(folder, "test") if folder else
            place(opened, subject or subject_of(opened, data, split, labels_of(labels))))
    with opened.claim({into / file: kind for file, kind in WRITTEN.items()}, data=data, force=force, make=True):
        yield into


def place(opened: Opened, subject: Subject) -> Path:
    """Return the folder of the report of a test: the run's own, if the images are those that its training held out for
    the test. For other images it is a folder in it that is named for them, and for a model in no run ./<model>-test. A
    folder that has the report of another test is passed over.
    """
    if opened.run:
        parts = ["test", "" if opened.path.name == MODEL else opened.path.stem, subject.tag]
        names = ["-".join(filter(None, parts))]
        if names == ["test"]:
            return opened.run.path
    else:
        names = [f"{opened.path.stem}-test", f"{opened.path.stem}-test-{subject.tag}"]
    numbered = (f"{names[-1]}-{number}" for number in itertools.count(2))
    within = opened.run.path if opened.run else Path()
    return next(within / name for name in itertools.chain(names, numbered)
                if _is_free(within / name / "test.json", opened, subject))


def _is_free(figures: Path, opened: Opened, subject: Subject) -> bool:
    """Whether no figures are there, or those of the same model on the same images."""
    if not figures.is_file():
        return True
    with suppress(OSError, ValueError):
        found = json.loads(figures.read_bytes())
        model = str(found["model"]) if isinstance(found, dict) and "model" in found else ""
        same = (os.path.basename(model) == opened.path.name if opened.run  # which may have been moved
                else os.path.abspath(model) == os.path.abspath(opened.path))
        return same and subject.is_that_of(found)
    return False


@as_hinted
def write(found: ModelTest, folder: str | os.PathLike[str] | None = None, force: bool = False, why: bool = True,
          note: Note | None = None) -> Path:
    """Write the report of a test into a folder: report.html, confusion.png, confusion.csv, mistakes.png and test.json.

    Args:
        found: What ``evaluate`` returned.
        folder: The folder, which is made if need be. None: the run's folder, if the images are those that the training
            held out for the test; for others a folder in it that is named for them, as test-val. For a model in no run:
            ./<model>-test.
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
    with claimed(found.opened, folder, subject=found.subject, force=force) as into:
        _write(found, into, _why(found, note or (lambda sentence: None)) if why else None)
    return into


def _write(found: ModelTest, into: Path, why: Why | None) -> None:
    title = found.subject.title(found.opened.name)
    report, matrix, table, sheet, figures = (into / file for file in WRITTEN)
    # First what says which images the others are of:
    write_output(figures, (json.dumps(found.as_json(), indent=2) + "\n").encode(), FIGURES)
    about = title.removeprefix("Test of ")
    page.write(found, report, title=title, pixels=found.pixels,
               names=[sample.relative for sample in found.samples],
               facts=[("images tested", found.subject.describe(found.image_count, len(found.skipped))), *found.facts],
               groups=found.groups,
               notes=found.notes + found.comparison, why=why)
    confusion.draw(found, matrix, f"Confusion matrix of {about}")
    confusion.write_csv(found, table)
    mistakes.draw(found, found.pixels, [sample.path for sample in found.samples], sheet, f"Worst mistakes of {about}")


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
