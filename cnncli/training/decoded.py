"""Images that several trainings learn from, one after the other. They are decoded once for each size and colour, and
kept while there is memory for them. A sweep gives this to its trainings in place of ``load_images``.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..data import Images, Preprocessing, Sample, load_images
from ..data.splits import marks_of
from ..errors import DataError, ImageError

_Key = tuple[Any, ...]


class Decoded:
    """Loads images as ``load_images`` does, but takes those that it has already from memory."""

    def __init__(self) -> None:
        self._kept: list[tuple[_Key, Images]] = []

    def __call__(self, samples: Sequence[Sample], preprocessing: Preprocessing, threads: int | None, cache: str,
                 strict: bool, progress: Callable[[int, int], None], note: Callable[[str], None],
                 find_range: bool, part: str = "") -> Images:
        def load(chosen: str) -> Images:
            return load_images(samples, preprocessing, threads, chosen, strict,  # type: ignore[arg-type]
                               progress, note, find_range, part)

        if cache not in ("ram", "auto"):  # what is read again in each epoch is noted in it when it has gone
            return load(cache)
        files = [(sample.path, sample.label, mark) for sample, mark in zip(samples, marks_of(samples), strict=True)]
        wanted = (files, preprocessing, find_range)
        for key, images in self._kept:
            if key == wanted:
                return images
        try:
            images = load("ram")
        except DataError as error:
            if isinstance(error, ImageError) or (not self._kept and cache == "ram"):
                raise
            self._kept.clear()  # they may have been in the way
            images = load(cache)
        if images.stored is None:
            return images
        self._kept.append((wanted, images))
        if find_range:  # resuming knows what was found
            self._kept.append(((files, images.preprocessing, False), images))
        return images
