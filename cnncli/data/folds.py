"""How cross-validation divides samples: everything that is not for the test is dealt into K parts. Each part is once
for validation while the others are for training. folder.py finds the samples; training/folds.py runs the trainings.
"""

from collections import Counter
from dataclasses import replace

from ..errors import DataError, UsageError, brief, printable, told
from .division import rank
from .splits import Sample, Splits, listed, small_classes_notes

MOST_FOLDS = 100


def check_fold(which: int, of: int) -> None:
    """Raise UsageError if there is no fold ``which`` of this many."""
    for number in (which, of):
        if isinstance(number, bool) or not isinstance(number, int):
            raise UsageError(f"the number of a fold must be a whole number, not {brief(number)}.")
    if not 2 <= of <= MOST_FOLDS:
        raise UsageError(f"the number of folds must be a whole number from 2 to {MOST_FOLDS}, not {of}.")
    if not 1 <= which <= of:
        raise UsageError(f"there is no fold {which} of {of}; give a number from 1 to {of}.")


def fold_of(splits: Splits, which: int, of: int, seed: int) -> Splits:
    """Return the splits with the samples of train and val divided anew: fold ``which`` (counted from 1) is val.

    Within each class the samples are ordered by the hash that also draws splits, a function of seed and path, and cut
    into ``of`` parts that differ by one image at most. The parts of one class begin where those of the class before
    end, so folds as a whole differ little, too. Test stays as it is, and groups stay together. Raises UsageError if
    there is no such fold, DataError if a class has only one image, which cannot be in both.
    """
    check_fold(which, of)
    fold = _fold(splits, which, of, seed)
    dealt = [f"{len(fold.train + fold.val):,} images are dealt into {of} folds, {splits.how}."] if splits.how else []
    others = [note for note in fold.notes if note not in splits.drawn]
    fold = replace(fold, notes=dealt + others + small_classes_notes(fold))
    if (images := len(fold.train + fold.val)) < of:  # of groups this is refused above
        fold.refusal = told(f"there are {images} images beside the test images, and {of} folds would leave some "
                            f"without any; give --folds {max(2, images)}.")
    return fold


def _fold(splits: Splits, which: int, of: int, seed: int) -> Splits:
    if any(sample.group is not None for sample in splits.train + splits.val):
        return _fold_of_groups(splits, which, of, seed)
    train, val = [], []
    notes, offset = list(splits.notes), 0
    of_class: list[list[Sample]] = [[] for _ in splits.classes]
    for sample in splits.train + splits.val:
        of_class[sample.label].append(sample)
    for name, members in zip(splits.classes, of_class, strict=True):
        if len(members) < 2:
            raise DataError(f"{printable(name)} has only one image beside the test images, and cross-validation needs "
                            "two of each class; add images of it.")
        if len(members) < of:
            notes.append(f"{printable(name)} has {len(members)} images for {of} folds; some folds have none of them "
                         "for validation, and their accuracy says nothing about this class.")
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


def _fold_of_groups(splits: Splits, which: int, of: int, seed: int) -> Splits:
    """Return the same if images of a group go to one fold; an image without a group counts as one. Groups are dealt
    from the largest on, each to the fold that has least of its classes so far.
    """
    samples = splits.train + splits.val
    groups: dict[tuple[bool, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.together, []).append(sample)
    sizes = {key: Counter(sample.label for sample in members) for key, members in groups.items()}
    total = Counter(sample.label for sample in samples)
    have, images = [Counter[int]() for _ in range(of)], [0] * of
    place: dict[tuple[bool, str], int] = {}
    for key in sorted(groups, key=lambda key: (-len(groups[key]), rank(seed, key[1]))):
        fold = min(range(of), key=lambda f: (sum(have[f][label] * n / total[label] for label, n in sizes[key].items()),
                                             images[f], f))
        place[key] = fold
        have[fold].update(sizes[key])
        images[fold] += len(groups[key])
    for label, name in enumerate(splits.classes):
        if any(counts[label] == total[label] for counts in have):
            raise DataError(f"the images of {printable(name)} form too few groups for training and validation; add "
                            "groups, or leave --group-by out.")
    if len(groups) < of:
        names = [key[1] for key in sorted({sample.together for sample in splits.test} - set(groups))]
        tested = "" if not names else (
            f", because {len(names)} of the {len(groups) + len(names)} groups {'is' if len(names) == 1 else 'are'} "
            f"held out for the test ({listed(names)})")
        raise DataError(f"there are {len(groups)} groups for {of} folds{tested}; give --folds {max(2, len(groups))}.")
    notes = [f"{printable(name)} is in the groups of {n} of the {of} folds; the others have none of it for validation, "
             "and their accuracy says nothing about this class." for label, name in enumerate(splits.classes)
             if (n := sum(label in counts for counts in have)) < of]
    held = {key for key, fold in place.items() if fold == which - 1}
    of_sample = {sample: key for key, members in groups.items() for sample in members}
    return replace(splits, train=[sample for sample in samples if of_sample[sample] not in held],
                   val=[sample for sample in samples if of_sample[sample] in held], notes=splits.notes + notes)
