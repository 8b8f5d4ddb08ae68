"""What each channel of a layer looks for, as ``cnn explain --units`` has it: found in images (units.py), made from
noise (pleasing.py), cut to what the channel sees, and put together. unit_sheet.py draws it, report/unit_page.py makes
a page of it.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import scan_labelled
from ..data.files import is_folder
from ..data.finding import Picture, find_images, image_files
from ..data.splits import Sample
from ..errors import DataError, UsageError, printable
from ..evaluation.held_out import choose
from ..kernels import Array
from ..model import Model
from ..network.analysis import receptive_field
from ..plain import in_plain_json
from ..runs.opened import AnyModel, Opened, open_model
from ..values import as_hinted
from .look import Look
from .named_channels import checked
from .pleasing import STEPS, pleasing
from .units import (
    COUNT,
    Item,
    Pass,
    Progress,
    Top,
    Window,
    activation_behind,
    projections,
    top_patches,
    way_back,
    weights_to_classes,
    window,
)

MOST = 256  # channels that are explained where nobody says which
CLASSES = 3  # named of each channel
_AT_ONCE, _FLOATS = 64, 2**19  # channels that are worked on together, and the numbers that their made images may have
_RECTIFIERS = ("relu", "relu6")  # activations that let nothing below 0 through
FEW = 2  # times as many images as are shown of each filter: fewer say little
STOPPED = "Stopped: what has been found by now is drawn; Ctrl-C again ends it at once."
_OUTSIDE = 128  # the grey of what lies outside of an image
Note = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Unit:
    """One channel of a layer, explained.

    Attributes:
        channel: The channel's number, from 0.
        values: Its strongest numbers, the largest first, one per image.
        paths: The images that they are from.
        windows: The parts of the prepared images that it sees there.
        patches: The pixels of these parts, uint8 (h, w, c).
        answers: What it answers to in them, float32 (h, w, c).
        made: An image that was made to excite it, cut to the same part. None if the search was stopped before.
        made_value: Its number for that image. None if made is None.
        classes: (class, how much) of the classes that it speaks for most.
    """

    channel: int
    values: list[float]
    paths: list[str]
    windows: list[Window]
    patches: list[Array] = field(repr=False)
    answers: list[NDArray[np.float32]] = field(repr=False)
    made: Array | None = field(repr=False)
    made_value: float | None
    classes: list[tuple[str, float]]

    def without_pictures(self) -> "Unit":
        """Return it without pictures, which takes little memory."""
        return replace(self, patches=[], answers=[], made=None)

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what ``cnn explain --units --json`` prints of it."""
        top = [{"image": path, "value": value, "window": [seen.top, seen.left, seen.bottom, seen.right]}
               for path, value, seen in zip(self.paths, self.values, self.windows, strict=True)]
        return {"channel": self.channel, "top": top, "made": self.made_value,
                "classes": [{"name": name, "by": by} for name, by in self.classes]}


@dataclass(frozen=True, eq=False)
class ExplainedUnits:
    """The channels of a layer, explained.

    Attributes:
        name: The name of the run, or of the model's file.
        layer: The layer.
        kind: The layer's type: "Conv2d", say.
        activation: The activation through which alone the layer reaches the rest of the network. None if there is none.
        rectified: Whether that activation lets nothing below 0 through.
        channels: How many channels the layer has.
        wanted: How many of them are explained.
        telling: Whether these were chosen because they tell the classes apart most.
        size: The (height, width) of the prepared images.
        sees: The (height, width) in pixels that one position depends on. None if it is the whole image.
        image_count: How many images were searched.
        given: How many images there were.
        answered: Whether the classes are the model's answers, because the images have no labels.
        back: How it was found what channels answer to: "deconvnet" or "guided".
        by_weights: Whether classes are known from the last layer's weights.
        names: The classes that the channels stand for, if it is the network's last layer; else empty.
        skipped: (path, reason) of each image that could not be used.
        units: The channels.
    """

    name: str
    layer: str
    kind: str
    activation: str | None
    rectified: bool
    channels: int
    wanted: int
    telling: bool
    size: tuple[int, int]
    sees: tuple[int, int] | None
    image_count: int
    given: int
    answered: bool
    back: str
    by_weights: bool
    names: list[str]
    skipped: list[tuple[str, str]]
    units: list[Unit]

    @property
    def stopped(self) -> str | None:
        """How far the search had come when Ctrl-C ended it, in words. None if it was not ended."""
        if self.searched_in_part:
            return f"after {self.image_count:,} of {self.given:,} images"
        done = sum(unit.made_value is not None for unit in self.units)
        return f"after {done:,} of {self.wanted:,} filters" if done < self.wanted else None

    @property
    def searched_in_part(self) -> bool:
        """Whether Ctrl-C ended the search before all images were seen."""
        return self.image_count + len(self.skipped) < self.given

    @property
    def before_activation(self) -> str | None:
        """A sentence for layers whose numbers pass an activation first. None for others."""
        if self.activation is None:
            return None
        what = (f"Only those above 0 pass {self.activation} and reach the rest of the network" if self.rectified else
                f"The rest of the network gets what {self.activation} makes of them")
        return (f"These are the numbers of {self.layer} before its activation. {what}. To see that: cnn explain "
                f"--units {self.activation}")

    @property
    def others(self) -> str | None:
        """A sentence that says how to see the channels that are not explained here. None if all are."""
        if self.wanted == self.channels:
            return None
        which = f"; these are the {self.wanted} that tell the classes apart most" if self.telling else ""
        return (f"{self.layer} has {self.channels:,} filters{which}. To see all of them: cnn explain --units "
                f"{self.layer}:0-{self.channels - 1}")

    def is_dead(self, unit: Unit) -> bool:
        """Return whether none of the images excites a channel, so that nothing of it passes the activation.

        Args:
            unit: The channel.
        """
        return bool(unit.values) and (unit.values[0] == 0 or (self.rectified and unit.values[0] < 0))

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what ``cnn explain --units --json`` prints of a layer."""
        return {"layer": self.layer, "type": self.kind, "activation": self.activation, "channels": self.channels,
                "sees": self.sees, "images": self.image_count,
                "labels": "the model's answers" if self.answered else "given",
                "answers_by": self.back, "classes_by": "weights" if self.by_weights else "means",
                "units": [{**unit.as_json(), "dead": self.is_dead(unit)} for unit in self.units]}


@as_hinted
def explain_units(model: AnyModel, layer: str, data: Any = None, channels: Iterable[int] | None = None,
                  count: int | None = None, seed: int = 0, progress: Progress | None = None,
                  note: Note | None = None) -> ExplainedUnits:
    """Explain what the channels of a layer look for.

    For each channel: the parts of images that excite it most, what it answers to in them, an image made to excite it,
    and the classes that it speaks for. Ctrl-C ends the search with what has been found so far; a second one is raised.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        layer: The name of the layer.
        data: A folder with one sub-folder per class, other images as ``predict`` takes them, or (images, labels). None:
            the images held out of the run's training.
        channels: The channels, numbers from 0. None: all up to 256; if there are more, the 256 that tell the classes
            apart most.
        count: How many images each channel gets. None: 9.
        seed: The seed of the images that are made.
        progress: Is called with (what, done, total). None: nobody is told.
        note: Is called with sentences that the user should know. None: nobody is told.

    Returns:
        The channels, with all their pictures in memory.

    Raises:
        NetworkError: There is no such layer.
        UsageError: There is no such channel, or it is not clear which images are meant.
        DataError: The images cannot be used.
        ModelError: There is no model.
    """
    note = note or (lambda sentence: None)
    searched = search(model, {layer: channels}, data, count, progress, note)
    found, each = units_one_by_one(searched, layer, channels, seed, progress, note)
    return replace(found, units=list(each))


@dataclass(frozen=True)
class Searched:
    """A model, images, and which of them excite the channels of some layers most."""

    opened: Opened
    items: list[Item]
    found: Pass


def search(model: AnyModel, layers: Mapping[str, Iterable[int] | None], data: Any = None, count: int | None = None,
           progress: Progress | None = None, note: Note = lambda sentence: None) -> Searched:
    """Look for what excites the channels of layers most, of all layers in one pass, as ``explain_units`` has it."""
    opened = open_model(model)
    for layer, channels in layers.items():
        checked(channels or (), layer, opened.model.network.node(layer).shape[-1])
    items, labels = labelled(opened, data, note)
    searched = Searched(opened, items, top_patches(opened.model, items, list(layers), count or COUNT, labels, progress,
                                                   note))
    if searched.found.stopped:
        note(STOPPED)
    elif (seen := searched.found.seen) < FEW * (count or COUNT):
        note(f"{min(count or COUNT, seen)} of only {seen:,} images are shown for each filter. That says little about "
             "what it looks for. Give more images.")
    return searched


def units_one_by_one(searched: Searched, layer: str, channels: Iterable[int] | None = None, seed: int = 0,
                     progress: Progress | None = None, note: Note = lambda sentence: None
                     ) -> tuple[ExplainedUnits, Iterator[Unit]]:
    """Return what ``explain_units`` does of a layer that was searched for, without the units, and these one after the
    other, few at a time in memory. KeyboardInterrupt, while something is found out about some of them, ends the
    iterator with those; it is raised where the search was ended so."""
    model = searched.opened.model
    network, told = model.network, progress or (lambda what, done, total: None)
    top, look = searched.found.tops[layer], Look(network, layer)
    chosen = np.array(_most_telling(top) if channels is None else checked(channels, layer, look.shape[-1]))
    weights = weights_to_classes(network, layer)
    found = _described(searched, look, len(chosen), channels is None, weights is not None)
    for sentence in filter(None, [found.before_activation, found.others if found.telling else None]):
        note(sentence)
    spoken = top.by_class() if weights is None else weights
    return found, _units(model, look, top, chosen, searched.items, spoken, seed, told, searched.found.stopped, note)


def _most_telling(top: Top) -> list[int]:
    """Return the channels to explain where none are named: all, or of very many those that tell the classes apart most,
    these first."""
    if len(top.values) <= MOST:
        return list(range(len(top.values)))
    order: list[int] = np.argsort(-top.by_class().max(axis=0), kind="stable").tolist()
    return order[:MOST]


def _described(searched: Searched, look: Look, wanted: int, by_default: bool, by_weights: bool) -> ExplainedUnits:
    network, size, done = look.network, searched.opened.model.preprocessing.size, searched.found
    names = searched.opened.model.classes if look.layer == network.nodes[-1].name else ()
    seen, behind = receptive_field(network)[look.layer], activation_behind(network, look.layer)
    whole = len(look.shape) != 3 or seen.whole or all(s >= own for s, own in zip(seen.size, size, strict=True))
    sees = None if whole else (min(seen.size[0], size[0]), min(seen.size[1], size[1]))
    return ExplainedUnits(
        name=searched.opened.name, layer=look.layer, kind=type(network.node(look.layer).layer).__name__,
        activation=behind.name if behind else None,
        rectified=behind is not None and behind.layer.function in _RECTIFIERS, channels=look.shape[-1], wanted=wanted,
        telling=by_default and wanted < look.shape[-1], size=size, sees=sees, image_count=done.seen,
        given=done.given, answered=done.answered, back=way_back(look), by_weights=by_weights, names=[*names],
        skipped=done.skipped, units=[])


def _units(model: Model, look: Look, top: Top, chosen: Array, items: Sequence[Item], spoken: Array, seed: int,
           told: Progress, stopped: bool, note: Note) -> Iterator[Unit]:
    """Yield what is known of each chosen channel. Some are worked on together; memory holds no more of their images."""
    positions, size = len(look.shape) == 3, model.preprocessing.size
    seen = receptive_field(look.network)[look.layer]
    at_once = max(1, min(_AT_ONCE, _FLOATS // (size[0] * size[1] * model.preprocessing.channels)))
    for start in range(0, len(chosen), at_once):
        some = chosen[start : start + at_once]

        def tell(done: int, steps: int, start: int = start, some: Array = some) -> None:
            told(f"making pictures for each filter of {look.layer}", start + len(some) * done // steps, len(chosen))

        parts, made = list[_Parts](), None
        try:
            for part in _parts(model, look, top, some, items):
                parts.append(part)
            made = None if stopped else pleasing(look, model.preprocessing, some, seed=seed, told=tell)
        except KeyboardInterrupt:
            if stopped or not (parts or start):
                raise
        ends = not stopped and (made is None or made.steps < STEPS)
        if ends:
            made = None
            note(STOPPED)
        for i, (channel, part) in enumerate(zip(some.tolist(), parts, strict=False)):
            windows = [window(seen, place, size, positions) for place in top.places[channel, part.slots].tolist()]
            yield Unit(
                channel, top.values[channel, part.slots].tolist(), [_path(items[n]) for n in part.numbers], windows,
                [each.cut(pixels, _OUTSIDE) for each, pixels in zip(windows, part.pixels, strict=True)],
                [each.cut(answer, 0) for each, answer in zip(windows, part.answers, strict=True)],
                window(seen, made.place, size, positions).cut(made.pixels[i], _OUTSIDE) if made else None,
                float(made.values[i]) if made else None, _most(model, spoken[:, channel]))
        if ends:
            return


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


def _parts(model: Model, look: Look, top: Top, channels: Array, items: Sequence[Item]) -> Iterator[_Parts]:
    wanted = sorted({int(n) for n in top.images[channels].ravel() if n >= 0})
    again = (image for batch in model.prepared([items[n] for n in wanted]) for image in batch)
    pixels = {n: image for n, (_, image) in zip(wanted, again, strict=True) if not isinstance(image, str)}
    for channel in channels.tolist():
        slots = [j for j, n in enumerate(top.images[channel].tolist()) if n in pixels]
        numbers = top.images[channel, slots].tolist()
        images = [pixels[n] for n in numbers]
        answers = projections(look, model.preprocessing.normalise(np.stack(images)), np.full(len(slots), channel),
                              top.places[channel, slots]) if slots else ()
        yield _Parts(slots, numbers, images, list(answers))


def _path(item: Item) -> str:
    return item if isinstance(item, str) else item.path


# ---- which images ----


def data_named(names: Sequence[str], listing: bytes = b"") -> Any:
    """Return what ``explain_units`` takes as data for the names on a command line: None for none, a folder for one
    folder, else the images that are meant, as find_images has them."""
    if not names:
        return None
    return names[0] if len(names) == 1 and is_folder(names[0]) else find_images(names, listing)


def labelled(opened: Opened, data: Any, note: Note, remedy: str = "cnn explain --units LAYER DATA"
             ) -> tuple[list[Item], list[int] | None]:
    """Return the images to look at and their classes' numbers, None where nobody says them: those held out of the run's
    training where data is None; a folder's, by its class folders; else what image_files makes of data, or a pair
    (images, labels)."""
    if data is None:
        return _of_samples(choose(opened, None, None, note, remedy=remedy)[0])
    if isinstance(data, str | os.PathLike) and is_folder(data):
        try:
            samples, notes = scan_labelled(data, opened.model.classes)
        except (DataError, UsageError):  # no class folders, or other classes'
            note(f"{printable(data)} has no folders called like the model's classes: its answers stand for labels.")
        else:
            for sentence in notes:
                note(sentence)
            return _of_samples(samples)
    if isinstance(data, tuple) and len(data) == 2:
        return _of_samples(scan_labelled(data, opened.model.classes)[0])
    items: list[Item] = [*image_files(data)]
    if not items:
        raise DataError("there are no images; give a folder, or images.")
    return items, None


def _of_samples(samples: Sequence[Sample]) -> tuple[list[Item], list[int]]:
    items: list[Item] = [s.path if s.pixels is None else Picture(s.path, s.pixels) for s in samples]
    return items, [sample.label for sample in samples]
