"""Whether a method explains the network or only draws the image again: its maps before and after the network's layers
are drawn anew, from the last one down, each with all behind it (Adebayo et al. 2018, the "model parameter randomisation
test"). A network that has learnt nothing gives no answer worth explaining; a method whose maps stay alike does not look
at what was learnt.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.depth import Seen, doubts
from ..data.finding import Images, Missing, Picture, image_files
from ..data.images import forgiven_in_words
from ..errors import DataError, UsageError
from ..kernels import Array
from ..model import Model
from ..network import Network
from ..plain import in_plain_json
from ..runs.opened import AnyModel, open_model
from ..values import as_hinted
from .explanation import DEFAULT, Note, chosen_layer, chosen_method
from .look import Look
from .methods import METHODS, Asked, Method, MethodName

IMAGES = 24  # that are looked at, of however many
STAGES = 8  # how often the maps are made again: layers between are drawn anew without a look
_OTHER = 0x9E3779B97F4A7C15  # added to the seed: that of the training would bring its first weights back
ALIKE = 0.5  # a mean correlation from which maps are called alike


@dataclass(frozen=True)
class Stage:
    """One stage of a sanity test.

    Attributes:
        layer: The layer that was drawn again at random, with all behind it.
        correlation: How alike the maps are then to those before: the mean over the images of Spearman's correlation of
            the maps without their signs, -1 to 1.
    """

    layer: str
    correlation: float


@dataclass(frozen=True)
class Sanity:
    """What a sanity test found about a method.

    Attributes:
        method: The method.
        title: Its name for people.
        layer: The layer on whose positions the maps lie. None for methods that explain pixels.
        image_count: How many images were used.
        stages: The stages, from the network's end to its beginning.
        skipped: (path, reason) of each image that could not be used.
    """

    method: str
    title: str
    layer: str | None
    image_count: int
    stages: list[Stage]
    skipped: list[tuple[str, str]]

    @property
    def alike(self) -> float:
        """The mean correlation over the stages: 1 if the maps never change, 0 if nothing is left of them."""
        return float(np.mean([stage.correlation for stage in self.stages]))

    @property
    def passes(self) -> bool:
        """Whether the maps depend on what was learnt.

        The mean correlation over the stages and that of the last stage, where nothing learnt is left, must both be
        below 0.5.
        """
        return self.alike < ALIKE and self.stages[-1].correlation < ALIKE

    @property
    def verdict(self) -> str:
        """What that means, in a sentence without its full stop."""
        if self.passes and not METHODS[self.method].evidence:
            return (f"{self.title}: the maps change with what the network has learnt. That alone does not make them "
                    "evidence for a class, and they are none")
        if self.passes:
            return f"{self.title} depends on what the network has learnt: its maps change with it"
        return (f"{self.title} gives similar maps when the weights are random: they come from the image more than from "
                "what was learnt, and are no evidence for an answer")

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what ``cnn explain --sanity --json`` prints of it."""
        return {"method": self.method, "layer": self.layer, "images": self.image_count, "alike": self.alike,
                "passes": self.passes, "verdict": self.verdict,
                "stages": [{"layer": stage.layer, "correlation": stage.correlation} for stage in self.stages]}


@as_hinted
def sanity(model: AnyModel, images: Images, method: MethodName = DEFAULT, layer: str | None = None, seed: int = 0,
           note: Note | None = None) -> Sanity:
    """Test whether a method explains what the network has learnt, or only draws the image again.

    The layers of a copy of the network are drawn again at random, from the last one on, and the maps are compared with
    those before (Adebayo et al. 2018). The model is not changed.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        images: The images, as ``explanations`` takes them; 24 of them at most are used.
        method: The method: "hirescam", "gradcam", "gradcamplusplus", "layercam", "finercam", "scorecam" (at a layer),
            "gradient", "smoothgrad", "integrated", "guided", "deconvnet", "occlusion" or "rise" (of pixels).
        layer: The layer whose positions are asked. None: the last one with positions.
        seed: The seed of the random weights.
        note: Is called with sentences on the images, as in ``explanations``. None: nobody is told.

    Returns:
        The correlations, stage by stage, and a verdict.

    Raises:
        UsageError: There is no such method, the layer has no positions, or the network has no weights.
        NetworkError: There is no such layer.
        DataError: None of the images can be used.
        ModelError: There is no model.
    """
    opened = open_model(model).model
    way = chosen_method(method)
    name = chosen_layer(opened.network, layer, way)
    pixels, skipped = _pixels(opened, images, note or (lambda sentence: None))
    inputs = opened.preprocessing.normalise(pixels)
    copy = copied(opened)
    targets = copy.network.forward(inputs).argmax(axis=1)
    before = _maps(copy, way, name, inputs, targets, seed)
    stages = []
    for stage in _drawn_anew(copy.network, seed):
        after = _maps(copy, way, name, inputs, targets, seed)
        stages.append(Stage(stage, float(np.mean([spearman(np.abs(a), np.abs(b))
                                                  for a, b in zip(before, after, strict=True)]))))
    if not stages:
        raise UsageError("the network has no layer with weights that could be drawn anew; use another model.")
    return Sanity(way.name, way.title, name if way.on == "layer" else None, len(pixels), stages, skipped)


def copied(model: Model) -> Model:
    """Return a model whose network has numbers of its own, the same."""
    network = Network.from_config(model.network.config())
    for ours, theirs in ((network.parameters(), model.network.parameters()),
                         (network.buffers(), model.network.buffers())):
        for key, array in ours.items():
            array[...] = theirs[key]
    copy = Model(network, model.classes, model.preprocessing, calibration=model.calibration)
    network.exact = model.network.exact
    return copy


def spearman(one: Array, other: Array) -> float:
    """Return Spearman's correlation of two arrays of one shape: Pearson's of their ranks, equals sharing one; 0 where
    one of them has the same value everywhere, and so says nothing."""
    ranks = [_ranks(each.ravel()) for each in (one, other)]
    deviations = [each - each.mean() for each in ranks]
    spread = float(np.sqrt((deviations[0] ** 2).sum() * (deviations[1] ** 2).sum()))
    return float((deviations[0] * deviations[1]).sum() / spread) if spread else 0.0


def _ranks(values: Array) -> Array:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: Array = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return middle


def _drawn_anew(network: Network, seed: int) -> Iterator[str]:
    """Draw layers anew, from the last to the first, and yield at most STAGES times: the name of the layer with weights
    that the network is drawn anew from. Norms go with what they follow."""
    nodes = network.nodes
    firsts = [i for i, node in enumerate(nodes) if any(array.ndim > 1 for array in node.layer.params.values())][::-1]
    looked_at = {firsts[i] for i in np.linspace(0, len(firsts) - 1, min(STAGES, len(firsts))).round().astype(int)}
    done = len(nodes)
    for first in firsts:
        for node in nodes[first:done]:
            network.initialise((seed + _OTHER) % 2**64, only=node.name)
        done = first
        if first in looked_at:
            yield nodes[first].name


def _maps(model: Model, way: Method, layer: str, images: Array, targets: Array, seed: int) -> Array:
    return way.compute(Asked(model, Look(model.network, layer), images, targets, seed)).maps


def _pixels(model: Model, images: Images, note: Note) -> tuple[Array, list[tuple[str, str]]]:
    """Return some of the images, uint8 (n, h, w, c) of the model's size, and those that cannot be used, with why."""
    every = image_files(images)
    chosen: list[str | Missing | Picture] = [
        every[i] for i in sorted({*np.linspace(0, len(every) - 1, min(IMAGES, len(every))).round().astype(int)})]
    good, skipped = list[Array](), list[tuple[str, str]]()
    forgiven, seen = dict[str, str](), Seen()
    for batch in model.prepared(chosen, forgiven, seen):
        for path, pixels in batch:
            if isinstance(pixels, str):
                skipped.append((path, pixels))
            else:
                good.append(pixels)
    for sentence in [*forgiven_in_words(list(forgiven.items())), *doubts(seen, model.preprocessing.scales)]:
        note(sentence)
    if not good:
        raise DataError(skipped[0][1] if len(skipped) == 1 else "none of the images can be used; give others.")
    return np.stack(good), skipped
