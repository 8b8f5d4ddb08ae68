"""How good a model is on labelled images. ``evaluate`` runs it over them in batches; ``score`` turns logits and labels
into accuracy, top-5, loss, a confusion matrix, and precision, recall and F1 of each class. Training calls it for its
validation images, evaluate.py for a test. The pictures and tables of the result are in report/.
"""

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..data.sharing import shared_rows
from ..errors import DataError, ModelError
from ..model import Model
from ..model.calibration import (
    Calibration,
    confidences,
    cross_entropy,
    expected_error,
    reliability,
    softmax,
    withholding,
)
from ..plain import in_plain_json
from ..ranks.world import ALONE, World
from .baselines import Baseline
from .headline import LIKE_THOSE, Headline
from .intervals import wilson

TOP_NEEDS = 6  # classes; with five or fewer the five best always hold the truth
REJECTIONS = (0.9, 0.95, 0.99)  # accuracies that --reject is tried with


class Classifier(Protocol):
    """What ``evaluate`` needs of a Model."""

    flips: bool
    calibration: Calibration | None

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes."""
        ...

    def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """uint8 (n, h, w, c) -> float32 (n, classes)."""
        ...


class LabelledImages(Protocol):
    """What ``evaluate`` needs of data.load_images' result."""

    labels: NDArray[np.int64]
    skipped: list[tuple[Any, str]]

    def in_order(self, at_once: int, of: range | None = None) -> Generator[NDArray[np.uint8], None, None]:
        """Yield all prepared images, uint8 (at_once, h, w, c) at a time; with of, only the batches of these numbers."""
        ...


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class.

    Attributes:
        name: The class.
        precision: The share of images with this answer that are of this class, 0 to 1; 0 if no image had this answer.
        recall: The share of this class's images that have this answer, 0 to 1; 0 without images.
        f1: The harmonic mean of precision and recall.
        support: How many images the class has.
        guessed: How many images had this answer.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    guessed: int = 0

    @property
    def right(self) -> int:
        """How many images of the class were classified right."""
        return round(self.recall * self.support)

    @property
    def recall_interval(self) -> tuple[float, float]:
        """The interval that holds the recall with 95 % confidence: (low, high)."""
        return wilson(self.right, self.support)

    @property
    def precision_interval(self) -> tuple[float, float]:
        """The interval that holds the precision with 95 % confidence: (low, high)."""
        return wilson(self.right, self.guessed)

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn test --json` prints of it."""
        return {"name": self.name, "precision": self.precision, "recall": self.recall, "f1": self.f1,
                "support": self.support, "precision_interval": list(self.precision_interval),
                "recall_interval": list(self.recall_interval)}


@dataclass(frozen=True)
class Withheld:
    """What ``predict`` with reject does to the images of a test.

    Attributes:
        accuracy: The share of answers that should be right, 0 to 1.
        threshold: The lowest probability of an answer that is given.
        unsure: How many images have a lower probability.
        strange: How many images seem to belong to no class. Some are unsure as well.
        answered: How many images get an answer.
        right: How many of these answers are right.
        doubt: A sentence that says what the validation images do not show, or "".
    """

    accuracy: float
    threshold: float
    unsure: int
    strange: int
    answered: int
    right: int
    doubt: str


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a test found. Arrays of n are in the order of the images.

    Attributes:
        class_names: The names of the classes.
        accuracy: The share of images that were classified right, 0 to 1.
        top5: The share of images whose class is among the five most likely ones. None with fewer than six classes.
        loss: The mean cross-entropy in nats, without calibration, as in a training's history.
        classes: The scores of each class.
        confusion_matrix: How many images of each true class (row) got each answer (column), int64 (classes, classes).
        logits: The network's outputs (n, classes).
        probabilities: The probabilities after calibration, float64 (n, classes).
        labels: The number of each image's class, int64 (n,).
        guesses: The number of the most likely class, int64 (n,).
        skipped: (path, reason) of each image that could not be used.
        model: The model's file, or what its network is called.
        flips: Whether each image was judged together with its mirror image.
        calibration: The model's calibration. None without one.
        baselines: What would be reached without learning, by name. Empty if nobody asked.
        strangeness: Above 0 for images that seem to belong to no class (n,). None if the model cannot tell.
    """

    class_names: list[str]
    accuracy: float
    top5: float | None
    loss: float
    classes: list[ClassScore]
    confusion_matrix: NDArray[np.int64]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]
    guesses: NDArray[np.int64]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    model: str = ""
    flips: bool = False
    calibration: Calibration | None = None
    baselines: dict[str, Baseline] = field(default_factory=dict)
    strangeness: NDArray[np.float64] | None = None

    @property
    def image_count(self) -> int:
        """How many images were tested."""
        return len(self.labels)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each image was classified right, bool (n,)."""
        return np.asarray(self.guesses == self.labels)

    @property
    def interval(self) -> tuple[float, float]:
        """The interval that holds the accuracy with 95 % confidence: (low, high)."""
        return wilson(int(self.right.sum()), self.image_count)

    @property
    def headline(self) -> Headline:
        """The accuracy with its interval, and what that holds for."""
        return Headline(int(self.right.sum()), self.image_count, False, self.interval, LIKE_THOSE)

    @property
    def confidences(self) -> NDArray[np.float64]:
        """The probability of each image's most likely class, float64 (n,)."""
        return np.asarray(self.probabilities[np.arange(self.image_count), self.guesses])

    def mistakes(self) -> NDArray[np.int64]:
        """Return the indices of the images that were classified wrong, the highest probability first, int64."""
        wrong = np.flatnonzero(self.guesses != self.labels)
        return wrong[np.argsort(-self.probabilities[wrong, self.guesses[wrong]], kind="stable")]

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn test --json` prints."""
        return {
            "model": self.model,
            "images": self.image_count,
            "accuracy": self.accuracy,
            "top5": self.top5,
            "loss": self.loss,
            "classes": [c.as_json() for c in self.classes],
            "confusion_matrix": self.confusion_matrix.tolist(),
            "skipped": [{"path": path, "error": error} for path, error in self.skipped],
            "tta": self.flips,
            "accuracy_interval": list(self.interval),
            "baselines": {name: baseline.as_json() for name, baseline in self.baselines.items()},
            "calibration": self._calibration_json(),
            "withheld": [asdict(self.withheld(accuracy)) for accuracy in REJECTIONS],
        }

    def withheld(self, accuracy: float) -> Withheld:
        """Return what ``predict`` with reject does to these images.

        Args:
            accuracy: The share of answers that should be right, between 0 and 1.
        """
        threshold, doubt = withholding(self.calibration, accuracy)
        unsure = self.confidences < threshold
        strange = np.zeros(self.image_count, bool) if self.strangeness is None else self.strangeness > 0
        given = ~(unsure | strange)
        return Withheld(accuracy, threshold, int(unsure.sum()), int(strange.sum()), int(given.sum()),
                        int((given & self.right).sum()), doubt)

    def _calibration_json(self) -> dict[str, Any]:
        """Return how true the probabilities of these images are, before and after calibration (the same without one).
        """
        temperature = self.calibration.temperature if self.calibration else 1.0
        found: dict[str, Any] = {"temperature": self.calibration.temperature if self.calibration else None}
        for when, value in (("before", 1.0), ("after", temperature)):
            bins = reliability(confidences(self.logits, value), self.right)
            found[f"error_{when}"] = expected_error(bins)
            found[f"loss_{when}"] = cross_entropy(self.logits, self.labels, value)
        return found


def evaluate(
    model: Classifier,
    images: LabelledImages,
    *,
    batch_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
    name: str = "",
    world: World = ALONE,
) -> Evaluation:
    """Run the model over the images in batches and score it. progress(done, total) is called after each batch.

    name is the model's, for the result. Several processes share the images, and all get the result. Raises DataError if
    there is no image, ModelError if the model's outputs are not numbers.
    """
    total, classes = len(images.labels), len(model.classes)
    judge = model.judging() if isinstance(model, Model) and model.strangeness else None

    def judged(pixels: NDArray[Any]) -> NDArray[Any]:
        if judge is None:
            return model.logits(pixels)
        logits, strange = judge(pixels)
        column = np.full(len(logits), np.nan) if strange is None else strange
        return np.concatenate([logits, column[:, None]], axis=1)  # float64, which holds both as they are

    width, kind = (classes, np.float32) if judge is None else (classes + 1, np.float64)
    found_rows = shared_rows(images, judged, (width,), kind, batch_size,
                             lambda done: progress(done, total) if progress else None, world)
    logits = found_rows[:, :classes].astype(np.float32, copy=False)
    strange = np.ascontiguousarray(found_rows[:, classes]) if judge else np.empty(0)
    skipped = [(os.fspath(path), str(reason)) for path, reason in images.skipped]
    found = score(logits, images.labels, model.classes, skipped=skipped, model=name, flips=model.flips,
                  calibration=model.calibration)
    return replace(found, strangeness=strange) if judge else found


def score(
    logits: NDArray[Any],
    labels: NDArray[Any],
    classes: Sequence[str],
    *,
    skipped: Sequence[tuple[str, str]] = (),
    model: str = "",
    flips: bool = False,
    calibration: Calibration | None = None,
) -> Evaluation:
    """Score logits (n, classes) against labels (n,), which are class numbers. The calibration makes probabilities of
    them.

    The loss is the mean cross-entropy, in nats, without calibration. Logarithms of probabilities can be given in place
    of logits: softmax turns them back. Raises DataError if n is 0, ModelError if a logit is not finite, ValueError if
    shapes or labels do not fit.
    """
    logits, labels, count = np.asarray(logits), np.asarray(labels, np.int64), len(classes)
    if logits.shape != (len(labels), count):
        raise ValueError(f"logits are {logits.shape}, not {(len(labels), count)}: one row an image, one column a class")
    if not len(labels):
        raise DataError("there is no image to test; give a folder with images in its class folders.")
    if labels.min() < 0 or labels.max() >= count:
        raise ValueError(f"labels must lie between 0 and {count - 1}, not {labels.min()} and {labels.max()}")
    broken = int((~np.isfinite(logits)).any(axis=1).sum())
    if broken:
        raise ModelError(f"the outputs of the model are not finite numbers for {broken} of {len(labels)} images; train "
                         "it again, with a smaller learning rate.")

    truth = np.take_along_axis(logits, labels[:, None], axis=1)
    before = (logits > truth).sum(1) + ((logits == truth) & (np.arange(count) < labels[:, None])).sum(1)
    guesses = logits.argmax(axis=1)
    matrix = confusion_matrix(labels, guesses, count)
    return Evaluation(
        class_names=list(classes),
        accuracy=float(np.trace(matrix) / len(labels)),
        top5=float((before < 5).mean()) if count >= TOP_NEEDS else None,
        loss=cross_entropy(logits, labels),
        classes=class_scores(matrix, classes),
        confusion_matrix=matrix,
        logits=logits,
        probabilities=softmax(logits, calibration.temperature if calibration else 1.0),
        labels=labels,
        guesses=guesses,
        skipped=list(skipped),
        model=model,
        flips=flips,
        calibration=calibration,
    )


def confusion_matrix(labels: NDArray[np.int64], guesses: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return how many images of each true class (row) got each answer (column), int64 (count, count)."""
    return np.bincount(labels * count + guesses, minlength=count * count).reshape(count, count).astype(np.int64)


def class_scores(matrix: NDArray[np.int64], classes: Sequence[str]) -> list[ClassScore]:
    """Return each class's precision, recall and F1 (0 where the divisor is 0) and number of images."""
    right, guessed, support = np.diagonal(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    precision, recall = _ratio(right, guessed), _ratio(right, support)
    f1 = _ratio(2 * right, guessed + support)
    return [
        ClassScore(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]), int(guessed[i]))
        for i, name in enumerate(classes)
    ]


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return part / np.maximum(whole, 1)

