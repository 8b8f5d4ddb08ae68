"""Whether an image belongs to any of the classes at all. A network can be sure of things that it has never seen, but
their features lie elsewhere: not in the direction of any class's images. training/strangeness.py fits this to training
images, model.py asks for it, predict.py withholds answers by it.

Features are scaled to length 1 and brought into the space in which the images of a class scatter equally in all
directions, as in the Mahalanobis distance of Lee et al. 2018. There the cosine to each class's mean is taken, and all
of them are put together as the free energy of Liu et al. 2020. Few numbers need to be kept: some directions, a mean for
each class, and by how much images scatter in the rest of the space, where no class has anything (as in Wang et al.
2022).
"""

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels import Array
from ..network import Network
from ..network.blocks import blocks

Floats = NDArray[np.float64]

WITHHELD = 0.05  # of the images that do belong to a class, which are taken for strange: no more, on average
DIRECTIONS, NUMBERS = 128, 2**19  # that are kept, at most; and how many numbers they may be
RIDGE, SHARPNESS = 0.3, 10.0  # of the scatter's mean variance, added to all; of the energy
PREFIX = "state/strangeness."  # before the names of its arrays in a model file: earlier versions pass those over
_ARRAYS = ("centre", "directions", "means", "scatter")
_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Strangeness:
    """What was fitted: centre (d,), directions (d, r), the classes' means (classes, r) and the scatter (r, r) that the
    directions were divided by, float32; the factor for the squares of all other directions; the threshold, and the
    number of validation images that it was chosen by.
    """

    centre: Array
    directions: Array
    means: Array
    scatter: Array
    rest: float
    threshold: float
    images: int

    def __call__(self, features: Array) -> Floats:
        """Return how strange images are, by their features (n, d). Above 0 they belong to no class."""
        return self._energy(features) - self.threshold

    def _energy(self, features: Array) -> Floats:
        # One image at a time: then it has the same bits alone and beside others.
        return np.array([self._of_one(row) for row in _unit(features) - self.centre], np.float64)

    def _of_one(self, row: Floats) -> float:
        seen = row @ self.directions
        other = max(float(row @ row) - float(np.square(self.scatter @ seen).sum()), 0.0)
        length = np.sqrt(float(seen @ seen) + self.rest * other)
        cosines = self.means @ seen / max(length, _LEAST)
        return float(-np.log(np.exp(SHARPNESS * cosines).sum()) / SHARPNESS)

    def arrays(self) -> dict[str, Array]:
        """Return what a model file holds of it, by name."""
        return {PREFIX + name: getattr(self, name) for name in _ARRAYS}

    def config(self) -> dict[str, Any]:
        """Return the rest, as JSON values."""
        return {"threshold": self.threshold, "rest": self.rest, "images": self.images, "withheld": WITHHELD}

    @classmethod
    def from_parts(cls, config: dict[str, Any], arrays: dict[str, Array], width: int, classes: int) -> "Strangeness":
        """Return what ``config`` and ``arrays`` described, for a network with this many features and classes. Raises
        ValueError if they make no sense.
        """
        try:
            threshold, rest, images = float(config["threshold"]), float(config["rest"]), int(config["images"])
            centre, directions, means, scatter = (arrays[PREFIX + name] for name in _ARRAYS)
        except (KeyError, TypeError, ValueError, OverflowError) as problem:
            raise ValueError(f"it has threshold, rest, images, and the arrays {', '.join(_ARRAYS)}") from problem
        count = directions.shape[-1] if directions.ndim else 0
        if [array.shape for array in (centre, directions, means, scatter)] != [
                (width,), (width, count), (classes, count), (count, count)]:
            raise ValueError(f"its arrays do not fit {width} features and {classes} classes")
        if images < 1 or not all(np.isfinite(v).all() for v in (centre, directions, means, scatter, threshold, rest)):
            raise ValueError("its numbers are not finite")
        return cls(centre, directions, means, scatter, rest, threshold, images)


def parts(network: Network) -> tuple[Network, Network] | None:
    """Return the layers before the last block and those from it on, with shared weights. None if there is only one
    block.
    """
    found = blocks(network)
    return network.split(found[-2].last) if len(found) > 1 else None


def flat(values: Array) -> Array:
    """Return features as (n, d). Of maps it is the mean over their positions."""
    return values.mean(axis=(1, 2), dtype=np.float64).astype(np.float32) if values.ndim == 4 else values


def fit(features: Array, labels: NDArray[np.int64], known: Array) -> Strangeness:
    """Fit it to the features (n, d) and labels (n,) of training images, at least one of each class, and the threshold
    to the features of validation images (m, d), m at least 1. The same arrays give the same bits.

    The threshold is conformal: of further images like the validation images, on average no more than WITHHELD are above
    it. Fewer than 19 images cannot show that; then the strangest of them is the threshold.
    """
    x, classes = _unit(features), int(labels.max()) + 1
    means = np.stack([x[labels == label].mean(axis=0) for label in range(classes)])
    centre = means.mean(axis=0)
    x, means = x - centre, means - centre
    width = x.shape[1]
    count = min(DIRECTIONS, width, max(classes, NUMBERS // width))
    base = np.eye(width)
    if count < width:  # those in which the images differ most, nearly (Halko, Martinsson and Tropp 2011)
        base = np.linalg.qr(x.T @ (x @ np.random.default_rng(0).standard_normal((width, count))))[0]
    squares = np.square(x).sum(axis=1)
    x, means = x @ base, means @ base
    apart = x - means[labels]
    spread = apart.T @ apart / len(x)
    ridge = RIDGE * np.trace(spread) / count + _LEAST
    scatter = np.linalg.cholesky(spread + ridge * np.eye(count))
    whitening = np.linalg.inv(scatter).T
    other = max(float((squares - np.square(x).sum(axis=1)).mean()), 0.0) / max(width - count, 1)
    arrays = (centre, base @ whitening, _unit(means @ whitening), scatter)
    centre, directions, means, scatter = (np.ascontiguousarray(array, np.float32) for array in arrays)
    rest = 1 / (other + ridge) if count < width else 0.0
    found = Strangeness(centre, directions, means, scatter, float(rest), 0.0, len(known))
    energies = np.sort(found(known))
    place = min(len(energies), ceil((len(energies) + 1) * (1 - WITHHELD) - 1e-9))
    return replace(found, threshold=float(energies[place - 1]))


def _unit(rows: NDArray[Any]) -> Floats:
    rows = np.asarray(rows, np.float64)
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _LEAST)
    return unit
