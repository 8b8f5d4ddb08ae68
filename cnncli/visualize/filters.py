"""A convolution's filters as a sheet. Filters that look at three input channels are drawn in colour; those of one
channel as a map around zero; deeper layers as a table of tiles, a row per filter and a column per input channel.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .canvas import FAINT, INK, SIGNS, Canvas, number, picture, signed, wrapped

MOST_FILTERS, MOST_ROWS, MOST_COLUMNS = 128, 48, 48  # what a person still looks at
WIDEST = 1400  # pixels
TILE, LARGE_TILE, SMALL_TILE = 72, 40, 27  # how large a tile is drawn: alone, in a small table, in a large one
MARGIN = 24


@dataclass(frozen=True, eq=False)
class Filters:
    """A layer's filters: weight is float32 (out, in / groups, kh, kw), as in the model file."""

    name: str
    weight: NDArray[np.float32]
    groups: int = 1

    @property
    def caption(self) -> str:
        """Say what they are, in a line."""
        out, inputs, kh, kw = self.weight.shape
        groups = f" in {self.groups} groups" if self.groups > 1 else ""
        return f"{out} filters of {kh}x{kw} over {inputs} input channel{'s' * (inputs > 1)}{groups}"


def convolutions(nodes: Sequence[Any]) -> list[Filters]:
    """Return the filters of every convolution of a network's nodes, in order: each layer with an OIHW weight."""
    found = []
    for node in nodes:
        params: Mapping[str, Any] = node.layer.params
        weight = params.get("weight")
        if weight is not None and weight.ndim == 4:
            found.append(Filters(node.name, np.array(weight), int(node.layer.config().get("groups", 1))))
    return found


def draw(filters: Filters, title: str, *, first: bool = False) -> Canvas:
    """Return the sheet of a layer's filters. first: its input is the image, so that three channels mean colours."""
    channels = filters.weight.shape[1]
    if channels == 1 or (first and channels == 3):
        return _gallery(filters, title)
    return _table(filters, title)


def _gallery(filters: Filters, title: str) -> Canvas:
    """A tile per filter, each scaled by its own largest weight, which is written beneath it."""
    count, channels, kh, kw = filters.weight.shape
    shown = min(count, MOST_FILTERS)
    factor = max(1, TILE // max(kh, kw))
    width, height = kw * factor, kh * factor
    step = max(width + 12, 64)
    columns = min(shown, 16, max(1, (WIDEST - 2 * MARGIN) // step))
    notes = filters.caption + (f"; the first {shown} shown" if shown < count else "") + ". "
    notes += "Each is scaled by its own largest weight, the number beneath it. "
    notes += ("Grey is 0; red, green and blue are brighter where their weight is positive, darker where it is negative."
              if channels == 3 else f"{SIGNS.capitalize()}.")
    sheet, top = _sheet(2 * MARGIN + columns * step, -(-shown // columns) * (height + 34), title, notes)
    for i in range(shown):
        x, y = MARGIN + i % columns * step, top + i // columns * (height + 34)
        weight = filters.weight[i].transpose(1, 2, 0)
        most = float(np.abs(weight).max())
        pixels = _colour(weight, most) if channels == 3 else signed(weight[:, :, 0], most)
        sheet.paste(picture(pixels).resize((width, height), Image.Resampling.NEAREST), x, y, frame=True)
        sheet.text(x, y + height + 3, str(i), 11, INK)
        sheet.text(x + step - 12, y + height + 3, number(most), 10, FAINT, align="right")
    return sheet


def _colour(weight: NDArray[np.float32], most: float) -> NDArray[np.uint8]:
    """Weights (kh, kw, 3) -> uint8, 0 in the middle of the range; all grey where every weight is 0."""
    share = np.nan_to_num(weight / (most or 1.0), posinf=1, neginf=-1)
    colour: NDArray[np.uint8] = (127.5 + 127.5 * share).round().astype(np.uint8)
    return colour


def _table(filters: Filters, title: str) -> Canvas:
    """A row of tiles per filter, a column per input channel, all on one scale."""
    count, channels, kh, kw = filters.weight.shape
    rows, columns = min(count, MOST_ROWS), min(channels, MOST_COLUMNS)
    tile = LARGE_TILE if max(rows, columns) <= 16 else SMALL_TILE
    factor = max(1, tile // max(kh, kw)) if max(kh, kw) > 1 else 18  # a 1x1 filter is a plain cell
    width, height = kw * factor, kh * factor
    gap = 4 if max(kh, kw) > 1 else 1
    part = "" if (rows, columns) == (count, channels) else (
        f"; shown are the first {rows} filters and the first {columns} channels")
    most = float(np.quantile(np.abs(filters.weight), 0.999))
    notes = (f"{filters.caption}{part}. A row per filter, a column per input channel. All on one scale: "
             f"{SIGNS}.")
    sheet, top = _sheet(2 * MARGIN + 40 + columns * (width + gap), 54 + rows * (height + gap), title, notes)
    left = MARGIN + 40
    sheet.scale(left, top, -(most or 1.0), most or 1.0, "diverging")
    top += 50
    for j in range(0, columns, _every(width + gap, 24)):
        sheet.text(left + j * (width + gap) + width / 2, top - 17, str(j), 10, FAINT, align="centre")
    for i in range(rows):
        y = top + i * (height + gap)
        if i % _every(height + gap, 14) == 0:
            sheet.text(left - 8, y + height / 2 - 7, str(i), 10, FAINT, align="right")
        for j in range(columns):
            cell = picture(signed(filters.weight[i, j], most))
            sheet.paste(cell.resize((width, height), Image.Resampling.NEAREST), left + j * (width + gap), y)
    return sheet


def _every(step: int, needed: int) -> int:
    """Return how many tiles apart numbers must stand that need so many pixels: 1, 5, 10 or 20."""
    return next((n for n in (1, 5, 10) if n * step >= needed), 20)


def _sheet(width: float, height: float, title: str, notes: str) -> tuple[Canvas, float]:
    """Return a sheet with its heading, and where below it there is room of that height."""
    width = max(width, 720)
    lines = wrapped(notes, width - 2 * MARGIN)
    top = MARGIN + 34 + 18 * len(lines)
    sheet = Canvas(width, top + height + MARGIN)
    sheet.text(MARGIN, MARGIN - 4, title, 18, bold=True, width=width - 2 * MARGIN)
    sheet.paragraph(MARGIN, MARGIN + 24, lines)
    return sheet, top
