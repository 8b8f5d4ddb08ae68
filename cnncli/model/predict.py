"""What ``cnn predict`` does: turn what stands on the command line into image files, have the model judge them, and
put the answers into the forms that other programs read. The command that parses and prints is cli/predict.py; how an
image is judged is model.py's business.
"""

import csv
import io
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..atomic import write_atomically
from ..data.folder import SUFFIXES, scan_flat
from ..errors import DataError, UsageError, printable
from .model import Model, Prediction

LATEST = os.path.join("runs", "latest")
UNKNOWN = "unknown"  # what is answered where the model is not sure enough

_TABLES = (".csv", ".tsv", ".txt")


def find_images(arguments: Iterable[str], listing: bytes = b"") -> list[str | Prediction]:
    """Return the image files that arguments stand for, in order; where one stands for none, a Prediction says why.

    A folder stands for the images under it, sorted; a pattern ("photos/*.png", "**" too) that is not itself a file
    for what it matches, sorted; "-" for the files and folders of listing, one a line, or each ended by a NUL byte.
    Files are not opened, and a file that is named outright need not have an image's suffix.
    """
    found: list[str | Prediction] = []
    for argument in arguments:
        if argument == "-":
            for name in _listed(listing):
                found += _images_of(name)
        else:
            for name in _matches(argument):
                found += _images_of(name)
    return found


def predict(model: Model, found: Sequence[str | Prediction], top: int | None = None) -> Iterator[Prediction]:
    """Yield a Prediction for each thing that find_images found, in order, as soon as it is known."""
    judged = model.predictions((path for path in found if isinstance(path, str)), top)
    for path in found:
        yield next(judged) if isinstance(path, str) else path


def rejection(model: Model, accuracy: float) -> tuple[float, str]:
    """Return the least probability of answers that are right in such a share of cases, and, where no validation images
    say so, a sentence that tells what is done instead: the probabilities are taken at their word."""
    if model.calibration is None:
        return accuracy, ("The model was trained without validation images (or by an older version), so its threshold "
                          f"is not calibrated: {UNKNOWN} is what it gives a probability below {accuracy:g}.")
    threshold = model.calibration.threshold(accuracy)
    if threshold is None:
        return accuracy, (f"The {model.calibration.images:,} validation images are too few, or were judged too badly, "
                          f"to promise {accuracy:g}: {UNKNOWN} is what has a probability below it.")
    return threshold, ""


def withhold(predictions: Iterable[Prediction], threshold: float) -> Iterator[Prediction]:
    """Pass predictions on, with the label "unknown" where the probability is below the threshold."""
    for prediction in predictions:
        sure = prediction.probability is None or prediction.probability >= threshold
        yield prediction if sure else replace(prediction, label=UNKNOWN, rejected=True)


def as_json(prediction: Prediction, rejecting: bool = False) -> dict[str, Any]:
    """Return one item of the array that `cnn predict --json` prints; with --reject it says whether it was rejected, for
    a class may be called "unknown", too."""
    item = {"path": prediction.path, "label": prediction.label, "probability": prediction.probability,
            "top": [{"label": label, "probability": probability} for label, probability in prediction.top],
            "error": prediction.error}
    return {**item, "rejected": prediction.rejected} if rejecting else item


class Table:
    """The rows of a CSV file: path, label, probability, label_2, probability_2 … up to top, error.

    Names keep their bytes, also those that are no UTF-8; quoting is the csv module's.
    """

    def __init__(self, top: int = 1) -> None:
        self.top, self.rows = top, 0
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        more = [f"{name}_{rank}" for rank in range(2, top + 1) for name in ("label", "probability")]
        self._writer.writerow(["path", "label", "probability", *more, "error"])

    def add(self, prediction: Prediction) -> None:
        """Add a row."""
        cells = [cell for label, probability in labelled(prediction) for cell in (label, f"{probability:.6f}")]
        cells += [""] * (2 * self.top - len(cells))
        self._writer.writerow([prediction.path, *cells[: 2 * self.top], prediction.error or ""])
        self.rows += 1

    def encoded(self) -> bytes:
        """Return the file's bytes."""
        return self._text.getvalue().encode("utf-8", "surrogateescape")

    def write(self, path: str) -> None:
        """Put the file where path is, whole or not at all. Raises SaveError where the disk refuses."""
        write_atomically(path, self.encoded())


def labelled(prediction: Prediction) -> list[tuple[str, float]]:
    """Return what a row of a table shows: (label, probability) pairs, the first label being the answer."""
    if not prediction.rejected:
        return prediction.top
    return [(UNKNOWN, prediction.top[0][1]), *prediction.top[1:]]


def check_table_path(path: str) -> None:
    """Raise UsageError where writing a CSV file to path would fail, or could replace something that is none."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix in SUFFIXES or suffix == ".safetensors":
        raise UsageError(f"--csv {printable(path)} names {'a model' if suffix == '.safetensors' else 'an image'}; give "
                         "a file whose name ends in .csv.")
    folder = os.path.dirname(path) or os.curdir
    if not os.path.isdir(folder):
        raise UsageError(f"--csv {printable(path)}: there is no folder {printable(folder)}; make it first.")
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise UsageError(f"--csv {printable(path)} is no regular file; give a file whose name ends in .csv, or '-' for "
                         "standard output.")
    if suffix not in _TABLES:
        raise UsageError(f"--csv {printable(path)} is there already and is no table by its name; give a file whose "
                         "name ends in .csv.")


def _listed(listing: bytes) -> list[str]:
    parts = listing.split(b"\0") if b"\0" in listing else [line.removesuffix(b"\r") for line in listing.split(b"\n")]
    return [os.fsdecode(part) for part in parts if part]


def _matches(argument: str) -> list[str]:
    """Return what a pattern that the shell passed on as it stands matches; anything else is itself."""
    import glob

    if os.path.lexists(argument) or not glob.has_magic(argument):
        return [argument]
    matches = sorted(glob.glob(argument, recursive=True))
    if "**" in argument:  # its files are matched, too
        matches = [path for path in matches if not os.path.isdir(path) and _is_image(path)]
    return matches or [argument]


def _images_of(name: str) -> list[str | Prediction]:
    if not os.path.isdir(name):
        return [name]
    try:
        return list(scan_flat(name))
    except DataError as error:
        return [Prediction(name, error=str(error))]


def _is_image(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in SUFFIXES
