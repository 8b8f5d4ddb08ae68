"""Which images a run is trained, validated and tested on: the data folder, divided as the training divided it. Whoever
needs to know asks here: training and resuming, `cnn test`, `cnn check --model`.
"""

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..data import Splits, fold_of, scan

# The recipe fast holds nothing out for validation: every image is trained on, and the last epoch is the one to keep.
_FAST, _NOTHING_HELD_OUT = "fast", (0.9, 0.0, 0.1)


def fractions(recipe: str | None) -> tuple[float, float, float]:
    """Return how a folder's images are divided into training, validation and test where it does not say."""
    return _NOTHING_HELD_OUT if recipe == _FAST else (0.8, 0.1, 0.1)


def scan_fold(data: str, seed: int, fold: Sequence[int] | None, exclude: Collection[str] = (),
              recipe: str | None = None) -> Splits:
    """Return the splits of a data folder without the images to exclude, as the recipe of that name has them, divided
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
