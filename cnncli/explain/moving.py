"""What gives a class away in all of the image at once: how bright, how full of contrast or of what tint its images are.
data/check/telling.py says which such property alone tells a class from the others; here images of other classes are
given the class's values, and how many turn into it is the proof, against values of each other's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.check.telling import LEAST, SURE, tells
from ..errors import printable
from ..kernels import Array
from ..model import Model
from ..plain import in_plain_json
from .pasting import TRIED, Known, more

PASSES = 2 * TRIED


@dataclass(frozen=True)
class Property:
    """A property of images: its value for each, and images, float32 (n, h, w, c), given other values."""

    name: str
    says: str
    values: Callable[[Array], Array]
    given: Callable[[Array, Array, Array], Array]


def _mean(images: Array) -> Array:
    mean: Array = images.mean(axis=(1, 2, 3), dtype=np.float64)
    return mean


def _spread(images: Array) -> Array:
    spread: Array = images.astype(np.float32).std(axis=(1, 2, 3))
    return spread


def _tint(images: Array) -> Array:
    """Return how much redder than blue; 0 for grey."""
    red, blue = (images[..., channel].mean(axis=(1, 2), dtype=np.float64) for channel in (0, -1))
    tint: Array = red - blue
    return tint


def _shifted(images: Array, now: Array, then: Array) -> Array:
    shifted: Array = images + (then - now)[:, None, None, None]
    return shifted


def _stretched(images: Array, now: Array, then: Array) -> Array:
    means = _mean(images)[:, None, None, None]
    stretched: Array = means + (images - means) * (then / np.maximum(now, 1))[:, None, None, None]
    return stretched


def _tinted(images: Array, now: Array, then: Array) -> Array:
    tinted: Array = images + (then - now)[:, None, None, None] * np.linspace(0.5, -0.5, images.shape[3])
    return tinted


PROPERTIES = (Property("brightness", "bright", _mean, _shifted),
              Property("contrast", "full of contrast", _spread, _stretched),
              Property("tint", "red or blue", _tint, _tinted))


@dataclass(frozen=True, eq=False)
class Moved:
    """A property of the images that tells a class from the others, and what changing it did.

    Attributes:
        label: The class.
        name: The property: "brightness", "contrast" or "tint".
        says: How images with much of it are called: "bright", say.
        share: How well it tells the class from the others, the share that is right, 0 to 1.
        tried: How many images of other classes were given the class's values.
        turned: How many of these got the class as their answer.
        random: How many did so when they were given each other's values.
        proven: Whether the model decides by it.
        pairs: Some images, by number, and what became of them, those that turned first.
    """

    label: str
    name: str
    says: str
    share: float
    tried: int
    turned: int
    random: int
    proven: bool
    pairs: list[tuple[int, Array]]

    @property
    def sentence(self) -> str:
        """What was found, in a sentence."""
        name = printable(self.label)
        tells_ = f"{self.name.capitalize()} alone tells {name} from the other classes, with {self.share:.0%} right."
        did = (f"{self.tried} images of other classes that are made as {self.says} as its own turn into {name} "
               f"{self.turned} times; made as {self.says} as each other, {self.random} times.")
        does = "counts" if self.proven else "marks the class, but the model hardly goes by it"
        return f"{name}: {self.name} {does}: {did} {tells_}"

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return its numbers."""
        return {"class": self.label, "property": self.name, "told": round(self.share, 4), "proven": self.proven,
                "tried": self.tried, "turned": self.turned, "turned_by_others": self.random, "sentence": self.sentence}


def move(model: Model, known: Known, label: int, seed: int, z: float) -> list[Moved]:
    """Return what moving does of each property that tells a class from the others."""
    own = known.labels == label
    if min(own.sum(), (~own).sum()) < LEAST:
        return []
    found = []
    for each in PROPERTIES:
        values = each.values(known.pixels)
        share = tells(values.tolist(), own)
        if share >= SURE:
            found.append(_moved(model, known, label, each, values, share, seed, z))
    return found


def _moved(model: Model, known: Known, label: int, moved: Property, values: Array, share: float, seed: int, z: float
           ) -> Moved:
    rng = np.random.default_rng([seed, label, 3])
    others = np.flatnonzero(known.labels != label)
    taken = rng.permutation(others[known.answers[others] != label])[:TRIED]
    images = known.pixels[taken].astype(np.float32)
    own = np.flatnonzero(known.labels == label)
    turned, made = [], []
    for donors in (own, others):
        given = moved.given(images, values[taken], values[rng.choice(donors, len(taken))])
        made.append(given.round().clip(0, 255).astype(np.uint8))
        turned.append(model.logits(made[-1]).argmax(axis=1) == label if len(taken) else np.zeros(0, bool))
    count, random = (int(each.sum()) for each in turned)
    order = np.argsort(~turned[0], kind="stable")[:3].tolist()
    return Moved(model.classes[label], moved.name, moved.says, share, len(taken), count, random,
                 more(count, random, len(taken), z) > 0, [(int(taken[i]), made[0][i]) for i in order])
