"""What a few validation images can show: whether a share of right answers is known to reach a level, and how many
images that takes at least. calibration.py chooses the thresholds of --reject by it.

The bound is that of Clopper and Pearson (1934), one-sided: this many right answers must be unlikely if the true share
is below the level.
"""

from functools import lru_cache
from math import ceil, log

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

CONFIDENCE = 0.95  # with which a level is reached where ``shows`` says so
_STEPS, _PRECISION, _TINY = 10_000, 1e-13, 1e-300


def needed(level: float, confidence: float = CONFIDENCE) -> int:
    """Return how many images are needed to show a level if all of them are right."""
    return ceil(log(1 - confidence) / log(level) - 1e-9)


def shows(right: Counts, answered: Counts, level: Floats, confidence: float = CONFIDENCE) -> NDArray[np.bool_]:
    """Return whether this many right answers of this many show that the true share is at least the level. Arrays of one
    shape; levels are between 0 and 1.
    """
    return as_many(right, answered, level) <= 1 - confidence


def as_many(right: Counts, answered: Counts, share: Floats) -> Floats:
    """Return the probability of at least this many right answers of this many, if each is right with the given
    probability. It is the tail of the binomial distribution, as an incomplete beta function (its continued fraction, by
    Lentz's method). Arrays of one shape.
    """
    some = right > 0
    a, b = np.where(some, right, 1.0), answered - np.where(some, right, 1) + 1.0
    factorials = _log_factorials(int(answered.max(initial=0)) + 1)
    beta = (factorials[(a - 1).astype(np.int64)] + factorials[(b - 1).astype(np.int64)]
            - factorials[(a + b - 1).astype(np.int64)])
    turned = share > (a + 1) / (a + b + 2)  # the fraction converges fast on one side of the mean
    one, other = np.where(turned, b, a), np.where(turned, a, b)
    x = np.where(turned, 1 - share, share)
    tail = np.exp(one * np.log(x) + other * np.log1p(-x) - beta) * _fraction(one, other, x) / one
    found: Floats = np.where(some, np.where(turned, 1 - tail, tail), 1.0)
    return found


def _fraction(a: Floats, b: Floats, x: Floats) -> Floats:
    d = 1 / _no_zero(1 - (a + b) * x / (a + 1))
    c = np.ones_like(x)
    value: Floats = d.copy()
    for m in range(1, _STEPS):
        for term in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                     -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d, c = 1 / _no_zero(1 + term * d), _no_zero(1 + term / c)
            value *= c * d
        if (np.abs(c * d - 1) < _PRECISION).all():
            break
    return value


def _no_zero(values: Floats) -> Floats:
    kept: Floats = np.where(np.abs(values) < _TINY, _TINY, values)
    return kept


@lru_cache(maxsize=2)
def _log_factorials(most: int) -> Floats:
    logs: Floats = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, most + 1, dtype=np.float64)))))
    return logs
