"""The confusion matrix as a picture (who is taken for whom, and how often) and as a CSV file for a spreadsheet."""

import csv
import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.outputs import Kind, drawing, marked, write
from ..evaluation.scores import Evaluation
from ..visualize.canvas import FAINT, INK, LINE, PAPER, RIGHT, WRONG, Canvas, coloured, fit, picture, text_width

LONGEST_NAME = 230  # pixels; longer names lose their middle
MARGIN = 24
MOST_COUNTED = 120  # classes; with more, a cell has no room for its count
OVERVIEW = 1600  # pixels of the matrix then, about
MATRIX = drawing("a confusion matrix")
COUNTS = Kind("a table of a confusion matrix", ".csv", marked(rb"\Atrue \\ predicted,"))


def write_csv(evaluation: Evaluation, path: str | os.PathLike[str]) -> Path:
    """Write the counts: one row per true class, one column per predicted class, both in class order; UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["true \\ predicted", *evaluation.class_names])
    for name, row in zip(evaluation.class_names, evaluation.confusion_matrix.tolist(), strict=True):
        writer.writerow([name, *row])
    write(path, text.getvalue().encode("utf-8", "backslashreplace"), COUNTS)
    return Path(path)


def draw(evaluation: Evaluation, path: str | os.PathLike[str], title: str) -> Path:
    """Draw the matrix, each row shaded by its share: up to 120 classes with counts, recall and precision, beyond with
    shades and some of the names only."""
    large = len(evaluation.class_names) > MOST_COUNTED
    return (_Overview if large else _Matrix)(evaluation, title).canvas.save(path, MATRIX)


class _Sheet:
    """What both kinds of sheet have: title, names, shades, frame, legend. side is that of the matrix in pixels, cell
    that of one class, size the names' font."""

    note = ""

    def __init__(self, evaluation: Evaluation, title: str, cell: float, size: int) -> None:
        self.counts, self.names, self.scores = evaluation.confusion_matrix, evaluation.class_names, evaluation.classes
        self.cell, self.size, self.side = cell, size, round(cell * len(self.names))
        widest = max(text_width(fit(name, LONGEST_NAME, size), size) for name in self.names)
        self.left = MARGIN + 38 + max(widest, text_width("precision", size))
        self.top = MARGIN + 86 + widest
        self.canvas = Canvas(max(self.left + self.side + 70, 520) + MARGIN, self.top + self.side + 96 + MARGIN)
        self._heading(title, evaluation)
        self._legend(self.top + self.side + 52)

    def row(self, i: int) -> float:
        """Where the line of text of row i has its top."""
        return self.top + (i + 0.5) * self.cell - self.size * 0.65

    def write_name(self, i: int) -> None:
        """Write a class's name before its row and above its column."""
        name, width = self.names[i], LONGEST_NAME
        self.canvas.text(self.left - 8, self.row(i), name, self.size, align="right", width=width)
        self.canvas.text_upward(self.left + (i + 0.5) * self.cell, self.top - 8, name, self.size, width=width)

    def _heading(self, title: str, evaluation: Evaluation) -> None:
        width = self.canvas.image.width - 2 * MARGIN
        self.canvas.text(MARGIN, MARGIN, title, 18, bold=True, width=width)
        count = evaluation.image_count
        found = f"{count:,} image{'s' * (count != 1)}, {evaluation.accuracy:.1%} right"
        self.canvas.text(MARGIN, MARGIN + 26, found, 13, FAINT)
        self.canvas.text(self.left, MARGIN + 54, "predicted class →", 13, FAINT)
        self.canvas.text_upward(MARGIN + 10, self.top + 120, "← true class", 13, FAINT, width=200)

    def frame(self, every: int) -> None:
        """Draw lines between every so many classes: between all of a hundred they would hide the counts."""
        left, top, side = self.left, self.top, self.side
        for i in range(0, len(self.names) + 1, every):
            at = i * self.cell
            self.canvas.line(left, top + at, left + side, top + at)
            self.canvas.line(left + at, top, left + at, top + side)
        self.canvas.draw.rectangle((left, top, left + side, top + side), outline=FAINT)

    def _legend(self, y: float) -> None:
        x = float(MARGIN)
        for text, name, ink in (("right", "blues", RIGHT), ("wrong", "oranges", WRONG)):
            self.canvas.text(x, y, text, 12, ink)
            bar = coloured(np.tile(np.linspace(0, 1, 60), (13, 1)), 0, 1, name)
            self.canvas.paste(picture(bar), x + 46, y + 2)
            self.canvas.text(x + 112, y, f"0 to {'100%' if name == 'blues' else '50% or more'}", 12, FAINT)
            x += 250
        self.canvas.text(MARGIN, y + 20, f"of the row's images; {self.note}", 12, FAINT)


class _Matrix(_Sheet):
    """Counts in the cells, which are as large as the counts need; recall at the right, precision below."""

    note = "the numbers are counts"

    def __init__(self, evaluation: Evaluation, title: str) -> None:
        count = len(evaluation.class_names)
        size = 13 if count <= 30 else 11
        digits = text_width(f"{evaluation.confusion_matrix.max():,}", size)
        super().__init__(evaluation, title, max(52 if count <= 12 else 38 if count <= 30 else 26, round(digits) + 8),
                         size)
        colours = shades(self.counts)
        for i in range(count):
            self.write_name(i)
            for j in range(count):
                self._count(i, j, colours[i, j])
            self._share(self.left + self.side + 58, self.row(i), self.scores[i].recall, self.scores[i].support)
            self._share(self.left + (i + 0.5) * self.cell, self.top + self.side + 14, self.scores[i].precision,
                        int(self.counts[:, i].sum()), "centre")
        self.frame(1 if count <= 30 else 5)
        self.canvas.text_upward(self.left + self.side + 38, self.top - 8, "recall", size, FAINT, width=80)
        self.canvas.text(self.left - 8, self.top + self.side + 14, "precision", size, FAINT, align="right")

    def _count(self, i: int, j: int, fill: NDArray[np.uint8]) -> None:
        count = int(self.counts[i, j])
        x, y = self.left + j * self.cell, self.top + i * self.cell
        self.canvas.rectangle(x, y, self.cell, self.cell, (int(fill[0]), int(fill[1]), int(fill[2])))
        if count or len(self.names) <= 12:
            ink = LINE if not count else PAPER if fill.astype(int) @ (299, 587, 114) < 130_000 else INK
            self.canvas.text(x + self.cell / 2, self.row(i), f"{count:,}", self.size, ink, align="centre")

    def _share(self, x: float, y: float, share: float, of: int, align: str = "right") -> None:
        text = "–" if not of else f"{share:.0%}" if self.cell >= 34 or align == "right" else f"{100 * share:.0f}"
        self.canvas.text(x, y, text, self.size if self.cell >= 34 else 10, FAINT, align=align)


class _Overview(_Sheet):
    """Hundreds of classes: a shade for each cell, and as many of the names as there is room for."""

    note = "the counts are in confusion.csv"

    def __init__(self, evaluation: Evaluation, title: str) -> None:
        count = len(evaluation.class_names)
        super().__init__(evaluation, title, OVERVIEW // count if count <= OVERVIEW else OVERVIEW / count, 10)
        side = (self.side, self.side)
        shaded = picture(shades(self.counts))
        how = Image.Resampling.NEAREST if self.cell >= 1 else Image.Resampling.BOX
        self.canvas.paste(shaded.resize(side, how), self.left, self.top)
        every = -int(-12 // self.cell)
        for i in range(0, count, every):
            self.write_name(i)
        self.frame(count)


def shades(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the cells' colours, uint8 (n, n, 3): each count's share of its row, blue on the diagonal, else orange."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # Half of a class's images taken for one other is as bad as it gets: mistakes are what one looks for.
    colours = coloured(2 * share, 0, 1, "oranges")
    diagonal = np.arange(len(counts))
    colours[diagonal, diagonal] = coloured(np.diagonal(share), 0, 1, "blues")
    return colours
