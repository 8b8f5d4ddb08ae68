"""Which images a run is trained, validated and tested on: its data, a folder or arrays, divided as its training does.
Whoever needs to know asks here: a new training (``scan_fold``), and of a run that is there (``of_run``) resuming,
evaluating, and checking a folder's labels. Images are known by what they are, not by where they lie: marks.py.
"""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeGuard

from ..data import Data, Images, Sample, Splits, fold_of, folder_of, load_images, scan
from ..data.division import groups_by_split, groups_in
from ..data.files import is_file, is_folder, size
from ..data.folder import survey
from ..data.groups import Groups
from ..data.images import free_memory
from ..data.labels import Labels
from ..data.marks import NONE, among, of_file, of_files
from ..data.splits import marks_of
from ..errors import DataError, UsageError, printable, quoted
from ..kernels import Array, threads
from ..model import Model
from . import marks
from .run import Run

_HELD = 256 << 20  # bytes of decoded images that are kept for whoever asks the model about them
_LOOKED_AT = 16  # images whose content is compared, to know a folder again

# The recipe fast holds nothing out for validation: every image is trained on, and the last epoch is the one to keep.
_FAST, _NOTHING_HELD_OUT = "fast", (0.9, 0.0, 0.1)


def fractions(recipe: str | None) -> tuple[float, float, float]:
    """Return how a folder's images are divided into training, validation and test where it does not say."""
    return _NOTHING_HELD_OUT if recipe == _FAST else (0.8, 0.1, 0.1)


def scan_fold(data: Data, seed: int, fold: Sequence[int] | None, exclude: Collection[str] = (),
              recipe: str | None = None, labels: Labels | None = None, groups: Groups | None = None) -> Splits:
    """Return the splits of data without the images to exclude, as the recipe of that name has them, divided
    anew where one fold of a cross-validation is meant. labels and groups are those that ``division`` returned. Raises
    DataError if groups leave no images for validation or test, and no fold is meant."""
    splits = _scan(data, seed, fold, exclude, recipe, labels, groups)
    if splits.refusal:
        raise DataError(splits.refusal)
    splits.notes += groups_by_split(splits)
    return splits


def _scan(data: Data, seed: int, fold: Sequence[int] | None, exclude: Collection[str], recipe: str | None,
          labels: Labels | None, groups: Groups | None) -> Splits:
    """Return what ``scan_fold`` does, also of a run that would not be begun any more."""
    splits = scan(data, fractions(recipe), seed=seed, exclude=exclude, labels=labels, groups=groups)
    return fold_of(splits, fold[0], fold[1], seed) if fold else splits


def division(splits: Splits, labels: Labels | None, groups: Groups | None) -> dict[str, Any]:
    """Return what config.json says, beside its recipe, of how images were labelled and divided; {} where the data
    folder says it."""
    config: dict[str, Any] = {}
    if labels is not None:
        config["labels"] = labels.config()
    if groups is not None:
        every = splits.train + splits.val + splits.test
        config["groups"] = groups.as_found({s.relative: s.group for s in every if s.group is not None}).config()
        config["groups_by_split"] = {split: len(names) for split, names in groups_in(splits).items()}
    return config


def excluded(config: Mapping[str, Any]) -> list[str]:
    """Return the paths inside the data folder that a run's config says were left out."""
    names = config.get("excluded")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def fingerprint(splits: Splits) -> dict[str, Any]:
    """Return how many samples each split has, and a hash of relative paths, labels and sizes of the files to learn from
    and to validate on; of images in memory, of their pixels."""
    digest = hashlib.sha256()
    named = {"train": splits.train, "val": splits.val, "test": splits.test}
    for split in ("train", "val"):
        samples = named[split]
        each = (f"{split}\0{sample.label}\0{mark}\0{sample.relative}\0"
                for sample, mark in zip(samples, marks_of(samples), strict=True))
        digest.update(os.fsencode("".join(each)))
    return {**{split: len(samples) for split, samples in named.items()}, "fingerprint": digest.hexdigest()}


# ---- of a run that is there ----


def of_run(run: Run, data: Data) -> Splits:
    """Return the images of data, divided as the run's training divided them. Raises DataError where these cannot be
    used."""
    config = run.config
    recipe = config.get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}
    seed = recipe.get("seed", 0) if recipe.get("split_seed") is None else recipe["split_seed"]
    labels = Labels.from_config(config["labels"]) if "labels" in config else None
    groups = Groups.from_config(config["groups"]) if "groups" in config else None
    return _scan(data, seed, recipe.get("fold"), excluded(config), recipe.get("recipe"), labels, groups)


def data_again(run: Run, data: Data | None) -> Data:
    """Return what was given, or else the folder that the run was trained on. Raises UsageError where that was none,
    DataError where it has gone."""
    again = data_now(run) if data is None else data
    if again is None:
        raise UsageError(f"{printable(run.path)} was trained on arrays in memory; give them again, from Python: "
                         "cnncli.train(arrays, resume=...).")
    if data is None and not is_folder(str(again)):
        raise DataError(f"the images that {printable(run.path)} was trained on are no longer in {printable(again)}; "
                        f"say where they are: cnn train DATA --resume {quoted(run.path)}")
    return again


def data_folder(run: Run | None) -> str | None:
    """Return the folder that a run was trained on, as far as it says; None where there is no run."""
    data = run.config.get("data") if run else None
    return data if is_path(data) else None


def is_path(value: Any) -> TypeGuard[str]:
    """Whether something that config.json holds can be a path, or a class's name."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def data_now(run: Run | None) -> str | None:
    """Return where the folder lies that the run was trained on: where it was, or, where run and images have been moved
    together, as it lay from the runs' folder. Of one that is in neither place, return where it was."""
    was = data_folder(run)
    beside = run.config.get("data_from_runs") if run else None
    if run is None or was is None or is_folder(was) or not is_path(beside):
        return was
    moved = os.path.normpath(os.path.join(os.path.abspath(run.path.parent), beside))
    return moved if is_folder(moved) and splits_in(run, moved) is not None else was


def place(data: Data, runs: str | os.PathLike[str]) -> dict[str, str | None]:
    """Return what config.json says of where the data of a run in that folder of runs lie."""
    folder, beside = folder_of(data), None
    if folder is not None:
        with suppress(ValueError):  # another drive
            beside = os.path.relpath(folder, os.path.abspath(runs))
    return {"data": folder, "data_from_runs": beside}


def splits_in(run: Run, folder: str) -> Splits | None:
    """Return the images of a folder, divided as the run's training divided them, where they are the run's, wherever
    they lie by now; None where the folder holds others.

    They are the run's where half of those that it was trained on are there, and half of those that it was validated
    on, by path and size, in the same split, and some that are looked at have the same content; in the folder that the
    run was trained on itself, whatever is left of them will do. Folders around all images do not count. Runs of earlier
    versions, which list no images, know that folder by its place and others by all paths and sizes. Raises
    DataError where that folder itself cannot be used.
    """
    own = _is_place_of(run, folder)
    try:
        splits = of_run(run, folder)
    except (DataError, UsageError):
        if own:
            raise
        return None
    listed = marks.read(run)
    if not listed:
        return splits if own or run.config.get("samples") == fingerprint(splits) else None
    same = _listed_in(listed, splits)
    looked_at = same[:: max(1, len(same) // _LOOKED_AT)]
    alike = sum(image.file == of_file(sample.path) for image, sample in looked_at)
    there, all_of_them = Counter(image.split for image, _ in same), Counter(image.split for image in listed.values())
    enough = len(same) > 0 if own else all(2 * there[split] >= count for split, count in all_of_them.items())
    return splits if enough and 2 * alike >= len(looked_at) else None


def _listed_in(listed: Mapping[str, marks.Listed], splits: Splits) -> list[tuple[marks.Listed, Sample]]:
    """Return those of a run's images that are among some by split, path and size, without the folders around all."""
    here = {(split, sample.relative): sample
            for split, of_split in (("train", splits.train), ("val", splits.val)) for sample in of_split}
    pairs = ((image, here.get((image.split, name)))
             for name, image in marks.placed(listed, splits.train + splits.val).items())
    there = [(image, sample) for image, sample in pairs if sample is not None]
    sizes = marks_of([sample for _, sample in there])
    return [pair for pair, size in zip(there, sizes, strict=True) if size == pair[0].size]


def _is_place_of(run: Run, folder: str) -> bool:
    """Whether a folder is the one that the run was trained on, by whatever path."""
    data = data_folder(run)
    try:
        return data is not None and os.path.samefile(folder, data)
    except OSError:
        return False


def have_changed(run: Run, splits: Splits) -> bool:
    """Whether these are not the images, by path, class and size, that the run was trained and validated on. Folders
    around all of them do not count."""
    then, now = run.config.get("samples"), fingerprint(splits)
    if then == now or not isinstance(then, dict):
        return bool(then != now)
    listed = marks.read(run)
    skipped = len(splits.train) + len(splits.val) - len(listed or ())  # images that could not be used are not listed
    used = run.config.get("images")
    known = isinstance(used, dict) and then.get("train", 0) + then.get("val", 0) - sum(used.values()) == skipped
    return not (listed and known and len(_listed_in(listed, splits)) == len(listed))


# ---- which groups a run was trained on ----


def groups_of(run: Run | None) -> Groups | None:
    """Return the groups that a run's training kept together; None where there are none, or they are damaged."""
    with suppress(DataError):
        return Groups.from_config(run.config["groups"]) if run and "groups" in run.config else None
    return None


def groups_elsewhere(run: Run | None) -> Groups | None:
    """Return the same for images that are not the run's: a pattern. A table has the run's own images only."""
    groups = groups_of(run)
    return groups if groups and groups.pattern is not None else None


def groups_learnt(run: Run | None) -> frozenset[str]:
    """Return the names of the groups that the run's training images are in."""
    groups = groups_of(run)
    if run is None or groups is None:
        return frozenset()
    names = [name for name, image in (marks.read(run) or {}).items() if image.split == "train"]
    outside = 0 if "labels" in run.config else len(marks.around(names))  # train/, which a pattern does not get to see
    found = (groups.of("", name, name[outside:]) for name in names)
    return frozenset(name for name in found if name is not None)


# ---- which images a model was trained on ----


def seen_among(model: Model, images: Images, training: Sequence[Sample]) -> Array | None:
    """Return which of some images the model was trained on, bool (n,), by their content; None where that is not known.
    training is what a model of an earlier version, which has no marks, was trained on, where that is at hand."""
    known = model.seen
    if known is None and training:
        sizes = frozenset(size(sample.path) for sample in images.samples if is_file(sample.path))
        known = of_files([sample.path for sample in training], sizes)
    return None if known is None else among(images.marks, known[known != NONE])


def seen_in(model: Model, run: Run | None, folder: str, labels: Labels | None = None,
            progress: Callable[[int, int], None] | None = None, decoded: dict[str, Array] | None = None
            ) -> set[str] | None:
    """Return the paths inside a data folder of the images that a model was trained on; None where that is not known.
    labels are of images that lie in no class folders there; progress(done, total) is told of files that have to be
    decoded for it, because their bytes are not those of an image that it was trained on. decoded gets these, by the
    files' paths, as the model takes them, unless they are too many to be held."""
    with suppress(OSError, DataError):
        if model.seen is not None:
            looked = survey(folder, labels)
            every = [looked.sample(split, item, 0) for split, found in looked.found.items()
                     for items in found.classes.values() for item in items]
            known = among(of_files([sample.path for sample in every])[:, None], model.seen).tolist()
            others = [sample for sample, seen in zip(every, known, strict=True) if not seen]
            few = decoded is not None and _can_be_held(len(others), model.preprocessing.shape)
            images = load_images(others, model.preprocessing, threads(), "ram" if few else "none", progress=progress)
            if decoded is not None and images.stored is not None:
                decoded |= zip((sample.path for sample in images.samples), images.stored, strict=True)
            by_pixels = zip(images.samples, among(images.marks, model.seen).tolist(), strict=True)
            return {sample.relative for pairs in (zip(every, known, strict=True), by_pixels)
                    for sample, seen in pairs if seen}
        splits = splits_in(run, folder) if run else None
        if splits is not None:
            return {sample.relative for sample in splits.train}
    return None


def _can_be_held(count: int, shape: tuple[int, int, int]) -> bool:
    free = free_memory()
    return count * math.prod(shape) <= min(_HELD, _HELD if free is None else free // 4)
