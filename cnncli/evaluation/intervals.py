"""How certain a figure is: the interval that holds an accuracy, a recall or a precision, also for images of new groups
(grouped.py asks) and over the folds of a cross-validation (training/folds.py asks).
"""

from collections.abc import Sequence
from math import atan, cos, pi, sin, sqrt

Z = 1.959963984540054  # of the normal distribution: 95 %


def wilson(right: float, images: float, z: float = Z) -> tuple[float, float]:
    """Return the interval that holds a share with 95 % confidence, if this many of this many images were right (Wilson
    1927). Without images it is 0 to 1.
    """
    if not images:
        return 0.0, 1.0
    share, square = right / images, z * z / images
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * sqrt(share * (1 - share) / images + square / (4 * images))
    return middle - half if right else 0.0, middle + half if images - right else 1.0


def student(freedom: int) -> float:
    """Return what Student's t with so many degrees of freedom exceeds in 2.5 % of cases: Z for ever more of them."""
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _between(middle, freedom) < 0.95 else (low, middle)
    return high


def of_folds(accuracies: Sequence[float]) -> tuple[float, float]:
    """Return the interval that the mean accuracy lies in with 95 % confidence, of the accuracies of K folds: Student's
    t, with the variance corrected for folds that share training images (Nadeau and Bengio 2003).
    """
    from statistics import fmean, stdev  # which brings much, and only a cross-validation needs

    folds = len(accuracies)
    mean, half = fmean(accuracies), student(folds - 1) * stdev(accuracies) * sqrt(1 / folds + 1 / (folds - 1))
    return max(0.0, mean - half), min(1.0, mean + half)


def of_groups(right: Sequence[int], images: Sequence[int]) -> tuple[float, float] | None:
    """Return the interval that the share lies in with 95 % confidence for images of new groups, if so many of so many
    images of each group were right. None for fewer than two groups.

    Wilson's interval, with the number of images divided by the design effect, and Student's t with one degree of
    freedom less than there are groups (Dean and Pagano 2015). The design effect is how much more the share varies from
    group to group than it would if images did not depend on each other (Rao and Scott 1992), 1 at least. If all images
    are right, or none, it is not known; the groups then count as if all images of a group were alike (Kish 1965).
    """
    groups, total = len(images), sum(images)
    if groups < 2:
        return None
    share = sum(right) / total
    varies = groups / (groups - 1) * sum((r - share * n) ** 2 for r, n in zip(right, images, strict=True)) / total**2
    chance = share * (1 - share) / total
    effect = max(1.0, varies / chance) if chance else sum(n * n for n in images) / total
    return wilson(sum(right) / effect, total / effect, student(groups - 1))


def _between(t: float, freedom: int) -> float:
    """Return how probable it is that Student's t lies between -t and t (Abramowitz and Stegun 1964, 26.7.3 and 4)."""
    angle = atan(t / sqrt(freedom))
    term = cos(angle) if freedom % 2 else 1.0
    total = 0.0
    for k in range(2 + freedom % 2, freedom + 1, 2):
        total += term
        term *= (k - 1) / k * cos(angle) ** 2
    total *= sin(angle)
    return 2 / pi * (angle + total) if freedom % 2 else total
