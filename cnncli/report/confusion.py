"""The confusion matrix as a picture (who is taken for whom, and how often) and as a CSV file for a spreadsheet."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..atomic import write_atomically
from ..canvas import FAINT, INK, LINE, PAPER, RIGHT, WRONG, Canvas, Colour, coloured, fit, text_width
from ..evaluate import Evaluation

LONGEST_NAME = 230  # pixels; longer names lose their middle
MARGIN = 24


def write_csv(evaluation: Evaluation, path: str | os.PathLike[str]) -> Path:
    """Write the counts: one row per true class, one column per predicted class, both in class order; UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["true \\ predicted", *evaluation.class_names])
    for name, row in zip(evaluation.class_names, evaluation.confusion_matrix.tolist(), strict=True):
        writer.writerow([name, *row])
    write_atomically(path, text.getvalue().encode("utf-8", "backslashreplace"))
    return Path(path)


def draw(evaluation: Evaluation, path: str | os.PathLike[str], title: str) -> Path:
    """Draw the matrix: counts in the cells, each row shaded by its share, recall at the right, precision below."""
    return _Matrix(evaluation, title).canvas.save(path)


class _Matrix:
    """Lays the sheet out: title, column names upward, then a row per class; cells as large as the counts need."""

    def __init__(self, evaluation: Evaluation, title: str) -> None:
        self.counts, self.names, self.scores = evaluation.confusion_matrix, evaluation.class_names, evaluation.classes
        self.size = 13 if len(self.names) <= 30 else 11
        digits = text_width(f"{self.counts.max():,}", self.size)
        self.cell = max({True: 52, len(self.names) > 12: 38, len(self.names) > 30: 26}[True], round(digits) + 8)
        widest = max(text_width(fit(name, LONGEST_NAME, self.size), self.size) for name in self.names)
        self.margin = max(widest, text_width("precision", self.size)) + 12
        side = self.cell * len(self.names)
        self.left, self.top = MARGIN + 26 + self.margin, MARGIN + 74 + widest + 12
        self.canvas = Canvas(max(self.left + side + 70, 520) + MARGIN, self.top + side + 96 + MARGIN)

        self._heading(title, evaluation)
        for i in range(len(self.names)):
            self._names(i)
            for j in range(len(self.names)):
                self._count(i, j)
            self._share(self.left + side + 58, self._row(i), self.scores[i].recall, self.scores[i].support)
            self._share(self.left + (i + 0.5) * self.cell, self.top + side + 14, self.scores[i].precision,
                        int(self.counts[:, i].sum()), "centre")
        self._frame(side)
        self._legend(self.top + side + 52)

    def _row(self, i: int) -> float:
        """Where the line of text of row i has its top."""
        return self.top + (i + 0.5) * self.cell - self.size * 0.65

    def _heading(self, title: str, evaluation: Evaluation) -> None:
        width = self.canvas.image.width - 2 * MARGIN
        self.canvas.text(MARGIN, MARGIN, title, 18, bold=True, width=width)
        found = f"{evaluation.images:,} images, {evaluation.accuracy:.1%} right"
        self.canvas.text(MARGIN, MARGIN + 26, found, 13, FAINT)
        self.canvas.text(self.left, MARGIN + 54, "predicted class →", 13, FAINT)
        self.canvas.text_upward(MARGIN + 10, self.top + 120, "← true class", 13, FAINT, width=200)

    def _names(self, i: int) -> None:
        name = self.names[i]
        self.canvas.text(self.left - 8, self._row(i), name, self.size, align="right", width=LONGEST_NAME)
        self.canvas.text_upward(self.left + (i + 0.5) * self.cell, self.top - 8, name, self.size, width=LONGEST_NAME)

    def _count(self, i: int, j: int) -> None:
        count, support = int(self.counts[i, j]), int(self.counts[i].sum())
        share = count / support if support else 0.0
        # A share of 0.5 is dark enough for mistakes: they are what one looks for.
        fill = coloured(np.array(share if i == j else min(1.0, 2 * share)), 0, 1, "blues" if i == j else "oranges")
        x, y = self.left + j * self.cell, self.top + i * self.cell
        self.canvas.rectangle(x, y, self.cell, self.cell, _rgb(fill))
        if count or len(self.names) <= 12:
            ink = LINE if not count else PAPER if fill.astype(int) @ (299, 587, 114) < 130_000 else INK
            self.canvas.text(x + self.cell / 2, self._row(i), f"{count:,}", self.size, ink, align="centre")

    def _share(self, x: float, y: float, share: float, of: int, align: str = "right") -> None:
        text = "–" if not of else f"{share:.0%}" if self.cell >= 34 or align == "right" else f"{100 * share:.0f}"
        self.canvas.text(x, y, text, self.size if self.cell >= 34 else 10, FAINT, align=align)

    def _frame(self, side: int) -> None:
        every = 1 if len(self.names) <= 30 else 5  # lines between all of a hundred classes would hide the counts
        for i in range(0, len(self.names) + 1, every):
            at = i * self.cell
            self.canvas.line(self.left, self.top + at, self.left + side, self.top + at)
            self.canvas.line(self.left + at, self.top, self.left + at, self.top + side)
        self.canvas.draw.rectangle((self.left, self.top, self.left + side, self.top + side), outline=FAINT)
        self.canvas.text_upward(self.left + side + 38, self.top - 8, "recall", self.size, FAINT, width=80)
        self.canvas.text(self.left - 8, self.top + side + 14, "precision", self.size, FAINT, align="right")

    def _legend(self, y: float) -> None:
        x = float(MARGIN)
        for text, name, ink in (("right", "blues", RIGHT), ("wrong", "oranges", WRONG)):
            self.canvas.text(x, y, text, 12, ink)
            for k in range(60):
                self.canvas.rectangle(x + 46 + k, y + 2, 1, 13, _rgb(coloured(np.array(k / 59), 0, 1, name)))
            top = "100%" if name == "blues" else "50% or more"
            self.canvas.text(x + 112, y, f"0 to {top}", 12, FAINT)
            x += 250
        self.canvas.text(MARGIN, y + 20, "of the row's images; the numbers are counts", 12, FAINT)


def _rgb(fill: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | Sequence[int]") -> Colour:
    return int(fill[0]), int(fill[1]), int(fill[2])
