"""``cnn features``: parse, call cnncli/model/features.py, and write the file."""

from contextlib import nullcontext
from pathlib import Path

import click

from ..errors import printable
from .command import (
    Command,
    exact_option,
    follows,
    force_option,
    json_option,
    listed_on_stdin,
    model_and_rest,
    model_option,
    open_and_say,
    precise,
    precision_option,
    threads_option,
)
from .output import emit_json, note, report_skipped
from .progress import progress

FEW = 200  # images that are done before anyone asks how far it has got
EXAMPLES = (
    ("cnn features runs/latest photos/ -o photos.npz", "write the features of all images of a folder"),
    ("cnn features efficientnet_lite0 a.png b.png -o ab.npz", "use a pretrained network, without training"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("words", nargs=-1, required=True, metavar="[MODEL] IMAGE…")
@model_option
@precision_option
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("features.npz"), metavar="FILE.npz",
              help="The file to write.  [default: features.npz]")
@force_option
@json_option
@exact_option
@threads_option
def command(words: tuple[str, ...], model: Path | None, precision: str | None, out: Path, force: bool,
            as_json: bool, exact: bool | None) -> int:
    """Write the features that a model computes of images, for search and clustering.

    Features are the numbers that the network computes of an image before its last layer. Images that look alike to the
    network have similar features.

    IMAGE is a file, a folder with images, a pattern like 'photos/*.png', or - for a list of paths on standard input.
    Images that cannot be read are skipped and listed at the end. MODEL is a model file, a run folder or a pretrained
    network. It stands first, or is given with -m. Without it, the latest run's model is used.

    Writes a file for NumPy, numpy.load("features.npz"), with two arrays: "features", float32 (images, features), and
    "paths".
    """
    from ..data.finding import find_images
    from ..errors import DataError
    from ..model.features import FEATURES, features

    named, images = model_and_rest(words, model, "images")
    opened = open_and_say(precise(named, precision))
    opened.model.network.exact = bool(exact)
    found = find_images(images, listed_on_stdin(images), note)
    if not found:
        raise DataError("the list on standard input is empty; give at least one image.")
    if follows(lambda: features(opened.model, found)):
        return 0
    read = [item for item in found if isinstance(item, str)]
    with (opened.claim({out: FEATURES}, reads=read, force=force),
          progress("looking", len(found)) if len(found) > FEW else nullcontext() as bar):
        made = features(opened.model, found, bar.set if bar else None, note)
        if made.paths:
            made.write(str(out))
    if made.paths:
        note(f"{printable(out)}: {len(made.paths):,} image{'s' * (len(made.paths) != 1)}, {made.values.shape[1]:,} "
             "features each.")
    if as_json:
        emit_json({"path": str(out) if made.paths else None, "images": len(made.paths),
                   "features": made.values.shape[1],
                   "skipped": [{"path": path, "error": reason} for path, reason in made.skipped]})
    code = report_skipped(made.skipped, len(made.paths))
    return code if made.paths else 1
