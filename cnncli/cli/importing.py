"""``cnn import``: parse, call cnncli/data/importing.py, and say what was written."""

from pathlib import Path

import click

from ..errors import printable
from .command import Command, force_inside_option, json_option
from .output import emit, emit_json, note
from .progress import steps

EXAMPLES = (
    ("cnn import mnist/ mnist-png", "convert train-images-idx3-ubyte.gz and the other files of MNIST"),
    ("cnn import pathmnist.npz path-png", "convert an .npz file as Keras and MedMNIST have it"),
    ("cnn import scans.npz scans-png --range 0:4095", "convert values of 12 bits"),
    ("cnn import images.idx labels.idx shapes --classes circle,square", "convert files of images and of labels"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("sources", nargs=-1, required=True, type=click.Path(), metavar="SOURCE…")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--classes", "names", metavar="NAMES",
              help="The names of the classes in the order of their labels, like a,b,c, or a file with one name on each "
                   "line.  [default: the names in SOURCE, else the labels]")
@click.option("--range", metavar="LOW:HIGH",
              help="For values of more than 8 bits: the values that become black and white, like 0:4095.  [default: "
                   "found from all images]")
@force_inside_option
@json_option
def command(sources: tuple[str, ...], directory: Path, names: str | None, range: str | None, force: bool,
            as_json: bool) -> None:
    """Turn a data set file (IDX or .npz) into a folder of images.

    SOURCE is a folder of IDX files that are named like MNIST's, an .npz file (with the arrays x_train and y_train,
    train_images and train_labels, or images and labels), or a file of images and a file of labels.

    The images are written to DIR/train/CLASS/00001.png and so on, in their order in SOURCE, or to DIR/CLASS/ if SOURCE
    has only one part. DIR must be empty, or must not exist. cnn train DIR then trains on them.
    """
    from ..data.importing import import_images

    with steps() as shown:
        made = import_images(sources, directory, names, range=range, force=force, note=note,
                             progress=lambda done, total: shown("writing images", done, total))
    if as_json:
        emit_json({"directory": made.directory, "classes": made.classes, "images": made.image_counts})
    else:
        parts = ", ".join(f"{count:,} {split} images" if split else f"{count:,} images"
                          for split, count in made.image_counts.items())
        emit(f"{printable(directory)}: {parts} of {len(made.classes)} classes.")
