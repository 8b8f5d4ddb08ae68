"""How a model was trained, on its page: accuracy and loss over the epochs of its run as two small drawings, which
Python makes, so that the page needs no script for them. A model file in no run has none."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import CnnError
from ..runs import MODEL
from ..runs.opened import Opened

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 320, 190, 52, 10, 30, 34
_POINTS = 150  # of a line
_VARIABLE = "-" * 2  # how the names of page.css's colours begin
_LINES = (("train", "currentColor", 'stroke-opacity=".6"'), ("val", f"var({_VARIABLE}accent)", 'stroke-width="2"'))


@dataclass(frozen=True)
class Trained:
    """What the page shows of a training: drawings as SVG, a sentence on the model that was kept, and whether there were
    validation images."""

    drawings: list[str]
    kept: str
    validated: bool


def trained(opened: Opened) -> Trained | None:
    """Return what there is to show of a model's training; None for a model in no run, or of whose run no epoch is
    recorded."""
    try:
        rows, kept = (opened.run.history, opened.run.kept) if opened.run else ([], None)
    except CnnError:  # damaged: the page is of the model
        return None
    drawings = [*filter(None, (_drawn(rows, "accuracy", lambda value: f"{100 * value:.3g} %"),
                               _drawn(rows, "loss", lambda value: f"{value:.3g}")))]
    if not drawings:
        return None
    said = ""
    if kept and opened.path.name == MODEL:
        said = f"The network was kept as it was after epoch {kept['epoch']:,} of {len(rows):,}"
        if (accuracy := kept["val_accuracy"]) is not None:
            said += f", when it had {100 * accuracy:.1f}\u202f% of the validation images right"
    return Trained(drawings, f"{said}." if said else "", any(row["val_accuracy"] is not None for row in rows))


def _drawn(rows: Sequence[Mapping[str, Any]], column: str, words: Callable[[float], str]) -> str:
    """Return a drawing of training and validation as SVG, of numbers alone; "" where there are none."""
    lines = {kind: [(int(row["epoch"]), value) for row in rows
                    if (value := row[f"{kind}_{column}"]) is not None and math.isfinite(value)]
             for kind, *_ in _LINES}
    every = [point for line in lines.values() for point in line]
    if not every:
        return ""
    last = max(2, *(epoch for epoch, _ in every))
    low, high = min(value for _, value in every), max(value for _, value in every)
    spread = high - low or abs(high) or 1.0

    def x(epoch: float) -> float:
        return _LEFT + (epoch - 1) / (last - 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return float(_HEIGHT - _BOTTOM - (value - low) / spread * (_HEIGHT - _TOP - _BOTTOM))

    levels = (low, low + spread / 2, low + spread)
    texts = [_text(_LEFT - 6, y(value) + 4, words(value), "end") for value in levels]
    texts += [_text(x(1), _HEIGHT - 18, "1"), _text(x(last), _HEIGHT - 18, str(last)),
              _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 5, "epoch"), _text(_LEFT, 14, column, "start")]
    parts = [f'<path d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}" stroke="var({_VARIABLE}line)"/>' for value in levels]
    for kind, colour, how in _LINES:
        if line := _some(lines[kind]):
            path = "L".join(f"{x(epoch):.1f} {y(value):.1f}" for epoch, value in line)
            parts.append(f'<path d="M{path}" stroke="{colour}" {how}/>')
            parts += [f'<circle cx="{x(epoch):.1f}" cy="{y(value):.1f}" r="2.5" fill="{colour}"/>'
                      for epoch, value in line if (kind == "val" and len(line) <= 30) or len(line) == 1]
    told = ", ".join(f"{'training' if kind == 'train' else 'validation'} {words(lines[kind][-1][1])}"
                     for kind, *_ in _LINES if lines[kind])
    return (f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" font-size="12" fill="none" role="img" '
            f'aria-label="{column} by epoch; at the end {told}">{"".join(parts)}'
            f'<g fill="currentColor">{"".join(texts)}</g></svg>')


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'


def _some(line: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the points of a line, of very many evenly chosen ones and the last."""
    step = -(-len(line) // _POINTS)
    return [point for place, point in enumerate(line) if place % step == 0 or place == len(line) - 1]
