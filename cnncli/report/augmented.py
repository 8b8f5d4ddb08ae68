"""Training images as the network will see them: a few beside what augmentation makes of each in the first epochs, as
one sheet. ``cnn train --preview`` draws it before the training starts.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Batches, describe
from ..data.outputs import drawing
from ..kernels import Array
from ..visualize.canvas import FAINT, INK, Canvas, fitted, picture, wrapped

IMAGES, EPOCHS = 8, 7  # rows, and columns beside the first
SIDE = 112  # pixels of a thumbnail's longer side
GAP, WORDS = 12, 20
MARGIN = 24
AUGMENTED = drawing("images as they are varied")


def draw(batches: Batches, classes: Sequence[str], path: str | os.PathLike[str], title: str) -> Path:
    """Draw images of different classes, one a row: as it is, then as the epochs 1, 2, … have it; where images are
    mixed, with how much of which class is in each.

    Raises SaveError where the file cannot be written, ImageError where an image can no longer be read.
    """
    chosen = _chosen(batches.images.labels)
    said = describe(batches.augmentation, batches.preprocessing, chosen=False)
    words = wrapped(said, (EPOCHS + 1) * (SIDE + GAP) - GAP, 13)
    top = MARGIN + 30 + 20 * len(words) + 26
    sheet = Canvas(2 * MARGIN + (EPOCHS + 1) * (SIDE + GAP) - GAP,
                   top + len(chosen) * (SIDE + WORDS + GAP) - GAP + MARGIN)
    sheet.text(MARGIN, MARGIN, title, 18, bold=True, width=sheet.image.width - 2 * MARGIN)
    sheet.paragraph(MARGIN, MARGIN + 30, words, 13)
    for column in range(EPOCHS + 1):
        heading = f"epoch {column}" if column else "original"
        sheet.text(MARGIN + column * (SIDE + GAP), top - 22, heading, 12, FAINT, width=SIDE)
    for row, index in enumerate(chosen):
        y = top + row * (SIDE + WORDS + GAP)
        _tile(sheet, 0, y, batches.images.pixels([index])[0], classes[int(batches.images.labels[index])])
        for epoch in range(1, EPOCHS + 1):
            image, other, share = batches.sample(epoch, index)
            labels = [int(batches.images.labels[i]) for i in (index, index if other is None else other)]
            _tile(sheet, epoch, y, _as_bytes(image, batches), _mixture(classes, labels, share))
    return sheet.save(path, AUGMENTED)


def _tile(sheet: Canvas, column: int, y: float, pixels: NDArray[np.uint8], words: str) -> None:
    x, image = MARGIN + column * (SIDE + GAP), fitted(picture(pixels), SIDE)
    sheet.paste(image, x + (SIDE - image.width) / 2, y + (SIDE - image.height) / 2, frame=True)
    if words:
        sheet.text(x, y + SIDE + 3, words, 12 if column == 0 else 10, INK if column == 0 else FAINT, width=SIDE)


def _mixture(classes: Sequence[str], labels: Sequence[int], share: float) -> str:
    """Return what else is in a mixed image, "" where it is the row's own class alone."""
    if share > 0.995 or labels[0] == labels[1]:
        return ""
    return f"+ {1 - share:.0%} {classes[labels[1]]}"


def _chosen(labels: NDArray[Any]) -> list[int]:
    """Return up to IMAGES indices: the first of each class, then the second of each, in class order."""
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        here = np.flatnonzero(labels == label)
        rank[here] = np.arange(len(here))
    order = np.lexsort((labels, rank))[:IMAGES]
    return [int(index) for index in sorted(order, key=lambda index: (labels[index], index))]


def _as_bytes(image: Array, batches: Batches) -> NDArray[np.uint8]:
    """Return a normalised image, float32 (h, w, c), as it would look on a screen."""
    mean, std = np.array(batches.preprocessing.mean), np.array(batches.preprocessing.std)
    shown: NDArray[np.uint8] = np.clip(np.rint((image * std + mean) * 255), 0, 255).astype(np.uint8)
    return shown
