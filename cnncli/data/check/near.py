"""Near copies: pairs of images that are one picture, encoded again, resized, brightened or slightly cropped. They are
found from thumbnails alone, in three steps: each image's nearest others by a short descriptor (descriptors.py,
neighbours.py, cells.py); a linear fit of shift, scale and contrast between the two; and for the rest the same fit,
repeated on pixels that were moved accordingly (difference.py). The time grows with the number of images, never with its
square.
"""

from collections.abc import Iterator

import numpy as np

from ...kernels import Array
from .cells import nearest_in_cells
from .descriptors import PIECE, all_features, weights_of
from .difference import fitted, refined
from .neighbours import Progress, nearest_of_all

PROMISING = 0.6  # difference after the first fit up to which a pair is looked at more closely
MOST_DIFFERENT = 0.2  # of a picture's own variation that may be left between near duplicates
FALSE, FEW = 0.1, 1.0  # of the pairs reported, that share or that many may be false, as far as that can be told
SURE = 0.1  # difference after the first fit below which a pair is looked at however many there are
FLAT = 2.0  # levels of deviation below which there is no picture to compare
ALL = 8192  # images up to which all pairs are compared, which finds all and takes no longer than dealing into cells
_MOST = 2000  # pairs that are looked at more closely, and half as many as there are images
_TELLING = 50  # pairs at least from which to tell how close unlike pictures lie
_SHELL, _POWERS = 1.25, (4.0, 16.0)  # how much larger a shell's outside is than its inside; powers that make sense

Pairs = list[tuple[int, int, float]]


def near_duplicates(thumbs: Array, progress: Progress | None = None) -> Pairs:
    """Return (i, j, difference), i < j, for near copies among thumbnails, uint8 (n, 32, 32).

    difference is the share of the pictures' variation that remains after the best shift, scale and contrast. Every
    frequency is weighted by how much the data set varies in it, so what all images share, such as a garment's outline
    in the middle, makes none of them alike. 0 is the same picture, 1 nothing in common. Flat images have no near
    copies.
    """
    flat = thumbs.reshape(len(thumbs), -1) if len(thumbs) else thumbs
    deviations = [flat[start : start + PIECE].std(axis=1) for start in range(0, len(flat), PIECE)]
    pictures = np.flatnonzero(np.concatenate([np.empty(0), *deviations]) > FLAT)
    if len(pictures) < 2:
        return []
    thumbs = thumbs[pictures]
    weights = weights_of(thumbs)
    features = all_features(thumbs, weights)
    nearest = nearest_of_all if len(pictures) <= ALL else nearest_in_cells
    first, second = nearest(features[:, 0], progress)
    first, second, reach = _promising(features, first, second)
    differences = np.empty(len(first), np.float32)
    for start in range(0, len(first), PIECE):
        part = slice(start, start + PIECE)
        differences[part] = refined(thumbs, weights, first[part], second[part])
    same = np.flatnonzero(differences < _limit(differences, reach))
    ends = pictures[first[same]], pictures[second[same]]
    return sorted(zip(np.minimum(*ends).tolist(), np.maximum(*ends).tolist(), differences[same].tolist(), strict=True))


def _promising(features: Array, first: Array, second: Array) -> tuple[Array, Array, float]:
    """Return those pairs that differ least after a first fit, the one that explains the other better first, and the
    difference up to which that is all of them."""
    ways = np.stack((fitted(features, first, second), fitted(features, second, first)))
    differences = ways.min(axis=0)
    order = np.argsort(differences, kind="stable")
    differences = differences[order]
    certain, possible = np.searchsorted(differences, (SURE, PROMISING))
    count = int(min(possible, certain + _MOST + len(features) // 2))
    kept = order[:count]
    turned = ways[1, kept] < ways[0, kept]
    reach = PROMISING if count == possible else float(differences[count - 1])
    return np.where(turned, second[kept], first[kept]), np.where(turned, first[kept], second[kept]), reach


def _limit(differences: Array, reach: float) -> float:
    """Return the difference below which pairs are near copies: MOST_DIFFERENT, or less if different pictures lie so
    close together that more than FALSE of the pairs, and more than FEW, would be wrong.

    The pairs just beyond tell how many would be wrong. The number of unlike pairs within a difference grows with a
    power of it, the data's own dimension; so two shells further out predict how many to expect further in. The power
    itself grows inwards, so the innermost shells are taken that still look like a crowd; copies show by a smaller
    power.
    """
    values = np.sort(differences)
    far = 0.8 * reach  # beyond it some pairs are missing: those that the first fit put behind the promising ones
    count, power = _crowd(values, far)
    if count < _TELLING:
        return MOST_DIFFERENT
    while True:
        closer, higher = _crowd(values, far / _SHELL)
        if closer < _TELLING or higher < power:
            break
        far, count, power = far / _SHELL, closer, higher
    power = float(np.clip(power, *_POWERS))
    expected = count / (1 - _SHELL**-power) * (values / far) ** power
    allowed = np.maximum(FALSE * np.arange(1, len(values) + 1), FEW)
    good = np.flatnonzero((values < MOST_DIFFERENT) & (expected <= allowed))
    return float(np.nextafter(values[good[-1]], np.float32(1))) if len(good) else 0.0


def _crowd(values: Array, far: float) -> tuple[int, float]:
    """Return how many sorted values lie in the shell that ends at ``far``, and the power by which the shells grow."""
    inner, middle, outer = np.searchsorted(values, (far / _SHELL**2, far / _SHELL, far)).tolist()
    return outer - middle, float(np.log(max(outer - middle, 1) / max(middle - inner, 1)) / np.log(_SHELL))


def groups(pairs: Pairs) -> Iterator[list[int]]:
    """Yield the sets of indices that pairs connect, each sorted, by their first."""
    parent: dict[int, int] = {}

    def root(i: int) -> int:
        while parent.setdefault(i, i) != i:
            parent[i] = i = parent[parent[i]]
        return i

    for i, j, _ in pairs:
        a, b = root(i), root(j)
        parent[max(a, b)] = min(a, b)
    members: dict[int, list[int]] = {}
    for i in sorted(parent):
        members.setdefault(root(i), []).append(i)
    yield from members.values()
