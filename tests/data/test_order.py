"""cnncli/data/order.py: balanced draws are as many of every class, cover what they can, and change with the epoch."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Augmentation, Batches, Preprocessing, Sample, load_images
from cnncli.data.order import epoch_order

PREPROCESSING = Preprocessing((9, 7))


def imbalanced(*counts: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


@pytest.mark.parametrize("counts", [(90, 9, 1), (50, 50), (7, 2, 5, 3), (1, 1), (200, 3, 3, 3, 3)])
def test_every_class_is_drawn_equally_often(counts: tuple[int, ...]) -> None:
    labels = imbalanced(*counts)
    n, each = len(labels), len(labels) // len(counts)
    for epoch in range(1, 4):
        draws = epoch_order(labels, "balanced", 3, epoch)
        assert draws.dtype == np.int64
        assert len(draws) == n, "an epoch is as long as it was"
        assert len(set(draws.tolist())) == n, "a draw is made once"
        rows = draws % n
        drawn = np.bincount(labels[rows], minlength=len(counts))
        assert set(drawn.tolist()) <= {each, each + 1}
        for label, count in enumerate(counts):
            times = np.bincount(rows, minlength=n)[labels == label]
            assert times.max() - times.min() <= 1, "of a class no image is drawn twice more often than another"
            assert times.min() == drawn[label] // count


def test_balanced_draws_are_those_of_the_release_before() -> None:
    """A run is resumed by a later release: draws beyond ten are further copies."""
    labels = np.array([0] * 7 + [1] * 2 + [2])
    assert epoch_order(labels, "balanced", 3, 2).tolist() == [17, 9, 1, 29, 3, 8, 19, 2, 0, 7]
    assert epoch_order(labels[:0], "balanced", 3, 2).tolist() == []


def test_shuffled_draws_every_image_once() -> None:
    assert sorted(epoch_order(imbalanced(30, 4), "shuffled", 1, 2).tolist()) == list(range(34))


def test_another_epoch_takes_other_images_of_a_large_class_and_seeds_differ() -> None:
    labels = imbalanced(90, 10)
    chosen = [{d % 100 for d in epoch_order(labels, "balanced", 3, epoch).tolist()} for epoch in range(1, 30)]
    assert chosen[0] != chosen[1]
    assert set.union(*chosen) == set(range(100)), "in time every image is seen"
    assert not np.array_equal(epoch_order(labels, "balanced", 3, 1), epoch_order(labels, "balanced", 4, 1))
    assert np.array_equal(epoch_order(labels, "balanced", 3, 1), epoch_order(labels, "balanced", 3, 1))


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_copies_of_an_image_are_varied_each_in_its_own_way(tmp_path: Path, cache: str,
                                                          rng: np.random.Generator) -> None:
    samples = []
    for number, label in enumerate([0] * 22 + [1] * 2):
        path = tmp_path / f"{number:02}.png"
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(path)
        samples.append(Sample(str(path), path.name, label))
    batches = Batches(load_images(samples, PREPROCESSING, 2, cache), PREPROCESSING, 5, 1, Augmentation(2, True),
                      "balanced")
    assert batches.steps == 5
    pictures: dict[int, set[bytes]] = {22: set(), 23: set()}
    labels = []
    for images, truths, rows in batches.epoch(1):
        labels += truths.tolist()
        assert rows.max() < 24
        for image, row in zip(images, rows.tolist(), strict=True):
            pictures.get(row, set()).add(image.tobytes())
    assert labels.count(0) == labels.count(1) == 12
    assert all(len(seen) >= 4 for seen in pictures.values()), "six copies, few of them alike"
    whole = list(batches.epoch(3))
    again = list(batches.epoch(3, first_step=2))
    for one, other in zip(whole[2:], again, strict=True):
        for a, b in zip(one, other, strict=True):
            assert np.array_equal(a, b)


def test_cache_or_not_gives_the_same_bits(tmp_path: Path, rng: np.random.Generator) -> None:
    samples = []
    for number in range(12):
        path = tmp_path / f"{number:02}.png"
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(path)
        samples.append(Sample(str(path), path.name, int(number > 9)))
    both = [list(Batches(load_images(samples, PREPROCESSING, 2, cache), PREPROCESSING, 5, 1, Augmentation(2, True),
                         "balanced").epoch(2)) for cache in ("ram", "none")]
    for one, other in zip(*both, strict=True):
        for a, b in zip(one, other, strict=True):
            assert np.array_equal(a, b)
