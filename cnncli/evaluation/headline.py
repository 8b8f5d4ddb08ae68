"""The figure of a test that says most about new images, and what its interval holds for: images that the model was not
trained on count before all others, and groups before images. `cnn test`, its report and its JSON say it first.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..data import Sample
from ..data.splits import FEW_TESTED, listed
from ..errors import printable
from ..kernels import Array
from ..plain import in_plain_json
from . import grouped
from .baselines import MAJORITY, NEAREST, Baseline, weak
from .intervals import wilson

TRAINED = ("These are all images that the model was trained on. This accuracy says nothing about new images, so it has "
           "no interval.")
LIKE_THOSE = "for new images like those tested"
_NAMES = {NEAREST: "the nearest neighbour", MAJORITY: "always the commonest class"}


@dataclass(frozen=True)
class Headline:
    """The figure of a test that says most.

    Attributes:
        right: How many of the images that count were classified right.
        image_count: How many images count: all, or those that the model was not trained on, if it was trained on some.
        unseen: Whether only images count that the model was not trained on.
        interval: The interval that holds the accuracy with 95 % confidence: (low, high). None if the model was trained
            on all images.
        means: What the interval holds for: "for new images of group s08; it says nothing about new groups".
        second: A second interval, and what that holds for. None without one.
        for_groups: Whether ``interval`` is that for images of new groups. Else ``second`` is, if there is one.
    """

    right: int
    image_count: int
    unseen: bool
    interval: tuple[float, float] | None
    means: str
    second: tuple[tuple[float, float], str] | None = None
    for_groups: bool = False

    @property
    def accuracy(self) -> float:
        """The share of the images that count that were classified right, 0 to 1."""
        return self.right / self.image_count

    @property
    def group_interval(self) -> tuple[float, float] | None:
        """The interval that holds the accuracy for images of new groups. None if fewer than two groups count."""
        return self.interval if self.for_groups else self.second[0] if self.second else None

    @property
    def warning(self) -> str:
        """The sentence that says that the accuracy is about training images. "" if it is not."""
        return "" if self.interval else TRAINED

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn test --json` prints of it."""
        return {"accuracy": self.accuracy, "right": self.right, "images": self.image_count, "unseen": self.unseen,
                "interval": list(self.interval) if self.interval else None,
                "interval_means": self.means if self.interval else None, "warning": self.warning or None}

    def verdict(self, baselines: Mapping[str, Baseline]) -> str:
        """Return which baselines the accuracy is not clearly above, and what it means to be no better; "" for none.

        It is clearly above a baseline if its whole interval is.

        Args:
            baselines: The baselines, by name.
        """
        meaning = weak(self.accuracy, baselines) or ""
        if self.interval is None:
            return meaning
        near = [f"{_NAMES.get(name, name)} ({one.accuracy:.1%})" for name, one in baselines.items()
                if one.accuracy >= self.interval[0]]
        if not near:
            return meaning
        return (f"{meaning}{' ' * bool(meaning)}"
                f"The accuracy of {self.accuracy:.1%} is not clearly above what is reached without learning: "
                f"{' and '.join(near)}. Its interval begins at {self.interval[0]:.1%}.")


def headline(samples: Sequence[Sample], right: Array, seen: Array | None, learnt: Collection[str] = ()) -> Headline:
    """Return the headline of a test: right says which samples were classified right, bool (n,), seen which of them the
    model was trained on; None if that is not known.
    """
    unseen = seen is not None and bool(seen.any())
    if unseen and seen is not None:
        if seen.all():
            return Headline(int(right.sum()), len(right), False, None, "")
        samples, right = [sample for sample, known in zip(samples, seen, strict=True) if not known], right[~seen]
    groups = grouped.scores_of(samples, right, learnt)
    usual, means = wilson(int(right.sum()), len(right)), ""
    second, enough = None, False
    if len(groups) == 1:
        means = f"for new images of group {printable(groups[0].name)}; it says nothing about new groups"
    elif by_groups := grouped.interval(groups):
        here = f"for new images of these {len(groups):,} groups"
        new = f"for images of new groups, by the {len(groups):,} groups tested"
        enough = len(groups) >= grouped.FEW
        second = (usual, here) if enough else (by_groups, new)
        usual, means = (by_groups, new) if enough else (usual, f"{here}, not for new groups")
    return Headline(int(right.sum()), len(right), unseen, usual, means or LIKE_THOSE, second, enough)


def few_images(supports: Mapping[str, int]) -> str:
    """Return the sentence that warns of classes with very few tested images, or ""."""
    few = {name: count for name, count in supports.items() if 0 < count < FEW_TESTED}
    if not few:
        return ""
    named = listed([f"{printable(name)} ({count})" for name, count in few.items()])
    return (f"There are fewer than {FEW_TESTED} tested images of {named}. The recall of "
            f"{'this class' if len(few) == 1 else 'these classes'} is hardly known: see the intervals.")
