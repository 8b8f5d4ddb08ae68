"""Which images are explained where nobody names any: some of those held out of the model's training; and what is in
images as far as their folders tell, so that a wrong answer is explained as one."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256

from ..data.files import is_folder
from ..data.finding import Found, Images, Missing, Picture, find_images
from ..data.splits import Sample
from ..errors import DataError, UsageError, printable, told
from ..evaluation.held_out import Note, choose
from ..runs.opened import AnyModel, open_model

MOST = 24  # images of the run, where nobody says how many


def images_named(model: AnyModel, names: Sequence[str], listing: bytes = b"", count: int | None = None, seed: int = 0,
                 note: Note = lambda sentence: None) -> tuple[list[Found], dict[str, str]]:
    """Return the images that names on a command line mean, as find_images has them, and what is in them as far as that
    is known, by their paths; for no names those that ``held_out`` returns. Raises DataError for an empty listing."""
    if not names:
        return held_out(model, count, seed, note)
    if count is not None:
        raise UsageError("--top and images cannot be given together, because --top is for the images of the run; leave "
                         "one of them out.")
    found = find_images(names, listing, note)
    if not found:
        raise DataError("the list on standard input is empty; give at least one image.")
    return found, labels_by_folder(list(names), found, open_model(model).model.classes)


def held_out(model: AnyModel, count: int | None = None, seed: int = 0, note: Note = lambda sentence: None
             ) -> tuple[list[Found], dict[str, str]]:
    """Return the paths of some of the images held out of a model's training, 24 or as many as count says, of each class
    as many or all that it has, and what is in them: the name of a class by each path. The seed decides which, note is
    told how many of how many. Raises as ``cnn test`` where it is not known which these are, or there are none."""
    opened = open_model(model)
    every = choose(opened, None, None, note, remedy="cnn explain IMAGE")[0]
    chosen = evenly(every, count or MOST, seed)
    if len(chosen) < len(every):
        note(told(f"{len(chosen):,} of the {len(every):,} images held out of the training of {printable(opened.name)}, "
                  "of each class the same number, or all if it has fewer; --top says how many, --seed which."))
    return [sample.path for sample in chosen], {s.path: opened.model.classes[s.label] for s in chosen}


def evenly(samples: Collection[Sample], count: int, seed: int) -> list[Sample]:
    """Return so many samples in their order, of each class as many as there are or as can be: which, says the seed."""
    drawn = sorted(samples, key=lambda s: sha256(f"{seed}\0".encode() + os.fsencode(s.relative)).digest())
    before: Counter[int] = Counter()
    turns = {}
    for sample in drawn:
        turns[sample] = before[sample.label]
        before[sample.label] += 1
    chosen = {*sorted(drawn, key=lambda sample: turns[sample])[:count]}
    return [sample for sample in samples if sample in chosen]


def labels_by_folder(named: Images, images: Iterable[str | Missing | Picture], classes: Collection[str]
                     ) -> dict[str, str]:
    """Return what is in images as far as folders tell: the name of a class by the path of each file that lies in a
    folder called so. Of images under a folder that was named, the outermost such folder inside it counts, as for ``cnn
    test``, or else that folder itself; of other files, the one that they lie in."""
    names = [named] if isinstance(named, str | os.PathLike) else named if isinstance(named, list | tuple) else []
    roots = [os.path.abspath(name) for name in names if isinstance(name, str | os.PathLike) and is_folder(name)]
    known = set(classes)
    found = {}
    for image in images:
        if isinstance(image, str):
            folder = os.path.dirname(os.path.abspath(image))
            root = max((each for each in roots if f"{folder}{os.sep}".startswith(f"{each.rstrip(os.sep)}{os.sep}")),
                       key=len, default=folder)
            inside = os.path.relpath(folder, root).split(os.sep)  # "." is no class
            label = next((name for name in [*inside, os.path.basename(root)] if name in known), None)
            if label is not None:
                found[image] = label
    return found
