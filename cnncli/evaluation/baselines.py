"""What would be reached without learning, on the very images of a test: by always naming the commonest class, and by
naming that of the training image that looks most alike. statistics.py compares; here it is settled which images are
taken, so that it stays a matter of seconds, and said how many. cli/test.py asks, evaluate.py carries the answer.
"""

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..data import Images, Preprocessing, Sample, load_images
from .intervals import SIDE, Baseline, nearest, spread, thumbnails

MAJORITY, NEAREST = "majority class", "nearest neighbour"
TESTED, KNOWN = 2_000, 10_000  # images at most, of those tested and of those trained on
BYTES, LEAST = 96 * 2**20, 200  # of training images' files that are read at most, but so many images all the same
_PIECE, _PIECE_BYTES = 500, 2**28  # images that are looked at together
_PROBED = 50  # files whose size is looked at


def majority(labels: NDArray[np.int64], classes: Sequence[str], training: Sequence[Sample] | None) -> Baseline:
    """Always name the commonest class: of the training images, or, without them, of those tested."""
    own = np.array([sample.label for sample in training], np.int64) if training else labels
    label = int(np.bincount(own, minlength=len(classes)).argmax())
    where = "in training" if training else "here"
    return Baseline(int((labels == label).sum()), len(labels), f"always {classes[label]}, the commonest {where}")


def nearest_neighbour(images: Images, training: Sequence[Sample], preprocessing: Preprocessing, threads: int,
                      progress: Callable[[int, int], None] | None = None) -> Baseline | None:
    """Name the class of the training image that is nearest in grey thumbnails of at most 16 x 16 pixels (Euclidean
    distance). None where no training image can be read."""
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
    """Return as many training images as can be read in a moment, evenly from all classes."""
    labels = np.array([sample.label for sample in training], np.int64)
    sizes = []
    for i in range(0, len(training), max(1, len(training) // _PROBED)):
        try:
            sizes.append(os.stat(training[i].path).st_size)
        except OSError:
            continue
    mean = max(1.0, float(np.mean(sizes)) if sizes else 1.0)
    return [training[i] for i in spread(labels, min(KNOWN, max(LEAST, int(BYTES / mean))))]


def _of(some: int, all_of_them: int) -> str:
    return f"{some:,}" if some == all_of_them else f"{some:,} of {all_of_them:,}"
