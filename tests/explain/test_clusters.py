"""explain/clusters.py: maps that fall into groups do, and others do not."""

from typing import Any

import numpy as np
import pytest

from cnncli.explain import clusters as module
from cnncli.explain.clusters import _groups, _joints, _k_means, _standing, clusters
from cnncli.kernels import Array

CELLS = 16
y, x = np.mgrid[:CELLS, :CELLS]


def blob(count: int, row: float, column: float, sway: float = 1.0, seed: int = 0) -> Array:
    """Maps with one bump each, which sways about a place, on noise, of any strength."""
    rng = np.random.default_rng(seed)
    places = rng.normal((row, column), sway, (count, 2))
    bumps = np.stack([np.exp(-((y - a) ** 2 + (x - b) ** 2) / 8) for a, b in places])
    return (bumps + 0.2 * rng.random(bumps.shape)) * rng.uniform(0.01, 100, (count, 1, 1))


@pytest.mark.slow
@pytest.mark.parametrize(("many", "few"), [(6, 6), (15, 9), (40, 30), (90, 12)])
@pytest.mark.parametrize("seed", range(2))
def test_two_groups_are_found(many: int, few: int, seed: int) -> None:
    large, small = clusters(np.concatenate([blob(many, 9, 9, seed=seed), blob(few, 1, 14, 0.5, seed + 50)]))
    assert sorted([large.members, small.members]) == [(*range(many),), (*range(many, many + few),)]
    corner = small if small.members[0] == many else large
    assert corner.share == pytest.approx(few / (many + few))
    assert corner.mean.sum() == pytest.approx(1)
    assert np.unravel_index(corner.mean.argmax(), corner.mean.shape) in [(0, 14), (1, 13), (1, 14), (1, 15), (2, 14)]
    assert np.abs(np.subtract(corner.peak, (1.5 / CELLS, 14.5 / CELLS))).max() < 0.1
    assert corner.centre[0] < 0.5 < corner.centre[1], "noise draws the centre to the middle"


def test_three_groups_are_found() -> None:
    found = clusters(np.concatenate([blob(50, 2, 2), blob(30, 13, 3, seed=1), blob(20, 8, 13, seed=2)]))
    assert [each.members for each in found] == [(*range(50),), (*range(50, 80),), (*range(80, 100),)]


@pytest.mark.parametrize("count", [12, 30, *(pytest.param(n, marks=pytest.mark.slow) for n in (100, 200))])
@pytest.mark.parametrize("sway", [0.5, 2, 4])
def test_maps_that_change_gradually_are_one_group(count: int, sway: float) -> None:
    for seed in range(3):
        [one] = clusters(blob(count, 8, 8, sway, seed))
        assert one.members == (*range(count),)
        assert one.share == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [47, 103, 289])  # groups that touch, which k-means divides as it begins
def test_the_order_changes_nothing_but_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = np.concatenate([blob(25, *rng.uniform(2, 14, 2), 1.5, seed + i) for i in range(4)])
    order = rng.permutation(len(maps))
    ours, theirs = clusters(maps), clusters(maps[order])
    assert sorted(each.members for each in ours) == sorted(
        tuple(sorted(order[list(each.members)].tolist())) for each in theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.mean == pytest.approx(other.mean)
        assert (one.share, one.peak) == (other.share, other.peak)


def test_how_strong_a_map_is_and_what_speaks_against_change_nothing() -> None:
    maps = np.concatenate([blob(30, 9, 9), blob(20, 1, 14, seed=1)])
    stronger = np.where(maps > np.median(maps), maps, -maps) * np.linspace(1e-30, 1e30, 50)[:, None, None]
    for ours, theirs in zip(clusters(np.where(maps > np.median(maps), maps, 0)), clusters(stronger), strict=True):
        assert ours.members == theirs.members
        assert ours.tightness == pytest.approx(theirs.tightness)


def test_how_tight_a_group_is() -> None:
    apart = np.zeros((3, CELLS, CELLS))
    apart[[0, 1, 2], [0, 5, 9], 3] = 1
    assert clusters(apart)[0].tightness == 0
    assert clusters(apart[:1])[0].tightness == 1, "one alone is like itself"
    assert clusters(apart[[0, 0, 0]])[0].tightness == pytest.approx(1)
    half = apart[:2].copy()
    half[:, 0, 3] = 1
    [one] = clusters(half)
    assert one.tightness == pytest.approx(np.sqrt(0.5)), "the first lies in one cell, the other half in it"
    assert (clusters(blob(20, 8, 8, 0.5))[0].tightness) > clusters(blob(20, 8, 8, 4))[0].tightness


def test_where_a_group_lies() -> None:
    one = np.zeros((1, 4, 8))
    one[0, 0, 6], one[0, 3, 0] = 3, 1
    [found] = clusters(one)
    assert found.peak == (0.5 / 4, 6.5 / 8)
    assert found.centre == pytest.approx((0.75 * 0.5 / 4 + 0.25 * 3.5 / 4, 0.75 * 6.5 / 8 + 0.25 * 0.5 / 8))


@pytest.mark.parametrize("maps", [np.zeros((0, CELLS, CELLS)), [], np.zeros((3, CELLS, CELLS)), -np.ones((20, 4, 4))])
def test_without_evidence_there_is_no_group(maps: Array) -> None:
    assert clusters(maps) == []


def test_k_means_ends_where_each_is_nearest_to_its_own_mean() -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(200, 4))
    groups = _k_means(rows)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    means = np.stack([rows[groups == each].mean(axis=0) for each in np.unique(groups)])
    assert np.array_equal(np.unique(groups)[((rows[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)], groups)
    assert len(means) == 4


def test_few_maps_and_equal_ones() -> None:
    for count in (1, 2, 5, 11):
        [one] = clusters(np.concatenate([blob(1, 2, 2), blob(11, 13, 13)])[:count])
        assert one.members == (*range(count),)
    same = np.repeat(blob(1, 3, 3), 40, axis=0)
    assert [each.members for each in clusters(same)] == [(*range(40),)]
    two = np.concatenate([same, np.repeat(blob(1, 12, 12), 20, axis=0)])
    assert [each.members for each in clusters(two)] == [(*range(40),), (*range(40, 60),)]


def test_maps_without_evidence_are_in_no_group_and_do_not_count() -> None:
    maps = np.concatenate([blob(10, 3, 3), np.zeros((7, CELLS, CELLS)), blob(10, 12, 12)])
    large, small = clusters(maps)
    assert sorted(large.members + small.members) == [*range(10), *range(17, 27)]
    assert (large.share, small.share) == (0.5, 0.5)


@pytest.mark.parametrize("near", [1, 5, 12])
def test_each_point_is_joined_with_those_nearest_to_it(near: int) -> None:
    points = np.random.default_rng(near).normal(size=(300, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    distances = np.linalg.norm(points[:, None] - points, axis=2) + 9 * np.eye(300)
    wanted = np.zeros((300, 300))
    np.put_along_axis(wanted, np.argsort(distances, axis=1)[:, :near], 1, axis=1)
    assert np.array_equal(_joints(points, near), wanted)


@pytest.mark.parametrize(("each", "near"), [(20, 5), (27, 6), (60, 9)])
def test_how_many_neighbours_and_groups_there_are(each: int, near: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thirds of the root of all points, and as many groups as hang together; an eighth of near squared joints."""
    asked: list[Any] = []
    rng = np.random.default_rng(0)
    points = np.concatenate([np.eye(8)[i] + 0.05 * rng.normal(size=(each, 8)) for i in range(3)])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    real = _joints
    monkeypatch.setattr(module, "_joints", lambda points, near: asked.append(near) or real(points, near))
    monkeypatch.setattr(module, "_k_means", lambda vectors: asked.append(vectors.shape) or "groups")
    monkeypatch.setattr(module, "_standing", lambda *given: asked.append(given) or "standing")
    assert _groups(points) == "standing"
    assert asked[:2] == [near, (3 * each, 3)]
    groups, joints, most = asked[2]
    assert (groups, most) == ("groups", near**2 / 8)
    assert np.array_equal(joints, real(points, near) + real(points, near).T)


def test_few_points_are_one_group() -> None:
    assert _groups(np.eye(11)).tolist() == [0] * 11


def test_a_group_of_many_joints_becomes_one_with_that_which_it_has_most_of_them_with() -> None:
    """Again and again: 1 has five joints, two of them with 0 and three with 2; then none has more than allowed."""
    joints = np.zeros((6, 6))
    for one, other, many in ((0, 2, 2), (3, 5, 3), (1, 4, 1), (0, 1, 9), (2, 3, 9)):
        joints[one, other] = joints[other, one] = many
    groups = np.array([0, 0, 1, 1, 2, 2])
    assert _standing(groups.copy(), joints, 5).tolist() == [0, 0, 1, 1, 2, 2]
    assert _standing(groups.copy(), joints, 4.9).tolist() == [0, 0, 2, 2, 2, 2]
    assert _standing(groups.copy(), joints, 2.9).tolist() == [2] * 6 or _standing(
        groups.copy(), joints, 2.9).tolist() == [0] * 6
    assert len(set(_standing(groups.copy(), joints, 0).tolist())) == 1


def test_k_means_begins_with_rows_far_from_each_other_whatever_their_length() -> None:
    rows = np.array([[1.0, 0], [2, 0.1], [0, 3], [0.1, 1], [5, 0.2], [0, 0.01]])
    assert _k_means(rows).tolist() == [0, 0, 1, 1, 0, 1]
    assert _k_means(np.ones((4, 3))).tolist() == [0] * 4, "all are the same"
    assert _k_means(np.concatenate([rows, np.zeros((1, 2))])).tolist()[:6] == [0, 0, 1, 1, 0, 1], "and no NaN"


def test_points_as_near_as_the_last_neighbour_are_neighbours_too() -> None:
    points = np.array([[1.0, 0], [0, 1], [0, -1], [-1, 0]])
    assert _joints(points, 1).tolist() == [[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]]
