"""What would be reached without learning, on the same images as a test: by always answering with the most frequent
class, and by answering with the class of the most similar training image. Only so many images are compared that it
takes seconds, and the result says how many. evaluate.py asks here; scores.py's Evaluation carries the answer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Images, Preprocessing, Sample, files, load_images
from ..plain import in_plain_json
from .intervals import wilson

MAJORITY, NEAREST = "majority class", "nearest neighbour"
TESTED, KNOWN = 2_000, 10_000  # images at most, of those tested and of those trained on
BYTES, LEAST = 96 * 2**20, 200  # of training images' files that are read at most, but so many images all the same
_PIECE, _PIECE_BYTES = 500, 2**28  # images that are looked at together
_PROBED = 50  # files whose size is looked at
SIDE = 16  # pixels of a thumbnail: 256 products of numbers up to 128 add up to less than 2^24, exact in float32
_BLOCK = 512  # thumbnails whose distances are computed at once


@dataclass(frozen=True)
class Baseline:
    """What is reached without learning.

    Attributes:
        right: How many images were right.
        image_count: How many images were tested.
        how: What was done, in words.
    """

    right: int
    image_count: int
    how: str

    @property
    def accuracy(self) -> float:
        """The share of images that were right, 0 to 1."""
        return self.right / self.image_count

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn test --json` prints of it."""
        return {"accuracy": self.accuracy, "interval": list(wilson(self.right, self.image_count)),
                "images": self.image_count, "how": self.how}


def weak(accuracy: float, baselines: Mapping[str, Baseline]) -> str | None:
    """Return what it means that a model is not above a baseline. None if it is above all that there are."""
    most, near = baselines.get(MAJORITY), baselines.get(NEAREST)
    if most is not None and accuracy <= most.accuracy:
        return "The model is no better than always giving one answer: there is no sign that it has learnt anything."
    if near is not None and accuracy <= near.accuracy:
        return ("The model has learnt something, but is no better than a comparison with the most similar training "
                "image.")
    return None


def majority(labels: NDArray[np.int64], classes: Sequence[str], training: Sequence[Sample] | None) -> Baseline:
    """Answer always with the most frequent class of the training images or, without them, of the tested images."""
    own = np.array([sample.label for sample in training], np.int64) if training else labels
    label = int(np.bincount(own, minlength=len(classes)).argmax())
    where = "in training" if training else "here"
    return Baseline(int((labels == label).sum()), len(labels), f"always {classes[label]}, the commonest {where}")


def nearest_neighbour(images: Images, training: Sequence[Sample], preprocessing: Preprocessing, threads: int,
                      progress: Callable[[int, int], None] | None = None) -> Baseline | None:
    """Answer with the class of the training image that is nearest in grey thumbnails of at most 16 x 16 pixels
    (Euclidean distance). None if no training image can be read.
    """
    tested = spread(images.labels, TESTED)
    known = _affordable(training)
    read = 0
    step = max(1, min(_PIECE, _PIECE_BYTES // int(np.prod(images.shape))))

    def blocks() -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        nonlocal read
        for start in range(0, len(known), step):
            piece = load_images(known[start : start + step], preprocessing, threads, "ram")
            read += len(piece)
            if progress:
                progress(min(start + step, len(known)), len(known))
            yield thumbnails(piece.pixels(np.arange(len(piece)))), piece.labels

    mine = np.concatenate([thumbnails(images.pixels(tested[start : start + step]))
                           for start in range(0, len(tested), step)])
    labels = nearest(mine, blocks())
    if not read:
        return None
    right = int((labels == images.labels[tested]).sum())
    h, w = (min(side, SIDE) for side in images.shape[:2])
    part = "" if len(tested) == len(images.labels) else f"of {len(tested):,} of the images, "
    return Baseline(right, len(tested), f"{part}the most similar of {_of(read, len(training))} training images, as "
                    f"grey thumbnails of {w} x {h}")


def _affordable(training: Sequence[Sample]) -> list[Sample]:
    """Return as many training images as can be read quickly, evenly from all classes."""
    labels = np.array([sample.label for sample in training], np.int64)
    sizes = []
    for sample in training[:: max(1, len(training) // _PROBED)]:
        with suppress(OSError):
            sizes.append(files.size(sample.path))
    total = sum(sizes)
    fit = max(LEAST, BYTES * len(sizes) // total) if total else KNOWN
    return [training[i] for i in spread(labels, min(KNOWN, fit))]


def _of(some: int, all_of_them: int) -> str:
    return f"{some:,}" if some == all_of_them else f"{some:,} of {all_of_them:,}"


# ---- thumbnails, and which are alike ----


def thumbnails(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images, uint8 (n, h, w, c), as grey thumbnails of at most 16 x 16 pixels, one per row: whole numbers from
    -128 to 127 as float32 (n, pixels).
    """
    n, h, w, c = pixels.shape
    weights = {1: (1000,), 3: (299, 587, 114)}[c]
    grey: NDArray[Any] = pixels.astype(np.int32) @ np.array(weights, np.int32) / 1000
    for axis, size in ((1, h), (2, w)):
        side = min(size, SIDE)
        edges = np.arange(side) * size // side
        widths = np.diff(np.append(edges, size)).astype(np.float32)
        shape = [1, 1, 1]
        shape[axis] = side
        grey = np.add.reduceat(grey, edges, axis=axis) / widths.reshape(shape)
    return np.asarray(np.rint(grey).reshape(n, min(h, SIDE) * min(w, SIDE)) - 128, np.float32)


def nearest(images: NDArray[np.float32], known: Iterable[tuple[NDArray[np.float32], NDArray[np.int64]]]
            ) -> NDArray[np.int64]:
    """Return, for each thumbnail, the label of the nearest known one, the first of equals; -1 if none is known.

    images is float32 (n, pixels); known yields (thumbnails, labels) blocks. All numbers are whole and below 2^24, so
    the result depends neither on blocks nor on threads.
    """
    best = np.full(len(images), np.inf, np.float32)
    labels = np.full(len(images), -1, np.int64)
    for block, names in known:
        if not len(block):
            continue
        squares = (block * block).sum(axis=1)
        for start in range(0, len(images), _BLOCK):
            part = slice(start, start + _BLOCK)
            distances = squares - 2 * (images[part] @ block.T)  # but for the image's own square, the same for all
            first = distances.argmin(axis=1)
            least = distances[np.arange(len(first)), first]
            closer = least < best[part]
            best[part] = np.where(closer, least, best[part])
            labels[part] = np.where(closer, names[first], labels[part])
    return labels


def spread(labels: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the indices, ascending, of at most this many images, evenly from all classes: of each class as many as
    fit, or all, at equal distances.
    """
    counts = np.bincount(labels)
    low, high = 0, most  # the most of each class that keeps the sum within bounds
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= most else (low, middle - 1)
    if not low:  # more classes than images
        return np.arange(most) * len(labels) // most
    chosen = []
    for label in np.flatnonzero(counts):
        own = np.flatnonzero(labels == label)
        take = min(low, len(own))
        chosen.append(own[np.arange(take) * len(own) // take])
    return np.sort(np.concatenate(chosen))
