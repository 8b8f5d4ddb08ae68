"""cnncli/data/check/near.py: copies are found among others, whatever was done to them, and nothing else is."""

import numpy as np
import pytest
from PIL import Image

from cnncli.data.check import cells, descriptors, difference, near, neighbours
from cnncli.data.check.descriptors import all_features, halved, transformed, weights_of
from cnncli.data.check.difference import fitted, refined
from cnncli.data.check.near import groups, near_duplicates

from .pictures import brighter, cropped, jpeg, scene

OTHERS = 300
CHANGES = {
    "encoded anew": lambda image: jpeg(image, 40),
    "half the size": lambda image: image.resize((48, 40), Image.Resampling.BICUBIC),
    "larger": lambda image: image.resize((160, 133), Image.Resampling.BICUBIC),
    "another shape": lambda image: image.resize((96, 60), Image.Resampling.BICUBIC),
    "brighter": brighter,
    "darker": lambda image: image.point([int(0.6 * v) for v in range(256)] * 3),
    "less contrast": lambda image: image.point([int(90 + 0.4 * v) for v in range(256)] * 3),
    "gamma": lambda image: image.point([int(255 * (v / 255) ** 0.7) for v in range(256)] * 3),
    "cropped": lambda image: cropped(image, 0.06),
    "all of it": lambda image: jpeg(brighter(cropped(image, 0.04)).resize((70, 60)), 70),
}


def thumb(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BILINEAR))


@pytest.fixture(scope="module")
def others() -> np.ndarray:
    return np.stack([thumb(scene(seed)) for seed in range(OTHERS)])


def test_different_pictures_are_no_duplicates(others: np.ndarray) -> None:
    assert near_duplicates(others) == []


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found(change: str, others: np.ndarray) -> None:
    copies = np.stack([thumb(CHANGES[change](scene(seed))) for seed in range(10)])
    found = near_duplicates(np.concatenate([others, copies]))
    assert [(i, j) for i, j, _ in found] == [(k, OTHERS + k) for k in range(10)]
    assert all(0 <= difference < near.MOST_DIFFERENT for _, _, difference in found)


def alike(count: int, detail: float) -> np.ndarray:
    """Thumbnails that share nearly everything, as articles of one kind photographed on the same table do."""
    rng = np.random.default_rng(4)
    common = np.asarray(scene(999).convert("L").resize((32, 32)), float)
    return np.clip(common + rng.normal(0, detail, (count, 32, 32)), 0, 255).astype(np.uint8)


@pytest.mark.slow
def test_what_all_images_share_makes_none_of_them_alike() -> None:
    """A plain comparison would call all of these the same."""
    images = alike(200, 20)
    assert near_duplicates(images) == []
    copy = np.clip(images[7] * 1.1 + 5, 0, 255).astype(np.uint8)
    assert [(i, j) for i, j, _ in near_duplicates(np.concatenate([images, copy[None]]))] == [(7, 200)]


@pytest.mark.slow
def test_every_wave_counts_the_same() -> None:
    """Numbers that vary more in a data set weigh less, so that all vary by about 1."""
    rng = np.random.default_rng(6)
    images = np.clip(alike(1500, 5) + rng.normal(0, 40, (1500, 1, 1)) + rng.normal(0, 1, (1500, 1, 1))
                     * np.linspace(-30, 30, 32), 0, 255).astype(np.uint8)
    weighted = transformed(halved(images)) * weights_of(images)
    plain = transformed(halved(images))
    assert plain.std(axis=0).max() > 20 * plain.std(axis=0).min()
    assert weighted.std(axis=0).max() < 1.1
    assert weighted.std(axis=0).min() > 0.25
    few = weights_of(images[:3])
    assert np.isfinite(few).all()
    assert few.max() < 20 * few.min(), "three images say little; the law for pictures holds"


def test_fitting_again_undoes_what_one_fit_cannot(others: np.ndarray) -> None:
    copies = np.stack([thumb(cropped(scene(seed), 0.07)) for seed in range(10)])
    images = np.concatenate([others, copies])
    weights = weights_of(images)
    first, second = np.arange(10), OTHERS + np.arange(10)
    once = fitted(all_features(images, weights), first, second)
    again = refined(images, weights, first, second)
    assert (again < 0.6 * once).all()
    assert [(i, j) for i, j, _ in near_duplicates(images)] == list(zip(first.tolist(), second.tolist(), strict=True))


def test_crowded_data_sets_ask_for_more_likeness(others: np.ndarray) -> None:
    """Where unlike pictures lie close together, the limit moves in front of them."""
    few = np.sort(np.random.default_rng(0).uniform(0.3, 0.6, 40))
    assert near._limit(few, near.PROMISING) == near.MOST_DIFFERENT
    crowd = 0.3 * np.random.default_rng(1).uniform(0, 1, 5000) ** (1 / 8)  # their number grows with the 8th power
    copies = np.linspace(0.005, 0.04, 30)
    limit = near._limit(np.concatenate([crowd, copies]), 0.3)
    assert (copies < limit).all()
    assert (crowd < limit).sum() <= 6


def test_flat_images_have_no_near_duplicates(others: np.ndarray) -> None:
    flat = np.full((5, 32, 32), 90, np.uint8)
    assert near_duplicates(np.concatenate([flat, others[:20]])) == []


def test_many_copies_of_one_picture_are_one_group(others: np.ndarray) -> None:
    copies = [thumb(jpeg(scene(3), quality)) for quality in range(30, 90, 3)]
    found = near_duplicates(np.concatenate([others, np.stack(copies)]))
    assert list(groups(found)) == [[3, *range(OTHERS, OTHERS + len(copies))]]


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_few_images(count: int, others: np.ndarray) -> None:
    assert near_duplicates(others[:count]) == []
    both = np.concatenate([others[:count], others[:count]])
    assert [(i, j) for i, j, _ in near_duplicates(both)] == [(i, i + count) for i in range(count)]


@pytest.mark.slow
def test_blocks_do_not_change_what_is_found(others: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.concatenate([others, np.stack([thumb(jpeg(scene(seed), 50)) for seed in range(0, OTHERS, 7)])])
    whole = near_duplicates(images)
    assert len(whole) == len(range(0, OTHERS, 7))
    monkeypatch.setattr(neighbours, "_ROWS", 37)
    monkeypatch.setattr(neighbours, "_COLUMNS", 53)
    for module in (near, descriptors, difference):
        monkeypatch.setattr(module, "PIECE", 11)
    cut = near_duplicates(images)
    assert [pair[:2] for pair in cut] == [pair[:2] for pair in whole]
    assert np.allclose([pair[2] for pair in cut], [pair[2] for pair in whole], atol=1e-4)


def test_the_nearest_are_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocked search against all pairs, sorted."""
    monkeypatch.setattr(neighbours, "_ROWS", 16)
    monkeypatch.setattr(neighbours, "_COLUMNS", 20)
    vectors = np.random.default_rng(2).normal(0.5, 1, (90, 63)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    like = unit @ unit.T
    np.fill_diagonal(like, -2)
    monkeypatch.setattr(neighbours, "LEAST_LIKE", -1.0)
    expected = {(min(i, j), max(i, j)) for i in range(90)
                for j in np.argsort(-like[i])[: neighbours.NEIGHBOURS].tolist()}
    first, second = neighbours.nearest_of_all(vectors, None)
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("cell", [64, cells.CELL])
def test_many_images_are_dealt_into_cells_and_the_same_is_found(cell: int, others: np.ndarray,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    copies = [thumb(jpeg(brighter(scene(seed)), 60)) for seed in range(0, OTHERS, 7)]
    images = np.concatenate([others, np.stack(copies)])
    every = near_duplicates(images)
    assert [pair[:2] for pair in every] == [(7 * k, OTHERS + k) for k in range(len(copies))]
    monkeypatch.setattr(near, "nearest_of_all", None)
    monkeypatch.setattr(near, "ALL", 300)
    monkeypatch.setattr(cells, "CELL", cell)
    assert near_duplicates(images) == every


def test_the_same_thumbnails_are_one_group_among_many(others: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of a camera that nobody walks past: thousands would fill cells of their own."""
    monkeypatch.setattr(near, "ALL", 100)
    monkeypatch.setattr(cells, "CELL", 16)
    found = near_duplicates(np.concatenate([others[:100], np.repeat(others[5:6], 60, axis=0)]))
    assert [pair[:2] for pair in found] == [(5, 100 + k) for k in range(60)]


def test_a_chequered_thumbnail_has_no_slow_waves_and_no_copies(others: np.ndarray) -> None:
    chequered = np.where(np.indices((32, 32)).sum(axis=0) % 2, 200, 50).astype(np.uint8)
    assert near_duplicates(np.concatenate([others[:20], chequered[None], chequered[None]])) == []


def test_groups_are_what_pairs_connect() -> None:
    assert list(groups([(1, 5, 0.1), (2, 3, 0.1), (5, 9, 0.1), (0, 9, 0.1)])) == [[0, 1, 5, 9], [2, 3]]
    assert list(groups([])) == []


@pytest.mark.slow
def test_thousands_of_files_of_one_picture_are_found_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    """Nothing varies in such a folder: the numbers by which the variation is divided are as small as can be."""
    thumbs = np.repeat(np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (1, 16, 16)), 2400, axis=0)
    thumbs = thumbs.repeat(2, axis=1).repeat(2, axis=2)
    assert [len(group) for group in groups(near_duplicates(thumbs))] == [2400]
    assert not recwarn.list
