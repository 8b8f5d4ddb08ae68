"""``cnn inspect``: a model's layers, shapes, parameters and cost, and its filters as pictures and arrays."""

import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError, printable
from .common import Command, console, emit, emit_json, json_option, note
from .models import Opened, make_folder, open_model

if TYPE_CHECKING:
    from ..network.analysis import LayerSummary

CLASSES_NAMED = 12
EXAMPLES = (
    ("cnn inspect", "the latest model, layer by layer"),
    ("cnn inspect runs/resnet8-1 --out filters/", "and every convolution's filters, as .png and .npy"),
    ("cnn inspect model.safetensors --json", "for other programs"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("-m", "--model", "named", type=click.Path(path_type=Path), metavar="MODEL",
              help="The same as MODEL, as the other commands have it.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Write every convolution's filters there, as a picture and as .npy.")
@json_option
def command(model: Path | None, named: Path | None, out: Path | None, as_json: bool) -> None:
    """Show a model's layers, shapes, parameters and cost.

    MODEL is a model file or a run's folder; without it, the latest run's. A layer's multiply-adds are those of one
    image, counted for convolutions and linear layers; a FLOP is half of one, so that --json's flops are twice as
    many. The receptive field is what of the image, in pixels, one position of the layer's output can see.
    """
    from ..network.analysis import summarise

    if model and named:
        raise UsageError("MODEL is given twice, bare and with -m; give it once.")
    opened = open_model(model or named)
    layers = summarise(opened.model.network)
    written = _dump(opened, make_folder(out)) if out else []
    if as_json:
        emit_json(_as_json(opened, layers) | ({"written": written} if out else {}))
    else:
        _print(opened, layers)
    for path in written:
        note(printable(path))


def _as_json(opened: Opened, layers: "Sequence[LayerSummary]") -> dict[str, Any]:
    model = opened.model
    return {
        "architecture": model.training.get("architecture"),
        "input_shape": model.network.input_shape,
        "classes": model.classes,
        "parameters": sum(layer.parameters for layer in layers),
        "flops": sum(layer.flops for layer in layers),
        "layers": [
            {"name": layer.name, "type": layer.type, "output_shape": layer.output_shape,
             "parameters": layer.parameters, "flops": layer.flops}
            for layer in layers
        ],
        "preprocessing": model.preprocessing.config(),
        "training": model.training,
    }


def _dump(opened: Opened, folder: Path) -> list[str]:
    """Write every convolution's filters; return the files' paths."""
    import numpy as np

    from ..atomic import write_atomically
    from ..network import INPUT
    from ..visualize.filters import convolutions, draw

    nodes = opened.model.network.nodes
    first = {node.name for node in nodes if node.inputs == (INPUT,)}
    written = []
    for filters in convolutions(nodes):
        stem = folder / filters.name
        sheet = draw(filters, f"{filters.name} of {opened.name}", first=filters.name in first)
        written.append(os.fspath(sheet.save(f"{stem}.png")))
        data = io.BytesIO()
        np.save(data, filters.weight, allow_pickle=False)
        write_atomically(f"{stem}.npy", data.getvalue())
        written.append(f"{stem}.npy")
    if not written:
        note(f"{printable(opened.name)} has no convolution, so there are no filters to write.")
    return written


def _print(opened: Opened, layers: "Sequence[LayerSummary]") -> None:
    from ..report.tables import show

    model = opened.model
    named = ", ".join(map(printable, model.classes[:CLASSES_NAMED]))
    more = f" and {len(model.classes) - CLASSES_NAMED:,} more" if len(model.classes) > CLASSES_NAMED else ""
    emit(f"model         {printable(opened.path)}")
    emit(f"architecture  {printable(model.training.get('architecture') or 'unknown')}")
    emit(f"input         {_shape(model.network.input_shape)}: {model.preprocessing.describe()}")
    emit(f"classes       {len(model.classes):,}: {named}{more}")
    emit()
    columns = (("layer", "left"), ("type", "left"), ("output", "right"), ("parameters", "right"),
               ("multiply-adds", "right"), ("receptive field", "right"))
    rows: list[Sequence[str]] = [
        (layer.name, layer.type, _shape(layer.output_shape), _count(layer.parameters), _count(layer.multiply_adds),
         "whole image" if layer.field.whole else _shape(layer.field.size))
        for layer in layers
    ]
    parameters, cost = sum(layer.parameters for layer in layers), sum(layer.multiply_adds for layer in layers)
    show(console(), columns, [*rows, ("total", "", "", f"{parameters:,}", f"{cost:,}", "")])
    emit()
    emit(f"An image costs {_large(cost)} multiply-adds, {_large(2 * cost)} FLOP; the weights take "
         f"{_large(4 * parameters)}B. Sizes are height x width x channels.")
    pairs = _training(model.training)
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
