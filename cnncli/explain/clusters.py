"""Maps of one class that fall into groups, as SpRAy finds them (Lapuschkin et al. 2019): a class that is told by two
different things has two, and a small tight one at one place may be a mark that only some of its images bear.

Each map is joined with those nearest to it, and the eigenvectors of the graph's normalised Laplacian lay maps that hang
together at one place, where k-means finds them (Ng, Jordan and Weiss 2002). The largest gap between the first
eigenvalues proposes how many groups there are. Maps that change gradually, as those of a thing that may lie anywhere,
have such gaps, too; so a group stands only where hardly a joint leads out of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..kernels import Array

MOST = 8  # groups of a class
_STEPS = 100  # of k-means


@dataclass(frozen=True, eq=False)
class Cluster:
    """Maps that are alike. members are their places among those given, ascending, and share is what part of these they
    are. mean (rows, columns) is where their evidence lies on average, adding up to 1. tightness is how alike they are,
    from 0, where no two overlap, to 1, where all are the same. centre is the middle of the mean's mass, and peak that
    of its largest cell: (row, column), as parts of the image's height and width."""

    members: tuple[int, ...]
    share: float
    mean: Array = field(repr=False)
    tightness: float
    centre: tuple[float, float]
    peak: tuple[float, float]


def clusters(maps: Sequence[Array] | Array) -> list[Cluster]:
    """Return the groups that maps (n, rows, columns) fall into, the largest first; one where they do not fall apart.
    Only what is above 0 counts, and not how strong it is; a map with nothing above 0 is in no group. The order of the
    maps changes the members' numbers and nothing else. Memory grows with the square of the maps' number: 300 take 50 ms
    and a few MB, and thousands should be sampled first."""
    if not len(maps):
        return []
    positive = np.asarray(maps, np.float64).clip(0)
    shown = np.flatnonzero(positive.any(axis=(1, 2)))
    if not len(shown):
        return []
    positive = positive[shown] / positive[shown].sum(axis=(1, 2), keepdims=True)
    flat = positive.reshape(len(shown), -1)
    order = np.lexsort(flat.T)  # which is the same in whatever order they come
    groups = np.empty(len(flat), np.int64)
    groups[order] = _groups(np.sqrt(flat[order]))
    found = [_cluster(positive[groups == each], shown[groups == each], len(shown)) for each in np.unique(groups)]
    return sorted(found, key=lambda each: (-len(each.members), each.peak, each.centre))


def _cluster(maps: Array, members: Array, of: int) -> Cluster:
    mean = maps.mean(axis=0)
    # The sum of all the pairs' affinities is the square of the sum of the roots.
    roots, n = np.sqrt(maps), len(maps)
    alike = ((roots.sum(axis=0) ** 2).sum() - n) / (n * (n - 1)) if n > 1 else 1.0
    rows, columns = ((np.arange(side) + 0.5) / side for side in mean.shape)
    row, column = np.unravel_index(int(mean.argmax()), mean.shape)
    return Cluster(tuple(members.tolist()), n / of, mean, float(np.clip(alike, 0, 1)),
                   (float(mean.sum(axis=1) @ rows), float(mean.sum(axis=0) @ columns)),
                   (float(rows[row]), float(columns[column])))


def _groups(points: Array) -> Array:
    """Return the number of each point's group, int64 (n,), of points (n, d) of length 1, whose order only the points
    themselves decide."""
    n = len(points)
    near = max(5, round(2 / 3 * n**0.5))  # neighbours of each
    if n < 2 * (near + 1):  # no two groups of points that have their neighbours among themselves
        return np.zeros(n, np.int64)
    joints = _joints(points, near)
    weights = np.maximum(joints, joints.T)
    scale = 1 / np.sqrt(weights.sum(axis=1))
    values, vectors = np.linalg.eigh(np.eye(n) - scale[:, None] * weights * scale)
    count = int(np.diff(values[: MOST + 1]).argmax()) + 1
    return _standing(_k_means(vectors[:, :count]), joints + joints.T, near**2 / 8)


def _joints(points: Array, near: int) -> Array:
    """Return which points are among the nearest of each, float64 (n, n): so many, and those that are as near."""
    distances = 2 - 2 * (points @ points.T)
    np.fill_diagonal(distances, np.inf)
    furthest = np.partition(distances, near - 1, axis=1)[:, near - 1]
    joints: Array = (distances <= furthest[:, None] + 1e-12).astype(np.float64)
    return joints


def _k_means(vectors: Array) -> Array:
    """Return the group of each row of eigenvectors (n, k), of which only the direction counts: k groups at most. Each
    begins at the row that is furthest from those where the others begin."""
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    middles = rows[:1]
    for _ in range(vectors.shape[1] - 1):
        middles = np.concatenate([middles, rows[[_squares(rows, middles).min(axis=1).argmax()]]])
    groups: Array = _squares(rows, middles).argmin(axis=1)
    for _ in range(_STEPS):
        middles = np.stack([rows[groups == i].mean(axis=0) for i in np.unique(groups)])
        before, groups = groups, _squares(rows, middles).argmin(axis=1)
        if np.array_equal(before, groups):
            break
    return groups


def _squares(rows: Array, middles: Array) -> Array:
    squares: Array = ((rows[:, None] - middles) ** 2).sum(axis=2)
    return squares


def _standing(groups: Array, joints: Array, most: float) -> Array:
    """Return groups of which each has at most so many joints with the others: again and again the one that has the most
    becomes one with that which it has most of them with. In a chain of points with k neighbours each, the cut that goes
    through the fewest joints goes through k squared / 4."""
    while True:
        names = np.unique(groups)
        of = (groups[:, None] == names).astype(np.float64)
        between = of.T @ joints @ of
        np.fill_diagonal(between, 0)
        worst = int(between.sum(axis=1).argmax())
        if between[worst].sum() <= most:
            return groups
        groups[groups == names[worst]] = names[int(between[worst].argmax())]
