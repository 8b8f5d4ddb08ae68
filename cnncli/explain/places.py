"""Parts of prepared images at which a shortcut may lie: rectangles, or what of a rectangle belongs to a thing; in
words, and moved from one image into another."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..kernels import Array
from ..plain import in_plain_json

_EDGES = 1 / 3, 2 / 3


@dataclass(frozen=True)
class Place:
    """A rectangle in prepared images.

    Attributes:
        top: Its first row.
        left: Its first column.
        bottom: The row after its last one.
        right: The column after its last one.
        size: The (height, width) of the images.
        mask: Which pixels of the rectangle belong to the thing, bool. None: all of them.
    """

    top: int
    left: int
    bottom: int
    right: int
    size: tuple[int, int]
    mask: Array | None = field(default=None, compare=False, repr=False)

    @property
    def area(self) -> float:
        """The share of the image that it covers, 0 to 1."""
        pixels = (self.bottom - self.top) * (self.right - self.left) if self.mask is None else int(self.mask.sum())
        return pixels / (self.size[0] * self.size[1])

    @property
    def where(self) -> str:
        """Where it is, in words: "the upper left corner"."""
        if self.bottom - self.top == self.size[0] and self.right - self.left == self.size[1]:
            return "the frame" if self.mask is not None else "the whole image"
        row = _third((self.top + self.bottom) / 2 / self.size[0], "upper", "lower")
        column = _third((self.left + self.right) / 2 / self.size[1], "left", "right")
        if row and column:
            return f"the {row} {column} corner"
        return f"the {row or column} edge" if row or column else "the middle"

    @property
    def words(self) -> str:
        """Where it is, in words, with its rows and columns."""
        height, width = self.size
        return (f"{self.where} (rows {self.top} to {self.bottom}, columns {self.left} to {self.right} of "
                f"{height} x {width})")

    def overlap(self, other: "Place") -> float:
        """Return the intersection over the union of two rectangles, 0 to 1.

        Args:
            other: The other rectangle.
        """
        both, pixels = self._both(other), self._pixels + other._pixels
        return both / (pixels - both)

    def shares(self, other: "Place") -> float:
        """Return which part of the smaller rectangle lies in the larger one, 0 to 1.

        Args:
            other: The other rectangle.
        """
        return self._both(other) / min(self._pixels, other._pixels)

    def _both(self, other: "Place") -> int:
        high = max(0, min(self.bottom, other.bottom) - max(self.top, other.top))
        return high * max(0, min(self.right, other.right) - max(self.left, other.left))

    @property
    def _pixels(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)

    def moved(self, top: int, left: int) -> "Place":
        """Return the same rectangle at another place.

        Args:
            top: Its first row.
            left: Its first column.
        """
        return Place(top, left, top + self.bottom - self.top, left + self.right - self.left, self.size, self.mask)

    def cut(self, images: Array) -> Array:
        """Return what lies there in images, (n, rows, columns, c).

        Args:
            images: The images (n, h, w, c).
        """
        return images[:, self.top : self.bottom, self.left : self.right]

    def pasted(self, images: Array, donors: Array) -> Array:
        """Return images with what lies there in other images.

        Args:
            images: The images, uint8 (n, h, w, c).
            donors: The other images, uint8 (n, h, w, c).
        """
        result: Array = images.copy()
        there = self.cut(result)
        np.copyto(there, self.cut(donors), where=True if self.mask is None else self.mask[None, :, :, None])
        return result

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return its numbers: the rectangle in the prepared image's pixels."""
        return {"where": self.where, "rows": [self.top, self.bottom], "columns": [self.left, self.right],
                "of": list(self.size), "area": round(self.area, 4)}


def _third(share: float, low: str, high: str) -> str:
    return low if share < _EDGES[0] else high if share > _EDGES[1] else ""
