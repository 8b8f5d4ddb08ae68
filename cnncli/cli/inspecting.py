"""``cnn inspect``: a model's layers, shapes, parameters and cost, and its filters as pictures and arrays."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError, printable
from .command import Command, Size, Whole, force_option, json_option, open_and_say
from .completing import network_names
from .output import console, emit, emit_json, note

if TYPE_CHECKING:
    from ..model.summary import Summary

CLASSES_NAMED = 12
EXAMPLES = (
    ("cnn inspect", "show the latest model, layer by layer"),
    ("cnn inspect runs/resnet8-1 --out filters/", "also write the filters of every convolution, as .png and .npy"),
    ("cnn inspect resnet20 --classes 5 --draw resnet20.svg", "show and draw an architecture, before training"),
    ("cnn inspect model.safetensors --json", "print all figures as JSON"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("model", required=False, type=click.Path(path_type=Path), shell_complete=network_names)
@click.option("-m", "--model", "named", type=click.Path(path_type=Path), metavar="MODEL", shell_complete=network_names,
              help="Another way to give MODEL, as in the other commands.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Write the filters of every convolution into this folder, as a picture and as an .npy file.")
@click.option("--draw", type=click.Path(path_type=Path), metavar="FILE.svg",
              help="Draw the network, with its layers and the connections between them.")
@click.option("--size", type=Size(), metavar="N|WxH",
              help="With an architecture or a TOML file: the size of the images, in pixels.  [default: the size that "
                   "the architecture was published for; 32 for a TOML file]")
@click.option("--grey/--colour", default=None,
              help="With an architecture or a TOML file: images of one channel (grey) or three (colour).  [default: "
                   "grey for lenet5, colour for others]")
@click.option("--classes", type=Whole(1, 100_000), metavar="N",
              help="With an architecture or a TOML file: how many classes, 1 to 100,000.  [default: 10]")
@force_option
@json_option
def command(model: Path | None, named: Path | None, out: Path | None, draw: Path | None, size: tuple[int, int] | None,
            grey: bool | None, classes: int | None, force: bool, as_json: bool) -> None:
    """Show a model's layers, shapes, parameters and cost.

    MODEL is a model file, a run folder or a pretrained network. Without it, the latest run's model is shown. MODEL can
    also be the name of an architecture or a TOML file: then the network is shown as it is before training. Nothing is
    written without --out or --draw.

    Multiply-adds are counted for one image, in convolutions and linear layers. A multiply-add is two FLOP, so --json
    gives twice as many flops. The receptive field is the part of the image, in pixels, that one position of the layer's
    output depends on.
    """
    from ..model.summary import summarise
    from ..runs.opened import is_untrained
    from ..visualize.graph import write_graph
    from ..visualize.sheets import write_filters

    if model and named:
        raise UsageError(f"two models are given, {printable(model)} and, with -m, {printable(named)}; give only one.")
    name = str(model or named or "")
    if is_untrained(name):
        _untrained(name, size, grey, classes, out, draw, force, as_json)
        return
    if size or classes or grey is not None:
        raise UsageError("--size, --grey, --colour and --classes are only for an architecture or a TOML file, because "
                         "a model has its own; leave them out.")
    opened = open_and_say(model or named)
    if draw:
        note(printable(write_graph(opened, draw, force)))
    summary = summarise(opened.model)
    written = write_filters(opened, out, force) if out else []
    if out and not written:
        note(f"{printable(opened.name)} has no convolution, so there are no filters to write.")
    if as_json:
        emit_json(summary.as_json() | ({"written": written} if out else {}))
    else:
        _print(summary, opened.path)
    for path in written:
        note(printable(path))


def _untrained(name: str, size: tuple[int, int] | None, grey: bool | None, classes: int | None, out: Path | None,
               draw: Path | None, force: bool, as_json: bool) -> None:
    """Show an architecture."""
    from ..model.summary import untrained
    from ..visualize.graph import write_graph

    if out:
        raise UsageError(f"{printable(name)} has no filters yet; leave --out out, or give a model.")
    network, summary = untrained(name, size and (*size, 1 if name == "lenet5" else 3), classes or 10, grey)
    if draw:
        note(printable(write_graph(network, draw, force)))
    if as_json:
        emit_json(summary.as_json())
    else:
        _print(summary, Path(name))


def _print(summary: "Summary", path: Path) -> None:
    from ..report.tables import show

    named = ", ".join(map(printable, summary.classes[:CLASSES_NAMED]))
    more = f" and {len(summary.classes) - CLASSES_NAMED:,} more" if len(summary.classes) > CLASSES_NAMED else ""
    emit(f"model         {printable(path)}")
    emit(f"architecture  {printable(summary.architecture or 'unknown')}")
    emit(f"input         {_shape(summary.input_shape)}: {summary.preprocessing.describe()}")
    emit(f"classes       {len(summary.classes):,}: {named}{more}")
    emit()
    columns = (("layer", "left"), ("type", "left"), ("output", "right"), ("parameters", "right"),
               ("multiply-adds", "right"), ("receptive field", "right"))
    rows: list[Sequence[str]] = [
        (layer.name, layer.type, _shape(layer.output_shape), _count(layer.parameters), _count(layer.multiply_adds),
         "whole image" if layer.field.whole else _shape(layer.field.size))
        for layer in summary.layers
    ]
    parameters, cost = summary.parameters, summary.multiply_adds
    show(console(), columns, [*rows, ("total", "", "", f"{parameters:,}", f"{cost:,}", "")])
    emit()
    emit(f"An image costs {_large(cost)} multiply-adds, {_large(2 * cost)} FLOP; the weights take "
         f"{_large(summary.weight_bytes)}B. Sizes are height x width x channels.")
    pairs = _training(summary.training)
    if pairs:
        emit()
        show(console(), (("training", "left"), ("", "left")), pairs)


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _count(number: int) -> str:
    return f"{number:,}" if number else "-"


def _large(number: int) -> str:
    """Return a number with a unit: 12.5 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number} "


def _training(training: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the training summary as (what, value) pairs; what lies in an inner object is named "outer: inner"."""
    pairs: list[tuple[str, str]] = []
    for key, value in training.items():
        what = str(key).replace("_", " ")
        if isinstance(value, Mapping):
            pairs += [(f"{what}: {inner}", text) for inner, text in _training(value)]
        elif value is not None and key != "architecture":
            pairs.append((what, _value(value)))
    return pairs


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    return ", ".join(map(_value, value)) if isinstance(value, list | tuple) else str(value)
