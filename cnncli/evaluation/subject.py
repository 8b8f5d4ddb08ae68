"""Which images a test is of, in words and for programs: the part of a training's images, or the folder. held_out.py
finds out; the title of a report, and the folder that it is written into, are named for it (report/files.py).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..data.splits import PARTS
from ..errors import printable
from ..plain import in_plain_json

_HELD_OUT = {"test": ", held out of the training", "val": "", "train": ""}


@dataclass(frozen=True)
class Subject:
    """Which images a test is of.

    Attributes:
        data: The folder that they lie in, its absolute path. None for arrays.
        split: The part that they are: "train", "val" or "test". None for all images of a folder.
        own: Whether that is a part of the images that the model was trained with, as its training divided them.
        total: How many images the data of the training hold. None if they are others.
        labels: The fingerprint of the table that labels them. None if the class folders do.
        mark: A hash of the images, if they are arrays. "" for a folder.
    """

    data: str | None
    split: str | None
    own: bool
    total: int | None = None
    labels: str | None = None
    mark: str = ""

    @property
    def held_out(self) -> bool:
        """Whether they are the test images that the training held out."""
        return self.own and self.split == "test"

    @property
    def _folder(self) -> str:
        return "arrays" if self.data is None else os.path.basename(self.data) or self.data

    @property
    def tag(self) -> str:
        """What the folder of a test of these images is named for: "" for the images held out, "val", "other-images"."""
        if self.own:
            return "" if self.held_out else str(self.split)
        parts = [self._folder, *[part for part in (self.split, self.mark) if part]]
        return "-".join(re.sub(r"[^\w.-]+", "-", part).strip("-.") or "images" for part in parts)

    def title(self, name: str) -> str:
        """Return the title of a test on these images.

        Args:
            name: The model's name.
        """
        return f"Test of {name}" if self.held_out else f"Test of {name} on {self.named}"

    @property
    def named(self) -> str:
        """The images in a few words: "its validation images", "the images of photos/", "images in memory"."""
        part = f"{PARTS[self.split]} images" if self.split else "images"
        if self.own:
            return f"its {part}"
        return f"{part} in memory" if self.data is None else f"the {part} of {self._folder}/"

    def describe(self, images: int, skipped: int = 0) -> str:
        """Return which images were tested: "30 of the 382 images of birds: the test images, held out of the training".

        Args:
            images: How many were tested.
            skipped: How many more there are that cannot be used.
        """
        where = "" if self.data is None else f" of {printable(self.data)}"
        many = f"image{'s' * (images != 1)}"
        unused = f"; {skipped:,} more cannot be used" if skipped else ""
        if self.own and self.split:
            return (f"{images:,} of the {self.total:,} images{where}: the {PARTS[self.split]} images"
                    f"{_HELD_OUT[self.split]}{unused}")
        return f"{images:,} {PARTS[self.split] + ' ' if self.split else ''}{many}{where or ' in memory'}{unused}"

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn test --json` prints of it."""
        data = f"arrays {self.mark}" if self.mark else self.data
        return {"split": self.split, "data": data, "own": self.own, "labels": self.labels}

    def is_that_of(self, figures: Mapping[str, Any]) -> bool:
        """Return whether these are the images of an earlier test.

        Args:
            figures: The figures of that test, as test.json has them.
        """
        same = ["split", "own", "labels"] if self.own else ["split", "own", "labels", "data"]  # which may have moved
        mine = self.as_json()
        return all(name in figures and figures[name] == mine[name] for name in same)
