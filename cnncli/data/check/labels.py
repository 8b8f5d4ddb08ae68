"""Which labels are probably wrong, by a trained model: confident learning (Northcutt, Jiang and Chuang 2021). The model
judges every image as `cnn predict` would; an image whose probability for another class is as high as that of the images
that do belong there is probably one of them.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, printable
from ...kernels import Array
from .findings import File, Finding
from .near import Progress

if TYPE_CHECKING:
    from ...model import Model

_FEWEST = 5  # images of a class from which its usual probability is told


@dataclass(frozen=True)
class Judge:
    """A model that is asked about labels: its name, and the paths inside the data folder of the images that it was
    trained on; None where it is not known whether it was trained on any."""

    model: "Model"
    name: str
    seen: Collection[str] | None


def of_labels(files: Sequence[File], judge: Judge, progress: Progress | None = None
              ) -> tuple[list[Finding], dict[str, Any]]:
    """Return findings for usable images, the surest mistake first, and what is to be said of the model.

    Images that the model was trained on are judged apart from the others, because it is surer of them whatever their
    labels, and finds few of their errors. Raises DataError where the model knows none of the classes.
    """
    classes = judge.model.classes
    number = {name: k for k, name in enumerate(classes)}
    known = [file for file in files if file.label in number]
    if not known:
        raise DataError(f"{printable(judge.name)} knows none of the folder's classes; give a model that was trained on "
                        "such images.")
    answers = _answers(known, judge.model, number, progress)
    usable = np.flatnonzero(np.isfinite(answers).all(axis=1))
    known, answers = [known[i] for i in usable], answers[usable]
    labels = np.array([number[file.label or ""] for file in known], np.int64)
    seen = np.array([judge.seen is not None and file.relative in judge.seen for file in known], bool)
    found = []
    for part in (np.flatnonzero(~seen), np.flatnonzero(seen)):
        guesses = suspected(answers[part], labels[part])
        found += [(int(part[i]), int(guess)) for i, guess in enumerate(guesses) if guess >= 0]
    findings = [_finding(known[i], answers[i], int(labels[i]), guess, classes, bool(seen[i])) for i, guess in found]
    findings.sort(key=lambda finding: (-(finding.value or 0), finding.files[0].relative))
    right = answers.argmax(axis=1) == labels
    return findings, {
        "path": judge.name,
        "images": len(known),
        "unknown_classes": sorted({file.label or "" for file in files} - set(number)),
        "seen": None if judge.seen is None else int(seen.sum()),
        "accuracy_seen": float(right[seen].mean()) if seen.any() else None,
        "accuracy_unseen": float(right[~seen].mean()) if (~seen).any() else None,
    }


def suspected(probabilities: Array, labels: Array) -> Array:
    """Return for each image the class that it probably belongs to instead of its label, -1 where the label stands.

    probabilities (n, classes), labels (n,). A class's threshold is the mean probability of it among the images that are
    labelled so; an image counts for the likeliest class whose threshold it reaches. Classes of fewer than five images
    have no threshold and draw nobody.
    """
    n, classes = probabilities.shape
    guesses = np.full(n, -1, np.int64)
    if not n:
        return guesses
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=probabilities[np.arange(n), labels], minlength=classes)
    thresholds = np.where(counts >= _FEWEST, sums / np.maximum(counts, 1), np.inf)
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    likeliest = reached.argmax(axis=1)
    wrong = (reached.max(axis=1) >= 0) & (likeliest != labels) & (
        probabilities[np.arange(n), likeliest] > probabilities[np.arange(n), labels])
    guesses[wrong] = likeliest[wrong]
    return guesses


def _answers(files: Sequence[File], model: "Model", number: dict[str, int], progress: Progress | None) -> Array:
    """Return every image's probabilities, (n, classes); NaN for images that cannot be used."""
    answers = np.full((len(files), len(number)), np.nan)
    with closing(model.predictions([file.path for file in files])) as predictions:
        for i, prediction in enumerate(predictions):
            for label, probability in prediction.top:
                answers[i, number[label]] = probability
            if progress:
                progress(i + 1, len(files))
    return answers


def _finding(file: File, answer: Array, label: int, guess: int, classes: Sequence[str], seen: bool) -> Finding:
    but = ", although it was trained on this image" if seen else ""
    text = (f"labelled {printable(classes[label])} ({answer[label]:.1%}), but the model says "
            f"{printable(classes[guess])} ({answer[guess]:.1%}){but}.")
    return Finding("label-error", (file,), text, round(float(answer[guess] - answer[label]), 6))


def sentences(judged: dict[str, Any]) -> Iterator[str]:
    """Yield what people should know about how far to trust it."""
    if not judged:
        return
    name = printable(judged["path"])
    if judged["seen"] is None:
        yield f"As far as is known, {name} was not trained on these images."
    elif judged["seen"]:
        yield (f"{name} was trained on {judged['seen']:,} of the {judged['images']:,} images. It knows many of their "
               "labels by heart, wrong ones too, so that fewer of their errors show than of the others'.")
    if judged["unknown_classes"]:
        names = ", ".join(map(printable, judged["unknown_classes"][:5]))
        yield f"{name} does not know {names}: their images were not judged."
