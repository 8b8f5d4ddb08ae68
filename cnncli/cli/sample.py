"""``cnn sample``: parse, call cnncli/data/sample, and say what was written."""

from pathlib import Path

import click

from ..errors import printable
from .command import Command, force_option, json_option
from .output import emit, emit_json
from .progress import progress

EXAMPLES = (
    ("cnn sample demo/", "3,000 training and 1,000 test images in demo/train and demo/test"),
    ("cnn train demo/", "a classifier for them"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@force_option
@json_option
def command(directory: Path, force: bool, as_json: bool) -> None:
    """Write out the sample images that come with cnn.

    DIR/train/<class>/*.png and DIR/test/<class>/*.png: 300 training and 100 test images of each of the ten classes of
    Fashion-MNIST (Zalando SE, MIT licence), 28 x 28 grey pixels. DIR must be empty or not there yet.
    """
    from ..data.importing import FASHION
    from ..data.sample import write_sample

    with progress("writing images", 4000) as bar:
        counts = write_sample(directory, progress=bar.set, force=force)
    if as_json:
        emit_json({"directory": directory, "classes": list(FASHION), "images": counts})
    else:
        emit(f"{printable(directory)}: {counts['train']:,} training and {counts['test']:,} test images of "
             f"{len(FASHION)} classes.")
