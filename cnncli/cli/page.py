"""``cnn page``: parse, have cnncli/page/ write the page, and say so."""

from pathlib import Path

import click

from ..errors import printable
from .command import Command, force_option, json_option, listed_on_stdin, model_option, open_and_say, threads_option
from .output import emit, emit_json, note, report_skipped
from .progress import steps

EXAMPLES = (
    ("cnn page", "write page.html into the latest run's folder"),
    ("cnn page -m runs/clothes photos/ --out model.html", "use another model, and show some of these photographs"),
    ("cnn page --title 'Which shoe is this?'", "give the page a title of your own"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("images", nargs=-1, metavar="[IMAGE…]")
@model_option
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE",
              help="The file to write.  [default: page.html in the run folder; for a model in none, NAME-page.html]")
@click.option("--title", metavar="TEXT", help="The page's title.  [default: what the model tells apart]")
@click.option("--units/--no-units", "with_units", default=True,
              show_default=True,
              help="Show for each filter the images that excite it most, out of up to 200. Needs 24 images or more. "
                   "Takes some seconds, and makes the page larger by 80 kB, or by a twelfth for a large model.")
@force_option
@json_option
@threads_option
def command(images: tuple[str, ...], model: Path | None, out: Path | None, title: str | None, with_units: bool,
            force: bool, as_json: bool) -> int:
    """Write a model as one web page that runs it in the browser.

    The page holds the whole network and sends nothing anywhere. You can open it from a disk or mail it. It labels
    pictures that you choose, drop or paste, and shows what each layer computes of them, down to single numbers.

    The page holds up to 12 images: some of IMAGE, or some that were held out of the model's training. IMAGE is a
    file, a folder with images, a pattern like 'photos/*.png', or - for a list of paths on standard input.
    """
    from ..explain.explained_units import data_named
    from ..page import write_page

    opened, data = open_and_say(model), data_named(images, listed_on_stdin(images))
    with steps() as shown:
        made = write_page(opened, data, out, title=title, with_units=with_units, force=force, progress=shown, note=note)
    note(f"{printable(made.path)}: {made.sentence}")
    if as_json:
        emit_json(made.as_json())
    else:
        emit(printable(made.path))
    return report_skipped(made.skipped)
