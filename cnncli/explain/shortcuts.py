"""Whether a model goes by what only happens to be on the images of a class: a logo, a date, a frame. Where such a thing
might lie is asked three ways, and only pasting it into other classes' images proves it:

    stamps.py     what is the same, pixel for pixel, in nearly all images of the class
    moving.py     whether brightness, contrast or tint tell the class, and moving them turns others into it
    greying.py    where greying costs the class's answers most
    evidence.py   where the maps' evidence lies, of all its images and of each group of them
    pasting.py    the proof

shortcut_sheet.py draws what was found.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from ..data import load_images, scan_labelled
from ..data.files import is_folder
from ..data.splits import Sample, listed
from ..errors import DataError, UsageError, printable
from ..evaluation.held_out import choose
from ..kernels import Array
from ..model import Model
from ..plain import in_plain_json
from ..runs.opened import AnyModel, Opened, open_model
from ..values import as_hinted
from . import greying, moving, stamps
from .evidence import evident
from .explanation import class_number
from .greying import Greyed, greyed
from .moving import PROPERTIES, Moved, move
from .pasting import FIRST, PASSES, Known, Pasted, prove, turned
from .places import Place

IMAGES = 60  # of a class that are looked at
GREYED = 4  # of them that are greyed
_FEWEST = 3  # images of a class below which nothing is said of it
_PIXELS = 2**29  # bytes of images at once
_ERROR = 0.05  # chance of a false proof, over all places that are tried
_TURNED, _MORE, _LOST = 0.6, 0.25, 0.5  # of the images, for what is not the same in all images of a class
_ALIKE = 0.5  # of two places' union from which on they are one
_SHARES = 0.25  # of the smaller, where one of them is the same in all images
_REMEDY = "cnn explain --shortcuts DATA"
Note = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Shortcut:
    """A place in the images that was tried for a class.

    Attributes:
        label: The class.
        found_by: How the place was found: "stamp", "greying", "maps".
        own: In which part of the class's images the same lies there, 0 to 1. None if nothing is the same there.
        others: In which part of the other images the same lies there, 0 to 1. None if nothing is the same there.
        pasted: What pasting it into images of other classes did.
        proven: Whether the model decides by it.
    """

    label: str
    found_by: tuple[str, ...]
    own: float | None
    others: float | None
    pasted: Pasted
    proven: bool

    @property
    def place(self) -> Place:
        """Where it lies."""
        return self.pasted.place

    @property
    def sentence(self) -> str:
        """What was found, in a sentence."""
        did, name = self.pasted, printable(self.label)
        images = f"{did.tried} image{'s' * (did.tried != 1)} of other classes"
        alike = "" if self.own is None or self.others is None else (
            f" The same lies there in {self.own:.0%} of the images of {name} and in {self.others:.0%} of the others.")
        if not self.proven:
            return (f"{name}: what lies at {self.place.words} marks the class, but the model hardly goes by it: pasted "
                    f"into {images} it turns {did.turned} into {name}; a random patch turns {did.random}.{alike}")
        decides = 2 * did.turned >= did.tried
        odds = "" if decides else f", and makes the odds of {name} {_times(did.raised)} as high"
        does = "decides" if decides else "counts"
        return (f"{name}: what lies at {self.place.words} {does}: pasted into {images} it turns {did.turned} into "
                f"{name}{odds}; a random patch turns {did.random}.{alike}")

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return its numbers."""
        return {"class": self.label, "place": self.place.as_json(), "proven": self.proven,
                "found_by": list(self.found_by), "same_in_class": self.own, "same_in_others": self.others,
                **self.pasted.as_json(), "sentence": self.sentence}


@dataclass(frozen=True)
class Shortcuts:
    """What a search for shortcuts found.

    Attributes:
        name: The name of the run, or of the model's file.
        classes: The classes that were searched.
        image_count: How many images were used.
        passes: How many images the network has seen in the search.
        places: How many places stood out and were tried.
        found: The places that the model is proven to decide by.
        marks: The places that mark a class, but by which the model hardly decides.
        others: The places that were tried and are neither.
        moved: What changing brightness, contrast or tint did, by class.
        greyed: What greying parts of the images cost, by class.
        skipped: (path, reason) of each image that could not be used.
        known: The images, and what the model says of them.
    """

    name: str
    classes: list[str]
    image_count: int
    passes: int
    places: int
    found: list[Shortcut]
    marks: list[Shortcut]
    others: list[Shortcut]
    moved: list[Moved]
    greyed: dict[str, Greyed] = field(repr=False)
    skipped: list[tuple[str, str]] = field(repr=False)
    known: Known = field(repr=False)

    @property
    def named(self) -> list[Shortcut]:
        """The places that are named: those that are proven, and those that mark a class."""
        return [*self.found, *self.marks]

    @property
    def sentences(self) -> list[str]:
        """What was found, a sentence each."""
        return [each.sentence for each in self.named] + [each.sentence for each in self.moved] + self.notes

    @property
    def nothing(self) -> str:
        """The sentence for a search that found no place by which the model decides."""
        tried = f"{self.places:,} place{'s' * (self.places != 1)}"
        classes = f"{len(self.classes):,} class{'es' * (len(self.classes) != 1)}"
        return (f"No shortcut was found in the images of {classes}. Every place was greyed, and marks that all "
                f"images of a class share were looked for. What lies at {tried} that stood out was "
                "pasted into images of other classes, and did not change their answers as a shortcut would. "
                "Backgrounds, and what differs from one slide or camera to another, are not looked for.")

    @property
    def notes(self) -> list[str]:
        """The sentences that stand on a sheet above what was found."""
        return [] if self.found or any(each.proven for each in self.moved) else [self.nothing]

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what ``cnn explain --shortcuts --json`` prints."""
        return {"images": self.image_count, "classes": self.classes, "passes": self.passes, "places": self.places,
                "shortcuts": [each.as_json() for each in self.found], "marks": [each.as_json() for each in self.marks],
                "tried": [each.as_json() for each in self.others],
                "properties": [each.as_json() for each in self.moved],
                "greyed": {name: each.as_json() for name, each in self.greyed.items()}, "sentences": self.sentences}


@as_hinted
def shortcuts(model: AnyModel, data: Any = None, target: str | None = None, seed: int = 0,
              progress: Progress | None = None, note: Note | None = None) -> Shortcuts:
    """Look for shortcuts: a logo, a date, a frame or the brightness of the images, by which a model tells a class.

    Places that stand out are pasted into images of other classes; only what turns them into the class is proven.
    docs/explaining.md says more.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        data: A folder with one sub-folder per class, or (images, labels). None: the images of the run, those held out
            of its training first.
        target: The only class to search. None: every class.
        seed: The seed of what is drawn at random.
        progress: Is called with (what, done, total). None: nobody is told.
        note: Is called with sentences that the user should know. None: nobody is told.

    Returns:
        The places that were tried, and what is proven.

    Raises:
        UsageError: There is no such class.
        DataError: The images have no labels, are of one class, or are too few.
        ModelError: There is no model.
    """
    opened = open_model(model)
    about = None if target is None else class_number(opened.model, target)
    note = note or (lambda sentence: None)
    chosen = _some(_samples(opened, data, note), opened.model, seed)
    told = progress or (lambda what, done, total: None)
    images = load_images(chosen, opened.model.preprocessing, note=note,
                         progress=lambda done, total: told("reading images", done, total))
    labels, counts = images.labels, np.bincount(images.labels, minlength=len(opened.model.classes))
    if (counts > 0).sum() < 2:
        raise DataError("shortcuts are looked for by comparing classes; give images of two classes or more.")
    numbers = [int(i) for i in np.flatnonzero(counts >= _FEWEST) if about in (None, i)]
    if not numbers:
        which = f"of {printable(target)} " if target is not None else ""
        raise DataError(f"there are too few images {which}to look for shortcuts; give at least {_FEWEST} of each "
                        "class.")
    assert images.stored is not None
    search = _Search(opened.model, images.stored, labels, numbers, seed, told, note)
    return search.result(opened.name, images.skipped)


def _samples(opened: Opened, data: Any, note: Note) -> list[Sample]:
    """Return labelled images, those that the model was not trained on first."""
    if data is None:
        chosen, training = choose(opened, None, None, note, remedy=_REMEDY)
        return _both(chosen, training)
    if isinstance(data, str) or hasattr(data, "__fspath__"):
        folder = str(data)
        if not is_folder(folder):
            raise DataError(f"{printable(folder)} is no folder; give one that has a folder for each class.")
        try:
            chosen, training = choose(opened, folder, None, note, remedy=_REMEDY)
        except (DataError, UsageError):  # no class folders, or other classes'
            raise DataError(f"{printable(folder)} has no folders called like the model's classes "
                            f"({listed(opened.model.classes)}); give a folder that has them, because shortcuts are "
                            "looked for in images with labels.") from None
        inside = os.path.join(os.path.realpath(folder), "")
        return _both(chosen, [each for each in training if os.path.realpath(each.path).startswith(inside)])
    if isinstance(data, list):
        raise DataError("shortcuts are looked for in images with labels; give one folder that has a folder for each "
                        "class, or none, for the images of the run.")
    return scan_labelled(data, opened.model.classes)[0]


def _both(chosen: Sequence[Sample], training: Sequence[Sample]) -> list[Sample]:
    return [*{sample.path: sample for sample in [*chosen, *training]}.values()]


def _some(samples: Sequence[Sample], model: Model, seed: int) -> list[Sample]:
    """Return some of each class, the first before others."""
    most = int(max(2 * GREYED, min(IMAGES, _PIXELS // np.prod(model.preprocessing.shape) // len(model.classes))))
    taken = np.zeros(len(model.classes), np.int64)
    chosen = []
    for sample in samples:
        if taken[sample.label] < most:
            taken[sample.label] += 1
            chosen.append(sample)
    return chosen


@dataclass
class _Candidate:
    place: Place
    found_by: tuple[str, ...]
    stamp: stamps.Stamp | None = None
    donors: Array | None = None


class _Search:
    """One search: counts the passes, and tells how far it is."""

    def __init__(self, model: Model, pixels: Array, labels: Array, numbers: list[int], seed: int, told: Progress,
                 note: Note) -> None:
        self.model, self.numbers, self.seed, self._told = model, numbers, seed, told
        self.size = (pixels.shape[1], pixels.shape[2])
        most = sum(min(GREYED, int((labels == i).sum())) for i in numbers) * greying.PASSES
        note(f"Looking for shortcuts of {len(numbers):,} class{'es' * (len(numbers) != 1)} in {len(pixels):,} images: "
             f"{most + 2 * len(pixels):,} forward passes, and up to {PASSES:,} for each place that is tried.")
        self.passes = len(pixels)
        self.known = Known(pixels, labels, model.logits(pixels))
        self._small = stamps.shrunk(pixels)

    def result(self, name: str, skipped: list[tuple[str, str]]) -> Shortcuts:
        """Search, and put together what was found."""
        found_greyed = {i: self._greyed(i, each) for each, i in enumerate(self.numbers)}
        candidates = {i: self._candidates(i, found_greyed[i]) for i in self.numbers}
        count = sum(map(len, candidates.values()))
        z = NormalDist().inv_cdf(1 - _ERROR / max(count, 1))
        tried, done = list[Shortcut](), 0
        for i, each in candidates.items():
            for candidate in each:
                tried += self._tried(i, candidate, z)
                done += 1
                self._told("pasting into other classes", done, count)
        stamped = [each for each in tried if each.proven and each.own is not None]
        found = [each for each in tried if each.proven and (each.own is not None or not any(
            each.place.shares(one.place) >= _SHARES for one in stamped))]  # where one class has it, others lack it
        marks = [each for each in tried if not each.proven and each.own is not None]
        named = [*found, *marks]
        return Shortcuts(name, [self.model.classes[i] for i in self.numbers], len(self.known.pixels), self.passes,
                         count, sorted(found, key=lambda each: -each.pasted.turned), marks,
                         [each for each in tried if each not in named],
                         self._moved(),
                         {self.model.classes[i]: each for i, each in found_greyed.items()}, skipped, self.known)

    def _moved(self) -> list[Moved]:
        """Return the properties of whole images that tell a class, and what moving them does."""
        z, found = NormalDist().inv_cdf(1 - _ERROR / (len(PROPERTIES) * len(self.numbers))), list[Moved]()
        for i in self.numbers:
            found += move(self.model, self.known, i, self.seed, z)
        self.passes += len(found) * moving.PASSES
        return found

    def _own(self, label: int) -> Array:
        """Return the class's images, those first that the model gets right."""
        own = np.flatnonzero(self.known.labels == label)
        order: Array = own[np.argsort(self.known.answers[own] != label, kind="stable")]
        return order

    def _greyed(self, label: int, done: int) -> Greyed:
        own = self._own(label)[:GREYED]
        begun, total = done * greying.PASSES, len(self.numbers) * greying.PASSES
        counted = 0

        def told(images: int) -> None:
            nonlocal counted
            counted += 1
            self._told("greying places", begun + counted, total)

        self.passes += len(own) * greying.PASSES
        return greyed(self.model, self.known.pixels[own], label, told)

    def _candidates(self, label: int, found: Greyed) -> list[_Candidate]:
        """Return the places to try, those first that say most."""
        own, others = self.known.labels == label, self.known.labels != label
        result = list[_Candidate]()
        stamp = stamps.find(self._small[own], self._small[others], self.size)
        if stamp is not None:
            result.append(_Candidate(stamp.place, ("stamp",), stamp))
        elif some := stamps.find_some(self._small[own], self._small[others], self.size):
            result.append(_Candidate(some[0].place, ("stamp",), some[0], np.flatnonzero(own)[some[1]]))
        place, drop = found.worst(self.size)
        if drop > 0:
            result.append(_Candidate(place, ("greying",)))
        for members, evidence in evident(self.model, self.known.pixels[own], label, self.seed):
            numbers = np.flatnonzero(own)[list(members)]
            group = len(members) < own.sum()
            stamp = stamps.find(self._small[numbers], self._small[others], self.size) if group else None
            result.append(_Candidate(stamp.place if stamp else evidence, ("maps",), stamp, numbers if group else None))
        self.passes += int(own.sum())
        return _unified(result)

    def _tried(self, label: int, candidate: _Candidate, z: float) -> Iterable[Shortcut]:
        """Yield what pasting did, if the first few images make it worth while."""
        place, stamp = candidate.place, candidate.stamp
        if stamp is None:
            self.passes += FIRST
            first = turned(self.model, self.known, label, place, self.seed, donors=candidate.donors)
            if first < _TURNED / 2:
                return

        def told(passes: int) -> None:
            self.passes += passes

        did = prove(self.model, self.known, label, place, self.seed, z, told, candidate.donors)
        proven = did.more(z) > 0 or did.least > 1 if stamp else (
            did.turned >= _TURNED * did.tried and did.more(z) >= _MORE and did.lost >= _LOST * did.removed)
        yield Shortcut(self.model.classes[label], candidate.found_by, stamp.own if stamp else None,
                       stamp.others if stamp else None, did, bool(proven))


def _unified(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Return places of which no two are the same, the first of those that are, with how all were found."""
    kept = list[_Candidate]()
    for each in candidates:
        same = next((one for one in kept if one.place.overlap(each.place) >= _ALIKE or _inside(each.place, one.place)
                     or (one.stamp and each.stamp is None and one.place.shares(each.place) >= _SHARES)), None)
        if same is None:
            kept.append(each)
        else:
            same.found_by = tuple(dict.fromkeys([*same.found_by, *each.found_by]))
    return kept


def _inside(one: Place, other: Place) -> bool:
    """Whether the middle of one place lies in another."""
    row, column = (one.top + one.bottom) / 2, (one.left + one.right) / 2
    return other.top <= row < other.bottom and other.left <= column < other.right


def _times(factor: float) -> str:
    return f"{factor:.1f} times" if factor < 100 else "over 100 times"
