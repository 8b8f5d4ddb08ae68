"""What lies at one place in nearly every image of a class, pixel for pixel, and in hardly any other: a logo, a date, a
frame. What belongs to things that were photographed is never so much the same. Asks no network.

Two signs, either of which is enough: steps from one pixel to the next that are the same in all images of the class (a
logo that the image shines through keeps its edges), and pixels of the same colour.
"""

from dataclasses import dataclass

import numpy as np

from ..kernels import Array
from .boxes import pieces
from .places import Place

SIDE = 64  # pixels of the longer side at which images are compared
_OWN, _OTHERS = 0.75, 0.15  # images of the class that have a pixel or a step at least, and of the others at most
_STEP, _LEVELS = 8.0, 8.0  # levels from which a step is one, and within which colours are the same
_SLACK, _SHARE = 2.0, 0.3  # by how much a step may differ from the class's: levels, and of its own height
_STEPS, _FILLED = 0.5, 0.4  # steps for each pixel of the side of a window, and the part of it that has the same colour
_WINDOW = 0.06  # of the image's area
_SOME, _HARDLY, _ASKED = 0.2, 0.02, 12  # as _OWN and _OTHERS for what only some bear, and of how many it is asked
_COMPARED = 150  # of the others
_FEWEST = 5  # images of the class, and of the others
_LEAST, _ALIKE = 0.004, 0.6  # of the image's area, and of the class's images, at least
_SURE, _LESS = 0.9, 0.08  # what is as often the same as a window's pixels at this quantile, or a little less, belongs
_GOES_ON = 0.2  # of what is around, in the same colour
_LARGE = 0.25  # of the image, from which on only pixels that are the same are meant, not all in their rectangle


@dataclass(frozen=True)
class Stamp:
    """A place, and in what part of the class's images and of the others the same lies there."""

    place: Place
    own: float
    others: float


def shrunk(images: Array) -> Array:
    """Return images, uint8 (n, h, w, c), as float32 with the longer side at most SIDE pixels, means of squares."""
    factor = -(-max(images.shape[1:3]) // SIDE)
    if factor == 1:
        return images.astype(np.float32)
    high, wide = (side // factor for side in images.shape[1:3])
    squares = images[:, : high * factor, : wide * factor].reshape(len(images), high, factor, wide, factor, -1)
    means: Array = squares.mean(axis=(2, 4), dtype=np.float32)
    return means


def find(own: Array, others: Array, size: tuple[int, int]) -> Stamp | None:
    """Find the largest stamp of a class; None where there is none. own and others are ``shrunk`` images of the class
    and of the other classes, which before were of size (h, w)."""
    if min(len(own), len(others)) < _FEWEST:
        return None
    others = others[:: -(-len(others) // _COMPARED)]
    usual = np.median(own, axis=0)
    filled = _same(own, others, usual, np.full(usual.shape[:2], _LEVELS))
    steps = np.zeros(usual.shape[:2])
    counts = np.zeros(usual.shape[:2], np.int64)
    for axis in (0, 1):
        found = _steps(own, others, axis)
        for end in (slice(None, -1), slice(1, None)):
            there = end if axis == 0 else (slice(None), end)
            np.maximum(steps[there], found, out=steps[there])
            counts[there] += found > 0
    side = max(3, round((_WINDOW * filled.size) ** 0.5))
    strength = _windows(counts, side) / (2 * _STEPS * side) + _windows(filled > 0, side) / (_FILLED * side**2)
    if strength.max() < 1:
        return None
    row, column = map(int, np.unravel_index(int(strength.argmax()), strength.shape))
    window = slice(row, row + side), slice(column, column + side)
    share = np.maximum(filled, steps)
    if 2 * (filled[window] > 0).sum() >= (share[window] > 0).sum():  # steps reach a pixel beyond what they bound
        share = filled
    plain = counts[window].sum() / 2 < _STEPS * side
    sure = share >= np.quantile(share[window][share[window] > 0], _SURE) - _LESS - 1 / len(own)
    mask = _together(sure & (share > 0), window)
    return None if plain and _goes_on(mask, own, usual) else _stamp(mask, own, others, usual, size)


def find_some(own: Array, others: Array, size: tuple[int, int]) -> tuple[Stamp, Array] | None:
    """Find a stamp that only some of the class's images bear, and which, bool (n,): what one of them has, and enough
    others. As ``find``; only pixels of the same colour count, and it must have several."""
    if min(len(own), len(others)) < _FEWEST:
        return None
    others = others[:: -(-len(others) // _COMPARED)]
    best, most = None, 0.0
    side = max(3, round((_WINDOW * own[0, ..., 0].size) ** 0.5))
    for one in own[:: -(-len(own) // _ASKED)]:
        filled = _same(own, others, one, np.full(one.shape[:2], _LEVELS), _SOME, _HARDLY)
        strength = _windows(filled > 0, side) / (_FILLED * side**2)
        if strength.max() < max(1, most):
            continue
        row, column = map(int, np.unravel_index(int(strength.argmax()), strength.shape))
        mask = _together(filled > 0, (slice(row, row + side), slice(column, column + side)))
        bear = (np.abs(own[:, mask] - one[mask]).max(axis=-1) <= _LEVELS).mean(axis=1) >= _SURE
        plain = one[mask].std(axis=0).max() < _STEP  # as the walls and gaps that some images have in common
        if plain or bear.sum() < max(_FEWEST, _SOME * len(own)) or _goes_on(mask, own[bear], one):
            continue
        stamp = _stamp(mask, own[bear], others, one, size)
        if stamp is not None:
            best, most = (Stamp(stamp.place, float(bear.mean()), stamp.others), bear), float(strength.max())
    return best


def _together(mask: Array, window: tuple[slice, slice]) -> Array:
    """Return what hangs together with most of what is in the window, up to gaps of a pixel."""
    most, best = 0, np.zeros_like(mask)
    for _, left, top, right, bottom in pieces(_wider(mask)):
        inside = np.zeros_like(mask)
        inside[top:bottom, left:right] = mask[top:bottom, left:right]
        if (many := int(inside[window].sum())) > most:
            most, best = many, inside
    return best


def _wider(mask: Array) -> Array:
    wide = np.pad(mask, 1)
    wider: Array = wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return wider


def _goes_on(mask: Array, own: Array, usual: Array) -> bool:
    """Whether what has no steps in itself goes on around it, in one colour: a background, where others have things."""
    around = _wider(_wider(mask)) & ~mask
    colour = np.median(usual[mask], axis=0)
    same = (np.abs(own[:, around] - colour).max(axis=-1) <= _LEVELS).mean(axis=0) >= _OWN
    return bool(same.mean() >= _GOES_ON) if same.size else True


def _stamp(mask: Array, own: Array, others: Array, usual: Array, size: tuple[int, int]) -> Stamp | None:
    """Return the stamp that a mask is, None where too few images have enough of it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if mask.sum() < _LEAST * mask.size:
        return None
    top, left, bottom, right = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    mine = float(_bear(own[:, mask], usual[mask]).mean())
    theirs = float((np.abs(others[:, mask] - usual[mask]).mean(axis=(1, 2)) <= _LEVELS).mean())
    if mine < _ALIKE or theirs > _OTHERS:
        return None
    return Stamp(_place((top, left, bottom, right), mask[top:bottom, left:right], mask.shape, size), mine, theirs)


def _bear(pixels: Array, usual: Array) -> Array:
    """Return in which images the pixels (n, pixels, c) are what is usual, but for how light all of them are."""
    differences = pixels - usual
    differences -= differences.mean(axis=1, keepdims=True)
    alike: Array = np.abs(differences).mean(axis=(1, 2)) <= _LEVELS
    return alike


def _place(box: tuple[int, int, int, int], there: Array, small: tuple[int, ...], size: tuple[int, int]) -> Place:
    """Return the place on the images before they were shrunk."""
    factor = -(-max(size) // SIDE)
    ends = [size[i] if box[2 + i] == small[i] else box[2 + i] * factor for i in (0, 1)]
    top, left = box[0] * factor, box[1] * factor
    high, wide = ends[0] - top, ends[1] - left
    if high * wide < _LARGE * size[0] * size[1]:
        return Place(top, left, ends[0], ends[1], size)
    rows, columns = (np.minimum(np.arange(pixels) // factor, there.shape[i] - 1)
                     for i, pixels in enumerate((high, wide)))
    return Place(top, left, ends[0], ends[1], size, there[rows][:, columns])


def _steps(own: Array, others: Array, axis: int) -> Array:
    """Return ``_same`` of the steps along an axis, 0 where there is none."""
    mine, theirs = (np.diff(each, axis=axis + 1) for each in (own, others))
    usual = np.median(mine, axis=0)
    height = np.abs(usual).max(axis=-1)
    found: Array = np.where(height >= _STEP, _same(mine, theirs, usual, _SLACK + _SHARE * height), 0)
    return found


def _same(own: Array, others: Array, usual: Array, within: Array, least: float = _OWN, most: float = _OTHERS) -> Array:
    """Return what part of the class's images have what is usual, 0 where too few have, or too many others."""
    shares = [(np.abs(each - usual).max(axis=-1) <= within).mean(axis=0) for each in (own, others)]
    same: Array = np.where((shares[0] >= least) & (shares[1] <= most), shares[0], 0)
    return same


def _windows(values: Array, side: int) -> Array:
    """Return the sums over all square windows of this side."""
    if min(values.shape) < side:
        return np.zeros((1, 1))
    sums = np.pad(values.astype(np.int64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    found: Array = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return found
