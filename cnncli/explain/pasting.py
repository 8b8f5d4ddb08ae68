"""The proof that a place decides: what lies there in images of a class is pasted at the same place into images of other
classes. How many turn into the class, against a random patch of the same size: one from the same place of images of any
other class, and one from other places of the class's own images. And the other way round: how many of the class's
images lose their answer when what lies there in others is pasted into them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.intervals import wilson
from ..kernels import Array
from ..model import Model
from ..plain import in_plain_json
from .places import Place

TRIED = 50  # images that a patch is pasted into
FIRST = 12  # of them, after which a place that turns next to none is given up
PASSES = 5 * TRIED  # at most


@dataclass(frozen=True, eq=False)
class Known:
    """Labelled images, uint8 (n, h, w, c), what a model says of them, and its logits."""

    pixels: Array
    labels: Array
    logits: Array

    @property
    def answers(self) -> Array:
        """The number of the class that the model says, of each."""
        answers: Array = self.logits.argmax(axis=1)
        return answers


@dataclass(frozen=True)
class Pasted:
    """What pasting did: what lies at a place in images of a class, pasted into images of other classes.

    Attributes:
        place: The place.
        tried: Into how many images it was pasted.
        turned: How many of these got the class as their answer.
        random: How many did so with a random patch instead, the more effective of two kinds.
        raised: By what factor the odds of the class grew beyond what the random patch did.
        least: The lower bound of that factor.
        removed: In how many images of the class it was replaced by what lies there in others.
        lost: How many of these lost their answer.
        pairs: Some (recipient, donor), numbers of images, those that turned first.
    """

    place: Place
    tried: int
    turned: int
    random: int
    raised: float
    least: float
    removed: int
    lost: int
    pairs: list[tuple[int, int]]

    def more(self, z: float) -> float:
        """Return by how much at least the share that turned is larger than that of the random patch.

        Args:
            z: How many standard errors away.
        """
        return more(self.turned, self.random, self.tried, z)

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return its numbers."""
        return {"tried": self.tried, "turned": self.turned, "turned_by_a_random_patch": self.random,
                "odds_raised": self.raised, "odds_raised_at_least": self.least, "replaced": self.removed,
                "lost_by_replacing": self.lost}


def more(turned: int, random: int, tried: int, z: float) -> float:
    """Return the least by which one share of tried exceeds the other, z standard errors away (Newcombe 1998)."""
    one, other = turned / max(tried, 1), random / max(tried, 1)
    down, up = one - wilson(turned, tried, z)[0], wilson(random, tried, z)[1] - other
    return one - other - float(np.hypot(down, up))


def turned(model: Model, known: Known, label: int, place: Place, seed: int, count: int = FIRST,
           donors: Array | None = None) -> float:
    """Return what share of some images of other classes turns into a class when its patch is pasted: a first look."""
    recipients, givers = _pairs(known, label, seed, count, donors)
    if not len(recipients):
        return 0.0
    answers = model.logits(place.pasted(known.pixels[recipients], known.pixels[givers])).argmax(axis=1)
    return float((answers == label).mean())


def prove(model: Model, known: Known, label: int, place: Place, seed: int, z: float,
          told: Callable[[int], None], donors: Array | None = None) -> Pasted:
    """Paste what lies at a place in images of a class, or in these donors, into images of other classes. z is how many
    standard errors its bounds are away. told is given passes done."""
    recipients, givers = _pairs(known, label, seed, TRIED, donors)
    before = known.logits[recipients]
    after = model.logits(place.pasted(known.pixels[recipients], known.pixels[givers]))
    told(len(recipients))
    controls = [model.logits(each) for each in _random(known, label, place, recipients, givers, seed)]
    told(2 * len(recipients))
    raised = _odds(after, label) - _odds(before, label)
    beyond = [raised - (_odds(each, label) - _odds(before, label)) for each in controls]
    means = [(float(each.mean()), float(each.mean() - z * each.std(ddof=1) / len(each) ** 0.5)) if len(each) > 1
             else (0.0, -np.inf) for each in beyond]
    mean, least = min(means, key=lambda each: each[1])
    did = after.argmax(axis=1) == label
    order = np.argsort(~did, kind="stable")
    own = np.flatnonzero((known.labels == label) & (known.answers == label))
    others = np.flatnonzero(known.labels != label)
    rng = np.random.default_rng([seed, label, 1])
    own = rng.permutation(own)[:TRIED]
    lost = model.logits(place.pasted(known.pixels[own], known.pixels[rng.choice(others, len(own))])).argmax(axis=1)
    told(len(own))
    return Pasted(place, len(recipients), int(did.sum()), max(int((each.argmax(axis=1) == label).sum())
                                                              for each in controls),
                  _factor(mean), _factor(least), len(own), int((lost != label).sum()),
                  [(int(recipients[i]), int(givers[i])) for i in order])


def _factor(logarithm: float) -> float:
    return float(np.exp(np.clip(logarithm, -700, 700)))


def _pairs(known: Known, label: int, seed: int, count: int, donors: Array | None) -> tuple[Array, Array]:
    """Return images of other classes that have other answers, and for each one of the class's to give its patch."""
    rng = np.random.default_rng([seed, label])
    recipients = rng.permutation(np.flatnonzero((known.labels != label) & (known.answers != label)))
    if donors is None:
        donors = np.flatnonzero(known.labels == label)
        right = donors[known.answers[donors] == label]
        donors = right if len(right) else donors
    recipients = recipients[:count]
    givers = np.resize(rng.permutation(donors), len(recipients)) if len(donors) else recipients
    return recipients, givers


def _random(known: Known, label: int, place: Place, recipients: Array, givers: Array, seed: int) -> list[Array]:
    """Return the same images with random patches: from the same place of others that are not of the class, and from
    other places of the class's."""
    rng = np.random.default_rng([seed, label, 2])
    others = np.flatnonzero(known.labels != label)
    same_place = place.pasted(known.pixels[recipients], known.pixels[rng.choice(others, len(recipients))])
    free = [(top, left) for top in range(place.size[0] - (place.bottom - place.top) + 1)
            for left in range(place.size[1] - (place.right - place.left) + 1)
            if place.overlap(place.moved(top, left)) == 0]
    if not free:
        return [same_place]
    elsewhere = known.pixels[recipients]
    for i, at in enumerate(rng.integers(0, len(free), len(recipients)).tolist()):
        moved, part = place.moved(*free[at]), slice(i, i + 1)
        elsewhere[part] = moved.pasted(elsewhere[part], known.pixels[givers[part]])
    return [same_place, elsewhere]


def _odds(logits: Array, label: int) -> Array:
    """Return the logarithm of the odds of a class."""
    others = np.delete(logits.astype(np.float64), label, axis=1)
    most = others.max(axis=1)
    odds: Array = logits[:, label] - most - np.log(np.exp(others - most[:, None]).sum(axis=1))
    return odds
