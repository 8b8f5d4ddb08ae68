"""What ``cnn explain --shortcuts`` says: what on the images of a class decides that only happens to be there."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import UsageError, printable
from .command import Option, listed_on_stdin, open_and_say, typed_besides
from .output import emit, emit_json, note, report_skipped
from .progress import steps

if TYPE_CHECKING:
    from ..runs.opened import Opened

_Command = TypeVar("_Command", bound=Callable[..., Any])
_TOGETHER = {"images", "model", "precision", "target", "shortcuts", "out", "seed", "force", "as_json", "threads"}


def shortcuts_option(command: _Command) -> _Command:
    """Add --shortcuts."""
    return click.option("--shortcuts", cls=Option, heading="Instead of maps", is_flag=True,
                        help="Look for marks that give classes away: a logo, a date, a frame. Each mark is tested by "
                             "pasting it into images of other classes. IMAGE is a folder with a folder per class.  "
                             "[default: the run's held-out images]  Writes shortcuts.png, if something was "
                             "found.")(command)


def explain_shortcuts(images: Sequence[str], model: "Path | Opened | None", target: str | None,
                      out: Path | None, seed: int, force: bool, as_json: bool) -> int:
    """Search, draw the sheet, and print what was found."""
    from ..explain.explained_units import data_named
    from ..explain.shortcut_sheet import claimed, write
    from ..explain.shortcuts import shortcuts

    if others := typed_besides(_TOGETHER):
        raise UsageError("--shortcuts looks at whole classes, not at the answer for an image; leave "
                         f"{' and '.join(others)} out.")
    opened = open_and_say(model)
    data = data_named(images, listed_on_stdin(images))
    with claimed(opened, data, out, force) as path:
        with steps() as shown:
            found = shortcuts(opened, data, target, seed, shown, note)
        sheet = write(found, opened.model, path)
    if as_json:
        emit_json({"model": opened.path, **found.as_json(), "file": sheet,
                   "skipped": [{"path": skipped, "error": error} for skipped, error in found.skipped]})
    else:
        for line in [*found.sentences, *([str(sheet)] if sheet else [])]:
            emit(printable(line))
        if sheet is None:
            note(f"There is nothing to show, so {printable(path)} is not written.")
    return report_skipped(found.skipped)
