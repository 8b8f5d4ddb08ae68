"""What a model says of images in the forms that other programs read: the items of a JSON array and the rows of a CSV
table. model/predict.py has the answers made; cli/predict.py prints them.
"""

import csv
import io
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from ..data.outputs import Kind, marked, write
from ..errors import printable
from ..model import Prediction
from ..model.predict import UNKNOWN
from .parts import Part

TABLE = Kind("a table of predictions", ".csv", marked(rb"\Apath,label,probability,(?:label_2,|error[,\n])"),
             strict=False)


def as_item(prediction: Prediction, rejecting: bool = False, model: str = "") -> dict[str, Any]:
    """Return one item of the array that `cnn predict --json` prints; with --reject it says whether it was rejected, for
    a class may be called "unknown", too, why, and how strange it is (above 0: of no class). trained_on is there
    where it is known. One whose file is damaged, but no pixel of it, has a note. The model, its file, is there where it
    is given."""
    item: dict[str, Any] = {"path": prediction.path, "label": prediction.label, "probability": prediction.probability,
            "top": [{"label": label, "probability": probability} for label, probability in prediction.top],
            "error": prediction.error}
    if prediction.cause:
        item["cause"] = prediction.cause
    if rejecting:
        item |= {"rejected": prediction.rejected, "withheld": list(prediction.withheld),
                 "strangeness": prediction.strangeness}
    if prediction.trained_on is not None:
        item["trained_on"] = prediction.trained_on
    if model:
        item["model"] = model
    return {**item, "note": prediction.note} if prediction.note else item


class Table:
    """The rows of a CSV file: path, label, probability, label_2, probability_2 … up to top, error; withheld, why the
    label is "unknown", where answers may be (rejecting); and model, which is the same in each row, where it is given.
    A part of a list of images has one column more (parts.py).

    Names keep their bytes, also those that are no UTF-8; quoting is the csv module's. For a terminal (shown), which
    would obey what bytes say, control characters are escaped.
    """

    def __init__(self, top: int = 1, shown: bool = False, rejecting: bool = False, model: str = "",
                 part: Part | None = None) -> None:
        self.top, self.rows, self._shown, self._rejecting, self._model = top, 0, shown, rejecting, model
        self._part, self._text = part, io.StringIO(newline="")
        more = [f"{name}_{rank}" for rank in range(2, top + 1) for name in ("label", "probability")]
        self._columns = ["path", "label", "probability", *more, "error", *["withheld"] * rejecting,
                         *["model"] * bool(model)]

    def add(self, prediction: Prediction) -> None:
        """Add a row."""
        cells = [cell for label, probability in labelled(prediction) for cell in (label, f"{probability:.6f}")]
        cells += [""] * (2 * self.top - len(cells))
        row = [prediction.path, *cells[: 2 * self.top], prediction.error or ""]
        row += [why(prediction)] * self._rejecting + [self._model] * bool(self._model)
        row += [str(self._part.number(self.rows))] if self._part else []
        self._write(self._text, [printable(cell) for cell in row] if self._shown else row)
        self.rows += 1

    def encoded(self) -> bytes:
        """Return the file's bytes."""
        digest = sha256(self._with_heading("")).hexdigest() if self._part else ""
        return self._with_heading(digest)

    def _with_heading(self, digest: str) -> bytes:
        heading = io.StringIO(newline="")
        self._write(heading, [*self._columns, *([self._part.column(digest)] if self._part else [])])
        return (heading.getvalue() + self._text.getvalue()).encode("utf-8", "surrogateescape")

    @staticmethod
    def _write(text: io.StringIO, cells: Sequence[str]) -> None:
        csv.writer(text, lineterminator="\n").writerow(cells)

    def write(self, path: str) -> None:
        """Put the file where path is, whole or not at all. Raises UsageError where something else is there, SaveError
        where the disk refuses."""
        write(path, self.encoded(), TABLE)


def labelled(prediction: Prediction) -> list[tuple[str, float]]:
    """Return what a row of a table shows: (label, probability) pairs, the first label being the answer."""
    if not prediction.rejected:
        return prediction.top
    return [(UNKNOWN, prediction.top[0][1]), *prediction.top[1:]]


def why(prediction: Prediction) -> str:
    """Return the words of why an answer was withheld, "" where it was not."""
    return " and ".join(prediction.withheld)
