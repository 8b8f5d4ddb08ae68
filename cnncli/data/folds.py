"""Cross-validation's division of samples: everything that is not test is dealt out into K parts, each of which is
validated on once while the others are trained on. folder.py finds the samples; training/folds.py runs the trainings.
"""

from dataclasses import replace

from ..errors import DataError, UsageError, printable
from .splits import Sample, Splits, rank

MOST_FOLDS = 100


def check_fold(which: int, of: int) -> None:
    """Raise UsageError where there is no fold ``which`` of so many."""
    for number in (which, of):
        if isinstance(number, bool) or not isinstance(number, int):
            raise UsageError(f"folds are counted in whole numbers, not {number!r}.")
    if not 2 <= of <= MOST_FOLDS:
        raise UsageError(f"the number of folds must lie between 2 and {MOST_FOLDS}, not {of}.")
    if not 1 <= which <= of:
        raise UsageError(f"there is no fold {which} of {of}.")


def fold_of(splits: Splits, which: int, of: int, seed: int) -> Splits:
    """Return the splits with the samples of train and val divided anew: fold ``which`` (counted from 1) is val.

    Within each class they are ordered by the hash that also draws splits, a function of seed and path, and cut into
    ``of`` parts that differ by one image at most. The parts of one class begin where those of the class before end,
    so that folds differ little in all, too. Test stays as it is. Raises UsageError where ``which`` is none of them,
    DataError where a class has one image only, which cannot be both learnt and validated.
    """
    check_fold(which, of)
    train, val = [], []
    notes, offset = list(splits.notes), 0
    for label, name in enumerate(splits.classes):
        members = [sample for sample in splits.train + splits.val if sample.label == label]
        if len(members) < 2:
            raise DataError(f"{printable(name)} has one image beside the test images; cross-validation needs two or "
                            "more of each class.")
        if len(members) < of:
            notes.append(f"{printable(name)} has {len(members)} images for {of} folds: some of them validate without.")
        held = _part(members, (which - 1 - offset) % of, of, seed)
        offset += len(members)
        val += [sample for sample in members if sample in held]
        train += [sample for sample in members if sample not in held]
    return replace(splits, train=train, val=val, notes=notes)


def _part(members: list[Sample], number: int, of: int, seed: int) -> set[Sample]:
    """Return one part, counted from 0, of a class's samples; the first ones are the larger ones."""
    order = sorted(members, key=lambda sample: rank(seed, sample.relative))
    size, larger = divmod(len(order), of)
    start = number * size + min(number, larger)
    return set(order[start : start + size + (number < larger)])
