"""``cnncli.quantise``: a trained model in int8, in one call. It says what that costs on images that the model was not
trained on, and refuses if it costs more than was allowed. The images that choose (validation) are not those that judge
(test), where there are both.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data import Data, Images
from ..data.labels import Labels, labels_of
from ..errors import DataError, UsageError, printable, told
from ..evaluation import scores
from ..evaluation.held_out import Labelled, NoImages, labelled_images
from ..evaluation.scores import Evaluation
from ..kernels import Array, set_threads
from ..layers.int8 import ALL_BYTES, whole_weights
from ..model import Model
from ..model.calibration import calibrate, cross_entropy, expected_error, reliability
from ..model.int8_file import mark_of, real_weights
from ..network import Network
from ..network.int8_plan import Quantisation
from ..plain import in_plain_json
from ..runs.opened import AnyModel, Opened, open_model
from ..values import as_hinted
from .choosing import choose, ranked, without
from .folding import folded
from .observing import observe
from .ranges import WAYS

Note = Callable[[str], None]
Progress = Callable[[str, int, int], None]

MAX_DROP = 0.5  # points of accuracy
WATCHED, TRIED = 256, 1024  # validation images that ranges are chosen of, and that choices are tried on
_NAMED = 3  # layers in a refusal


@dataclass(frozen=True, eq=False)
class Quantised:
    """A quantised model, and what quantising it cost.

    Attributes:
        model: The quantised model.
        opened: The model that it was made of, with its file and its run.
        way: How the ranges of activations were chosen.
        floats: The names of the layers with weights that stay in float32.
        layers: How many layers have int8 weights.
        before: The scores of the model that it was made of, on held-out images.
        after: The scores of the quantised model, on the same images.
        part: Which images these are: "test", "val", or "half" of a folder that was given.
        chosen_by: How many validation images ranges and layers were chosen by.
        skipped: (path, reason) of the images that could not be used.
    """

    model: Model
    opened: Opened = field(repr=False)
    way: str
    floats: list[str]
    layers: int
    before: Evaluation = field(repr=False)
    after: Evaluation = field(repr=False)
    part: str
    chosen_by: int
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @property
    def drop(self) -> float:
        """How many points of accuracy were lost; below 0 if some were won."""
        return 100 * (self.before.accuracy - self.after.accuracy)

    @property
    def images(self) -> str:
        """Which images chose and which judged, in words."""
        if self.part == "half":
            return f"{self.chosen_by:,} chose the ranges, {self.before.image_count:,} others were tested"
        judged = f"{self.before.image_count:,} {'test' if self.part == 'test' else 'validation'} images were tested"
        return f"{self.chosen_by:,} validation images chose the ranges, {judged}"

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn quantize --json` prints."""
        return {"model": os.fspath(self.opened.path), "ranges": self.way, "float_layers": self.floats,
                "int8_layers": self.layers, "images": self.before.image_count, "part": self.part,
                "chosen_by": self.chosen_by, "drop": self.drop, "before": _figures(self.before),
                "after": _figures(self.after),
                "skipped": [{"path": path, "error": reason} for path, reason in self.skipped]}


def _figures(found: Evaluation) -> dict[str, float]:
    return {"accuracy": found.accuracy, "loss": found.loss,
            "calibration_error": expected_error(reliability(found.confidences, found.right))}


@as_hinted
def quantise(model: AnyModel = None, data: Data | None = None, *, max_drop: float = MAX_DROP, fall_back: bool = False,
             labels: str | os.PathLike[str] | Labels | None = None, threads: int | None = None,
             progress: Progress | None = None, note: Note | None = None) -> Quantised:
    """Quantise a trained model: int8 weights, and activations of one byte.

    Weights get a scale for each output channel, activations one for each tensor. Batch norms are put into the weights
    before them. Validation images choose the ranges of activations, and whether the first and the last layer stay in
    float32. What is lost is measured on the test images.

    Args:
        model: A Model, a model file, a run or its folder. None: the latest run's.
        data: A folder of images, or arrays, as ``evaluate`` takes them: every second image chooses, the others judge.
            None, or those that the model was trained on: the validation and the test images of its run.
        max_drop: How many points of accuracy may be lost. A single image is never too many.
        fall_back: True leaves the layers that lose most in float32, until no more is lost than that.
        labels: A CSV file with the labels of images in data that lie in no class folders, as ``evaluate`` takes it.
            None: the folders are the classes.
        threads: How many threads to use, in the whole process. None: one for each CPU, or what was set before.
        progress: Is called with (what, done, total). What it raises ends the work. None: nobody is told.
        note: Is called with sentences that the user should know. None: nobody is told.

    Returns:
        The quantised model, with accuracy and calibration before and after. ``model.save`` writes it.

    Raises:
        UsageError: The model is quantised already, or more is lost than max_drop.
        DataError: There are no images to choose by, or none can be used.
        ModelError: There is no model, or its file cannot be trusted.

    Example::

        found = cnncli.quantise("runs/latest")
        print(found.before.accuracy, found.after.accuracy)
        found.model.save("small.safetensors")
    """
    if not max_drop >= 0:
        raise UsageError(f"--max-drop must be a number of points of at least 0, not {max_drop:g}.")
    opened = open_model(model)
    if opened.model.network.quantisation:
        raise UsageError(f"{printable(opened.path)} is quantised already; quantise the model that it was made of.")
    if threads is not None:
        set_threads(threads)
    tell = (lambda sentence: note(told(sentence))) if note else (lambda sentence: None)
    chosen_by, judged, part = _images(opened, data, labels_of(labels), tell, progress)
    return _Work(opened, chosen_by, progress).quantised(judged, part, max_drop, fall_back)


class _Part:
    """Some rows of images, as scores.evaluate takes them."""

    def __init__(self, images: "Images | _Part", rows: Array) -> None:
        self._images, self._rows = images, rows
        self.labels: Array = images.labels[rows]
        self.skipped: list[tuple[str, str]] = images.skipped

    def pixels(self, indices: Array) -> Array:
        return self._images.pixels(self._rows[indices])

    def in_order(self, at_once: int) -> Iterator[Array]:
        for start in range(0, len(self._rows), at_once):
            yield self.pixels(np.arange(start, min(start + at_once, len(self._rows))))


def _spread(images: Images | _Part, most: int) -> _Part:
    """Return so many of the images, evenly spaced: a folder's lie class by class, and the first are of few classes."""
    count = len(images.labels)
    return _Part(images, np.arange(min(most, count)) * count // max(min(most, count), 1))


def _images(opened: Opened, data: Data | None, labels: Labels | None, note: Note, progress: Progress | None
            ) -> tuple[Images | _Part, Images | _Part, str]:
    """Return the images that choose, those that judge, and what part of the folder the latter are."""
    def of(split: Any, tell: Note = note) -> Labelled | None:
        with suppress(NoImages):
            return labelled_images(opened, data, split, False, tell, progress, labels, "cnn quantize DATA")
        return None

    tested, notes = of(None), list[str]()  # which speak of the images tested
    if tested is not None and not tested.subject.own:
        return _halved(tested.images)
    chosen_by = of("val", notes.append)
    if tested and chosen_by:
        return chosen_by.images, tested.images, "test"
    if tested:
        note("There are no validation images, so every second test image chooses, and the others judge.")
        return _halved(tested.images)
    if not chosen_by:
        raise NoImages(f"{printable(opened.name)} has neither validation nor test images; name a folder with images of "
                       "the classes: cnn quantize DATA")
    for sentence in notes:
        note(sentence)
    note("There are no test images, so that the validation images, which choose, are also those that judge.")
    return chosen_by.images, chosen_by.images, "val"


def _halved(images: Images) -> tuple[_Part, _Part, str]:
    """Return every second image, the others, and what part these are. Raises DataError if there is one only."""
    if len(images) < 2:
        raise DataError("there is one image only, but quantising needs some to choose by and some to judge; give more "
                        "images.")
    return _Part(images, np.arange(0, len(images), 2)), _Part(images, np.arange(1, len(images), 2)), "half"


class _Work:
    """The quantising of one model."""

    def __init__(self, opened: Opened, chosen_by: Images | _Part, progress: Progress | None) -> None:
        self.opened, self.model, self.progress = opened, opened.model.in_floats(), progress
        self.network = folded(self.model.network)
        self.images = _spread(chosen_by, TRIED)
        self.labels = self.images.labels
        self._doing, self._walks, self._done = "", 0, 0  # what is told of progress, as _begin has it
        if not len(self.labels):
            raise DataError("there is no image to choose ranges by; give a folder of images.")

    def quantised(self, judged: Images | _Part, part: str, max_drop: float, fall_back: bool) -> Quantised:
        """Return the result, or raise UsageError if too much is lost."""
        self._begin("watching activations", 2)
        found = observe(self.network, lambda: self._batches(WATCHED))
        self._begin("trying ranges", len(WAYS) + 2)
        best, way, floats = choose(self.network, found, self._pixels(), self._loss)
        before = self._scores(self.model, judged)
        model = self._with(best, way, floats)
        after = self._scores(model, judged)
        if _too_much(before, after, max_drop):
            self._begin("trying layers", len(best.scales) + 1)
            worst = [name for name, _ in ranked(best, self._loss)]
            if not fall_back:
                raise _refusal(before, after, max_drop, worst)
            while worst and _too_much(before, after, max_drop):
                floats.append(worst.pop(0))
                best = without(best, floats)
                model = self._with(best, way, floats)
                after = self._scores(model, judged)
            if _too_much(before, after, max_drop):
                raise _refusal(before, after, max_drop, [])
        skipped = list(dict.fromkeys([*self.images.skipped, *before.skipped]))
        return Quantised(model, self.opened, way, floats, len(best.scales), before, after, part,
                         len(self.labels), skipped)

    def _pixels(self) -> Array:
        """Return what the network may get for a pixel: all 256 bytes in each channel, normalised."""
        c = self.model.preprocessing.channels
        return self.model.preprocessing.normalise(np.repeat(ALL_BYTES, c).reshape(1, 16, 16, c))

    def _begin(self, what: str, walks: int) -> None:
        """Note what the next walks over images are for."""
        self._doing, self._walks, self._done = what, walks, 0

    def _batches(self, most: int) -> Iterator[Array]:
        """Walk over so many of the images that choose, normalised, and tell how far it has got."""
        images = _spread(self.images, most)
        total = len(images.labels) * self._walks
        for pixels in images.in_order(self.network.images_at_once()):
            yield self.model.preprocessing.normalise(np.ascontiguousarray(pixels))
            self._done += len(pixels)
            if self.progress:
                self.progress(self._doing, min(self._done, total), total)

    def _logits(self, quantisation: Quantisation) -> Array:
        self.network.quantisation = quantisation
        try:
            return np.concatenate([self.network.forward(images) for images in self._batches(TRIED)])
        finally:
            self.network.quantisation = None

    def _loss(self, quantisation: Quantisation) -> float:
        logits = self._logits(quantisation)
        labels = self.labels[: len(logits)]
        finite = np.isfinite(logits).all(axis=1)
        return cross_entropy(logits, labels) if finite.all() else float("inf")

    def _with(self, quantisation: Quantisation, way: str, floats: list[str]) -> Model:
        """Return the model with that quantisation: its weights are what the int8 numbers stand for."""
        network = Network.from_config(self.network.config())
        given = {**self.network.parameters(), **self.network.buffers()}
        for name, array in {**network.parameters(), **network.buffers()}.items():
            layer, _, part = name.rpartition(".")
            value, scales = given[name], quantisation.scales.get(layer)
            array[...] = (real_weights(whole_weights(value, scales), scales) if scales is not None and part == "weight"
                          else value)
        network.quantisation = quantisation
        self._begin("calibrating", 1)
        logits = self._logits(quantisation)
        training = {**self.model.training, "quantised": {
            "ranges": way, "float_layers": list(floats), "made_of": mark_of(self.model.network)}}
        result = Model(network, self.model.classes, self.model.preprocessing, training,
                       calibrate(logits, self.labels[: len(logits)]))
        result.seen, result.strangeness, result.flips = self.model.seen, self.model.strangeness, self.model.flips
        return result

    def _scores(self, model: Model, judged: Any) -> Evaluation:
        tell = self.progress
        step = (lambda done, total: tell("testing", done, total)) if tell else None
        return scores.evaluate(model, judged, progress=step)


def _too_much(before: Evaluation, after: Evaluation, max_drop: float) -> bool:
    lost = int(before.right.sum()) - int(after.right.sum())
    return lost > 1 and 100 * lost / before.image_count > max_drop


def _refusal(before: Evaluation, after: Evaluation, max_drop: float, worst: list[str]) -> UsageError:
    said = (f"quantised, the model is right for {after.accuracy:.2%} of {before.image_count:,} images, before for "
            f"{before.accuracy:.2%}, which is more than {max_drop:g} points less")
    if not worst:
        return UsageError(f"{said} even with all layers in float32; give a larger --max-drop.")
    return UsageError(f"{said}; it loses most in {', '.join(worst[:_NAMED])}: --fall-back leaves such layers in "
                      "float32, a larger --max-drop accepts the loss.")
