"""The files that `cnn test` writes about a test: the page, the confusion matrix as a picture and a table, the sheet of
mistakes, and the figures for other programs. Each has a module of its own here.
"""

import json
import os
from pathlib import Path

from ..atomic import write_atomically
from ..evaluation.evaluate import ModelTest
from . import confusion, mistakes, page

WRITTEN = ("report.html", "confusion.png", "confusion.csv", "mistakes.png", "test.json")


def write(found: ModelTest, folder: str | os.PathLike[str] | None = None) -> Path:
    """Write the files about a test, WRITTEN, into a folder; return it. The folder, by default that of the model's run,
    else ./<model>-test, is made if need be. Raises UsageError where a file stands in its place, SaveError where the
    disk refuses."""
    into, name = found.opened.folder(folder, "test"), found.opened.name
    report, matrix, table, sheet, figures = (into / file for file in WRITTEN)
    page.write(found, report, title=f"Test of {name}", pixels=found.pixels,
               names=[sample.relative for sample in found.samples], facts=found.facts,
               notes=found.notes + found.comparison)
    confusion.draw(found, matrix, f"Confusion matrix of {name}")
    confusion.write_csv(found, table)
    mistakes.draw(found, found.pixels, [sample.path for sample in found.samples], sheet, f"Worst mistakes of {name}")
    write_atomically(figures, (json.dumps(found.as_json(), indent=2) + "\n").encode())
    return into
