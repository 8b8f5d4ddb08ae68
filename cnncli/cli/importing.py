"""``cnn import``: parse, call cnncli/data/importing.py, and say what was written."""

from pathlib import Path

import click

from ..errors import printable
from .command import Command, force_option, json_option
from .output import emit, emit_json, note
from .progress import steps

EXAMPLES = (
    ("cnn import mnist/ mnist-png", "a folder with train-images-idx3-ubyte.gz and its kin"),
    ("cnn import pathmnist.npz path-png", "an .npz file as Keras, MedMNIST and others have it"),
    ("cnn import scans.npz scans-png --range 0:4095", "values of 12 bits, whatever is brightest among them"),
    ("cnn import images.idx labels.idx shapes --classes circle,square", "a file of images and one of labels"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("sources", nargs=-1, required=True, type=click.Path(), metavar="SOURCE…")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--classes", "names", metavar="NAMES",
              help="Names of the classes, in the labels' order: a,b,c, or a file with one on each line.  [default: "
                   "those in the file, else the labels]")
@click.option("--range", "range_", metavar="LOW:HIGH",
              help="What is black and what is white in values deeper than 8 bits, as 0:4095.  [default: one that suits "
                   "all parts]")
@force_option
@json_option
def command(sources: tuple[str, ...], directory: Path, names: str | None, range_: str | None, force: bool,
            as_json: bool) -> None:
    """Turn a data set file into a folder of images.

    SOURCE is a folder of IDX files called as MNIST's are, an .npz file (x_train and y_train, train_images and
    train_labels, or images and labels), or a file of images and one of labels. The images go to
    DIR/train/<class>/00001.png and so on, numbered by their place in SOURCE, or to DIR/<class>/ where it has only one
    part. DIR must be empty or not there yet.
    """
    from ..data.importing import import_images

    with steps() as shown:
        made = import_images(sources, directory, names, range=range_, force=force, note=note,
                             progress=lambda done, total: shown("writing images", done, total))
    if as_json:
        emit_json({"directory": made.directory, "classes": made.classes, "images": made.images})
    else:
        parts = ", ".join(f"{count:,} {split} images" if split else f"{count:,} images"
                          for split, count in made.images.items())
        emit(f"{printable(directory)}: {parts} of {len(made.classes)} classes.")
