"""How somebody who draws a picture on the page should have it: as the pictures that the network knows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels import Array

VISIBLE = 64  # levels from the ground from which on a pixel is ink
_EVEN = 0.9  # of the pixels at the border have to be ground


def drawing(images: Sequence[Array]) -> dict[str, Any] | None:
    """Return what prepared images, uint8 (h, w, c), have in common: the ground's and the ink's tone, what part of the
    side the longer side of what they show takes, and where the middle of its mass lies, (row, column) as parts of the
    image. None where they are coloured, are no squares or have no even ground: nobody draws these."""
    if not images or images[0].shape[2] != 1 or images[0].shape[0] != images[0].shape[1]:
        return None
    pixels = np.stack(images)[..., 0].astype(np.float64)
    side = pixels.shape[1]
    border = np.concatenate([pixels[:, 0].ravel(), pixels[:, -1].ravel(), pixels[:, :, 0].ravel(),
                             pixels[:, :, -1].ravel()])
    ground = float(np.median(border))
    if np.mean(np.abs(border - ground) < VISIBLE) < _EVEN:
        return None
    strength = np.abs(pixels - ground)
    there = strength >= VISIBLE
    if not there.any():
        return None
    shown = there.any(axis=(1, 2))
    strength, there = np.where(there, strength, 0)[shown], there[shown]
    rows, columns = (strength.sum(axis=axis) for axis in (2, 1))
    places, mass = np.arange(side), strength.sum(axis=(1, 2))
    return {"ground": ground, "ink": float(np.median(pixels[shown][there])),
            "extent": float(np.mean([max(np.ptp(np.flatnonzero(each.any(axis=axis))) + 1 for axis in (0, 1))
                                     for each in there]) / side),
            "centre": [float(np.mean((each @ places) / mass) + 0.5) / side for each in (rows, columns)]}
