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
    number: dict[str | None, int] = {}
    labels = np.array([number.setdefault(file.label, len(number)) for file, _ in labelled], np.int64)
    images = np.bincount(labels, minlength=len(number))
    asked = np.flatnonzero(np.minimum(images, len(labels) - images) >= LEAST)
    if not len(asked):
        return
    place = np.full(len(number), -1)
    place[asked] = np.arange(len(asked))
    properties = {name: _ranges([read(facts) for _, facts in labelled]) for name, read in PROPERTIES.items()}
    fold = _folds(len(labels))
    shares = {name: _told(places, place[labels], len(asked), fold).tolist()
              for name, places in properties.items() if places is not None}
    for k, label in enumerate([label for label, i in number.items() if place[i] >= 0]):
        best = max(shares, key=lambda name: shares[name][k], default=None)
        if best is not None and shares[best][k] >= SURE:
            share = shares[best][k]
            yield Finding("telling-property", (), f"{best} alone tells {printable(label or '')} from the other "
                                                  f"classes, with {share:.0%} right.", round(share, 4))


def tells(values: Sequence[float], own: Array) -> float:
    """Return how well a property's values tell a class (own, bool (n,)) from the rest: the mean of the shares of both
    that are right; 0 if all values are the same.
    """
    places = _ranges(values)
    return 0.0 if places is None else float(_told(places, np.where(own, 0, -1), 1, _folds(len(own)))[0])


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


def _told(places: Array, labels: Array, count: int, fold: Array) -> Array:
    """Return how well ranges tell each class from all other images, float64 (count,): the mean of the shares of both
    that are right. labels are 0 to count - 1, or -1 for classes that are not asked about. In each fold a range answers
    what most of its images in the other folds are; both sides count as if they had equally many images.
    """
    most = int(places.max()) + 1
    # Everything follows from how many images of each class, fold and range there are: one pass for all classes.
    cells, asked = fold * most + places, labels >= 0
    shape = (_FOLDS, most)
    every = np.bincount(cells, minlength=_FOLDS * most).reshape(shape)
    own = np.bincount(labels[asked] * (_FOLDS * most) + cells[asked], minlength=count * _FOLDS * most)
    own = own.reshape(count, *shape)
    rest = every - own
    shares = []
    for side in (own, rest):
        known = side.sum(axis=1, keepdims=True) - side
        shares.append(known / np.maximum(known.sum(axis=2, keepdims=True), 1))
    says = shares[0] > shares[1]
    told: Array = ((own * says).sum(axis=(1, 2)) / own.sum(axis=(1, 2))
                   + (rest * ~says).sum(axis=(1, 2)) / rest.sum(axis=(1, 2))) / 2
    return told
