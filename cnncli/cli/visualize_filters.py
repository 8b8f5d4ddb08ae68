"""``cnn visualize-filters``: the filters of a model's first layer, and what images light up in its layers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import DataError, printable
from .command import (
    Command,
    force_option,
    json_option,
    listed_on_stdin,
    model_option,
    open_and_say,
    threads_option,
)
from .output import emit, emit_json, note, report_skipped
from .progress import progress

if TYPE_CHECKING:
    from ..visualize.sheets import Sheet

EXAMPLES = (
    ("cnn visualize-filters", "the latest model's first filters"),
    ("cnn visualize-filters a.png photos/", "and what these images light up"),
    ("cnn visualize-filters a.png --layer conv1 --layer pool1", "in these layers"),
    ("cnn inspect", "shows what the layers are called"),
)


@click.command("visualize-filters", cls=Command, examples=EXAMPLES)
@click.argument("images", nargs=-1, metavar="[IMAGE]…")
@model_option
@click.option("--layer", "layers", multiple=True, metavar="NAME",
              help="A layer to show; may be given several times.  [default: a spread of convolutions and poolings]")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder for the pictures.  [default: pictures/ in the run's folder]")
@force_option
@json_option
@threads_option
def command(images: tuple[str, ...], model: Path | None, layers: tuple[str, ...], out: Path | None, force: bool,
            as_json: bool) -> int:
    """Draw what a model has learnt, and what images light up in it.

    Writes a sheet of the first layer's filters, in colour where the images have it (or, with --layer, of the
    convolutions named), and for each IMAGE a sheet of activation maps: what the layers answer to it, the most active
    channels first. IMAGE is a file, a folder, a pattern such as 'photos/*.png', or - for a list of paths on standard
    input. Prints the names of the files.
    """
    from ..data.finding import Missing, find_images
    from ..visualize.sheets import claimed, draw_activations, draw_filters

    opened = open_and_say(model)
    found = find_images(images, listed_on_stdin(images), note)
    if images and not found:
        raise DataError("the list on standard input is empty; give at least one image.")
    files = [item for item in found if isinstance(item, str)]
    skipped = [(item.path, item.error) for item in found if isinstance(item, Missing)]
    with claimed(opened, layers, files, out, force) as folder, progress("drawing", len(files)) as shown:
        filters = draw_filters(opened, layers)
        if not filters:
            note(f"{printable(opened.name)} has no convolution, so there are no filters to draw.")
        written = [_saved(sheet, folder, as_json) for sheet in filters]
        for sheet in draw_activations(files, opened, layers, note):
            if isinstance(sheet, Missing):
                skipped.append((sheet.path, sheet.error))
            else:
                written.append(_saved(sheet, folder, as_json))
            shown.advance()
    if as_json:
        emit_json({"model": opened.path, "written": written,
                   "skipped": [{"path": path, "error": error} for path, error in skipped]})
    code = report_skipped(skipped)
    return DataError.exit_code if skipped and len(written) == len(filters) else code


def _saved(sheet: "Sheet", folder: Path, as_json: bool) -> dict[str, Any]:
    """Write a sheet, print its file's name, and return what --json says of it."""
    path = sheet.save(folder)
    if not as_json:
        emit(printable(path))
    return sheet.as_json(path)
