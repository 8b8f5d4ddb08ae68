"""The pictures that go with a page: some that the model has right, some that it has wrong, some it is unsure of."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, ImageError, UsageError, printable
from ..explain.explained_units import labelled
from ..explain.units import Item
from ..kernels import Array
from ..model import Model
from ..model.preparing import skipped as left_out
from ..report.pictures import data_uri
from ..runs.opened import Opened
from .drawn import drawing
from .rendering import Sample

MOST = 12  # pictures; a third of them right, wrong, and unsure
LOOKED_AT = 200  # images, spread evenly over all


@dataclass(frozen=True)
class _Judged:
    """A picture, prepared, with what the model says; label is None where nobody knows it."""

    path: str
    pixels: Array
    label: int | None
    answer: int
    probability: float


@dataclass(frozen=True)
class Pictures:
    """The pictures that are shown, how others are drawn (drawn.py), what could not be read: (path, why), and all that
    were looked at, with their classes' numbers where these are known."""

    shown: tuple[Sample, ...] = ()
    drawing: dict[str, Any] | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    items: tuple[Item, ...] = ()
    labels: tuple[int, ...] | None = None


def pictures(opened: Opened, data: Any, note: Callable[[str], None]) -> Pictures:
    """Return pictures out of data, what ``cnncli.explain_units`` takes; of None, the images held out of the run's
    training: of a model that is in no run none, and none of a run whose images are gone, which note hears."""
    if data == () or (data is None and opened.run is None):
        return Pictures()
    try:
        items, labels = labelled(opened, data, note, remedy="cnn page DATA")
    except UsageError as error:
        if data is not None:
            raise
        note(f"The page gets no pictures: {error}")
        return Pictures()
    every = np.unique(np.linspace(0, len(items) - 1, min(LOOKED_AT, len(items))).round().astype(int)).tolist()
    skipped = list[tuple[str, str]]()
    items, labels = [items[i] for i in every], None if labels is None else [labels[i] for i in every]
    judged = _judged(opened.model, items, labels, skipped)
    if skipped and not judged:
        path, reason = skipped[0]
        raise DataError(reason) if reason.endswith(".") else ImageError(path, reason)
    shown = [_sample(one, opened.model.classes) for one in _chosen(judged)]
    return Pictures(tuple(shown), drawing([one.pixels for one in judged]), tuple(skipped), tuple(items),
                    None if labels is None else tuple(labels))


def _judged(model: Model, items: Sequence[Item], labels: Sequence[int] | None, skipped: list[tuple[str, str]]
            ) -> list[_Judged]:
    found, number = list[_Judged](), 0
    for batch in model.prepared(items):
        skipped += left_out(batch)
        good = [(path, pixels, number + i) for i, (path, pixels) in enumerate(batch) if not isinstance(pixels, str)]
        number += len(batch)
        if not good:
            continue
        chances = model.probabilities(np.stack([pixels for _, pixels, _ in good]))
        for (path, pixels, i), row in zip(good, chances, strict=True):
            label = None if labels is None else labels[i]
            found.append(_Judged(path, pixels, label, int(row.argmax()), float(row.max())))
    return found


def _chosen(judged: Sequence[_Judged]) -> list[_Judged]:
    """Return right answers of several classes, the surest first; then the surest wrong ones; then what is unsure. Where
    labels are not known, every answer counts as right."""
    sure = sorted(judged, key=lambda one: -one.probability)
    right = [one for one in sure if one.label in (None, one.answer)]
    first = {one.answer: one for one in reversed(right)}  # the surest of each class
    several = sorted(first.values(), key=lambda one: -one.probability)
    wrong = [one for one in sure if one.label not in (None, one.answer)]
    third = MOST // 3
    chosen = several[: third + max(0, third - len(wrong))] + wrong[:third]
    unsure = [one for one in reversed(sure) if not any(one is other for other in chosen)]
    return chosen + unsure[: MOST - len(chosen)]


def _sample(one: _Judged, classes: Sequence[str]) -> Sample:
    named = printable(os.path.basename(one.path))
    words = named if one.label is None else printable(classes[one.label])
    side = max(one.pixels.shape)  # a PNG file, whatever its size: the very bytes
    wrong = one.label is not None and one.label != one.answer
    return Sample(data_uri(one.pixels, side, side), named, words, printable(classes[one.answer]) if wrong else "",
                  one.label is not None)
