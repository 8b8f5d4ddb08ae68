"""``cnn page``: parse, have cnncli/page/ write the page, and say so."""

from pathlib import Path

import click

from ..errors import printable
from .command import Command, force_option, json_option, listed_on_stdin, model_option, open_and_say, threads_option
from .output import emit, emit_json, note, report_skipped
from .progress import steps

EXAMPLES = (
    ("cnn page", "page.html in the latest run's folder"),
    ("cnn page -m runs/clothes photos/ --out model.html", "with some of these photographs on it"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("images", nargs=-1, metavar="[IMAGE…]")
@model_option
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE",
              help="Where to write it.  [default: page.html in the run's folder]")
@click.option("--units/--no-units", "with_units", default=True,
              help="Whether the page says what excites each filter most, in 200 of the images, where there are 24 or "
                   "more: some seconds, and 80 kB or, of a large model, a sixteenth of the page.  [default: --units]")
@force_option
@json_option
@threads_option
def command(images: tuple[str, ...], model: Path | None, out: Path | None, with_units: bool, force: bool,
            as_json: bool) -> int:
    """Write a model as one web page that runs it.

    The page holds the whole network and computes in the browser. It asks nobody for anything: open it from a disk, or
    mail it. It judges pictures that are chosen, dropped or pasted, and shows what each layer makes of them, down to
    single numbers. Some of IMAGE, or of the images held out of the run's training, are on it. IMAGE is a file, a
    folder, a pattern such as 'photos/*.png', or - for a list of paths on standard input.
    """
    from ..explain.explained_units import data_named
    from ..page import write_page

    opened, data = open_and_say(model), data_named(images, listed_on_stdin(images))
    with steps() as shown:
        made = write_page(opened, data, out, with_units=with_units, force=force, progress=shown, note=note)
    note(f"{printable(made.path)}: {made.sentence}")
    if as_json:
        emit_json(made.as_json())
    else:
        emit(printable(made.path))
    return report_skipped(made.skipped)
