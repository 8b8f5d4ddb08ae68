"""Which images the page shows, and their thumbnails as data URIs. A test may have a hundred thousand images and a page
must stay small enough for a phone: the mistakes come first, then what is nearly one, then some of all the rest.
page.py, next to read, puts them onto the page.
"""

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import printable
from ..evaluation.scores import Evaluation

WORST, AMBIGUOUS, BEST, MOST_BEST = 48, 24, 4, 240  # images; BEST of each class, MOST_BEST of all
CLOSE = 0.5  # between the two highest probabilities of an ambiguous image, at most
A_CELL = 60  # images of a cell of the confusion matrix
MOST_CHARACTERS = 8_000_000  # of the cells' thumbnails
SIDE, SHARP = 96, 40  # pixels: what is larger is made smaller; what is at most so large is kept without loss
_AT_ONCE, _ROWS = 64, 4096  # pictures that are in memory together, and images' probabilities

Pixels = Callable[[NDArray[np.int64]], NDArray[np.uint8]]
Why = Callable[[NDArray[np.int64]], Iterator[NDArray[np.uint8]]]  # indices -> a strip of pictures for each


@dataclass(frozen=True)
class Shown:
    """One image on the page. chance is the probability of the guess, other that of the second likeliest class."""

    uri: str
    name: str
    label: int
    guess: int
    chance: float
    second: int
    other: float


@dataclass
class Cells:
    """The images of the confusion matrix: each cell's places in ``images``, the surest mistake first, of the right ones
    the least sure."""

    images: list[Shown] = field(default_factory=list)
    places: dict[tuple[int, int], list[int]] = field(default_factory=dict)


class Album:
    """Makes Shown of an evaluation's images; pixels gives the prepared images of indices, names are their files'."""

    def __init__(self, found: Evaluation, pixels: Pixels, names: Sequence[Any]) -> None:
        self.found, self._pixels, self._names = found, pixels, names
        self._chances = found.confidences
        self._second, self._others = np.empty(found.image_count, np.int64), np.empty(found.image_count)
        for start in range(0, found.image_count, _ROWS):
            part = slice(start, start + _ROWS)
            others = found.probabilities[part].copy()
            others[np.arange(len(others)), found.guesses[part]] = -np.inf
            self._second[part], self._others[part] = others.argmax(axis=1), np.maximum(others.max(axis=1), 0)

    def worst(self, why: Why | None = None) -> list[Shown]:
        """The most confident mistakes; with why, each as a strip that shows where it comes from."""
        indices = self.found.mistakes()[:WORST]
        if why is None:
            return self._shown(indices)
        return [self._one(int(i), as_jpeg(strip)) for i, strip in zip(indices, why(indices), strict=True)]

    def ambiguous(self) -> list[Shown]:
        """The images that could nearly as well have been something else, the most ambiguous first."""
        margin = self._chances - self._others
        order = np.argsort(margin, kind="stable")[:AMBIGUOUS]
        return self._shown(order[margin[order] < CLOSE])

    def best(self) -> list[tuple[int, list[Shown]]]:
        """The images of each class that were recognised most surely; classes without any are left out."""
        found = self.found
        each = max(1, min(BEST, MOST_BEST // len(found.class_names)))
        right = np.flatnonzero(found.right)
        right = right[np.argsort(-self._chances[right], kind="stable")]
        chosen = [own[:each] for label in range(len(found.class_names))[:MOST_BEST]
                  if len(own := right[found.labels[right] == label])]
        shown = iter(self._shown(np.concatenate(chosen)) if chosen else [])
        return [(int(found.labels[own[0]]), [next(shown) for _ in own]) for own in chosen]

    def cells(self) -> Cells:
        """The images of all cells, one of each before the second of any, as long as there is room."""
        found, cells, room = self.found, Cells(), MOST_CHARACTERS
        order = self._by_turns()
        for start in range(0, len(order), _AT_ONCE):
            some = order[start : start + _AT_ONCE]
            for index, shown in zip(some, self._shown(some), strict=True):
                room -= len(shown.uri)
                if room < 0:
                    return cells
                key = int(found.labels[index]), int(found.guesses[index])
                cells.places.setdefault(key, []).append(len(cells.images))
                cells.images.append(shown)
        return cells

    def _by_turns(self) -> NDArray[np.int64]:
        """Return the indices of what cells may show: all cells' first images, mistakes before the others, then all
        second ones, and so on."""
        found = self.found
        key = found.labels * len(found.class_names) + found.guesses
        sure = np.where(found.right, self._chances, -self._chances)
        order = np.lexsort((sure, key))
        first = np.append(True, key[order][1:] != key[order][:-1])
        begins = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
        turn = np.arange(len(order)) - begins
        keep = turn < A_CELL
        order, turn = order[keep], turn[keep]
        return order[np.lexsort((found.right[order], turn))]

    def _shown(self, indices: NDArray[np.int64]) -> list[Shown]:
        shown = list[Shown]()
        for start in range(0, len(indices), _AT_ONCE):
            some = indices[start : start + _AT_ONCE]
            shown += [self._one(i, data_uri(image)) for i, image in zip(some.tolist(), self._pixels(some), strict=True)]
        return shown

    def _one(self, i: int, uri: str) -> Shown:
        found = self.found
        return Shown(uri, printable(self._names[i]), int(found.labels[i]), int(found.guesses[i]),
                     float(self._chances[i]), int(self._second[i]), float(self._others[i]))


def data_uri(pixels: NDArray[np.uint8], side: int = SIDE, sharp: int = SHARP) -> str:
    """Return uint8 (h, w, c) as the URI of a PNG, or, of more than 40 pixels, a JPEG of at most 96; or other sides."""
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
    data, longest = io.BytesIO(), max(image.size)
    if longest > side:
        width, height = (max(1, round(own * side / longest)) for own in image.size)
        image = image.resize((width, height), Image.Resampling.BOX)
    if longest > sharp:
        return as_jpeg(np.asarray(image))
    image.save(data, "PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"


def as_jpeg(pixels: NDArray[np.uint8]) -> str:
    """Return uint8 (h, w, 3) as the URI of a JPEG."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=82, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
