"""What a method is: a function from images and classes to maps, and what is said of it. A method's file has that
function under ``@method``; nothing else has to know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...kernels import Array
from ...model import Model
from ..look import Look, one_hot

Compute = Callable[["Asked"], "Found"]
METHODS: dict[str, "Method"] = {}  # by name; a method enters when its file is imported


@dataclass(frozen=True)
class Asked:
    """Images float32 (n, h, w, c) as the network gets them, and for each the number of the class whose evidence is
    asked for, int64 (n,); against, where there are any, are others that it is held against: what speaks for the target
    rather than for them is asked for then. Whatever is drawn at random comes from the seed alone, the same for each
    image, so that an image's map is the same bits alone and in a batch."""

    model: Model
    look: Look
    images: Array
    targets: Array
    seed: int = 0
    against: Array | None = None

    @property
    def weights(self) -> Array:
        """What picks each image's target out of the logits, less what it is held against: float32 (n, classes)."""
        weights = one_hot(self.targets, len(self.model.classes))
        return weights if self.against is None else weights - one_hot(self.against, len(self.model.classes))

    def scores(self, images: Array) -> Array:
        """Return the probabilities, float64 (n, classes), of images like these."""
        return self.model.probabilities_of(self.look.logits(images))


@dataclass(frozen=True)
class Found:
    """Maps float32 (n, rows, columns): above 0 speaks for the class, below against it. residual, of methods whose map
    should add up to something, is by what part of that it misses, (n,)."""

    maps: Array
    residual: Array | None = None


@dataclass(frozen=True)
class Method:
    """A way to explain. on says where its maps lie: on a layer's positions or on the image's pixels. says is what it
    means, in a few short sentences; evidence, whether it can be believed; paper, where it comes from; passes, what it
    costs for one image."""

    name: str
    title: str
    compute: Compute
    on: Literal["layer", "image"]
    evidence: bool
    says: str
    paper: str
    passes: str
    signed: bool = True  # whether maps can be below 0


def method(name: str, title: str, *, on: Literal["layer", "image"], says: str, paper: str, passes: str,
           evidence: bool = True, signed: bool = True) -> Callable[[Compute], Compute]:
    """Enter a function under a name."""
    def enter(compute: Compute) -> Compute:
        METHODS[name] = Method(name, title, compute, on, evidence, says, paper, passes, signed)
        return compute
    return enter


def summed(values: Array) -> Array:
    """Return the sum over channels, float32 (n, rows, columns), added up in float64."""
    total: Array = values.sum(axis=-1, dtype=np.float64).astype(np.float32)
    return total
