"""Occlusion: by how much the class's probability drops when a grey square hides a part of the image."""

from math import ceil

import numpy as np

from ...kernels import Array
from .method import Asked, Found, method, plain_grounds

SIDES = (1 / 4, 1 / 8)  # of the squares, as parts of the image's shorter side; each moves by half its own


@method("occlusion", "Occlusion", on="image", paper="Zeiler and Fergus 2014",
        passes="about 275 forward for a square image",
        says="By how much the class's probability drops when a grey square covers the place: the mean over squares "
             "of a quarter and of an eighth of the image's shorter side. A thing that is there twice, or is larger "
             "than the square, is missed. On a ground that is not grey, the square itself is something new.")
def occlusion(asked: Asked) -> Found:
    """Return the mean over both sizes of the mean drop of all squares over a pixel."""
    shorter = min(asked.images.shape[1:3])
    steps = [max(1, round(shorter * side / 2)) for side in SIDES]
    before = asked.scores(asked.images)
    maps = np.stack([np.mean([drops(asked, image, weights, chances @ weights, step) for step in steps], axis=0)
                     for image, weights, chances in zip(asked.images, asked.weights, before, strict=True)])
    return Found(maps.astype(np.float32), doubts=plain_grounds(asked.images))


def drops(asked: Asked, image: Array, weights: Array, before: float, step: int) -> Array:
    """Return the mean drop of all squares over each pixel, float64 (h, w). Squares of two steps begin at every step,
    from the first pixel on, until one reaches the last pixel, which it may stick out behind."""
    rows, columns = ([slice(at * step, (at + 2) * step) for at in range(max(0, ceil(n / step) - 2) + 1)]
                     for n in image.shape[:2])
    total, squares = np.zeros(image.shape[:2]), np.zeros(image.shape[:2])
    for row in rows:
        for start in range(0, len(columns), asked.look.at_once):
            some = columns[start : start + asked.look.at_once]
            hidden = np.repeat(image[None], len(some), axis=0)
            for one, column in zip(hidden, some, strict=True):
                one[row, column] = 0  # grey: the mean that the preprocessing subtracts
            found = before - asked.scores(hidden) @ weights
            for column, drop in zip(some, found.tolist(), strict=True):
                total[row, column] += drop
                squares[row, column] += 1
    mean: Array = total / squares
    return mean
