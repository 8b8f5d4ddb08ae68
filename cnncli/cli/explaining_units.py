"""What ``cnn explain --units`` says of a layer's filters: a sheet and a page of what each looks for."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import Interrupted, UsageError, printable
from .command import Option, Whole, listed_on_stdin, open_and_say, typed_besides
from .output import emit, emit_json, note, report_skipped
from .progress import steps

if TYPE_CHECKING:
    from ..runs.opened import Opened

MOST_TOP = 100  # images of each filter
_Command = TypeVar("_Command", bound=Callable[..., Any])
_TOGETHER = {"images", "model", "precision", "units", "top", "out", "seed", "force", "as_json", "threads"}


def units_options(command: _Command) -> _Command:
    """Add --units and --top."""
    for option in (
        click.option("--top", cls=Option, heading="Maps", type=Whole(1), metavar="N",
                     help="Without IMAGE: how many held-out images to explain, 1 or more.  [default: 24]  With "
                          "--units: how many images to show for each filter, 1 to 100.  [default: 9]"),
        click.option("--units", cls=Option, heading="Instead of maps", multiple=True, metavar="LAYER[:CHANNELS]",
                     help="Show what the filters of a layer look for, like relu2, or some of them, like relu2:0-7,12. "
                          "Repeat the option for several layers; all stands for every activation and the last layer. "
                          "Writes units-LAYER.html and units-LAYER.png."),
    ):
        command = option(command)
    return command


def explain_units(images: Sequence[str], model: "Path | Opened | None", units: Sequence[str], top: int | None,
                  out: Path | None, seed: int, force: bool, as_json: bool) -> int:
    """Write sheets and pages, and print their names or what is on them."""
    from ..explain.explained_units import data_named
    from ..explain.named_channels import layers_and_channels
    from ..report.unit_page import write

    if top is not None and top > MOST_TOP:
        raise UsageError(f"--units shows {MOST_TOP} images of each filter at most, not {top:,}; give a smaller --top.")
    if others := typed_besides(_TOGETHER):
        raise UsageError(f"--units explains filters, not the answer for an image; leave {' and '.join(others)} out.")
    opened = open_and_say(model)
    layers, written = layers_and_channels(opened.model.network, units), list[dict[str, Any]]()
    with steps() as shown:
        for found, (sheet, page) in write(opened, layers, data_named(images, listed_on_stdin(images)), top, out,
                                          seed=seed, force=force, progress=shown, note=note):
            written.append({**found.as_json(), "file": sheet, "page": page})
            for path in () if as_json else (sheet, page):
                emit(printable(path))
    if as_json:
        skipped = {"skipped": [{"path": path, "error": error} for path, error in found.skipped]}
        emit_json({"model": opened.path, **(written[0] if len(layers) == 1 else {"layers": written}), **skipped})
    code = report_skipped(found.skipped)
    if found.stopped:
        which = f" of {found.layer}, layer {len(written)} of {len(layers)}" if len(written) < len(layers) else ""
        raise Interrupted(f"stopped {found.stopped}{which}; {printable(page)} shows what was found by then.",
                          signal.SIGINT)
    return code
