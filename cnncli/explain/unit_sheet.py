"""A sheet of what a layer's filters look for: a row for each, with the parts of images that excite it most, beneath
them what it answers to in each, an image made to please it, and the classes that it speaks for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.outputs import drawing
from ..runs.opened import Opened
from ..visualize.canvas import FAINT, INK, Canvas, fitted, number, picture, signed, wrapped
from .explained_units import ExplainedUnits, Unit, sheet_name
from .pleasing import STEPS

UNITS = drawing("filters explained")
MARGIN, NUMBER, CLASSES, GAP = 24, 44, 190, 24
_SMALL, _LARGE, _DETAILED = 64, 96, 64  # a patch's side on the sheet, and from which side in pixels on it is the larger
_BRIGHTEST = 0.99  # of its numbers lie within a picture's colours: single ones would leave it grey
_BACK = {"deconvnet": "a deconvolutional network", "guided": "guided backpropagation"}
_LINE = 16  # of a number beneath a patch


@contextmanager
def claimed(opened: Opened, layer: str, data: Any, folder: str | os.PathLike[str] | None = None, force: bool = False
            ) -> Iterator[Path]:
    """Hold the file of a layer's sheet, as long as this lasts, and give its path: by default in explained/ in the run's
    folder, else in ./<model>-explained. Raises UsageError or SaveError as ``cnncli.data.outputs.claim``."""
    path = opened.place(folder, "explained", inside="explained") / sheet_name(layer)
    files = [each for each in data if isinstance(each, str)] if isinstance(data, list) else []
    with opened.claim({path: UNITS}, data=data, reads=files, force=force, make=True):
        yield path


def draw(found: ExplainedUnits) -> Canvas:
    """Return the sheet."""
    most = max((len(unit.patches) for unit in found.units), default=0)
    seen = max((max(patch.shape[:2]) for unit in found.units for patch in unit.patches), default=1)
    side = _SMALL if seen <= _DETAILED else _LARGE
    step = side + 6
    large = 2 * side + _LINE
    width = max(2 * MARGIN + NUMBER + most * step + GAP + large + GAP + CLASSES, 760)
    notes = [line for sentence in _notes(found) for line in wrapped(sentence, width - 2 * MARGIN)]
    top, row = MARGIN + 36 + 18 * len(notes) + 34, 2 * (side + _LINE) + GAP
    sheet = Canvas(width, top + len(found.units) * row + MARGIN)
    sheet.text(MARGIN, MARGIN - 4, f"What the filters of {found.layer} look for, in {found.name}", 18, bold=True,
               width=width - 2 * MARGIN)
    sheet.paragraph(MARGIN, MARGIN + 26, notes)
    left = MARGIN + NUMBER
    for x, words in ((MARGIN, "filter"), (left, "what excites it most, and what in that it answers to"),
                     (left + most * step + GAP, "made to please it"),
                     (left + most * step + large + 2 * GAP, "speaks for")):
        sheet.text(x, top - 24, words, 12, INK, bold=True)
    for i, unit in enumerate(found.units):
        _row(sheet, unit, MARGIN, top + i * row, side, left + most * step + GAP, found.steps > 0)
    return sheet


def _notes(found: ExplainedUnits) -> list[str]:
    shown = f"; {len(found.units)} of {found.channels} are shown" if len(found.units) < found.channels else ""
    sees = f"{found.sees[1]} x {found.sees[0]} pixels" if found.sees else "all of the image"
    outside = "" if found.sees is None else " Grey lies outside of the image."
    part = found.images + len(found.skipped) < found.given
    of = f"{found.images:,} of {found.given:,} images" if part else f"{found.images:,} images"
    made = f", in {found.steps} of {STEPS} steps" if found.steps < STEPS else ""
    speaks = ("the classes that it adds most to, and how much, by the weights of the last layer" if found.by_weights
              else "the classes whose images excite it more than others do, by how many standard deviations")
    said = " (as the model answers: nobody labelled them)" if found.answered and not found.by_weights else ""
    light = "bright is where more light excites it, dark where less does" if _coloured(found) else (
        "red is where more light excites it, blue where less does")
    return [
        f"A row for each filter{shown}; each place of {found.layer} sees {sees}. Upper line: what excites the filter "
        f"most, in {of}, the strongest first, and how strongly; an image counts once, and is cut to what the filter "
        f"sees.{outside}",
        f"Lower line: what in that it answers to, by {_BACK[found.back]}; {light}. The number beneath is what "
        f"its colours reach to; one in a hundred of its pixels goes further. It shows where to look, and proves "
        f"nothing.",
        f"Then an image that was made from noise to excite the filter{made}, with how strongly it does, and "
        f"{speaks}{said}.",
    ]


def _coloured(found: ExplainedUnits) -> bool:
    return any(unit.made.shape[2] == 3 for unit in found.units)


def _row(sheet: Canvas, unit: Unit, x: float, y: float, side: int, right: float, made: bool) -> None:
    sheet.text(x, y + side / 2 - 10, str(unit.channel), 16, INK, bold=True)
    if unit.silent:
        sheet.text(x + NUMBER, y + side / 2 - 8, "None of the images excites it.", 13, FAINT)
    shown = () if unit.silent else zip(unit.values, unit.patches, unit.answers, strict=True)
    for i, (value, patch, answer) in enumerate(shown):
        at = x + NUMBER + i * (side + 6)
        _tile(sheet, picture(patch), at, y, side, number(value))
        most = float(np.quantile(np.abs(answer), _BRIGHTEST))
        _tile(sheet, picture(_shown(answer, most)), at, y + side + _LINE, side, number(most))
    if made:
        _tile(sheet, picture(unit.made), right, y, 2 * side + _LINE, number(unit.made_value))
    else:
        sheet.text(right, y + 4, "not made", 13, FAINT)
    for i, (name, by) in enumerate(unit.classes):
        left = right + 2 * side + _LINE + GAP
        sheet.text(left, y + 4 + 20 * i, name, 13, INK, width=CLASSES - 60)
        sheet.text(left + CLASSES - 10, y + 4 + 20 * i, f"{by:+.2g}", 12, FAINT, align="right")
    if not unit.classes:
        sheet.text(right + 2 * side + _LINE + GAP, y + 4, "no class", 13, FAINT)


def _tile(sheet: Canvas, image: Image.Image, x: float, y: float, side: int, beneath: str) -> None:
    small = _enlarged(image, side) if max(image.size) > side // 2 else fitted(image, side)
    sheet.paste(small, x + (side - small.width) / 2, y + (side - small.height) / 2, frame=True)
    sheet.text(x + side / 2, y + side + 1, beneath, 10, FAINT, align="centre")


def _enlarged(image: Image.Image, side: int) -> Image.Image:
    """Return an image whose pixels are too many to be seen one by one, with its longer side that long."""
    width, height = (max(1, round(v * side / max(image.size))) for v in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _shown(answer: NDArray[np.float32], most: float) -> NDArray[np.uint8]:
    """Return numbers (h, w, c) as a picture: of one channel by the ramp with white in its middle, of three as colours
    about grey."""
    if answer.shape[2] == 1:
        return signed(answer[:, :, 0], most)
    colours: NDArray[np.uint8] = (127.5 + 127.5 * np.clip(answer / (most or 1.0), -1, 1)).round().astype(np.uint8)
    return colours
