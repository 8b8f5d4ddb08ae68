"""The images that a model got wrong, as one sheet of thumbnails: the most confident mistakes first, for those are
either the hardest images or the wrongly labelled ones.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.outputs import drawing
from ..evaluation.scores import Evaluation
from ..visualize.canvas import FAINT, INK, RIGHT, WRONG, Canvas, fitted, percent, picture

MOST = 48  # thumbnails on the sheet
COLUMNS = 8
SIDE = 160  # pixels of a thumbnail's longer side
GAP, WORDS = 20, 58
MARGIN = 24
MISTAKES = drawing("mistakes")


def draw(
    evaluation: Evaluation,
    pixels: Callable[[NDArray[np.int64]], NDArray[np.uint8]],
    names: Sequence[Any],
    path: str | os.PathLike[str],
    title: str,
    most: int = MOST,
) -> Path:
    """Draw the worst mistakes, each with truth, guess, probability and file name.

    pixels gives prepared images for indices, uint8 (m, h, w, c): the sheet shows what the network saw. names are the
    images' file names, in the evaluation's order. Without mistakes the sheet says so.
    """
    mistakes = evaluation.mistakes()
    shown = mistakes[:most]
    columns = min(COLUMNS, max(4, len(shown)))
    rows = -(-len(shown) // columns)
    height = 60 + max(1, rows) * (SIDE + WORDS + GAP) - GAP
    sheet = Canvas(2 * MARGIN + columns * (SIDE + GAP) - GAP, 2 * MARGIN + height)
    width = sheet.image.width - 2 * MARGIN
    sheet.text(MARGIN, MARGIN, title, 18, bold=True, width=width)
    sheet.text(MARGIN, MARGIN + 26, _summary(evaluation, len(mistakes), len(shown)), 13, FAINT, width=width)
    if not len(shown):
        sheet.text(sheet.image.width / 2, MARGIN + 150, f"No mistakes among {_images(evaluation.image_count)}.", 18,
                   RIGHT, align="centre")
        return sheet.save(path, MISTAKES)
    images = pixels(shown)
    for place, index in enumerate(shown.tolist()):
        x = MARGIN + place % columns * (SIDE + GAP)
        y = MARGIN + 60 + place // columns * (SIDE + WORDS + GAP)
        _thumbnail(sheet, x, y, images[place], evaluation, index, os.fsdecode(names[index]))
    return sheet.save(path, MISTAKES)


def _thumbnail(sheet: Canvas, x: float, y: float, pixels: NDArray[np.uint8], evaluation: Evaluation, index: int,
               name: str) -> None:
    image = fitted(picture(pixels), SIDE)
    sheet.paste(image, x + (SIDE - image.width) / 2, y + (SIDE - image.height) / 2, frame=True)
    guess = int(evaluation.guesses[index])
    chance = percent(float(evaluation.probabilities[index, guess]))
    y += SIDE + 5
    sheet.text(x, y, "true: " + evaluation.class_names[int(evaluation.labels[index])], 12, RIGHT, width=SIDE)
    sheet.text(x + SIDE, y + 17, chance, 12, WRONG, align="right")
    sheet.text(x, y + 17, "answer: " + evaluation.class_names[guess], 12, WRONG, width=SIDE - 48)
    sheet.text(x, y + 35, os.path.basename(name), 10, INK, width=SIDE)


def _summary(evaluation: Evaluation, wrong: int, shown: int) -> str:
    if not wrong:
        return f"{_images(evaluation.image_count)}, all right"
    part = "all of them, the surest first" if shown == wrong else f"the {shown} surest"
    return f"{wrong:,} of {_images(evaluation.image_count)} wrong; this sheet shows {part}"


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"
