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
FAR = 0.5  # standard deviations of the training images' values: of a ground from their mean
MethodName = Literal["deconvnet", "finercam", "gradcam", "gradcamplusplus", "gradient", "guided", "hirescam",
                     "integrated", "layercam", "occlusion", "rise", "scorecam", "smoothgrad"]
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
    should add up to something, is by what part of that it misses, (n,). doubts, of methods whose maps can mislead for
    some images, says for each image why, or None."""

    maps: Array
    residual: Array | None = None
    doubts: list[str | None] | None = None


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
    shows: str = ""  # what a map marks, with {} for the class, if that is not what speaks for the class

    def about(self, target: str, against: str | None) -> str:
        """Return the title of a map of a class, or of a class rather than another."""
        if self.shows:
            return self.shows.format(target)
        return f"what speaks for {target}" if against is None else f"{target} rather than {against}"


def method(name: str, title: str, *, on: Literal["layer", "image"], says: str, paper: str, passes: str,
           evidence: bool = True, signed: bool = True, shows: str = "") -> Callable[[Compute], Compute]:
    """Enter a function under a name."""
    def enter(compute: Compute) -> Compute:
        METHODS[name] = Method(name, title, compute, on, evidence, says, paper, passes, signed, shows)
        return compute
    return enter


def plain_grounds(images: Array) -> list[str | None]:
    """Return for each image, float32 (n, h, w, c), why covering parts of it with the mean colour (0) can mislead: its
    border is mostly of one colour, far from the mean."""
    return [_on_ground(image.mean(axis=-1)) for image in images]


def _on_ground(grey: Array) -> str | None:
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    ground = float(np.median(border))
    if abs(ground) < FAR or (np.abs(border - ground) < FAR / 2).mean() < 0.5:
        return None
    return (f"The ground of this image is much {'darker' if ground < 0 else 'lighter'} than the grey that covers parts "
            "of it. There the grey is itself something new, so colour on the empty ground need not mean that the "
            "ground counts.")


def summed(values: Array) -> Array:
    """Return the sum over channels, float32 (n, rows, columns), added up in float64."""
    total: Array = values.sum(axis=-1, dtype=np.float64).astype(np.float32)
    return total
