"""The last thing that a training does: what tells images that belong to no class (model/strangeness.py) is fitted to
the features of training images, and added to the best model's file. fit.py asks for it.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data import Images
from ..kernels import Array
from ..model import Model, checkpoint
from ..model.strangeness import fit, flat, parts
from ..network import Network

IMAGES, OF_A_CLASS = 2_000, 10  # training images that are looked at: so many, but of each class that many
_AT_ONCE = 64

Watch = Callable[[int, int], None]


def fit_strangeness(path: Path, train: Images, val: Images, watch: Watch) -> None:
    """Fit it for the model in a file, and write it there. A network without features is left as it is. watch(done,
    total) is called during the work; what it raises leaves the file as it was.
    """
    model = checkpoint.load_model(path)
    split = parts(model.network)
    if split is None:
        return
    chosen = some_of_each(train.labels, max(OF_A_CLASS, IMAGES // len(model.classes)))
    total = len(chosen) + len(val)
    steps = (train.pixels(chosen[start : start + _AT_ONCE]) for start in range(0, len(chosen), _AT_ONCE))
    x = _features(model, split[0], steps, lambda done: watch(done, total))
    with closing(val.in_order(_AT_ONCE)) as batches:
        known = _features(model, split[0], batches, lambda done: watch(len(chosen) + done, total))
    if np.isfinite(x).all() and np.isfinite(known).all():
        model.strangeness = fit(x, train.labels[chosen], known)
        checkpoint.save_model(path, model)


def some_of_each(labels: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the indices of images, in order: of each class up to this many, at equal distances."""
    chosen = []
    for label in np.unique(labels):
        of_it = np.flatnonzero(labels == label)
        chosen.append(of_it[np.linspace(0, len(of_it) - 1, min(most, len(of_it))).astype(np.int64)])
    return np.sort(np.concatenate(chosen))


def _features(model: Model, before: Network, batches: Iterable[Array], watch: Callable[[int], None]) -> Array:
    found: list[Array] = []
    for pixels in batches:
        found.append(flat(before.forward(model.preprocessing.normalise(pixels))))
        watch(sum(map(len, found)))
    return np.concatenate(found)
