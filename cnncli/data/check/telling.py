"""What tells a class although it is not what its images show: their brightness, contrast, sharpness, size, shape or
format. If it is enough, a network learns such a property instead of the things. Each property alone is used to tell one
class from all others, on images that were left out when its ranges were chosen.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...errors import printable
from ...kernels import Array
from .facts import Facts
from .findings import File, Finding

PROPERTIES: dict[str, Callable[[Facts], float | str | None]] = {
    "brightness": lambda facts: facts.bright,
    "contrast": lambda facts: facts.span,
    "sharpness": lambda facts: facts.blur,
    "width": lambda facts: facts.header.width,
    "height": lambda facts: facts.header.height,
    "shape (width by height)": lambda facts: facts.header.width / facts.header.height,
    "file format": lambda facts: facts.header.format,
}
SURE = 0.9  # of the mean of the shares of the class, and of the others, that are told right
LEAST = 20  # images of the class, and of the others: of fewer, chance does as much
_RANGES, _FOLDS = 16, 5


def of_all(good: Sequence[tuple[File, Facts]]) -> Iterator[Finding]:
    """Find classes that one property tells from all others; of several properties the best one."""
    labelled = [(file, facts) for file, facts in good if file.label is not None]
    labels = np.array([file.label for file, _ in labelled])
    properties = {name: _ranges([read(facts) for _, facts in labelled]) for name, read in PROPERTIES.items()}
    fold = _folds(len(labels))
    for label in dict.fromkeys(labels.tolist()):
        own = labels == label
        if min(own.sum(), (~own).sum()) < LEAST:
            continue
        shares = {name: _told(places, own, fold) for name, places in properties.items() if places is not None}
        best = max(shares, key=lambda name: shares[name], default=None)
        if best is not None and shares[best] >= SURE:
            yield Finding("telling-property", (), f"{best} alone tells {printable(label)} from the other classes, with "
                                                  f"{shares[best]:.0%} right.", round(shares[best], 4))


def tells(values: Sequence[float], own: Array) -> float:
    """Return how well a property's values tell a class (own, bool (n,)) from the rest: the mean of the shares of both
    that are right; 0 if all values are the same.
    """
    places = _ranges(values)
    return 0.0 if places is None else _told(places, own, _folds(len(own)))


def _folds(images: int) -> Array:
    folds: Array = np.random.default_rng(0).permutation(images) % _FOLDS
    return folds


def _ranges(values: Sequence[float | str | None]) -> Array | None:
    """Return in which range each value lies, int (n,). Ranges hold about equally many values, and equal values are in
    one. None if some have no value, or all have the same.
    """
    if None in values or len(set(values)) < 2:
        return None
    _, places, counts = np.unique(np.array(values), return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - counts / 2
    ranges: Array = (middles * _RANGES / len(values)).astype(np.int64)[places.reshape(-1)]
    return ranges if len(counts) > _RANGES else places.reshape(-1)


def _told(places: Array, own: Array, fold: Array) -> float:
    """Return how well ranges tell a class from the rest: the mean of the shares of both that are right. In each fold a
    range answers what most of its images in the other folds are; both sides count as if they had equally many images.
    """
    right = np.zeros(len(own), bool)
    most = int(places.max()) + 1
    for number in range(_FOLDS):
        known, asked = fold != number, fold == number
        shares = [np.bincount(places[known & side], minlength=most) / max((known & side).sum(), 1)
                  for side in (own, ~own)]
        right[asked] = (shares[0] > shares[1])[places[asked]] == own[asked]
    return float(right[own].mean() + right[~own].mean()) / 2
