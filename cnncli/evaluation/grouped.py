"""A test by groups: how many images of each slide, patient or video were tested and how many were right, and what that
says about new groups. evaluate.py asks, and a cross-validation; data/groups.py says what a group is, intervals.py has
the formula.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ..data import Sample
from ..data.folds import MOST_FOLDS
from ..data.splits import listed
from ..kernels import Array
from ..plain import in_plain_json
from ..runs import Run
from ..runs.again import folds_command
from .intervals import of_groups

FEW = 5  # groups; from fewer, little is known about others


@dataclass(frozen=True)
class GroupScore:
    """How many images of one group were tested.

    Attributes:
        name: The group; an image that is in no group is one by itself, and its path the name.
        image_count: How many of its images were tested.
        right: How many of these were classified right.
        trained_on: Whether images of a group of this name are among those that the model was trained on.
    """

    name: str
    image_count: int
    right: int
    trained_on: bool = False

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn test --json` prints of it."""
        return {"name": self.name, "images": self.image_count, "right": self.right, "trained_on": self.trained_on}


def scores_of(samples: Sequence[Sample], right: Array, learnt: Collection[str] = ()) -> list[GroupScore]:
    """Return the scores of the groups that samples are in, by name; none if they are in no groups. right says which
    samples were classified right, bool (n,); learnt has the names of the groups that the model was trained on.
    """
    if all(sample.group is None for sample in samples):
        return []
    found: dict[tuple[bool, str], list[bool]] = {}
    for sample, good in zip(samples, right.tolist(), strict=True):
        found.setdefault(sample.together, []).append(good)
    return [GroupScore(name, len(good), sum(good), not alone and name in learnt)
            for (alone, name), good in sorted(found.items())]


def interval(scores: Sequence[GroupScore]) -> tuple[float, float] | None:
    """Return the interval of the accuracy for new groups. None if fewer than two were tested."""
    return of_groups([score.right for score in scores], [score.image_count for score in scores])


def warning(scores: Sequence[GroupScore], run: Run | None = None) -> str | None:
    """Return the sentence that warns of few groups. None if there are enough of them, or none. For the test of a run it
    ends with the command that cross-validates as that run was trained.
    """
    if not 0 < len(scores) < FEW:
        return None
    many = "s" * (len(scores) > 1)
    about = ("The 95 % interval of the accuracy holds for more images of this group, not for new groups."
             if len(scores) == 1 else "That is few for a statement about new groups.")
    return (f"The images tested come from {len(scores)} group{many} ({listed([s.name for s in scores])}). {about}"
            + _remedy(run))


def _remedy(run: Run | None) -> str:
    by_split = run.config.get("groups_by_split") if run else None
    counts = [by_split.get(split) for split in ("train", "val")] if isinstance(by_split, dict) else []
    others = sum(count for count in counts if isinstance(count, int))
    command = folds_command(run, min(others, MOST_FOLDS)) if others > 1 else None
    if command is None:
        return ""
    which = ("more groups" if others > MOST_FOLDS
             else f"each of the {others} groups of the training and validation images once")
    return f" With the options of this model, cross-validation tests {which}{command}"


def also_learnt(samples: Sequence[Sample], seen: Array | None, learnt: Collection[str]) -> str | None:
    """Return the sentence that warns of groups that new images share with the training images by name. None if there
    are none. seen says which samples are training images themselves, bool (n,); None if not known.
    """
    others = [s for i, s in enumerate(samples) if (seen is None or not seen[i]) and s.group is not None]
    names = {sample.group for sample in others if sample.group is not None}
    if not (shared := sorted(names.intersection(learnt))):
        return None
    images = sum(sample.group in learnt for sample in others)
    are = "are" if len(shared) > 1 else "is"
    return (f"{len(shared):,} of the {len(names):,} groups tested ({listed(shared)}) {are} called like groups of the "
            f"training images. If they are the same groups, the accuracy on their {images:,} images says little about "
            "new groups.")
