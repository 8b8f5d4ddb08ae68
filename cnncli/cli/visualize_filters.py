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
    out_option,
    threads_option,
)
from .output import emit, emit_json, note, report_skipped
from .progress import progress

if TYPE_CHECKING:
    from ..visualize.sheets import Sheet

EXAMPLES = (
    ("cnn visualize-filters", "draw the filters of the latest model's first layer"),
    ("cnn visualize-filters a.png photos/", "also draw the activation maps of these images"),
    ("cnn visualize-filters a.png --layer conv1 --layer pool1", "draw these two layers"),
    ("cnn inspect", "list the names of the layers"),
)


@click.command("visualize-filters", cls=Command, examples=EXAMPLES)
@click.argument("images", nargs=-1, metavar="[IMAGE…]")
@model_option
@click.option("--layer", "layers", multiple=True, metavar="NAME",
              help="The layer to draw. Repeat the option for several layers.  [default: a choice of convolutions and "
                   "poolings]")
@out_option("pictures/ in the run folder; for a model in none, NAME-pictures/")
@force_option
@json_option
@threads_option
def command(images: tuple[str, ...], model: Path | None, layers: tuple[str, ...], out: Path | None, force: bool,
            as_json: bool) -> int:
    """Draw a model's filters, and how its layers respond to images.

    Writes one picture of the filters of the first convolution, or, with --layer, of the convolutions named. For each
    IMAGE it also writes a picture of activation maps: the numbers that the channels of a layer compute at each place of
    the image, the most active channels first. Prints the names of the files.

    IMAGE is a file, a folder with images, a pattern like 'photos/*.png', or - for a list of paths on standard input.
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
        for sheet in draw_activations(opened, files, layers, note):
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
