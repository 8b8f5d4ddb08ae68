"""explain/collection.py: mean maps, the surest images, evidence at the border and in the middle, and groups of maps."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import cnncli
from cnncli.explain import collection
from cnncli.explain.collection import BORDER_AREA, CELLS, MIDDLE_AREA, SUREST, Collection, Group
from cnncli.explain.explanation import Explanation
from cnncli.explain.geometry import PIXELS, Grid

from .test_clusters import blob
from .test_explanation import lit, sides

STRIP = "what is shown"


@cache
def base() -> Explanation:
    return cnncli.explain(sides(), lit(3, 3, (8, 12)))


def explained(values: np.ndarray, label: str = "left", probability: float = 0.5, path: str = "x") -> Explanation:
    """An explanation with a map over CELLS x CELLS parts of the prepared image."""
    h, w = base().preprocessing.size
    step = (h / CELLS, w / CELLS)
    grid = Grid((step[0] / 2 - 0.5, step[1] / 2 - 0.5), step)
    return replace(base(), values=values.astype(np.float32), label=label, target=label, probability=probability,
                   path=path, grid=grid)


def test_evidence_that_lies_anywhere_alike_has_the_areas_shares() -> None:
    found = Collection()
    found.add(explained(np.ones((CELLS, CELLS))), STRIP)
    [group] = found.groups()
    assert group.border == pytest.approx(BORDER_AREA) == pytest.approx(0.4375)
    assert group.middle == pytest.approx(MIDDLE_AREA) == pytest.approx(0.25)
    assert group.mean.sum() == pytest.approx(1)


@pytest.mark.parametrize(("row", "column", "border", "middle"), [
    (0, 5, 1, 0), (1, 14, 1, 0), (2, 2, 0, 0), (7, 8, 0, 1), (4, 11, 0, 1), (3, 8, 0, 0)])
def test_where_a_single_cell_counts(row: int, column: int, border: float, middle: float) -> None:
    values = np.full((CELLS, CELLS), -0.5)
    values[row, column] = 3
    found = Collection()
    found.add(explained(values), STRIP)
    [group] = found.groups()
    assert (group.border, group.middle) == pytest.approx((border, middle))
    assert np.unravel_index(group.mean.argmax(), group.mean.shape) == (row, column)


def test_each_image_counts_alike_and_what_has_no_evidence_not_at_all() -> None:
    weak, strong = np.zeros((CELLS, CELLS)), np.zeros((CELLS, CELLS))
    weak[0, 0], strong[8, 8] = 0.01, 100
    found = Collection()
    for values in (weak, strong, np.full((CELLS, CELLS), -1.0)):
        found.add(explained(values), STRIP)
    [group] = found.groups()
    assert (group.images, group.shown) == (3, 2)
    assert group.mean[0, 0] == pytest.approx(0.5)
    assert group.border == pytest.approx(0.5)


def test_a_group_without_any_evidence_has_it_nowhere() -> None:
    found = Collection()
    found.add(explained(np.full((CELLS, CELLS), -1.0)), STRIP)
    [group] = found.groups()
    assert (group.images, group.shown, group.border) == (1, 0, 0)
    assert not group.mean.any()


def test_every_pixel_of_a_fine_map_counts() -> None:
    values = np.random.default_rng(0).normal(size=(96, 64)).astype(np.float32) ** 3
    fine = replace(explained(values), grid=PIXELS, preprocessing=replace(base().preprocessing, size=(96, 64)))
    found = Collection()
    found.add(fine, STRIP)
    [group] = found.groups()
    wanted = values.clip(0).reshape(CELLS, 6, CELLS, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(group.mean, wanted / wanted.sum(), rtol=1e-5)


def test_how_many_answers_are_known_to_be_wrong() -> None:
    found = Collection()
    for label, truth in [("left", "left"), ("left", "right"), ("left", None), ("right", "left"), ("neither", None)]:
        found.add(replace(explained(np.ones((2, 2)), label), truth=truth), STRIP)
    assert [(group.label, group.judged, group.wrong) for group in found.groups()] == [
        ("left", 2, 1), ("neither", 0, 0), ("right", 1, 1)]
    assert (found.images, found.judged, found.wrong) == (5, 3, 2)


def test_of_each_class_the_surest_in_their_order() -> None:
    found = Collection()
    for number, probability in enumerate((0.5, 0.9, 0.7, 0.9, 0.8, 0.6)):
        found.add(explained(np.ones((2, 2)), "right", probability, f"{number}"), STRIP)
    found.add(explained(np.ones((2, 2)), "left", 0.1, "alone"), STRIP)
    right, left = found.groups()
    assert (right.label, left.label, found.images) == ("right", "left", 7)
    assert [each.path for each in right.surest] == ["1", "3", "4"], "of equal ones the first"
    assert len(right.surest) == SUREST
    assert [each.path for each in left.surest] == ["alone"]


def grouped(order: list[int] | None = None) -> Group:
    """The class "left" of 30 images whose maps lie in the middle and 12 that lie in a corner, of any probability."""
    maps = np.concatenate([blob(30, 8, 8), blob(12, 1, 14, seed=1)])
    chances = np.random.default_rng(2).permutation(42) / 42
    found = Collection()
    for i in order or range(42):
        found.add(explained(maps[i], "left", float(chances[i]), f"{i}"), f"data:{i}")
    found.add(explained(np.zeros((CELLS, CELLS)), "left", 1.0, "without evidence"), STRIP)
    [group] = found.groups()
    return group


def test_groups_of_maps_with_their_surest_images() -> None:
    chances = np.random.default_rng(2).permutation(42)
    (large, surest), (small, others) = grouped().clusters()
    assert [len(large.members), len(small.members)] == [30, 12]
    assert (large.share, small.share) == pytest.approx((30 / 42, 12 / 42))
    assert [each.path for each in surest] == [f"{i}" for i in np.argsort(-chances[:30])[:2]]
    assert [each.shown for each in others] == [f"data:{30 + i}" for i in np.argsort(-chances[30:])[:2]]
    assert small.peak[0] < 1 / 3 < 2 / 3 < small.peak[1]


def test_of_very_many_maps_some_are_compared_whatever_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "COMPARED", 36)
    group = grouped()
    assert (group.images, group.shown, len(group.compared)) == (43, 42, 36)
    left_out = {*range(42)} - {int(each.path) for _, each in group.compared}
    chances = np.random.default_rng(2).permutation(42)
    assert max(chances[i] for i in left_out) > 5, "and not those of which the model was least sure"
    found = [[each.path for each in surest] for _, surest in group.clusters()]
    assert len(found) == 2
    order = np.random.default_rng(3).permutation(42).tolist()
    assert [[each.path for each in surest] for _, surest in grouped(order).clusters()] == found


def test_two_hundred_maps_of_a_class_are_compared() -> None:
    group, kept = Group("left"), collection.Kept(0.5, 0, "x", None, np.ones((CELLS, CELLS)) / CELLS**2)
    for i in range(201):
        group.add(base(), replace(kept, path=str(i), number=-i))
    assert (group.images, group.shown, len(group.compared), len(group.best)) == (201, 201, 200, 3)
