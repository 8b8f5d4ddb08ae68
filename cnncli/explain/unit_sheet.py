"""A sheet of what a layer's filters look for: a row for each, with the parts of images that excite it most, beneath
them what it answers to in each, an image made to please it, and the classes that it speaks for. report/unit_page.py
has the same as a page, of any number of filters."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.outputs import drawing
from ..visualize.canvas import FAINT, INK, Canvas, fitted, number, picture, signed, wrapped
from .explained_units import ExplainedUnits, Unit

UNITS = drawing("filters explained")
MOST = 64  # rows
MARGIN, NUMBER, CLASSES, GAP = 24, 44, 190, 24
_SMALL, _LARGE, _DETAILED = 64, 96, 64  # a patch's side on the sheet, and from which side in pixels on it is the larger
_BRIGHTEST = 0.99  # of its numbers lie within a picture's colours: single ones would leave it grey
BACK = {"deconvnet": "a deconvolutional network", "guided": "guided backpropagation"}
_LINE = 16  # of a number beneath a patch


def draw(found: ExplainedUnits) -> Canvas:
    """Return the sheet, of the first 64."""
    units = found.units[:MOST]
    most = max((len(unit.patches) for unit in units), default=0)
    seen = max((max(patch.shape[:2]) for unit in units for patch in unit.patches), default=1)
    side = _SMALL if seen <= _DETAILED else _LARGE
    step = side + 6
    large = 2 * side + _LINE
    width = max(2 * MARGIN + NUMBER + most * step + GAP + large + GAP + CLASSES, 760)
    notes = [line for sentence in _notes(found) for line in wrapped(sentence, width - 2 * MARGIN)]
    top, row = MARGIN + 36 + 18 * len(notes) + 34, 2 * (side + _LINE) + GAP
    sheet = Canvas(width, top + len(units) * row + MARGIN)
    sheet.text(MARGIN, MARGIN - 4, f"What the filters of {found.layer} look for, in {found.name}", 18, bold=True,
               width=width - 2 * MARGIN)
    sheet.paragraph(MARGIN, MARGIN + 26, notes)
    left = MARGIN + NUMBER
    for x, words in ((MARGIN, "filter"), (left, "what excites it most"),
                     (left + most * step + GAP, "made to excite it"),
                     (left + most * step + large + 2 * GAP, "speaks for")):
        sheet.text(x, top - 24, words, 12, INK, bold=True)
    for i, unit in enumerate(units):
        _row(sheet, unit, found.is_dead(unit), MARGIN, top + i * row, side, left + most * step + GAP)
    return sheet


def _notes(found: ExplainedUnits) -> list[str]:
    count = min(MOST, len(found.units))
    shown = f"; {count} of {found.channels} are shown here" if count < found.channels else ""
    shown += f", {len(found.units)} on the page beside this sheet" if count < len(found.units) else ""
    sees = f"{found.sees[1]} x {found.sees[0]} pixels" if found.sees else "all of the image"
    outside = "" if found.sees is None else " Grey lies outside of the image."
    return [
        f"Each row is one filter{shown}. Each place of {found.layer} sees {sees}. Upper line: the parts of "
        f"{images_in_words(found)} that excite the filter most, the strongest first, with the numbers that it gives. "
        f"An image counts once.{outside}",
        f"Lower line: what in the part above the filter reacts to, by {BACK[found.back]}; {light_in_words(found)}. "
        f"The number says what the full colours stand for; one pixel in a hundred goes further. This line shows where "
        f"to look, and proves nothing.",
        f"Beside them: an image that was made from noise to excite the filter, with the filter's number for it; and "
        f"{classes_in_words(found)}.",
        *filter(None, [found.before_activation]),
    ]


def images_in_words(found: ExplainedUnits) -> str:
    """Return of how many images the strongest are shown."""
    return f"{found.image_count:,}{f' of {found.given:,}' if found.searched_in_part else ''} images"


def light_in_words(found: ExplainedUnits) -> str:
    """Return what the colours of what a channel answers to stand for."""
    coloured = any(patch.shape[2] == 3 for unit in found.units for patch in unit.patches)
    return ("bright is where more light excites it, dark where less does" if coloured
            else "red is where more light excites it, blue where less does")


def classes_in_words(found: ExplainedUnits) -> str:
    """Return what it means that a channel speaks for a class."""
    if found.by_weights:
        return "the classes that it adds most to, and how much, by the weights of the last layer"
    said = " (classes as the model answers, since the images have no labels)" if found.answered else ""
    return ("the classes whose images excite it more than others do, in standard deviations: 0.2 is little, 1 is "
            f"much{said}")


def _row(sheet: Canvas, unit: Unit, dead: bool, x: float, y: float, side: int, right: float) -> None:
    sheet.text(x, y + side / 2 - 10, str(unit.channel), 16, INK, bold=True)
    if dead:
        sheet.text(x + NUMBER, y + side / 2 - 8, "None of the images excites it.", 13, FAINT)
    shown = () if dead else zip(unit.values, unit.patches, unit.answers, strict=True)
    for i, (value, patch, answer) in enumerate(shown):
        at = x + NUMBER + i * (side + 6)
        _tile(sheet, picture(patch), at, y, side, number(value))
        shades, most = in_colours(answer, side)
        _tile(sheet, picture(shades), at, y + side + _LINE, side, number(most))
    if unit.made is None or unit.made_value is None:
        sheet.text(right, y + side - 8, "not made", 13, FAINT)
    else:
        _tile(sheet, picture(unit.made), right, y, 2 * side + _LINE, number(unit.made_value))
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


def in_colours(answer: NDArray[np.float32], side: int) -> tuple[NDArray[np.uint8], float]:
    """Return what a channel answers to (h, w, c) as a picture, and the number that its colours reach to: of one channel
    by the ramp with white in its middle, of three as colours about grey. What is longer than side is made smaller
    first, since the mean of neighbours that differ in sign is little: their colours would be no colour."""
    answer = _reduced(answer, side)
    most = float(np.quantile(np.abs(answer), _BRIGHTEST))
    if answer.shape[2] == 1:
        return signed(answer[:, :, 0], most), most
    colours: NDArray[np.uint8] = (127.5 + 127.5 * np.clip(answer / (most or 1.0), -1, 1)).round().astype(np.uint8)
    return colours, most


def for_sheet(unit: Unit) -> Unit:
    """Return a filter with as much of what it answers to as the sheet shows: of photographs a fifth of the memory."""
    return replace(unit, answers=[_reduced(answer, _LARGE) for answer in unit.answers])


def _reduced(answer: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    longest = max(answer.shape[:2])
    if longest <= side:
        return answer
    height, width = (max(1, round(own * side / longest)) for own in answer.shape[:2])
    return np.stack([np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BOX))
                     for plane in answer.transpose(2, 0, 1)], axis=2)
