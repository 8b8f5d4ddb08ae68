"""Pixels that are taken away, filled in so that what is left does not tell where they were: each becomes the weighted
mean of those around it, all at once, and a little noise (Rong et al. 2022, "noisy linear imputation"). The equations
are solved by conjugate gradients, from what coarser images have there, until none is off by more than RESIDUAL.
"""

import numpy as np

from ..kernels import Array

RESIDUAL = 1e-3  # of an equation, in units of the normalised image; the noise is ten times that
NOISE = 0.01
_AT_ONCE = 2**16  # values: some arrays of as many stay in cache
_MOST = 5_000  # iterations; hundreds will do


def imputed(image: Array, missing: Array, seed: int) -> Array:
    """Return an image (h, w, c) without the pixels that are missing, bool (n, h, w): float32 (n, h, w, c). At least one
    pixel of each must be there."""
    noise = np.random.default_rng([seed, 2]).normal(0, NOISE, image.shape)
    filled: Array = (solved(image, missing) + noise * missing[..., None]).astype(np.float32)
    return filled


def solved(image: Array, missing: Array) -> Array:
    """Return the solution without noise, float64 (n, h, w, c): each missing pixel is the mean of its up to eight
    neighbours, those beside it with weight 1/6, those across a corner with 1/12."""
    there = 1 - missing.astype(np.float64)
    channels = np.moveaxis(image, -1, 0)[:, None]  # first, (c, n, h, w): rows are long where they are last
    at_once = max(1, _AT_ONCE // image.size)
    filled = [_filled(channels * some, some) for some in np.split(there, range(at_once, len(there), at_once))]
    return np.moveaxis(np.concatenate(filled, axis=1), 0, -1)


def _filled(sums: Array, counts: Array) -> Array:
    """Return sums / counts where something was counted, and elsewhere the solution: begun at that of half the side."""
    h, w = counts.shape[1:]
    x, free = _ratio(sums, np.broadcast_to(counts, sums.shape)), (counts == 0).astype(np.float64)
    if not free.any():
        return x
    below = _filled(_halved(sums), _halved(counts)).repeat(2, axis=-2).repeat(2, axis=-1)
    x += free * below[..., :h, :w]
    total = _around(np.ones((h, w)))
    left = free * (_around(x) - total * x)
    ahead, square = left, _dot(left, left)
    for _ in range(_MOST):
        if np.abs(left).max() <= RESIDUAL:
            break
        pulled = free * (total * ahead - _around(ahead))
        step = _ratio(square, _dot(ahead, pulled))
        x += step * ahead
        left = left - step * pulled
        before, square = square, _dot(left, left)
        ahead = left + _ratio(square, before) * ahead
    return x


def _around(x: Array) -> Array:
    """Return the weighted sum of each pixel and its neighbours that there are: 1 2 1 along rows and along columns is 4
    for the pixel itself, which drops out of the equations, 2 beside it, 1 across a corner."""
    rows = 2 * x
    rows[..., 1:, :] += x[..., :-1, :]
    rows[..., :-1, :] += x[..., 1:, :]
    found: Array = 2 * rows
    found[..., 1:] += rows[..., :-1]
    found[..., :-1] += rows[..., 1:]
    found /= 12
    return found


def _halved(x: Array) -> Array:
    """Return the sums of squares of two by two."""
    for axis in (-1, -2):
        x = np.add.reduceat(x, np.arange(0, x.shape[axis], 2), axis=axis)
    return x


def _dot(a: Array, b: Array) -> Array:
    """Return the sums of products over (h, w), which stay as axes of length 1."""
    sums: Array = np.einsum("cnhw,cnhw->cn", a, b)[..., None, None]
    return sums


def _ratio(a: Array, b: Array) -> Array:
    """Return a / b, 0 where b is."""
    found: Array = np.divide(a, b, out=np.zeros_like(a), where=b > 0)
    return found
