"""The curves of a training as one picture: losses, accuracies and the learning rate against the epochs."""

import io
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.outputs import Kind, drawing, software, write
from ..visualize.canvas import drawable, fallback_fonts, quiet_matplotlib

TRAIN, VALIDATION, RATE = "#0072b2", "#d55e00", "#5b4a8a"  # Okabe and Ito's blue and vermilion, and a violet

# As shares of the figure: the sheets are always alike, and to have matplotlib find them takes as long as the drawing.
_MARGINS = {"left": 0.05, "right": 0.988, "bottom": 0.125, "top": 0.83, "wspace": 0.2}

Points = list[tuple[float, float]]
Rates = tuple[Callable[[int], float], int]  # the learning rate of each step, counted from 0; the steps of an epoch
_STEPS = 2000  # that are drawn of the learning rate; of more, so many evenly chosen
_SAME = 1e-4  # a rate of a row, which has seven digits, as a share of the rate of its step
CURVES = drawing("the curves of a training")


@quiet_matplotlib()
def draw(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], title: str,
         kept: Mapping[str, Any] | None = None, steps: Rates | None = None) -> Path:
    """Draw the rows of a history.csv (or dicts with its columns, any of them empty) as a PNG file. kept is the row of
    the epoch whose model the run keeps. steps tells the learning rate within the epochs; where it is not what a row
    has, as before a run was made longer, a straight line leads to the row.

    Raises ValueError where there is no row, SaveError where the file cannot be written.
    """
    if not rows:
        raise ValueError("there are no epochs to draw")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(13, 4.2), dpi=110)
    FigureCanvasAgg(figure)
    figure.suptitle(drawable(title), fontsize=13, fontweight="bold", parse_math=False, **_family(title))
    losses, accuracies, rates = figure.subplots(1, 3, gridspec_kw=_MARGINS)
    _pair(losses, rows, "loss", "Loss")
    _pair(accuracies, rows, "accuracy", "Accuracy")
    accuracies.yaxis.set_major_formatter(PercentFormatter(1))
    _mark_kept(accuracies, rows, kept)
    _rates(rates, rows, steps)
    return save(figure, path, CURVES)


def save(figure: Any, path: str | os.PathLike[str], kind: Kind) -> Path:
    """Write a matplotlib figure as a PNG file of a kind, whole or not at all; return its path."""
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a picture that could be prettier is no reason to stop
        figure.savefig(data, format="png", metadata={"Software": software(kind)})
    write(path, data.getvalue(), kind)
    return Path(path)


def _pair(axes: Any, rows: Sequence[Mapping[str, Any]], kind: str, label: str) -> None:
    """Training solid with dots, validation dashed with squares: told apart without colour."""
    for column, name, colour, style, marker in (
        (f"train_{kind}", "training", TRAIN, "-", "o"), (f"val_{kind}", "validation", VALIDATION, "--", "s")
    ):
        points = _points(rows, column)
        if points:
            epochs, values = zip(*points, strict=True)
            axes.plot(epochs, values, style, color=colour, marker=marker, markersize=_dot(points), label=name)
    if not axes.lines:
        axes.text(0.5, 0.5, "no numbers", transform=axes.transAxes, ha="center", color="#6e7278")
    else:
        axes.legend(frameon=False)
    _dress(axes, rows, label)


def _mark_kept(axes: Any, rows: Sequence[Mapping[str, Any]], kept: Mapping[str, Any] | None) -> None:
    """Mark the epoch whose model is kept, with its accuracy on the validation images."""
    accuracy = _number(kept.get("val_accuracy")) if kept else math.nan
    if kept is None or len(rows) < 2 or not math.isfinite(accuracy):
        return
    axes.axvline(kept["epoch"], color="#b0b4ba", linewidth=1, zorder=0)
    axes.set_title(f"Accuracy (the model: {accuracy:.1%} in validation, epoch {kept['epoch']})", fontsize=11)


def _rates(axes: Any, rows: Sequence[Mapping[str, Any]], steps: Rates | None) -> None:
    points = _points(rows, "learning_rate")
    line = _by_step(points, steps) if steps else points
    if points:
        axes.plot(*zip(*line, strict=True), "-", color=RATE)
        axes.plot(*zip(*points, strict=True), "o", color=RATE, markersize=_dot(points))
        axes.set_ylim(0, max(value for _, value in line) * 1.08 or 1)
    _dress(axes, rows, "Learning rate", from_the_first_step=line != points)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4), useMathText=True)


def _by_step(points: Points, steps: Rates) -> Points:
    """Return the points at the ends of epochs with those of the steps before each. The last step of epoch e lies at e,
    so that the first epoch lies between 0 and 1."""
    rate, size = steps
    each = max(1, size * len(points) // _STEPS)
    found: Points = []
    for epoch, value in points:
        last = round(epoch * size) - 1
        first = last + 1 - size
        if epoch == int(epoch) and first >= 0 and abs(rate(last) - value) <= _SAME * abs(value):
            found += [((step + 1) / size, rate(step)) for step in range(first, last, each)]
        found.append((epoch, value))
    return found


def _dress(axes: Any, rows: Sequence[Mapping[str, Any]], label: str, from_the_first_step: bool = False) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = _epochs(rows)
    first, last = min(epochs), max(epochs)
    if from_the_first_step:
        first -= 1
    margin = max(0.1 if from_the_first_step else 0.5, 0.03 * (last - first))
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_title(label, fontsize=11)
    axes.grid(color="#e3e5e8", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _dot(points: Points) -> float:
    return 5 if len(points) <= 20 else 2.5 if len(points) <= 60 else 0


def _points(rows: Sequence[Mapping[str, Any]], column: str) -> Points:
    """Return (epoch, value) of the rows that have a finite number in that column."""
    pairs = [(epoch, _number(row.get(column))) for epoch, row in zip(_epochs(rows), rows, strict=True)]
    return [(epoch, value) for epoch, value in pairs if math.isfinite(value)]


def _epochs(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the rows' epochs; a row that names none has that of its place."""
    named = [_number(row.get("epoch")) for row in rows]
    return [epoch if math.isfinite(epoch) else float(place) for place, epoch in enumerate(named, 1)]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _family(text: str) -> dict[str, Any]:
    """Return the font families that text needs beside the default, as keyword arguments of a matplotlib text."""
    files = fallback_fonts(text)
    if not files:
        return {}
    from matplotlib.font_manager import FontProperties, fontManager

    for file in files:
        fontManager.addfont(file)
    return {"fontfamily": ["DejaVu Sans", *(FontProperties(fname=file).get_name() for file in files)]}
