"""How far a model's probabilities can be trusted: softmax with a temperature, the fit of that temperature and of the
thresholds below which an answer should be withheld, and the figures that show how true they are. training/fit.py fits
them on the validation images, model.py and evaluation/scores.py apply them, report/page.py draws them. bounds.py says
what this many validation images can show.

The temperature is that of Guo et al. 2017 ("On calibration of modern neural networks"). Withholding answers is the
selective classification of Geifman and El-Yaniv 2017.
"""

from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounds import CONFIDENCE, needed, shows

Floats = NDArray[np.float64]

BINS = 15  # of a reliability diagram, as in Guo et al.
COLDEST, HOTTEST = 0.01, 100.0  # temperatures
# The accuracies that a threshold is kept for: every half a percent, and one for those who want next to no mistakes.
LEVELS = (*(round(0.5 + 0.005 * step, 3) for step in range(100)), 0.999)
_SLACK = 1e-9  # of decimal fractions: 0.95 asked for is 0.95 kept
_MOST_TRIED = 1000  # thresholds that are tried, of more validation images evenly chosen
_STEPS, _PRECISION = 100, 1e-12


def softmax(logits: NDArray[Any], temperature: float = 1.0) -> Floats:
    """Return softmax(logits / temperature) of (n, classes), float64. All code uses this one, so the bits are the same
    everywhere. A row does not depend on the other rows.
    """
    return np.exp(log_softmax(logits, temperature))


def log_softmax(logits: NDArray[Any], temperature: float = 1.0) -> Floats:
    """Return the logarithm of ``softmax``."""
    scaled = np.ascontiguousarray(logits, np.float64)
    scaled = (scaled - scaled.max(axis=1, keepdims=True)) / temperature
    logarithms: Floats = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return logarithms


@dataclass(frozen=True)
class Calibration:
    """What was fitted on validation images, so that a probability of 0.9 means right in 9 of 10 cases.

    Attributes:
        temperature: What logits are divided by (Guo et al. 2017).
        image_count: How many validation images it was fitted on.
        loss: The cross-entropy (before, after), in nats.
        error: The expected calibration error (before, after), 0 to 1.
        thresholds: (accuracy, threshold, coverage), ascending: answers with at least this probability are right this
            often; coverage is the share of images that had such an answer. Only accuracies that the images could show
            are there.
        confidence: How certain that is, 0 to 1. 0 for models of earlier versions, whose thresholds have no bound.
    """

    temperature: float
    image_count: int
    loss: tuple[float, float]
    error: tuple[float, float]
    thresholds: tuple[tuple[float, float, float], ...]
    confidence: float = 0.0

    def threshold(self, accuracy: float) -> float | None:
        """Return the lowest probability of answers that are right this often.

        None if the validation images cannot show it.

        Args:
            accuracy: The share of right answers, 0 to 1. Between two levels the higher one counts.
        """
        if self.image_count < _needed(accuracy):
            return None
        return next((threshold for level, threshold, _ in self.thresholds if level >= accuracy - _SLACK), None)

    def doubt(self, accuracy: float) -> str:
        """Return why such an accuracy cannot be promised, in a sentence. "" if it can.

        Args:
            accuracy: The share of right answers, 0 to 1.
        """
        if self.image_count < _needed(accuracy):
            return (f"{self.image_count:,} validation image{'s' * (self.image_count != 1)} cannot show "
                    f"{in_percent(accuracy)}, which takes at least {_needed(accuracy):,}, all of them right")
        if self.threshold(accuracy) is None:
            return (f"the {self.image_count:,} validation images do not show {in_percent(accuracy)}, because not "
                    "enough of the surest answers to them were right")
        return "" if self.confidence else (f"the threshold for {in_percent(accuracy)} is an earlier version's, which "
                                           "kept no margin for chance")

    def config(self) -> dict[str, Any]:
        """Return it as JSON values, which ``from_config`` takes back."""
        bound = {"confidence": self.confidence} if self.confidence else {}
        return {"temperature": self.temperature, "images": self.image_count, "loss": list(self.loss),
                "error": list(self.error), "thresholds": [list(row) for row in self.thresholds], **bound}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Calibration":
        """Return the calibration that ``config`` described.

        Args:
            config: What ``config`` returned.

        Raises:
            ValueError: It is no calibration.
        """
        try:
            temperature, images = float(config["temperature"]), int(config["images"])
            loss, error = (tuple(map(float, config[key])) for key in ("loss", "error"))
            rows = [tuple(map(float, row)) for row in config["thresholds"]]
            confidence = float(config.get("confidence", 0.0))
        except (KeyError, TypeError, ValueError, OverflowError) as problem:
            raise ValueError("a calibration has temperature, images, loss, error and thresholds") from problem
        if not COLDEST <= temperature <= HOTTEST or images < 1:
            raise ValueError(f"a temperature of {temperature:g} from {images} images")
        if len(loss) != 2 or len(error) != 2 or not np.isfinite([*loss, *error]).all():
            raise ValueError("loss and error are two numbers each, before and after")
        if len(rows) > 10 * len(LEVELS) or any(len(row) != 3 or not all(0 <= v <= 1 for v in row) for row in rows):
            raise ValueError("a threshold is an accuracy, a probability and a coverage, each from 0 to 1")
        if not 0 <= confidence < 1:
            raise ValueError(f"a confidence of {confidence:g}")
        return cls(temperature, images, (loss[0], loss[1]), (error[0], error[1]),
                   tuple((row[0], row[1], row[2]) for row in sorted(rows)), confidence)


@dataclass(frozen=True)
class Bin:
    """The answers with a probability in (low, high]: how many, their mean probability, and the share that is right."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Coverage:
    """Which share of the images is answered, and how many of the answers are right, if answers with a probability below
    threshold are withheld. Arrays, from the surest answer to all of them; equal probabilities count together.
    """

    thresholds: Floats
    coverage: Floats
    right: NDArray[np.int64]
    answered: NDArray[np.int64]

    @property
    def accuracy(self) -> Floats:
        """The share of the answers that is right."""
        return self.right / self.answered

    def at(self, threshold: float) -> tuple[int, int]:
        """Return (answers given, right ones) with a threshold."""
        given = int(np.count_nonzero(self.thresholds >= threshold))
        return (int(self.answered[given - 1]), int(self.right[given - 1])) if given else (0, 0)


def calibrate(logits: NDArray[Any], labels: NDArray[np.int64]) -> Calibration:
    """Fit temperature and thresholds to validation images: logits (n, classes) and labels (n,), n at least 1.

    The same arrays give the same bits.
    """
    temperature = fit_temperature(logits, labels)
    right = np.asarray(logits).argmax(axis=1) == labels
    before, after = (confidences(logits, t) for t in (1.0, temperature))
    return Calibration(
        temperature=temperature,
        image_count=len(labels),
        loss=(cross_entropy(logits, labels), cross_entropy(logits, labels, temperature)),
        error=(expected_error(reliability(before, right)), expected_error(reliability(after, right))),
        thresholds=_thresholds(coverage(after, right)),
        confidence=CONFIDENCE,
    )


def withholding(calibration: Calibration | None, accuracy: float) -> tuple[float, str]:
    """Return the probability below which an answer is withheld so that this share of the others is right. If no
    validation images show that, also a sentence that says why and what is done instead: probabilities are believed, but
    the threshold is never lower than that of another level.
    """
    if calibration is None:
        return accuracy, ("The model was trained without validation images (or by an older version), so its threshold "
                          f"is not calibrated. Answers with a probability below {accuracy:g} become unknown.")
    found, doubt = calibration.threshold(accuracy), calibration.doubt(accuracy)
    if found is not None:
        return found, f"{doubt[0].upper()}{doubt[1:]}; train again for one that does." if doubt else ""
    shown = [(level, threshold) for level, threshold, _ in calibration.thresholds if level < accuracy
             and calibration.threshold(level) is not None]
    threshold = max([accuracy, *(threshold for _, threshold in shown)])
    best = f" The most that they show is {in_percent(shown[-1][0])}." if shown else ""
    return threshold, (f"{doubt[0].upper()}{doubt[1:]}.{best} Answers with a probability below {threshold:.4g} "
                       "become unknown, and nothing promises how many of the others are right.")


def _needed(accuracy: float) -> int:
    return needed(max(accuracy - _SLACK, LEVELS[0]))


def in_percent(share: float) -> str:
    """Return a level in per cent, for a sentence."""
    return f"{round(100 * share, 6):g} %"


def fit_temperature(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Return the temperature with the lowest cross-entropy between probabilities and labels.

    A prior belief is added to the sum over the images: the temperature is 1, give or take a factor of e (a normal
    distribution of its logarithm). It keeps a few images that are all right from making the model sure of everything.
    With hundreds of images it changes nothing visible. The method is Newton's, on the logarithm, between bounds.
    """
    z = np.ascontiguousarray(logits, np.float64)
    z = z - z.max(axis=1, keepdims=True)
    truth, images = z[np.arange(len(z)), labels].mean(), len(z)
    low, high, place = log(1 / HOTTEST), log(1 / COLDEST), 0.0  # of log(1 / temperature)
    for _ in range(_STEPS):
        inverse = exp(place)
        chances = np.exp(inverse * z)
        chances /= chances.sum(axis=1, keepdims=True)
        mean = (chances * z).sum(axis=1)
        slope = images * inverse * float(mean.mean() - truth)
        bend = images * inverse**2 * float(((chances * z * z).sum(axis=1) - mean * mean).mean()) + slope + 1
        slope += place
        if slope == 0:
            break
        low, high = (low, place) if slope > 0 else (place, high)
        newton = place - slope / bend if bend > 0 else low
        following = newton if low < newton < high else (low + high) / 2
        if abs(following - place) <= _PRECISION:
            break
        place = following
    return exp(-place)


def cross_entropy(logits: NDArray[Any], labels: NDArray[np.int64], temperature: float = 1.0) -> float:
    """Return the mean cross-entropy, in nats."""
    return float(-np.take_along_axis(log_softmax(logits, temperature), labels[:, None], axis=1).mean())


def confidences(logits: NDArray[Any], temperature: float = 1.0) -> Floats:
    """Return the probability of each image's most likely class, float64 (n,)."""
    likeliest: Floats = softmax(logits, temperature).max(axis=1)
    return likeliest


def reliability(confidence: Floats, right: NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """Sort answers by their probability into bins of equal width. Bins without images are left out."""
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    mean = np.bincount(place, confidence, bins) / np.maximum(count, 1)
    share = np.bincount(place, right, bins) / np.maximum(count, 1)
    return [Bin(i / bins, (i + 1) / bins, int(count[i]), float(mean[i]), float(share[i]))
            for i in range(bins) if count[i]]


def expected_error(bins: list[Bin]) -> float:
    """Return the expected calibration error: how far probability and accuracy lie apart, over all images."""
    images = sum(b.images for b in bins)
    return sum(b.images * abs(b.confidence - b.accuracy) for b in bins) / max(images, 1)


def coverage(confidence: Floats, right: NDArray[np.bool_]) -> Coverage:
    """Return what is answered, and how well, for each threshold that makes a difference. n is at least 1."""
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    last = np.append(ranked[1:] != ranked[:-1], True)  # of those that are equally probable
    answered = np.flatnonzero(last) + 1
    return Coverage(ranked[last], answered / len(ranked), np.cumsum(right[order])[last].astype(np.int64), answered)


def _thresholds(curve: Coverage) -> tuple[tuple[float, float, float], ...]:
    """Return (level, threshold, coverage) with the lowest threshold that is shown to reach each level."""
    count = len(curve.thresholds)
    tried = np.unique(np.linspace(0, count - 1, min(count, _MOST_TRIED)).astype(np.int64))
    right, answered, levels = curve.right[tried], curve.answered[tried], np.array(LEVELS)
    # How many of the levels each of them shows: all below one, so that halving finds it.
    low, high = np.zeros(len(tried), np.int64), np.full(len(tried), len(LEVELS))
    while (low < high).any():
        middle = (low + high) // 2
        good = shows(right, answered, levels[np.minimum(middle, len(LEVELS) - 1)]) & (low < high)
        low, high = np.where(good, middle + 1, low), np.where(good | (low >= high), high, middle)
    found = []
    for number, level in enumerate(LEVELS):
        reached = tried[low > number]
        if len(reached):
            found.append((level, float(curve.thresholds[reached[-1]]), float(curve.coverage[reached[-1]])))
    return tuple(found)
