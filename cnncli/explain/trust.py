"""How far a map is to be trusted: what the model still says when the pixels that the map points at are taken away, or
are all that is given; beside a map of noise and one that points at the middle. Deletion and insertion: Petsiuk, Das and
Saenko 2018. ROAD: Rong et al. 2022 (imputing.py fills in what is taken away).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import UsageError, printable
from ..kernels import Array
from ..model import Model
from ..plain import in_plain_json
from ..runs.opened import AnyModel, open_model
from ..values import as_hinted
from .explanation import Beside, Explanation
from .geometry import on_image
from .imputing import imputed

STEPS = 32  # of deletion and insertion, at most; the paper's is a row of pixels each, which is the same up to 32 x 32
SHARES = tuple(round(0.1 * tenth, 1) for tenth in range(1, 10))  # of the pixels that ROAD takes away
PASSES = 3 * (2 * (STEPS + 1) + 2 * len(SHARES)) + 2  # forward passes for one image, at most
BLUR_SIDE, BLUR_SIGMA = 11, 5.0  # what insertion starts from
MARGIN = 0.01  # by how much a figure must be better than another's to be so
Score = Callable[[Array], Array]  # from images (n, h, w, c), as the network gets them, to the class's probabilities


@dataclass(frozen=True)
class Measured:
    """How well a map orders an image's pixels, measured by the probability of the class that it is about.

    Attributes:
        deletion: The mean probability while pixels become the mean colour, the strongest first; low for a good map
            (Petsiuk et al. 2018).
        insertion: The mean probability while a blurred image gets its pixels back, the strongest first; high for a good
            map.
        road: (LeRF - MoRF) / 2, from -0.5 to 0.5; 0 for a map that knows nothing (Rong et al. 2022). MoRF is the mean
            probability with the strongest 10, 20, … 90 % of the pixels filled in from those around them, LeRF with the
            weakest.
        curves: The probabilities by "deletion", "insertion", "lerf" and "morf".
    """

    deletion: float
    insertion: float
    road: float
    curves: dict[str, Array] = field(repr=False, compare=False)

    def better_by(self, other: "Measured") -> dict[str, bool]:
        """Return by which measures this map is clearly better: "ROAD", and "insertion less deletion".

        Args:
            other: The measures of the other map.
        """
        gained = (self.insertion - self.deletion) - (other.insertion - other.deletion)
        return {"ROAD": self.road - other.road > MARGIN, "insertion less deletion": gained > MARGIN}

    def beats(self, other: "Measured") -> bool:
        """Return whether this map is clearly better, both by ROAD and by insertion less deletion.

        Args:
            other: The measures of the other map.
        """
        return all(self.better_by(other).values())

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return its numbers, with the curves."""
        return {"road": self.road, "deletion": self.deletion, "insertion": self.insertion, "curves": self.curves}


@dataclass(frozen=True)
class Trust:
    """How far a map can be trusted: its measures beside those of a map of noise and of one of the image's middle.

    Attributes:
        path: The image's file, or "images[i]" for an array.
        target: The class that the map is about.
        probability: The probability of the class for the image, 0 to 1.
        blank: The probability of the class for an image of the mean colour, 0 to 1.
        map: The measures of the map.
        noise: The measures of a map of random numbers.
        middle: The measures of a map that points at the middle: a Gaussian as wide as the image.
    """

    path: str
    target: str
    probability: float
    blank: float
    map: Measured
    noise: Measured
    middle: Measured

    @property
    def measurable(self) -> bool:
        """Whether trust can be measured: a blank image has less than half of the image's probability."""
        return self.blank < self.probability / 2

    @property
    def beats_middle(self) -> bool:
        """Whether the map is better than pointing at the middle of the image."""
        return self.map.beats(self.middle)

    @property
    def verdict(self) -> str:
        """What the measures mean, in a sentence without its full stop."""
        target = printable(self.target)
        if not self.measurable:
            return (f"How far to trust this map cannot be measured: the model gives {target} {self.blank:.0%} for a "
                    "blank image, too. So the answer hardly depends on the pixels that the test removes")
        if not self.map.beats(self.noise):
            return (self._doubt("one of noise", self.noise)
                    or f"This map is no better than one of noise: it does not tell where {target} is seen")
        if not self.beats_middle:
            return (self._doubt("pointing at the middle of the image", self.middle)
                    or "This map is no better than pointing at the middle of the image")
        return "This map is better than pointing at the middle of the image, and than noise"

    def _doubt(self, what: str, other: Measured) -> str:
        """Return the sentence for a map that is better by one measure and not by the other; "" if it is by none."""
        better = self.map.better_by(other)
        if not any(better.values()):
            return ""
        [good], [bad] = ([name for name, is_so in better.items() if is_so == wanted] for wanted in (True, False))
        return (f"It is not sure that this map is better than {what}: it is by {good}, but not by {bad}, and it has to "
                "be by both")

    @property
    def figures(self) -> str:
        """The numbers in a line: of the map, of the middle, of noise."""
        three = (self.map, self.middle, self.noise)
        said = [f"{what} {' / '.join(f'{round(getattr(each, what.lower()), 2) + 0.0:.2f}' for each in three)}, {better}"
                for what, better in (("ROAD", "high is good"), ("deletion", "low"), ("insertion", "high"))]
        return f"Of the map / the middle / noise: {'; '.join(said)}."

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what ``cnn explain --trust --json`` prints of it."""
        return {"verdict": self.verdict, "measurable": self.measurable, "probability": self.probability,
                "blank": self.blank, "beats_middle": self.beats_middle, "map": self.map.as_json(),
                "middle": self.middle.as_json(), "noise": self.noise.as_json()}


def trusted(model: AnyModel, seed: int = 0) -> Callable[[Explanation], Beside]:
    """Return what puts the measures of its map beside an explanation."""
    def beside(explanation: Explanation) -> Beside:
        found = trust(model, explanation, seed)
        return Beside([f"{found.verdict}.", *[found.figures] * found.measurable], {"trust": found.as_json()})

    return beside


@as_hinted
def trust(model: AnyModel, explanation: Explanation, seed: int = 0) -> Trust:
    """Measure how far the map of an explanation can be trusted.

    The pixels that the map points at are taken away, or are all that is given, and the model is asked again, up to 254
    times. docs/explaining.md says more.

    Args:
        model: The model that the explanation explains.
        explanation: The explanation, from ``explain``.
        seed: The seed of the noise.

    Returns:
        The measures of the map, beside those of noise and of the image's middle, and a verdict.

    Raises:
        ImageError: The image cannot be read any more.
        ModelError: There is no model.
        UsageError: What is given is no explanation.
    """
    if not isinstance(explanation, Explanation):
        raise UsageError(f"cnncli.trust takes what cnncli.explain returned, not {type(explanation).__name__}; write "
                         "cnncli.trust(model, cnncli.explain(model, image)).")
    opened = open_model(model).model
    source, preprocessing = explanation.source, opened.preprocessing
    pixels = preprocessing.prepare(source) if isinstance(source, str) else source.prepared(preprocessing)
    image = preprocessing.normalise(pixels[None])[0]
    score = _scoring(opened, opened.classes.index(explanation.target))
    size = preprocessing.size
    rng = np.random.default_rng(seed)
    own = on_image(explanation.values, explanation.grid, preprocessing, size)
    maps = {"map": own, "noise": rng.random(size), "middle": middle(size)}
    blank, whole = score(np.stack([np.zeros_like(image), image])).tolist()
    return Trust(explanation.path, explanation.target, whole, blank,
                 **{name: measure(score, image, values, seed) for name, values in maps.items()})


def measure(score: Score, image: Array, values: Array, seed: int) -> Measured:
    """Measure a map (h, w) on an image (h, w, c) as the network gets it."""
    order = falling(values, seed)
    curves = {"deletion": score(changed(image, np.zeros_like(image), order)),
              "insertion": score(changed(blurred(image), image, order)),
              **{name: score(imputed(image, _first(taken, image.shape[:2]), seed))
                 for name, taken in (("lerf", order[::-1]), ("morf", order))}}
    return Measured(area(curves["deletion"]), area(curves["insertion"]),
                    float(curves["lerf"].mean() - curves["morf"].mean()) / 2, curves)


def falling(values: Array, seed: int) -> Array:
    """Return the numbers of a map's positions, the strongest first; equals in an order that is drawn."""
    drawn = np.random.default_rng([seed, 1]).permutation(values.size)
    order: Array = np.lexsort((drawn, -values.ravel()))
    return order


def changed(before: Array, after: Array, order: Array) -> Array:
    """Return before (h, w, c) with none, some more each time, and all of its pixels, in that order, as after has them:
    (n, h, w, c)."""
    steps = min(STEPS, before.shape[0])
    ranks = np.empty(order.size, np.int64)
    ranks[order] = np.arange(order.size)
    counts = np.round(np.linspace(0, order.size, steps + 1))
    done = ranks.reshape(before.shape[:2]) < counts[:, None, None]
    images: Array = np.where(done[..., None], after, before)
    return images


def _first(order: Array, size: tuple[int, ...]) -> Array:
    """Return which pixels are the first of an order, bool (n, h, w), for each of SHARES; never all of them."""
    ranks = np.empty(order.size, np.int64)
    ranks[order] = np.arange(order.size)
    counts = np.minimum(np.round(np.array(SHARES) * order.size), order.size - 1)
    first: Array = ranks.reshape(size) < counts[:, None, None]
    return first


def area(curve: Array) -> float:
    """Return the area under a curve over [0, 1], by trapezia."""
    return float((curve.sum() - (curve[0] + curve[-1]) / 2) / (len(curve) - 1))


def middle(size: tuple[int, int]) -> Array:
    """Return a Gaussian round the middle of an image of this (height, width), with a quarter of each side as sigma."""
    rows, columns = (np.exp(-(((2 * np.arange(side) + 1 - side) / (2 * side)) ** 2) / (2 * 0.25**2)) for side in size)
    return np.outer(rows, columns)


def blurred(image: Array) -> Array:
    """Return an image (h, w, c) under a Gaussian of 11 x 11; beyond its border is the mean colour, 0."""
    offsets = np.arange(BLUR_SIDE) - BLUR_SIDE // 2
    weights = np.exp(-(offsets**2) / (2 * BLUR_SIGMA**2))
    weights /= weights.sum()
    found = image.astype(np.float64)
    for axis in (0, 1):
        wide = np.pad(found, [(BLUR_SIDE // 2,) * 2 if a == axis else (0, 0) for a in range(3)])
        side = found.shape[axis]
        found = sum(w * wide.take(range(i, i + side), axis) for i, w in enumerate(weights))
    return found.astype(np.float32)


def _scoring(model: Model, target: int) -> Score:
    return lambda images: model.probabilities_of(
        model.network.forward(np.ascontiguousarray(images, np.float32)))[:, target]
