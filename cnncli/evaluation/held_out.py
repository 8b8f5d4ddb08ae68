"""Which images a model is judged on: those held out of its training, divided as the training divided them, or those of
another folder. Also which images it was trained on, for comparison. runs/samples.py knows which images a run has seen;
evaluate.py uses the result.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, NamedTuple

from ..data import Data, Images, Sample, Splits, folder_of, load_images, name_of, scan_part
from ..data.depth import doubts
from ..data.files import is_folder
from ..data.images import Cache, check_memory
from ..data.labels import Labels
from ..data.sources import Arrays
from ..data.splits import Split
from ..errors import DataError, UsageError, printable, quoted
from ..kernels import Array, threads
from ..ranks.current import world
from ..runs import CONFIG, samples
from ..runs.opened import Opened
from . import grouped
from .subject import Subject

Note = Callable[[str], None]
Progress = Callable[[str, int, int], None]  # what is being done, how many are done, of how many


class NoImages(DataError):
    """The images that a model was trained on have no such part."""


@dataclass(frozen=True)
class Labelled:
    """Images to judge a model on; their labels are the numbers of its classes. training has the samples that it was
    trained on (empty if they are not at hand). seen says which of the images it was trained on, bool (n,); None if not
    known. learnt has the names of the groups that it was trained on. subject says which images they are.
    """

    images: Images
    training: list[Sample]
    seen: Array | None
    subject: Subject
    learnt: frozenset[str] = frozenset()


class _Chosen(NamedTuple):
    """The samples to judge, those that the model was trained on, and which images the first are."""

    samples: list[Sample]
    training: list[Sample]
    subject: Subject


def labelled_images(opened: Opened, data: Data | None, split: Split | None, strict: bool = False,
                    note: Note = lambda sentence: None, progress: Progress | None = None,
                    labels: Labels | None = None, remedy: str = "cnn test DATA") -> Labelled:
    """Return the images that ``evaluate`` means by data (a folder or arrays), split and labels, decoded and labelled.
    strict raises the first ImageError. Raises UsageError or DataError if it is not clear which images are meant, or
    there are none; remedy is the command that messages advise.
    """
    if data is None or isinstance(data, str | os.PathLike):
        folder = None if data is None else os.fspath(data)
        chosen, training, subject = _choose(opened, folder, split, note, labels, remedy)
    elif labels is not None:
        raise UsageError("a table of labels cannot be given together with arrays; give arrays with their labels, as "
                         "(images, labels).")
    else:
        chosen, training, subject = _of_arrays(opened, data, split, note, remedy)
    images = _load(chosen, opened, strict, note, progress)
    seen = samples.seen_among(opened.model, images, training)
    if seen is not None and seen.any():
        note(_seen_note(int(seen.sum()), len(images), printable(opened.name)))
    learnt = _learnt(opened, images.samples, training, seen, note)
    if subject.data is None and not subject.own:
        subject = replace(subject, mark=_mark(images))
    return Labelled(images, training, seen, subject, learnt)


def _mark(images: Images) -> str:
    """Return a hash of images and their labels."""
    return blake2b(images.marks.tobytes() + images.labels.tobytes(), digest_size=4).hexdigest()


def subject_of(opened: Opened, data: str | os.PathLike[str] | None, split: Split | None, labels: Labels | None = None
               ) -> Subject:
    """Return which images ``evaluate`` means by a folder, split and labels, before any is read. Raises as
    ``labelled_images``."""
    if data is None and labels is None and opened.run:  # the folders need not be looked through
        return Subject(samples.data_folder(opened.run), split or "test", own=True)
    return _choose(opened, None if data is None else os.fspath(data), split, lambda sentence: None, labels).subject


def _learnt(opened: Opened, tested: Sequence[Sample], training: Sequence[Sample], seen: Array | None, note: Note
            ) -> frozenset[str]:
    """Return the groups that the model was trained on; say if images tested are in these, or in none that is known."""
    groups = samples.groups_of(opened.run)
    at_hand = frozenset(sample.group for sample in training if sample.group is not None)
    learnt = at_hand or samples.groups_learnt(opened.run)
    if warning := grouped.also_learnt(tested, seen, learnt):
        note(f"Warning: {warning}")
    if groups and all(sample.group is None for sample in tested):
        note("The groups that the model was trained with are not known for the images tested." if groups.pattern is None
             else f"--group-by {quoted(groups.pattern)}, which the model was trained with, finds no group in the paths "
                  "of the images tested.")
    return learnt


def _seen_note(seen: int, images: int, name: str) -> str:
    if seen == images:
        every = f"All {images:,} images tested are" if images > 1 else "The image tested is"
        return f"{every} among those that {name} was trained on: this says little about others."
    return (f"{seen:,} of the {images:,} images tested {'is' if seen == 1 else 'are'} among those that {name} was "
            "trained on. The accuracy on the others says more about new images.")


def choose(opened: Opened, data: str | None, split: Split | None, note: Note, labels: Labels | None = None,
           remedy: str = "cnn test DATA") -> tuple[list[Sample], list[Sample]]:
    """Return the samples to judge, and those that the model was trained on. remedy is the command that messages advise.
    """
    return _choose(opened, data, split, note, labels, remedy)[:2]


def _choose(opened: Opened, data: str | None, split: Split | None, note: Note, labels: Labels | None = None,
            remedy: str = "cnn test DATA") -> _Chosen:
    trained_on = samples.data_now(opened.run)
    if data is None and labels is not None:
        raise UsageError(f"a table of labels needs the folder that its paths are in: {remedy} --labels FILE.csv")
    if data is None:
        if opened.run and trained_on is None:
            if opened.run.config.get("data", "") is not None:  # edited, or damaged
                raise UsageError(f"{printable(opened.run.path / CONFIG)} does not say where the images of the training "
                                 f"are; name them: {remedy}")
            raise UsageError(f"{printable(opened.name)} was trained on arrays in memory; give them again, or other "
                             "images with labels.")
        if opened.run is None or trained_on is None:
            raise UsageError(f"{printable(opened.path)} lies in no run's folder, so it is not known where its images "
                             f"are; name them: {remedy}")
        if not is_folder(trained_on):
            raise UsageError(f"the images that {printable(opened.name)} was trained on are no longer in "
                             f"{printable(trained_on)}; name their folder: {remedy}")
        if trained_on != samples.data_folder(opened.run):
            note(f"The images that {printable(opened.name)} was trained on lie in {printable(trained_on)} by now.")
        splits = samples.splits_in(opened.run, trained_on)
        if splits is None:
            raise UsageError(f"{printable(trained_on)} holds other images by now than {printable(opened.name)} was "
                             f"trained on; name the folder to use: {remedy}")
        return _held_out(opened, trained_on, splits, split or "test", note, remedy)
    splits = samples.splits_in(opened.run, data) if opened.run and labels is None else None
    if splits is not None:
        return _held_out(opened, data, splits, split or "test", note, remedy)
    why = {} if opened.run else {"why": _loose(opened)}
    within = labels and labels.within(data)
    chosen, notes, part = scan_part(data, opened.model.classes, split, within, samples.groups_elsewhere(opened.run),
                                    **why)
    for sentence in notes:
        note(sentence)
    return _Chosen(chosen, _at_hand(opened, trained_on),
                   Subject(folder_of(data), part, own=False, labels=within.fingerprint() if within else None))


def _of_arrays(opened: Opened, data: Arrays, split: str | None, note: Note, remedy: str) -> _Chosen:
    """Return the samples to judge, and those that the model was trained on. Of the arrays that the model was trained
    on, it is a split; of other arrays that split, if they have splits, or all of them.
    """
    trained_on = samples.data_folder(opened.run)
    splits = None
    if opened.run and trained_on is None:
        with suppress(DataError, UsageError):  # what cannot be trained on is not what it was trained on
            splits = samples.of_run(opened.run, data)
    if opened.run and splits and not samples.have_changed(opened.run, splits):
        return _split_of(splits, opened, data, split or "test", remedy)
    if split is not None:
        if not isinstance(data, Mapping) or split not in data:
            why = "are not those that the model was trained on" if opened.run else _loose(opened)
            raise UsageError(f"the arrays have no {split} images, and {why}; leave the split out to test on all of "
                             "them.")
        data = {split: data[split]}
    chosen, notes, part = scan_part(data, opened.model.classes)
    for sentence in notes:
        note(sentence)
    return _Chosen(chosen, _at_hand(opened, trained_on), Subject(None, part, own=False))


def _loose(opened: Opened) -> str:
    """Return why it is not known how the images of a model without a run were divided."""
    return f"{printable(opened.path)} lies in no run's folder, so its split is not known"


def _at_hand(opened: Opened, trained_on: str | None) -> list[Sample]:
    """Return the images that the model was trained on; none if they are not there any more."""
    if opened.run is None or trained_on is None or not is_folder(trained_on):
        return []
    with suppress(DataError, UsageError):
        splits = samples.splits_in(opened.run, trained_on)
        if splits is not None:
            return _relabelled(splits.train, splits, opened)
    return []


def _held_out(opened: Opened, data: str, splits: Splits, split: str, note: Note, remedy: str
              ) -> _Chosen:
    """Return a split of the folder that the model was trained on, and the training images."""
    assert opened.run is not None
    strange = [name for name in splits.classes if name not in opened.model.classes]
    if strange:
        raise DataError(f"{printable(data)} now has class folders that {printable(opened.name)} does not know "
                        f"({', '.join(map(printable, strange[:5]))}); move them away, or train again.")
    if samples.have_changed(opened.run, splits):
        maybe = "" if opened.model.seen is not None else (
            ": some of the images tested may be among those that it was trained on")
        note(f"{printable(data)} has changed since {printable(opened.name)} was trained{maybe}.")
    return _split_of(splits, opened, data, split, remedy)


def _split_of(splits: Splits, opened: Opened, data: Data, split: str, remedy: str) -> _Chosen:
    """Return a split of what the model was trained on, and the training images, labelled by the model's classes."""
    chosen: list[Sample] = getattr(splits, split)
    if not chosen:
        raise NoImages(f"{name_of(data)} has no {split} images; name a folder with images of the classes: {remedy}")
    total = len(splits.train) + len(splits.val) + len(splits.test)
    return _Chosen(_relabelled(chosen, splits, opened), _relabelled(splits.train, splits, opened),
                   Subject(folder_of(data), split, own=True, total=total))


def _relabelled(chosen: Sequence[Sample], splits: Splits, opened: Opened) -> list[Sample]:
    """Return samples of a folder's classes as samples of the model's classes with the same names."""
    numbers: dict[str, Any] = {name: label for label, name in enumerate(opened.model.classes)}
    names = splits.classes
    return [replace(sample, label=numbers[names[sample.label]]) for sample in chosen if names[sample.label] in numbers]


def _load(chosen: Sequence[Sample], opened: Opened, strict: bool, note: Note, progress: Progress | None) -> Images:
    """Decode the images, and keep them in memory if they fit. Raises DataError if none of them can be used."""
    preprocessing = opened.model.preprocessing
    cache: Cache = "ram"
    try:
        check_memory(len(chosen), preprocessing.shape)
    except DataError:
        cache = "none"
    if "none" in world().gathered(cache):  # too little memory in one place
        cache = "none"
    shown = (lambda done, total: progress("reading images", done, total)) if progress else None
    images = load_images(chosen, preprocessing, threads(), cache, strict, progress=shown, note=note,
                         world=world())
    for sentence in doubts(images.seen, preprocessing.scales):
        note(sentence)
    if not len(images):
        path, reason = images.skipped[0]
        raise DataError(f"none of the {len(chosen):,} images can be used; give others. The first: {printable(path)}: "
                        f"{reason}.")
    return images
