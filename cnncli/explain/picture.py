"""One picture of why an image gets its answer: the image, and beside it the maps of one class or several, laid on it,
in colours of one scale, so that what is weak looks weak. Red speaks for a class, blue against it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..data.boxes import Box
from ..data.decode import open_image
from ..data.finding import Picture
from ..data.outputs import drawing
from ..values import as_hinted
from ..visualize.canvas import FAINT, INK, PAPER, Canvas, percent, picture, ramp, signed, wrapped
from .explanation import Explanation
from .geometry import on_image
from .methods import METHODS, Method

EXPLANATION = drawing("an explanation")
SIDE, NARROWEST = 420, 220  # pixels of a panel's longer side, and of its words
MARGIN, GAP, WORDS = 24, 20, 52
_FINE = 4  # times as many pixels as a panel has: more of a map would change nothing that is seen
_STRONG = 0.8  # how much of the image the strongest colour covers
_PALE = 0.35  # how much of its contrast an image keeps beneath a map


@dataclass(frozen=True, eq=False)
class Drawn:
    """A picture of why an image gets its answer: the image, and maps of the evidence for classes laid on it.

    Attributes:
        explanations: The explanations that are drawn, that of the model's answer first.
        pixels: The image's own pixels, uint8 (h, w) or (h, w, 3).
        file: The name of its file.
        canvas: The drawing; canvas.image is a Pillow image.
    """

    explanations: list[Explanation]
    pixels: NDArray[Any] = field(repr=False)
    file: str
    canvas: Canvas

    @as_hinted
    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the picture into a folder that is there, as PNG. An older picture of this kind is replaced.

        Args:
            folder: The folder.

        Returns:
            The file.

        Raises:
            UsageError: Another file has this name.
            SaveError: The file could not be written.
        """
        return self.canvas.save(Path(folder, self.file), EXPLANATION)


@dataclass(frozen=True)
class _Panels:
    """An image as it is drawn, and how large: its pixels, of a large one fewer than its own (height, width)."""

    pixels: NDArray[np.uint8]
    own: tuple[int, int]

    @cached_property
    def factor(self) -> float:
        return _factor(self.own, SIDE)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height on the sheet."""
        height, width = self.own
        return max(1, round(width * self.factor)), max(1, round(height * self.factor))

    @property
    def width(self) -> int:
        return max(self.size[0], NARROWEST)

    def image(self) -> Image.Image:
        return self._scaled(picture(self.pixels), Image.Resampling.NEAREST)

    def laid(self, values: NDArray[np.float32], most: float) -> Image.Image:
        """Return the image, pale, under a map (height, width) whose strongest colour stands for most."""
        shares = Image.fromarray((values / (most or 1.0)).astype(np.float32))
        at = np.asarray(shares.resize(self.size, Image.Resampling.BILINEAR))
        return Image.fromarray(laid(np.asarray(self.image()), at))

    def _scaled(self, image: Image.Image, enlarging: Image.Resampling) -> Image.Image:
        return image.resize(self.size, enlarging if self.factor >= 1 else Image.Resampling.BOX)


def _factor(size: tuple[int, int], side: int) -> float:
    """Return by how much an image is enlarged, by a whole number, or made smaller, to have at most so long a side."""
    return side / max(size) if max(size) > side else side // max(size)


def laid(pixels: NDArray[np.uint8], shares: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image, uint8 (h, w, 1 or 3), pale and grey, under a map (h, w) of values from -1, the strongest that
    speaks against, to 1: uint8 (h, w, 3)."""
    grey = np.asarray(picture(pixels).convert("L"), np.float64)[..., None]
    pale = 255 - (255 - grey) * _PALE
    cover = _STRONG * np.minimum(np.abs(shares)[..., None], 1)
    mixed: NDArray[np.uint8] = (pale * (1 - cover) + signed(shares, 1.0) * cover).round().astype(np.uint8)
    return mixed


def draw(explanations: Sequence[Explanation], title: str, pixels: NDArray[Any]) -> Canvas:
    """Return the picture of explanations of one image, the model's answer first. pixels are what ``pixels_of``
    has of it."""
    first = explanations[0]
    panels = _Panels(pixels, first.size)
    most = max(each.strongest for each in explanations)
    step = panels.width + GAP
    width = max(2 * MARGIN + (1 + len(explanations)) * step - GAP, 560)
    method = METHODS[first.method]
    says = wrapped(f"{method.title}: {method.says}", width - 2 * MARGIN)
    besides = [*filter(None, [first.doubt]), *first.lines]
    says += [line for each in besides for line in wrapped(each, width - 2 * MARGIN)]
    top = MARGIN + 60
    sheet = Canvas(width, top + panels.size[1] + WORDS + 40 + 18 * len(says) + MARGIN)
    answer = f"{first.label}, {percent(first.probability)}"
    sheet.text(MARGIN, MARGIN - 4, f"said {answer}, is {first.truth}" if first.wrong else answer, 20, bold=True,
               width=width - 2 * MARGIN)
    sheet.text(MARGIN, MARGIN + 24, title, 12, FAINT, width=width - 2 * MARGIN)
    sheet.paste(panels.image(), MARGIN, top, frame=True)
    sheet.text(MARGIN, top + panels.size[1] + 8, f"{first.size[1]} x {first.size[0]} pixels", 12, FAINT)
    for i, each in enumerate(explanations):
        _panel(sheet, panels, each, most, MARGIN + (i + 1) * step, top)
    for box in first.boxes:
        for x in (MARGIN, MARGIN + step):
            _frame(sheet.draw, panels.factor, box, x, top)
    y = top + panels.size[1] + WORDS
    _scale(sheet, MARGIN + step, y, most, method)
    sheet.paragraph(MARGIN, y + 40, says)
    return sheet


def _panel(sheet: Canvas, panels: _Panels, each: Explanation, most: float, x: float, y: float) -> None:
    values = on_image(each.values, each.grid, each.preprocessing, each.size, _FINE * SIDE)
    sheet.paste(panels.laid(values, most), x, y, frame=True)
    y += panels.size[1] + 8
    method = METHODS[each.method]
    sheet.text(x, y, method.about(each.target, each.against), 13, INK, bold=True, width=panels.width)
    chance = f"probability {percent(each.target_probability)}"
    said = each.sentence or (chance if each.against is None else "the difference")
    if method.shows and each.sentence is None:
        said = f"for {each.target}, {chance}" if each.against is None else f"{each.target} rather than {each.against}"
    sheet.text(x, y + 19, said, 12, FAINT, width=panels.width)


def _frame(draw: ImageDraw.ImageDraw, factor: float, box: Box, x: float, y: float) -> None:
    """Draw a box that is in the image's own pixels, dark between light lines, so that it is seen on anything."""
    left, top, right, bottom = (round(side * factor) for side in box)
    for inset, colour in ((0, PAPER), (1, INK), (2, INK), (3, PAPER)):
        draw.rectangle((x + left + inset, y + top + inset, x + max(right - 1 - inset, left + inset),
                        y + max(bottom - 1 - inset, top + inset)), outline=colour)


def _scale(sheet: Canvas, x: float, y: float, most: float, method: Method) -> None:
    """Draw which colour stands for which number; of a method whose maps have no values below 0, those above alone."""
    both_sides = method.signed
    width = 200 if both_sides else 100
    colours = np.linspace(0 if both_sides else 128, 255, width).round().astype(int)
    sheet.paste(picture(np.broadcast_to(ramp("diverging")[colours], (10, width, 3))), x, y, frame=True)
    end = _short(most) if method.shows else f"for {_short(most)}"
    ends = [(width - 100.0, "0", "centre" if both_sides else "left"), (float(width), end, "right")]
    for at, text, align in [(0.0, f"against {_short(-most)}", "left")] * both_sides + ends:
        sheet.text(x + at, y + 13, text, 11, FAINT, align=align)


def _short(value: float) -> str:
    return f"{value:.3g}"


def pixels_of(each: Explanation, side: int = SIDE) -> NDArray[Any]:
    """Return the image's own pixels, uint8 (height, width, 1 or 3), of a JPEG perhaps fewer where it is far larger than
    this side. Raises ImageError where it is no image by now."""
    if isinstance(each.source, Picture):
        return each.source.pixels
    preprocessing = each.preprocessing
    least = (_FINE // 2 * side,) * 2  # of which twice as much is decoded, or more
    image = open_image(each.source, preprocessing.grey, least, preprocessing.scales)
    return np.asarray(image)


def strip(explanations: Sequence[Explanation], pixels: NDArray[Any], side: int = 144) -> NDArray[np.uint8]:
    """Return a small picture, uint8 (h, w, 3), of an image and of maps laid on it, two beside each other, all on one
    scale; the longer side of each has at most so many pixels. pixels are what ``pixels_of`` has of the image."""
    first = explanations[0]
    own, factor = picture(pixels), _factor(first.size, side)
    height, width = (max(1, round(v * factor)) for v in first.size)
    small = np.asarray(own.resize((width, height), Image.Resampling.BOX if factor < 1 else Image.Resampling.NEAREST))
    most = max(each.strongest for each in explanations) or 1.0
    rows = -(-(1 + len(explanations)) // 2)
    drawn = np.full((rows * (height + 4) - 4, 2 * width + 4, 3), 255, np.uint8)
    for i, part in enumerate((None, *explanations)):
        shown = small if part is None else laid(small, _resized(part, most, (width, height)))
        drawn[i // 2 * (height + 4) :, i % 2 * (width + 4) :][:height, :width] = shown
    image = Image.fromarray(drawn)
    for box in first.boxes:
        for x in (0, width + 4):
            _frame(ImageDraw.Draw(image), factor, box, x, 0)
    return np.asarray(image)


def _resized(each: Explanation, most: float, size: tuple[int, int]) -> NDArray[Any]:
    """Return a map's values as shares of most, on the image at this (width, height)."""
    shares = on_image(each.values / most, each.grid, each.preprocessing, each.size, _FINE * max(size))
    return np.asarray(Image.fromarray(shares).resize(size, Image.Resampling.BILINEAR))
