"""``cnn sample``: parse, call cnncli/data/sample, and say what was written."""

from pathlib import Path

import click

from ..errors import printable
from .command import Command, force_inside_option, json_option
from .output import emit, emit_json
from .progress import progress

EXAMPLES = (
    ("cnn sample demo/", "write the images to demo/train and demo/test"),
    ("cnn train demo/", "train a classifier on them"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@force_inside_option
@json_option
def command(directory: Path, force: bool, as_json: bool) -> None:
    """Write the sample images of cnn, a small data set, into a folder.

    The images are 28 x 28 grey pixels, out of Fashion-MNIST (Zalando SE, MIT licence): 300 training and 100 test images
    for each of ten classes. They are written to DIR/train/CLASS/ and DIR/test/CLASS/ as PNG files. DIR must be empty,
    or must not exist.
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
