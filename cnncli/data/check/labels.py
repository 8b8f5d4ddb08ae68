"""Which labels are probably wrong, by a trained model: confident learning (Northcutt, Jiang and Chuang 2021). The model
judges every image as `cnn predict` would. If an image's probability for another class is as high as that of the images
that do belong there, it is probably one of them.
"""

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ...errors import DataError, printable, told
from ...kernels import Array
from ..finding import Picture
from ..marks import of_file
from .findings import File, Finding
from .neighbours import Progress

_FEWEST = 5  # images of a class from which its usual probability is told
WEAK = 0.9  # of the images that models have not seen: what less than that is right makes many false findings
_ROUNDING = 1e-9  # a mean of equal numbers may come out above them


class Answer(Protocol):
    """What a Prediction tells of one image."""

    @property
    def top(self) -> list[tuple[str, float]]:
        """(label, probability) pairs, of all classes."""
        ...

    @property
    def error(self) -> str | None:
        """Why the image could not be judged, None where it was."""
        ...


class Classifier(Protocol):
    """What is needed of a Model."""

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes."""
        ...

    def predictions(self, images: Iterable[str | Picture]) -> Generator[Answer, None, None]:
        """Judge image files, and images in memory, in their order."""
        ...


@dataclass(frozen=True)
class Judge:
    """A model that is asked about labels.

    Attributes:
        model: The model.
        name: What messages call it.
        seen: The paths inside the data folder of the images that it was trained on. None if it is not known to have
            been trained on any.
        decoded: Images that were decoded already, by path, as the model takes them.
        taught: The classes that the training images had when the model was trained, by the marks of their files.
    """

    model: Classifier
    name: str
    seen: Collection[str] | None
    decoded: Mapping[str, Array] = field(default_factory=dict, compare=False, repr=False)
    taught: Mapping[int, frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    def image(self, file: File) -> str | Picture:
        """Return what to ask the model about: the file, or its decoded pixels.

        Args:
            file: The file.
        """
        return Picture(file.path, self.decoded[file.path]) if file.path in self.decoded else file.path

    def knows(self, file: File) -> bool:
        """Return whether the model was trained on an image.

        Args:
            file: The image's file.
        """
        return self.seen is not None and file.relative in self.seen

    def learnt_as(self, file: File) -> frozenset[str]:
        """Return the classes that an image had when the model was trained on it; none where that is not known.

        Args:
            file: The image's file.
        """
        return self.taught.get(of_file(file.path), frozenset()) if self.taught else frozenset()


def of_labels(files: Sequence[File], judges: Sequence[Judge], progress: Progress | None = None
              ) -> tuple[list[Finding], dict[str, Any]]:
    """Return findings about usable images, the surest mistake first, and sentences about the models.

    An image is judged by the models that were not trained on it, such as that of its fold in a cross-validation; their
    probabilities are averaged. Images that all of them were trained on are judged by all, apart from the others: models
    are surer of those whatever their labels, and find fewer errors. Raises DataError if the models' classes differ, or
    are none of the folder's.
    """
    classes = judges[0].model.classes
    number = {name: k for k, name in enumerate(classes)}
    for judge in judges[1:]:
        if sorted(judge.model.classes) != sorted(classes):
            raise DataError(f"{printable(judge.name)} and {printable(judges[0].name)} have different classes; give "
                            "models of the same ones, such as the folds of one cross-validation.")
    known = [file for file in files if file.label in number]
    if not known:
        raise DataError(f"{printable(judges[0].name)} knows none of the folder's classes; give a model that was "
                        "trained on such images.")
    seen = np.array([all(judge.knows(file) for judge in judges) for file in known], bool)
    answers = _answers(known, seen, judges, number, progress)
    usable = np.flatnonzero(np.isfinite(answers).all(axis=1))
    known, seen, answers = [known[i] for i in usable], seen[usable], answers[usable]
    labels = np.array([number[file.label or ""] for file in known], np.int64)
    found = []
    for part in (np.flatnonzero(~seen), np.flatnonzero(seen)):
        guesses = suspected(answers[part], labels[part])
        found += [(int(part[i]), int(guess)) for i, guess in enumerate(guesses) if guess >= 0]
    findings = [_finding(known[i], answers[i], int(labels[i]), guess, classes, judges if seen[i] else ())
                for i, guess in found]
    findings.sort(key=lambda finding: (-(finding.value or 0), finding.files[0].relative))
    right = answers.argmax(axis=1) == labels
    return findings, {
        "paths": [judge.name for judge in judges],
        "images": len(known),
        "seen": int(seen.sum()),
        "elsewhere": [judge.name for judge in judges if not judge.seen],
        "unknown_classes": sorted({file.label or "" for file in files} - set(number)),
        "accuracy_seen": float(right[seen].mean()) if seen.any() else None,
        "accuracy_unseen": float(right[~seen].mean()) if (~seen).any() else None,
    }


def suspected(probabilities: Array, labels: Array) -> Array:
    """Return for each image the class that it probably belongs to instead of its label, -1 if the label stands.

    probabilities (n, classes), labels (n,). The threshold of a class is the mean probability of it among the images
    with that label. An image counts for the most likely class whose threshold it reaches. Classes of fewer than five
    images have no threshold, and no image counts for them.
    """
    n, classes = probabilities.shape
    guesses = np.full(n, -1, np.int64)
    if not n:
        return guesses
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=probabilities[np.arange(n), labels], minlength=classes)
    thresholds = np.where(counts >= _FEWEST, sums / np.maximum(counts, 1), np.inf)
    reached = np.where(probabilities >= thresholds - _ROUNDING, probabilities, -1.0)
    likeliest = reached.argmax(axis=1)
    wrong = (reached.max(axis=1) >= 0) & (likeliest != labels) & (
        probabilities[np.arange(n), likeliest] > probabilities[np.arange(n), labels])
    guesses[wrong] = likeliest[wrong]
    return guesses


def _answers(files: Sequence[File], seen: Array, judges: Sequence[Judge], number: dict[str, int],
             progress: Progress | None) -> Array:
    """Return every image's probabilities, (n, classes): the mean over the models that were not trained on it, or over
    all if all were. NaN for images that cannot be used.
    """
    answers, voices = np.zeros((len(files), len(number))), np.zeros(len(files))
    asked = [[i for i, file in enumerate(files) if seen[i] or not judge.knows(file)] for judge in judges]
    done, total = 0, sum(map(len, asked))
    for judge, rows in zip(judges, asked, strict=True):
        voices[rows] += 1
        with closing(judge.model.predictions(judge.image(files[i]) for i in rows)) as predictions:
            for i, prediction in zip(rows, predictions, strict=True):
                if prediction.error is not None:
                    answers[i] = np.nan
                for label, probability in prediction.top:
                    answers[i, number[label]] += probability
                done += 1
                if progress:
                    progress(done, total)
    return answers / np.maximum(voices, 1)[:, None]


def _finding(file: File, answer: Array, label: int, guess: int, classes: Sequence[str],
             taught: Sequence[Judge]) -> Finding:
    """Return what is said of one image. taught are the models if all of them were trained on it."""
    then = sorted({label for judge in taught for label in judge.learnt_as(file)})
    but = ", although it was trained on this image" if taught else ""
    if then and classes[label] not in then:
        but = f". It was trained on this image as {' and '.join(map(printable, then))}"
    text = (f"labelled {printable(classes[label])} ({answer[label]:.1%}), but the model says "
            f"{printable(classes[guess])} ({answer[guess]:.1%}){but}.")
    return Finding("label-error", (file,), text, round(float(answer[guess] - answer[label]), 6))


def sentences(judged: dict[str, Any]) -> Iterator[str]:
    """Yield what people should know about how far this can be trusted."""
    names = ", ".join(map(printable, judged["paths"]))
    for name in judged["elsewhere"]:
        yield (f"As far as is known, {printable(name)} was not trained on these images (copies saved with loss are not "
               "known).")
    if judged["seen"]:
        right = judged["accuracy_seen"]
        known = (f"It gives {right:.0%} of them their labels: wrong labels, too, may be known by heart, so that fewer "
                 "of their errors show than of the others'." if right >= WEAK else
                 f"It gives only {right:.0%} of them their labels, so that few are known by heart. Expect many of the "
                 "labels found here to be right.")
        yield told(f"{names}: trained on {judged['seen']:,} of the {judged['images']:,} images. {known} The models "
                   "of a cross-validation (cnn train --folds), each given with --model, judge every image without "
                   "having seen its label.")
    if judged["accuracy_unseen"] is not None and judged["accuracy_unseen"] < WEAK:
        yield (f"{names}: right for {judged['accuracy_unseen']:.0%} of the images that were not trained on. So expect "
               "many of the labels found here to be right.")
    if judged["unknown_classes"]:
        unknown = ", ".join(map(printable, judged["unknown_classes"][:5]))
        yield f"{names}: does not know {unknown}; their images were not judged."
