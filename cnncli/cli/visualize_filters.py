"""``cnn visualize-filters``: the filters of a model's first layer, and what images light up in its layers."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import DataError, ImageError, ModelError, printable
from .common import (
    Command,
    emit,
    emit_json,
    json_option,
    model_option,
    note,
    progress,
    report_skipped,
    threads_option,
)
from .models import Opened, open_model

if TYPE_CHECKING:
    from ..visualize.canvas import Canvas

BEST = 5  # classes named beside an image
LONGEST_STEM = 60
EXAMPLES = (
    ("cnn visualize-filters", "the latest model's first filters"),
    ("cnn visualize-filters a.png photos/", "and what these images light up"),
    ("cnn visualize-filters a.png --layer conv1 --layer pool1", "in these layers"),
    ("cnn inspect", "shows what the layers are called"),
)


@click.command("visualize-filters", cls=Command, examples=EXAMPLES)
@click.argument("images", nargs=-1, metavar="[IMAGE]…")
@model_option
@click.option("--layer", "layers", multiple=True, metavar="NAME",
              help="A layer to show; may be given several times.  [default: a spread of convolutions and poolings]")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder for the pictures.  [default: pictures/ in the run's folder]")
@json_option
@threads_option
def command(images: tuple[str, ...], model: Path | None, layers: tuple[str, ...], out: Path | None, as_json: bool
            ) -> int:
    """Draw what a model has learnt, and what images light up in it.

    Writes a sheet of the first layer's filters, in colour where the images have it (or, with --layer, of the
    convolutions named), and for each IMAGE a sheet of activation maps: what the layers answer to it, the most active
    channels first. IMAGE is a file, a folder, a pattern such as 'photos/*.png', or - for a list of paths on standard
    input. Prints the names of the files.
    """
    opened = open_model(model)
    names = list(dict.fromkeys(layers))
    for name in names:
        opened.model.network.node(name)  # raises with the nearest name
    found, skipped = _find(images)
    folder = opened.folder(out, "pictures", inside="pictures")
    written: list[dict[str, Any]] = []
    for item, sheet in _sheets(opened, names, found, skipped):
        item["path"] = os.fspath(sheet.save(folder / item["path"]))
        written.append(item)
        if not as_json:
            emit(printable(item["path"]))
    if as_json:
        emit_json({"model": opened.path, "written": written,
                   "skipped": [{"path": path, "error": error} for path, error in skipped]})
    code = report_skipped(skipped)
    answered = any(item["kind"] == "activations" for item in written)
    return DataError.exit_code if skipped and not answered else code


def _find(images: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the image files meant, and (path, error) of what is none."""
    from ..model.predict import find_images

    found: list[str] = []
    skipped: list[tuple[str, str]] = []
    for item in find_images(images, sys.stdin.buffer.read() if "-" in images else b""):
        if isinstance(item, str):
            found.append(item)
        else:
            skipped.append((item.path, item.error or "it is no image."))
    return found, skipped


def _sheets(opened: Opened, names: list[str], images: Sequence[str], skipped: list[tuple[str, str]]
            ) -> "Iterator[tuple[dict[str, Any], Canvas]]":
    """Yield each sheet with what is on it, "path" being the file's name so far."""
    from ..visualize import activations

    yield from _filters(opened, names)
    names = names or activations.default_layers(opened.model.network.nodes)
    taken: set[str] = set()
    with progress("drawing", len(images)) as shown:
        for path in images:
            try:
                sheet = _answer(opened, path, names)
            except ImageError as error:
                skipped.append((error.path, error.reason))
            else:
                yield {"path": _file_name(path, taken), "kind": "activations", "image": path, "layers": names}, sheet
            shown.advance()


def _filters(opened: Opened, names: Sequence[str]) -> "Iterator[tuple[dict[str, Any], Canvas]]":
    from ..network import INPUT
    from ..visualize.filters import convolutions, draw

    nodes = opened.model.network.nodes
    every = convolutions(nodes)
    if not every:
        note(f"{printable(opened.name)} has no convolution, so there are no filters to draw.")
    first = {node.name for node in nodes if node.inputs == (INPUT,)}
    for filters in [f for f in every if f.name in names] or every[:1]:
        sheet = draw(filters, f"Filters of {filters.name} in {opened.name}", first=filters.name in first)
        yield {"path": f"filters-{filters.name}.png", "kind": "filters", "image": None, "layers": [filters.name]}, sheet


def _answer(opened: Opened, path: str, names: Sequence[str]) -> "Canvas":
    """Return the sheet of one image. Raises ImageError where it cannot be used."""
    from ..visualize import activations

    model = opened.model
    pixels = model.preprocessing.prepare(path)
    answers = model.network.activations(model.preprocessing.normalise(pixels[None]), list(names))
    nodes = {node.name: node for node in model.network.nodes}
    chances = model.probabilities(pixels[None])[0]
    if chances.min() != chances.min():
        raise ModelError(f"the outputs of {printable(opened.path)} are not finite numbers; train it again, with a "
                         "smaller learning rate.")
    verdict = [(model.classes[i], float(chances[i])) for i in (-chances).argsort(kind="stable")[:BEST]]
    title = f"{os.path.basename(path)} in {opened.name}"
    return activations.draw(pixels, activations.maps(nodes, answers, names, 0), title, verdict)


def _file_name(image: str, taken: set[str]) -> str:
    """Return a new name for an image's sheet: its own, made fit for any disk, numbered where two are alike."""
    stem = re.sub(r"[^\w.-]+", "_", printable(os.path.splitext(os.path.basename(image))[0]))[:LONGEST_STEM]
    name, number = f"activations-{stem}.png", 1
    while name.lower() in taken:
        number += 1
        name = f"activations-{stem}-{number}.png"
    taken.add(name.lower())
    return name
