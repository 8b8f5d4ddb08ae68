"""``cnn import``: parse, call cnncli/data/importing.py and writing.py, and say what was written."""

from pathlib import Path

import click

from .common import Command, emit, emit_json, json_option, note, printable, progress

EXAMPLES = (
    ("cnn import mnist/ mnist-png", "a folder with train-images-idx3-ubyte.gz and its kin"),
    ("cnn import pathmnist.npz path-png", "an .npz file as Keras, MedMNIST and others have it"),
    ("cnn import images.idx labels.idx shapes --classes circle,square", "a file of images and one of labels"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("sources", nargs=-1, required=True, type=click.Path(), metavar="SOURCE…")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--classes", "names", metavar="NAMES",
              help="Names of the classes, in the labels' order: a,b,c, or a file with one on each line.  [default: "
                   "those in the file, else the labels]")
@json_option
def command(sources: tuple[str, ...], directory: Path, names: str | None, as_json: bool) -> None:
    """Turn a data set file into a folder of images.

    SOURCE is a folder of IDX files called as MNIST's are, an .npz file (x_train and y_train, train_images and
    train_labels, or images and labels), or a file of images and one of labels. The images go to
    DIR/train/<class>/00001.png and so on, numbered by their place in SOURCE, or to DIR/<class>/ where it has only one
    part. DIR must be empty or not there yet.
    """
    from ..data.importing import load_arrays, parse_names
    from ..data.writing import check_names, check_target, write_images

    check_target(directory)
    note(f"reading {', '.join(map(printable, sources))}")
    splits, classes = load_arrays(sources, parse_names(names) if names is not None else None)
    check_names(classes)
    with progress("writing images", sum(len(labels) for _, labels in splits.values())) as bar:
        counts = write_images(directory, splits, classes, progress=bar.set)
    if as_json:
        emit_json({"directory": directory, "classes": classes, "images": counts})
    else:
        parts = ", ".join(f"{count:,} {split} images" if split else f"{count:,} images"
                          for split, count in counts.items())
        emit(f"{printable(directory)}: {parts} of {len(classes)} classes.")
