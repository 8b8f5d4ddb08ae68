"""Which images a run is trained, validated and tested on: its data, a folder or arrays, divided as its training does.
Whoever needs to know asks here: a new training (``scan_fold``), and of a run that is there (``of_run``) resuming,
evaluating, and checking a folder's labels.
"""

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..data import Data, Splits, fold_of, scan
from ..errors import DataError, UsageError, printable
from .run import Run

# The recipe fast holds nothing out for validation: every image is trained on, and the last epoch is the one to keep.
_FAST, _NOTHING_HELD_OUT = "fast", (0.9, 0.0, 0.1)


def fractions(recipe: str | None) -> tuple[float, float, float]:
    """Return how a folder's images are divided into training, validation and test where it does not say."""
    return _NOTHING_HELD_OUT if recipe == _FAST else (0.8, 0.1, 0.1)


def scan_fold(data: Data, seed: int, fold: Sequence[int] | None, exclude: Collection[str] = (),
              recipe: str | None = None) -> Splits:
    """Return the splits of data without the images to exclude, as the recipe of that name has them, divided
    anew where one fold of a cross-validation is meant."""
    splits = scan(data, fractions(recipe), seed=seed, exclude=exclude)
    return fold_of(splits, fold[0], fold[1], seed) if fold else splits


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
        for sample in named[split]:
            digest.update(f"{split}\0{sample.label}\0{sample.mark()}\0".encode() + os.fsencode(sample.relative) + b"\0")
    return {**{split: len(samples) for split, samples in named.items()}, "fingerprint": digest.hexdigest()}


# ---- of a run that is there ----


def of_run(run: Run, data: Data) -> Splits:
    """Return the images of data, divided as the run's training divided them. Raises DataError where these cannot be
    used."""
    config = run.config
    recipe = config.get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}
    return scan_fold(data, recipe.get("seed", 0), recipe.get("fold"), excluded(config), recipe.get("recipe"))


def data_again(run: Run, data: Data | None) -> Data:
    """Return what was given, or else the folder that the run was trained on. Raises UsageError where that was none."""
    again = data_folder(run) if data is None else data
    if again is None:
        raise UsageError(f"{printable(run.path)} was trained on arrays in memory; give them again, from Python: "
                         "cnncli.train(arrays, resume=...).")
    return again


def data_folder(run: Run | None) -> str | None:
    """Return the folder that a run was trained on, as far as it says; None where there is no run."""
    data = run.config.get("data") if run else None
    return data if isinstance(data, str) else None


def is_data_of(run: Run | None, folder: str) -> bool:
    """Whether a folder is the one that the run was trained on, by whatever path."""
    data = data_folder(run)
    try:
        return data is not None and os.path.samefile(folder, data)
    except OSError:
        return False


def have_changed(run: Run, splits: Splits) -> bool:
    """Whether these are not the images, by path, class and size, that the run was trained and validated on."""
    return bool(run.config.get("samples") != fingerprint(splits))


def trained_on(run: Run | None, folder: str) -> set[str] | None:
    """Return the paths inside a data folder of the images that the run was trained on; None where it is not the run's
    folder, or can no longer be read."""
    if run is not None and is_data_of(run, folder):
        with suppress(OSError, DataError):
            return {sample.relative for sample in of_run(run, folder).train}
    return None
