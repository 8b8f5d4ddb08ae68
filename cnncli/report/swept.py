"""The runs of a sweep as one picture: the validation accuracy of each over its epochs, the best ones in colour and
named by what differs, and below what was reached by each setting that was varied, a dot for each run.
training/sweep_picture.py asks for it; curves.py draws single trainings."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from ..data.outputs import drawing
from ..visualize.canvas import drawable, quiet_matplotlib
from .curves import _dot, _family, _points, save

SWEEP = drawing("the runs of a sweep")
# Of the best runs: Okabe and Ito's colours, with markers and dashes, so that they are told apart without colour, too.
_BEST = (("#d55e00", "o", "-"), ("#0072b2", "s", "--"), ("#009e73", "^", "-."), ("#cc79a7", "D", ":"),
         ("#8a6d00", "v", (0, (6, 1, 1, 1, 1, 1))))
_OTHER, _FAINT, _BAND = "#9aa0a6", "#6e7278", "#eef0f2"
_WIDTH, _CURVES, _PANEL = 13.0, 4.4, 3.3  # inches
_PER_ROW, _MOST_PANELS = 4, 8
_NAME, _VALUE = 58, 16  # characters of a run's words, and of a value
_TICKS = 12  # values that are written below a panel
_ROOM = 170  # characters that have room below a panel as wide as the picture
_FEW = 40  # runs whose dots and lines are drawn strongly


@dataclass(frozen=True)
class Entry:
    """A run of a sweep: its settings as values and in words, the rows of its history, and the accuracy that its model
    has on the validation images, after which epoch; None where it failed."""

    settings: Mapping[str, Any]
    words: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    accuracy: float | None
    epoch: int = 0


@quiet_matplotlib()
def draw(entries: Sequence[Entry], path: str | os.PathLike[str], title: str, by_factors: Sequence[str] = (),
         error: float = 0.0) -> Path:
    """Draw the runs of a sweep, the best first, as a PNG file. by_factors names the settings whose numbers are drawn on
    a logarithmic scale. error is the standard error of the best accuracy.

    Raises ValueError where no run has an accuracy, SaveError where the file cannot be written.
    """
    if all(entry.accuracy is None for entry in entries):
        raise ValueError("there is no run to draw")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    varied = [name for name in dict.fromkeys(name for entry in entries for name in entry.settings)
              if len({repr(entry.settings.get(name)) for entry in entries}) > 1]
    shown = varied[:_MOST_PANELS]
    lines = -(-len(shown) // _PER_ROW)
    height = _CURVES + lines * _PANEL
    figure = Figure(figsize=(_WIDTH, height), dpi=110)
    FigureCanvasAgg(figure)
    figure.suptitle(drawable(title), y=1 - 0.12 / height, fontsize=13, fontweight="bold", parse_math=False,
                    **_family(title))
    _curves(figure.add_axes((0.05, 1 - (_CURVES - 0.62) / height, 0.50, (_CURVES - 1.25) / height)), entries)
    reach = _reach(entries, error)
    _names(figure.add_axes((0.57, 1 - (_CURVES - 0.62) / height, 0.42, (_CURVES - 1.25) / height)), entries, varied,
           reach[0])
    columns = min(len(shown), _PER_ROW)
    for number, name in enumerate(shown):
        row, column = divmod(number, _PER_ROW)
        left, wide = 0.05 + column * 0.95 / columns, 0.95 / columns - (0.055 if columns > 1 else 0.01)
        bottom = height - _CURVES - (row + 1) * _PANEL + 0.95
        _setting(figure.add_axes((left, bottom / height, wide, (_PANEL - 1.35) / height)), entries, name,
                 name in by_factors, reach, error)
    return save(figure, path, SWEEP)


def _look(number: int) -> tuple[str, str, Any]:
    """Return colour, marker and dashes of the run of that place."""
    return _BEST[number] if number < len(_BEST) else (_OTHER, "o", "-")


def _curves(axes: Any, entries: Sequence[Entry]) -> None:
    """Draw the validation accuracy of each run over its epochs; the best ones decide what can be seen of the rest."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    every = [_points(entry.rows, "val_accuracy") for entry in entries]
    strong = len(entries) <= _FEW
    for number, (entry, points) in reversed([*enumerate(zip(entries, every, strict=True))]):
        if not points:
            continue
        colour, marker, dashes = _look(number)
        if entry.accuracy is None:
            axes.plot(*zip(*points, strict=True), ":", color=_OTHER, linewidth=1, zorder=1)
            axes.plot(*points[-1], "x", color=_OTHER, zorder=1)
        elif number < len(_BEST):
            axes.plot(*zip(*points, strict=True), linestyle=dashes, color=colour, marker=marker, zorder=3,
                      markersize=_dot(points), linewidth=1.8)
            axes.plot([entry.epoch], [entry.accuracy], marker, color=colour, markersize=8, zorder=4)
        else:
            axes.plot(*zip(*points, strict=True), "-", color=colour, linewidth=1 if strong else 0.7, zorder=1,
                      alpha=0.8 if strong else 0.35, marker="o", markersize=2 if len(points) == 1 else 0)
    best = [value for points in every[:len(_BEST)] for _, value in points] or [0.0, 1.0]
    top = max([value for points in every for _, value in points] or [1.0])
    spread = max(top - min(best), 0.01)
    axes.set_ylim(max(-0.02, min(best) - 0.05 * spread), top + 0.06 * spread)
    last = max([epoch for points in every for epoch, _ in points] or [1.0])
    margin = max(0.3, 0.03 * (last - 1))
    axes.set_xlim(1 - margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("epoch")
    axes.set_title("Accuracy on the validation images", fontsize=11)
    _dress(axes)


def _names(axes: Any, entries: Sequence[Entry], varied: Sequence[str], low: float) -> None:
    """Name the best runs by what differs, with their accuracies, and say what the other lines and signs are."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    done = [entry for entry in entries if entry.accuracy is not None]
    failed = [entry for entry in entries if entry.accuracy is None]
    lines = [(*_look(number), f"{entry.accuracy:.1%}  {_words(entry, varied)}")
             for number, entry in enumerate(done[:len(_BEST)])]
    others = len(done) - len(lines)
    if others:
        lines.append((_OTHER, "", "-", f"{others} other run{'s' * (others > 1)}"))
    if failed:
        lines.append((_OTHER, "x", ":", f"{len(failed)} failed" + (
            f": {_words(failed[0], varied)}" if len(failed) == 1 and varied else "")))
    for number, (colour, marker, dashes, words) in enumerate(lines):
        y = 0.97 - number * 0.085
        axes.plot([0, 0.055], [y, y], linestyle=dashes, color=colour, linewidth=1.8)
        axes.plot([0.0275], [y], marker or "", color=colour, markersize=5)
        _text(axes, 0.075, y, words, fontsize=10 if len(words) < 54 else 8.5)
    notes = ["The large sign is the epoch whose model the run keeps."]
    if varied:
        notes.append("Below, the grey band is what is not clearly worse than the best: one standard error.")
    if varied and any(entry.accuracy < low for entry in done if entry.accuracy is not None):
        notes.append("A caret at the lower edge stands for a run that lies further below.")
    if len(varied) > _MOST_PANELS:
        notes.append(f"Below are {_MOST_PANELS} of {len(varied)} settings.")
    for number, note in enumerate(notes):
        _text(axes, 0, 0.97 - (len(lines) + 0.4 + 0.8 * number) * 0.085, note, color=_FAINT, fontsize=9)


def _words(entry: Entry, varied: Sequence[str]) -> str:
    """Return the settings of a run that differ, or all where there is nothing beside it."""
    told = ", ".join(f"{name}={entry.words[name]}" for name in varied or entry.words if name in entry.words)
    return _short(told, _NAME)


def _short(text: str, most: int) -> str:
    """Return a text of so many characters, without its middle if it is longer."""
    text = drawable(text)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most - most // 2 - 1):]}"


def _text(axes: Any, x: float, y: float, words: str, **how: Any) -> None:
    axes.text(x, y, words, **{"va": "center", "fontsize": 10, "parse_math": False, **_family(words), **how})


def _reach(entries: Sequence[Entry], error: float) -> tuple[float, float]:
    """Return the accuracies between which settings are compared. One that learnt nothing hides no other."""
    reached = [entry.accuracy for entry in entries if entry.accuracy is not None]
    top, least = max(reached), min(reached)
    span = 2.5 * max(top - median(reached), 2 * error, 0.01)
    low = least if top - least <= 1.5 * span else top - span
    room = max(top - low, 0.01)
    return low - 0.1 * room, top + 0.08 * room


def _setting(axes: Any, entries: Sequence[Entry], name: str, by_factors: bool, reach: tuple[float, float], error: float
             ) -> None:
    """Draw what was reached against one setting, a dot for each run: numbers on a scale, others beside each other."""
    from matplotlib.ticker import PercentFormatter

    places = _places(axes, entries, name, by_factors)
    low, high = reach
    top = max(entry.accuracy for entry in entries if entry.accuracy is not None)
    axes.axhspan(top - error, top, color=_BAND, zorder=0, linewidth=0)
    strong = len(entries) <= _FEW
    for number, entry in reversed([*enumerate(entries)]):
        colour, marker, _ = _look(number)
        if entry.accuracy is None:
            axes.plot([places[number]], [low], "x", color=_OTHER, clip_on=False, zorder=2)
        elif entry.accuracy < low:
            axes.plot([places[number]], [low], marker=11, color=colour, clip_on=False, zorder=2)  # a caret downwards
        elif number < len(_BEST):
            axes.plot([places[number]], [entry.accuracy], marker, color=colour, markersize=7, zorder=4)
        else:
            axes.plot([places[number]], [entry.accuracy], "o", color=colour, markersize=5 if strong else 3.5, zorder=3,
                      alpha=0.8 if strong else 0.5, markeredgewidth=0)
    axes.set_ylim(low, high)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.tick_params(axis="y", labelsize=9)
    axes.set_title(drawable(name), fontsize=11, parse_math=False)
    _dress(axes)


def _places(axes: Any, entries: Sequence[Entry], name: str, by_factors: bool) -> list[float]:
    """Return where each run lies along a setting, and label the axis."""
    values = [entry.settings.get(name) for entry in entries]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers: list[float] = [float(value) for value in values if value is not None]
        _scale(axes, sorted(set(numbers)), {float(entry.settings[name]): entry.words[name] for entry in entries},
               by_factors)
        return numbers
    words = [entry.words.get(name, "") for entry in entries]
    order = list(dict.fromkeys(sorted(words)))
    step = -(-len(order) // (2 * _TICKS))  # of very many, some are named
    labels = [_short(word, _VALUE) if i % step == 0 else "" for i, word in enumerate(order)]
    axes.set_xticks(range(len(order)), labels, **_written(axes, labels))
    axes.set_xlim(-0.6, len(order) - 0.4)
    beside: dict[str, list[int]] = {word: [] for word in order}
    for number, word in enumerate(words):
        beside[word].append(number)
    return [order.index(word) + _aside(beside[word].index(number), len(beside[word]))
            for number, word in enumerate(words)]


def _written(axes: Any, labels: Sequence[str]) -> dict[str, Any]:
    """Return how values are written below an axis: slanted, where they would not have room beside each other."""
    slanted = len(labels) * (max(map(len, labels)) + 2) > _ROOM * axes.get_position().width
    return {"fontsize": 9, "parse_math": False, **_family("".join(labels)),
            **({"rotation": 25, "ha": "right"} if slanted else {})}


def _aside(place: int, count: int) -> float:
    """Return how far to the side the dot of one of several runs with the same value lies."""
    return 0.0 if count < 4 else 0.5 * ((place * 0.618034) % 1 - 0.5)


def _scale(axes: Any, numbers: list[float], words: Mapping[float, str], by_factors: bool) -> None:
    """Make the axis of a setting that has numbers: of few values, each is written."""
    from matplotlib.ticker import NullFormatter, NullLocator

    first, last = numbers[0], numbers[-1]
    factors = by_factors and first > 0
    along = [math.log(number) if factors else number for number in numbers]
    margin = 0.06 * (along[-1] - along[0]) or 1.0
    if factors:
        axes.set_xscale("log")
    ends = along[0] - margin, along[-1] + margin
    axes.set_xlim(*map(math.exp, ends) if factors else ends)
    near = min((after - before for before, after in pairwise(along)), default=1.0)
    if len(numbers) <= _TICKS and near >= 0.07 * (along[-1] - along[0]):
        labels = [drawable(words[number]) for number in numbers]
        axes.set_xticks(numbers, labels, **_written(axes, labels))
        axes.xaxis.set_minor_locator(NullLocator())
    elif factors and last / first < 100:  # hardly a power of ten lies in it
        few = [number for power in range(-12, 13) for number in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)
               if math.exp(ends[0]) <= number <= math.exp(ends[1])]
        axes.set_xticks(few, [f"{number:g}" for number in few], fontsize=9)
        axes.xaxis.set_minor_formatter(NullFormatter())


def _dress(axes: Any) -> None:
    axes.grid(color="#e3e5e8", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
