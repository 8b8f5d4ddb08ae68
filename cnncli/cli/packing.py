"""``cnn pack``: parse, call cnncli/data/pack.py, and say what was written."""

from pathlib import Path

import click

from ..errors import printable
from .command import Command, exclude_option, force_inside_option, json_option, labels_option
from .output import emit, emit_json, note, report_skipped
from .progress import steps

EXAMPLES = (
    ("cnn pack photos/ shards/", "put the images into archives of 256 MB"),
    ("cnn train shards/", "train on them as on the folder"),
    ("cnn pack photos/ shards/ --shard-size 1GB", "write larger archives"),
    ("cnn pack images/ shards/ --labels labels.csv", "take the labels from a table"),
)


@click.command(cls=Command, examples=EXAMPLES, kernels=False)
@click.argument("folder", type=click.Path())
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--shard-size", metavar="SIZE", default="256MB", show_default=True,
              help="How large an archive may be, in bytes, like 256MB or 1GB.")
@labels_option
@exclude_option
@force_inside_option
@json_option
def command(folder: str, directory: Path, shard_size: str, labels: str | None, exclude: str | None, force: bool,
            as_json: bool) -> int:
    """Put a folder of images into a few tar archives.

    FOLDER is read as cnn train reads it. Its images are written to DIR/train-000000.tar and so on, or to
    DIR/images-000000.tar if it has no train/ and test/. An index is written beside them. DIR must be empty, or must not
    exist.

    cnn train DIR then trains on the images as it would on FOLDER: in the same split, and to the same model. cnn test,
    cnn predict, cnn check and cnn features take DIR, too. Nothing is unpacked. The images' own bytes are in the
    archives, unchanged. WebDataset reads the archives: beside each image lies a file with the number of its class
    (.cls).
    """
    from ..data.pack import pack_images

    with steps() as shown:
        packed = pack_images(folder, directory, shard_size=shard_size, labels=labels, exclude=exclude or (),
                             force=force, note=note,
                             progress=lambda done, total: shown("packing images", done, total))
    if as_json:
        emit_json(packed.as_json())
    else:
        parts = ", ".join(f"{count:,} {part} images" if part else f"{count:,} images"
                          for part, count in packed.image_counts.items())
        archives = f"{len(packed.archives):,} archive{'s' * (len(packed.archives) != 1)}"
        emit(f"{printable(directory)}: {parts} of {len(packed.classes)} classes, in {archives} of "
             f"{packed.bytes:,} bytes.")
    return report_skipped(packed.skipped)
