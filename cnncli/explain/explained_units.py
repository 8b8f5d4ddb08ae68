"""What each channel of a layer looks for, as ``cnn explain --units`` has it: found in images (units.py), made from
noise (pleasing.py), cut to what the channel sees, and put together. unit_sheet.py draws it.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.finding import Picture, find_images, image_files
from ..data.folder import scan_labelled
from ..data.splits import Sample
from ..errors import DataError, UsageError, printable
from ..evaluation.held_out import choose
from ..kernels import Array
from ..model import Model
from ..network import Network
from ..network.analysis import receptive_field
from ..runs.opened import AnyModel, Opened, open_model
from .look import Look
from .pleasing import STEPS, pleasing
from .units import COUNT, Item, Progress, Top, Window, projections, top_patches, way_back, weights_to_classes, window

MOST = 64  # channels that are shown where nobody says which
CLASSES = 3  # named of each channel
_STOPPED = "Stopped: what has been found by now is drawn; Ctrl-C again ends it at once."
_OUTSIDE = 128  # the grey of what lies outside of an image
Note = Callable[[str], None]


@dataclass(frozen=True)
class Unit:
    """A channel of a layer: the parts of images that excite it most, the strongest first, and what of them it answers
    to; an image made to please it; and the classes that it speaks for most, with how much.

    values are what it yields for the images at paths. windows are the parts of the prepared images that it sees there,
    patches their pixels, uint8 (h, w, c), answers float32 alike. made is the same part of an image that was made, for
    which it yields made_value.
    """

    channel: int
    values: list[float]
    paths: list[str]
    windows: list[Window]
    patches: list[Array] = field(repr=False)
    answers: list[Array] = field(repr=False)
    made: Array = field(repr=False)
    made_value: float
    classes: list[tuple[str, float]]

    @property
    def silent(self) -> bool:
        """Whether it yields 0 for every image: an activation that lets nothing through."""
        return bool(self.values) and self.values[0] == 0

    def as_json(self) -> dict[str, Any]:
        """Return what ``cnn explain --units --json`` prints of it."""
        top = [{"image": path, "value": value, "window": [seen.top, seen.left, seen.bottom, seen.right]}
               for path, value, seen in zip(self.paths, self.values, self.windows, strict=True)]
        return {"channel": self.channel, "top": top, "made": self.made_value,
                "classes": [{"name": name, "by": by} for name, by in self.classes]}


@dataclass(frozen=True)
class ExplainedUnits:
    """A layer's channels explained, of so many that it has. sees is (height, width) of what a position sees, None where
    it is all of the image; images how many were looked at, of how many given; answered whether classes are the model's
    answers and nobody's labels; back how it was found what channels
    answer to, "deconvnet" or "guided"; by_weights whether the classes are known from the weights of the last layer;
    wanted how many channels were to be explained, steps in how many steps of STEPS images were made to please them."""

    name: str
    layer: str
    channels: int
    sees: tuple[int, int] | None
    images: int
    given: int
    answered: bool
    back: str
    by_weights: bool
    units: list[Unit]
    skipped: list[tuple[str, str]]
    wanted: int
    steps: int = STEPS

    @property
    def stopped(self) -> str | None:
        """After what somebody ended it, None where nobody did."""
        if self.images + len(self.skipped) < self.given:
            return f"after {self.images:,} of {self.given:,} images"
        if self.steps < STEPS:
            return f"after {self.steps} of {STEPS} steps of making images"
        return f"after {len(self.units)} of {self.wanted} filters" if len(self.units) < self.wanted else None

    @property
    def file(self) -> str:
        """What its sheet is called."""
        return sheet_name(self.layer)

    def as_json(self) -> dict[str, Any]:
        """Return what ``cnn explain --units --json`` prints."""
        return {"layer": self.layer, "channels": self.channels, "sees": self.sees, "images": self.images,
                "labels": "the model's answers" if self.answered else "given",
                "answers_by": self.back, "classes_by": "weights" if self.by_weights else "means",
                "units": [unit.as_json() for unit in self.units]}


def sheet_name(layer: str) -> str:
    """Return what the file of a layer's sheet is called."""
    return f"units-{layer}.png"


def layer_and_channels(network: Network, named: str) -> tuple[str, list[int] | None]:
    """Return the layer and the channels of "conv2", "conv2:5" or "conv2:0-7,12"; None where none are named. Raises
    NetworkError with the nearest name, UsageError for channels that there are not."""
    layer, colon, numbers = named.partition(":")
    count = network.node(layer).shape[-1]
    if not colon:
        return layer, None
    found: list[int] = []
    for part in numbers.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or not (last or first).isdecimal() or int(first) > int(last or first):
            raise UsageError(f"{printable(named)!r} names no channels; as in {layer}:5 or {layer}:0-7,12.")
        found += range(int(first), max(int(first), min(int(last or first), count)) + 1)
    return layer, _checked(found, layer, count)


def _checked(channels: Iterable[int], layer: str, count: int) -> list[int]:
    found = list(dict.fromkeys(map(int, channels)))
    if strange := [each for each in found if not 0 <= each < count]:
        raise UsageError(f"layer {layer} has no channel {strange[0]}; its channels are 0 to {count - 1}.")
    return found


def explain_units(model: AnyModel, layer: str, data: Any = None, channels: Iterable[int] | None = None,
                  count: int | None = None, seed: int = 0, progress: Progress | None = None,
                  note: Note = lambda sentence: None) -> ExplainedUnits:
    """Say what a layer's channels look for, the first 64 where none are named: the images of data that excite each
    most, 9 or as many as count says, what it answers to in them, an image made to please it, and the classes that it
    speaks for.

    data is a folder with a folder for each class, other images (``Model.predict``'s) or (images, labels); by default
    the images held out of the run's training. progress(what, done, total) is told of each step, note gets sentences.
    KeyboardInterrupt ends it with what has been found so far; a second one is raised. Raises NetworkError for a layer
    that there is not, UsageError and DataError for images that cannot be used.
    """
    opened = open_model(model)
    network, told = opened.model.network, progress or (lambda what, done, total: None)
    depth = network.node(layer).shape[-1]
    chosen = np.array(list(range(min(depth, MOST))) if channels is None else _checked(channels, layer, depth))
    items, labels = labelled(opened, data, note)
    found = top_patches(opened.model, items, [layer], count or COUNT, labels, told, note)
    top, look = found.tops[layer], Look(network, layer)
    seen, positions = receptive_field(network)[layer], len(look.shape) == 3
    size = opened.model.preprocessing.size
    if found.stopped:
        note(_STOPPED)
    made = pleasing(look, opened.model.preprocessing, chosen, steps=0 if found.stopped else STEPS, seed=seed,
                    told=lambda done, steps: told("making an image to please each filter", done, steps))
    if made.steps < STEPS and not found.stopped:
        note(_STOPPED)
    weights = weights_to_classes(network, layer)
    spoken = top.by_class() if weights is None else weights
    units: list[Unit] = []
    try:
        for i, (channel, parts) in enumerate(zip(chosen.tolist(), _parts(opened.model, look, top, chosen, items, told),
                                                 strict=True)):
            windows = [window(seen, place, size, positions) for place in top.places[channel, parts.slots].tolist()]
            units.append(Unit(
                channel, top.values[channel, parts.slots].tolist(), [_path(items[n]) for n in parts.numbers], windows,
                [each.cut(pixels, _OUTSIDE) for each, pixels in zip(windows, parts.pixels, strict=True)],
                [each.cut(answer, 0) for each, answer in zip(windows, parts.answers, strict=True)],
                window(seen, made.place, size, positions).cut(made.pixels[i], _OUTSIDE), float(made.values[i]),
                _most(opened.model, spoken[:, channel])))
    except KeyboardInterrupt:
        if not units or made.steps < STEPS:  # nothing to keep, or asked to stop before
            raise
        note(_STOPPED)
    whole = not positions or seen.whole or all(s >= own for s, own in zip(seen.size, size, strict=True))
    sees = (min(seen.size[0], size[0]), min(seen.size[1], size[1]))
    return ExplainedUnits(opened.name, layer, depth, None if whole else sees, found.seen, found.given,
                          found.answered, way_back(look), weights is not None, units, found.skipped, len(chosen),
                          made.steps)


def _most(model: Model, spoken: Array) -> list[tuple[str, float]]:
    """Return the classes that a channel speaks for most, with how much; none where it speaks for none."""
    order = np.argsort(-spoken, kind="stable")[:CLASSES].tolist()
    return [(model.classes[i], float(spoken[i])) for i in order if spoken[i] > 0]


@dataclass(frozen=True)
class _Parts:
    """Of one channel: which of its top images could be read again, their numbers, pixels, and what it answers to."""

    slots: list[int]
    numbers: list[int]
    pixels: list[Array]
    answers: list[Array]


def _parts(model: Model, look: Look, top: Top, channels: Array, items: Sequence[Item], told: Progress
           ) -> Iterable[_Parts]:
    wanted = sorted({int(n) for n in top.images[channels].ravel() if n >= 0})
    again = (image for batch in model.prepared([items[n] for n in wanted]) for image in batch)
    pixels = {n: image for n, (_, image) in zip(wanted, again, strict=True) if not isinstance(image, str)}
    for i, channel in enumerate(channels.tolist()):
        slots = [j for j, n in enumerate(top.images[channel].tolist()) if n in pixels]
        numbers = top.images[channel, slots].tolist()
        images = [pixels[n] for n in numbers]
        answers = projections(look, model.preprocessing.normalise(np.stack(images)), np.full(len(slots), channel),
                              top.places[channel, slots]) if slots else ()
        told("asking each filter what it answers to", i + 1, len(channels))
        yield _Parts(slots, numbers, images, list(answers))


def _path(item: Item) -> str:
    return item if isinstance(item, str) else item.path


# ---- which images ----


def data_named(names: Sequence[str], listing: bytes = b"") -> Any:
    """Return what ``explain_units`` takes as data for the names on a command line: None for none, a folder for one
    folder, else the images that are meant, as find_images has them."""
    if not names:
        return None
    return names[0] if len(names) == 1 and os.path.isdir(names[0]) else find_images(names, listing)


def labelled(opened: Opened, data: Any, note: Note) -> tuple[list[Item], list[int] | None]:
    """Return the images to look at and their classes' numbers, None where nobody says them: those held out of the run's
    training where data is None; a folder's, by its class folders; else what image_files makes of data, or a pair
    (images, labels)."""
    if data is None:
        return _of_samples(choose(opened, None, None, note, remedy="cnn explain --units LAYER DATA")[0])
    if isinstance(data, str | os.PathLike) and Path(data).is_dir():
        try:
            samples, notes = scan_labelled(data, opened.model.classes)
        except (DataError, UsageError):  # no class folders, or other classes'
            note(f"{printable(data)} has no folders called like the model's classes: its answers stand for labels.")
        else:
            for sentence in notes:
                note(sentence)
            return _of_samples(samples)
    if isinstance(data, tuple) and len(data) == 2:
        from ..data import scan_labelled as scan_arrays

        return _of_samples(scan_arrays(data, opened.model.classes)[0])
    items: list[Item] = [*image_files(data)]
    if not items:
        raise DataError("there is no image to look at; give a folder, or images.")
    return items, None


def _of_samples(samples: Sequence[Sample]) -> tuple[list[Item], list[int]]:
    items: list[Item] = [s.path if s.pixels is None else Picture(s.path, s.pixels) for s in samples]
    return items, [sample.label for sample in samples]
