"""Near duplicates: pairs of images that are one picture, encoded anew, resized, brightened or slightly cropped. From
thumbnails alone, in three steps: each image's nearest others by a short descriptor, all pairs compared by blocked
matrix products; a linear fit of shift, scale and contrast between the two; and for what is left the same fit, repeated
on pixels that were moved as it says.
"""

from collections.abc import Callable, Iterator

import numpy as np

from ... import kernels
from ...kernels import Array

SIDE = 16  # pixels a side of what is compared: half a thumbnail's
WAVES = 8  # cosines a side of the descriptor, without the mean: 63 numbers
NEIGHBOURS = 8  # of each image that are looked at
LEAST_LIKE = 0.5  # cosine between descriptors
PROMISING = 0.6  # difference after the first fit up to which a pair is looked at more closely
ROUNDS = 3  # of moving the pixels and fitting again
MOST_DIFFERENT = 0.2  # of a picture's own variation that may be left between near duplicates
FALSE, FEW = 0.1, 1.0  # of the pairs reported, that share or that many may be false, as far as that can be told
SURE = 0.1  # difference after the first fit below which a pair is looked at however many there are
FLAT = 2.0  # levels of deviation below which there is no picture to compare
_ROWS, _COLUMNS = 256, 1024  # of a block of the matrix of all pairs, which should stay in cache
_MERGES, _MERGE = (1, 2, 4), 8  # after which blocks of a row, and every how many, the best are sorted out
_PAIRS = 2048  # that are fitted at a time
_MOST = 2000  # pairs that are looked at more closely, and half as many as there are images
_TELLING = 50  # pairs at least from which to tell how close unlike pictures lie
_SHELL, _POWERS = 1.25, (4.0, 16.0)  # how much larger a shell's outside is than its inside; powers that make sense
_PRIOR = 50  # images that the law below is worth when the variances of a data set are estimated
_MOST_SHIFT, _SCALES, _GAINS = 0.15, (0.75, 1.15), (0.3, 3.0)  # of what can still be called the same picture

Progress = Callable[[int, int], None]
Pairs = list[tuple[int, int, float]]


def near_duplicates(thumbs: Array, progress: Progress | None = None) -> Pairs:
    """Return (i, j, difference), i < j, for near duplicates among thumbnails, uint8 (n, 32, 32).

    difference is the share of the pictures' variation that remains when the best shift, scale and contrast have been
    taken out, every frequency weighed by how much the data set varies in it: what all images have in common, such as a
    garment's outline in the middle, makes none of them alike. 0 is the same picture, 1 nothing in common.
    Flat images have no near duplicates.
    """
    pictures = np.flatnonzero(thumbs.reshape(len(thumbs), -1).std(axis=1) > FLAT) if len(thumbs) else np.empty(0, int)
    if len(pictures) < 2:
        return []
    thumbs = thumbs[pictures]
    weights = _weights(thumbs)
    features = _all_features(thumbs, weights)
    first, second = _neighbours(features[:, 0], progress)
    first, second, reach = _promising(features, first, second)
    differences = np.empty(len(first), np.float32)
    for start in range(0, len(first), _PAIRS):
        part = slice(start, start + _PAIRS)
        differences[part] = _refined(thumbs, weights, first[part], second[part])
    same = np.flatnonzero(differences < _limit(differences, reach))
    ends = pictures[first[same]], pictures[second[same]]
    return sorted(zip(np.minimum(*ends).tolist(), np.maximum(*ends).tolist(), differences[same].tolist(), strict=True))


def _promising(features: Array, first: Array, second: Array) -> tuple[Array, Array, float]:
    """Return those pairs that differ least after a first fit, the one that explains the other better first, and the
    difference up to which that is all of them."""
    ways = np.stack((_fit(features, first, second), _fit(features, second, first)))
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
    """Return the difference below which pairs are near duplicates: MOST_DIFFERENT, or less where pictures that are not
    the same lie so close together that more than FALSE of the pairs, and FEW, would be false.

    How many those are is told from the pairs just beyond: the number of unlike pairs within a difference grows with a
    power of it, the data's own dimension, so that two shells further out say how many to expect further in. The power
    itself grows inward, so the innermost shells are taken that still look like a crowd; copies show by a smaller one.
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


# ---- descriptors ----


def _cosines() -> Array:
    """The first WAVES rows of the discrete cosine transform over SIDE points."""
    at = (np.arange(SIDE) + 0.5) / SIDE
    return np.cos(np.pi * np.arange(WAVES)[:, None] * at).astype(np.float32)


_COSINES = _cosines()


def _halved(thumbs: Array) -> Array:
    """Thumbnails as float32 (n, SIDE, SIDE)."""
    n = len(thumbs)
    halved: Array = thumbs.reshape(n, SIDE, 2, SIDE, 2).mean(axis=(2, 4), dtype=np.float32)
    return halved


def _transformed(pictures: Array) -> Array:
    """(n, SIDE, SIDE) -> cosine coefficients without the mean, (n, WAVES² - 1)."""
    waves: Array = np.matmul(np.matmul(_COSINES, pictures), _COSINES.T)
    return waves.reshape(len(waves), -1)[:, 1:]


def _weights(thumbs: Array) -> Array:
    """What to multiply each coefficient by so that all vary alike in this data set; few images are helped out by the
    law that pictures follow on average, a variance that falls with the square of the frequency."""
    total, squares, count = 0.0, 0.0, len(thumbs)
    for start in range(0, count, _PAIRS):
        part = _transformed(_halved(thumbs[start : start + _PAIRS])).astype(np.float64)
        total, squares = total + part.sum(axis=0), squares + (part**2).sum(axis=0)
    variance = np.maximum(squares / count - (total / count) ** 2, 0)
    waves = np.arange(WAVES)
    law = 1 / (waves[:, None] ** 2 + waves**2).ravel()[1:]
    law *= max(float(variance.mean()), 1.0) / law.mean()
    weights: Array = (1 / np.sqrt((count * variance + _PRIOR * law) / (count + _PRIOR))).astype(np.float32)
    return weights


def _features(pictures: Array, weights: Array) -> Array:
    """(n, SIDE, SIDE) -> (n, 5, 63): the weighted coefficients of the picture and of what a small shift to the right
    and down and a small scaling across and down would add to it."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * (SIDE / 2)
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) * (SIDE / 2)
    place = ((np.arange(SIDE) + 0.5) / SIDE - 0.5).astype(np.float32)
    maps = (pictures, across, down, across * place, down * place[:, None], (pictures - 128) ** 2 / 128)
    return np.stack([_transformed(m) * weights for m in maps], axis=1)


def _all_features(thumbs: Array, weights: Array) -> Array:
    features = np.empty((len(thumbs), 6, WAVES**2 - 1), np.float16)  # they vary by about 1
    for start in range(0, len(thumbs), _PAIRS):
        features[start : start + _PAIRS] = _features(_halved(thumbs[start : start + _PAIRS]), weights)
    return features


# ---- the nearest of all pairs ----


def _neighbours(descriptors: Array, progress: Progress | None) -> tuple[Array, Array]:
    """Return the pairs (i, j), i < j, in which one is among the other's NEIGHBOURS nearest by cosine."""
    n = len(descriptors)
    # Each block gets images from all over the folder: where classes come one after the other, most rows would meet
    # their nearest late, and hold thousands of others until then.
    blocks = -(-n // _COLUMNS)
    order = np.concatenate([np.arange(first, n, blocks) for first in range(blocks)])
    unit = np.zeros((n, WAVES**2), np.float32)  # one zero more than there are numbers: kernels like whole vectors
    unit[:, : descriptors.shape[1]] = descriptors[order]
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    product = _Product(min(_ROWS, n), min(_COLUMNS, n))
    keys = []
    for start in range(0, n, _ROWS):
        rows, columns = _nearest_of(unit, start, min(start + _ROWS, n), product)
        rows, columns = order[rows], order[columns]
        keys.append(np.unique(np.minimum(rows, columns) * n + np.maximum(rows, columns)))
        if progress:
            progress(min(start + _ROWS, n), n)
    pairs = np.unique(np.concatenate(keys))
    return pairs // n, pairs % n


class _Product:
    """Products of blocks of vectors by our own kernels: the same on any number of threads, and no slower where other
    programs want the cores."""

    def __init__(self, rows: int, columns: int) -> None:
        depth, sizes = WAVES**2, kernels.linear_convolution(rows, WAVES**2, columns)
        self._x, self._weight = np.zeros((rows, depth), np.float32), np.zeros((columns, depth), np.float32)
        self._y = kernels.aligned_empty((rows, columns))
        packed = kernels.aligned_empty((sizes.packed(kernels.FORWARD),), np.uint8)
        workspace = kernels.aligned_empty((sizes.workspace(kernels.FORWARD),), np.uint8)
        self._pack = kernels.linear_pack(kernels.FORWARD, self._weight, packed)
        self._multiply = kernels.linear_forward(self._x, self._weight, packed, self._y, workspace)

    def take(self, rows: Array) -> None:
        """Take the vectors on the left."""
        self._x[: len(rows)] = rows

    def with_(self, columns: Array) -> Array:
        """Return their products with these, (rows, columns); the next call overwrites them."""
        self._weight[: len(columns)] = columns
        self._pack()
        self._multiply()
        return self._y[:, : len(columns)]


def _nearest_of(unit: Array, start: int, end: int, product: _Product) -> tuple[Array, Array]:
    """Return the pairs of the images start … end - 1 with their nearest among all."""
    count, n = end - start, len(unit)
    least = np.full((count, 1), LEAST_LIKE, np.float32)  # what a pair must exceed: each row's last place so far
    best = _Best(start)
    product.take(unit[start:end])
    for number, left in enumerate(range(0, n, _COLUMNS)):
        like = product.with_(unit[left : left + _COLUMNS])[:count]
        if number == 0 and like.shape[1] > NEIGHBOURS + 1:  # spares sorting thousands; itself is one of them
            last = np.partition(like, -NEIGHBOURS - 1, axis=1)[:, -NEIGHBOURS - 1 :].min(axis=1)
            least[:, 0] = np.maximum(least[:, 0], np.nextafter(last, np.float32(-1)))
        rows, columns = np.divmod(np.flatnonzero(like > least), like.shape[1])  # nonzero takes forty times as long
        best.add(rows, columns, like, left)
        if number in _MERGES or number % _MERGE == 0:
            best.merge(least)
    best.merge(least)
    return best.rows + start, best.columns


class _Best:
    """The nearest that were found of some images so far, and those that may be among them."""

    def __init__(self, start: int) -> None:
        self._start = start
        self.rows, self.columns = np.empty(0, np.int64), np.empty(0, np.int64)
        self._likes = np.empty(0, np.float32)
        self._waiting: list[tuple[Array, Array, Array]] = []

    def add(self, rows: Array, columns: Array, like: Array, left: int) -> None:
        """Note hits, by their places in a block of products that begins with image ``left``."""
        if len(rows):
            other = rows + self._start != columns + left
            rows, columns = rows[other], columns[other]
            self._waiting.append((rows, columns + left, like[rows, columns]))

    def merge(self, least: Array) -> None:
        """Keep the best of each row, and raise least (rows, 1) to the last of them."""
        if not self._waiting:
            return
        every = [(self.rows, self.columns, self._likes), *self._waiting]
        rows, columns, likes = (np.concatenate(parts) for parts in zip(*every, strict=True))
        self._waiting = []
        order = np.lexsort((columns, -likes, rows))
        rows, columns, likes = rows[order], columns[order], likes[order]
        place = np.arange(len(rows)) - np.searchsorted(rows, rows)
        kept = place < NEIGHBOURS
        self.rows, self.columns, self._likes = rows[kept], columns[kept], likes[kept]
        full = place[kept] == NEIGHBOURS - 1
        least[self.rows[full], 0] = self._likes[full]


# ---- how different two pictures are ----


def _fit(features: Array, first: Array, second: Array) -> Array:
    """Explain each second picture by the first, moved, scaled and with another contrast: the differences."""
    differences = np.empty(len(first), np.float32)
    for start in range(0, len(first), _PAIRS):
        part = slice(start, start + _PAIRS)
        differences[part], _ = _explained(features[first[part]].astype(np.float32),
                                          features[second[part], 0].astype(np.float32))
    return differences


def _explained(features: Array, target: Array) -> tuple[Array, Array]:
    """Least squares of target (n, 63) by features (n, 5, 63): the share of target that is left, and the solution."""
    gram = np.matmul(features, features.transpose(0, 2, 1))
    size = np.einsum("nkk->nk", gram)
    gram += (1e-3 * size + 1e-6)[:, :, None] * np.eye(6, dtype=np.float32)
    solution = np.linalg.solve(gram, np.matmul(features, target[:, :, None]))
    left = target - np.matmul(solution.transpose(0, 2, 1), features)[:, 0]
    return np.sqrt((left**2).sum(axis=1) / np.maximum((target**2).sum(axis=1), 1e-6)), solution[:, :, 0]


def _refined(thumbs: Array, weights: Array, first: Array, second: Array) -> Array:
    """As ``_fit``'s difference, with the first pictures' pixels moved and scaled anew each round; 1 where that ends in
    something that nobody would call the same picture."""
    target = _transformed(_halved(thumbs[second])) * weights
    scale: Array = np.ones((len(first), 2), np.float32)
    shift: Array = np.zeros((len(first), 2), np.float32)
    best = np.ones(len(first), np.float32)
    for _ in range(ROUNDS):
        moved = _moved(thumbs[first], scale, shift)
        left, solution = _explained(_features(moved, weights), target)
        gain = solution[:, 0]
        sane = ((gain > _GAINS[0]) & (gain < _GAINS[1]) & (np.abs(shift) <= _MOST_SHIFT).all(axis=1)
                & (scale > _SCALES[0]).all(axis=1) & (scale < _SCALES[1]).all(axis=1))
        best = np.where(sane, np.minimum(best, left), best)
        step = np.clip(solution[:, 1:5] / np.where(np.abs(gain) < 0.1, 1, gain)[:, None], -0.1, 0.1)
        # The features are slopes: a picture p(u) that is asked for p + t p' + s u p' is p(u + t + s u).
        shift = shift + scale * step[:, 0:2]
        scale = scale * (1 + step[:, 2:4])
    return best


def _moved(thumbs: Array, scale: Array, shift: Array) -> Array:
    """Return thumbnails sampled at scale * u + shift, u from -1/2 to 1/2 across and down, as float32 (n, SIDE, SIDE);
    beyond the border is the border."""
    side = thumbs.shape[1]
    place = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    ranks = np.arange(len(thumbs))[:, None, None]
    (x0, x1, fx), (y0, y1, fy) = (_sampled(place, scale[:, axis], shift[:, axis], side) for axis in (0, 1))
    pixels = thumbs.astype(np.float32)
    across = (pixels[ranks, np.arange(side)[:, None], x0[:, None, :]] * (1 - fx[:, None, :])
              + pixels[ranks, np.arange(side)[:, None], x1[:, None, :]] * fx[:, None, :])
    both = (across[ranks[:, :, 0], y0] * (1 - fy[:, :, None]) + across[ranks[:, :, 0], y1] * fy[:, :, None])
    return _halved(both)


def _sampled(place: Array, scale: Array, shift: Array, side: int) -> tuple[Array, Array, Array]:
    at = np.clip((scale[:, None] * place + shift[:, None] + 0.5) * side - 0.5, 0, side - 1)
    low = np.floor(at).astype(np.int64)
    return low, np.minimum(low + 1, side - 1), (at - low).astype(np.float32)


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
