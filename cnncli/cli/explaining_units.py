"""What ``cnn explain --units`` says of a layer's filters: a sheet and a page of what each looks for."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import Interrupted, UsageError, printable
from .command import listed_on_stdin, open_and_say
from .output import emit, emit_json, note, report_skipped
from .progress import steps

_Command = TypeVar("_Command", bound=Callable[..., Any])
_TOGETHER = {"images", "model", "units", "top", "out", "seed", "force", "as_json", "threads"}


def units_options(command: _Command) -> _Command:
    """Add --units and --top."""
    for option in (
        click.option("--top", type=click.IntRange(1, 100), metavar="N",
                     help="With --units: how many images for each filter.  [default: 9]"),
        click.option("--units", metavar="LAYER[:CHANNELS]",
                     help="Instead, draw what the filters of a layer look for, as conv2, or some of its channels, as "
                          "conv2:0-7,12: in IMAGE, or in the images held out of the model's training."),
    ):
        command = option(command)
    return command


def explain_units(images: Sequence[str], model: Path | None, units: str | None, top: int | None, out: Path | None,
                  seed: int, force: bool, as_json: bool) -> int:
    """Write sheet and page, and print their names or what is on them."""
    from ..explain.explained_units import data_named, layer_and_channels
    from ..report.unit_page import write

    if units is None:
        raise UsageError("--top is for --units: how many images are shown for each filter.")
    if others := _given_besides():
        raise UsageError(f"--units explains filters and no image's answer; leave {' and '.join(others)} out.")
    opened = open_and_say(model)
    layer, channels = layer_and_channels(opened.model.network, units)
    with steps() as shown:
        found, (sheet, page) = write(opened, layer, data_named(images, listed_on_stdin(images)), channels, top, out,
                                     seed=seed, force=force, progress=shown, note=note)
    if as_json:
        emit_json({"model": opened.path, **found.as_json(), "file": sheet, "page": page,
                   "skipped": [{"path": skipped, "error": error} for skipped, error in found.skipped]})
    else:
        for path in (sheet, page):
            emit(printable(path))
    code = report_skipped(found.skipped)
    if found.stopped:
        raise Interrupted(f"stopped {found.stopped}; {printable(page)} shows what was found by then.", signal.SIGINT)
    return code


def _given_besides() -> list[str]:
    """Return the options that were typed and have nothing to do with filters."""
    context = click.get_current_context()
    typed = click.core.ParameterSource.COMMANDLINE
    return [parameter.opts[0] for parameter in context.command.params if parameter.name not in _TOGETHER
            and context.get_parameter_source(str(parameter.name)) is typed]
