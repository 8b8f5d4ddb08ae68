"""cnncli/statistics.py: intervals against published figures, the nearest image against a search one by one."""

import numpy as np
import pytest

from cnncli.evaluation.intervals import SIDE, Baseline, nearest, spread, thumbnails, wilson


@pytest.mark.parametrize(("right", "images", "low", "high"), [
    (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3 (and the next three)
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
    (20, 20, 0.8389, 1.0),
])
def test_intervals_as_published(right, images, low, high):
    assert wilson(right, images) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_intervals_hold_the_share_and_stay_within_bounds():
    assert wilson(0, 0) == (0.0, 1.0)
    for images in (1, 2, 7, 1000):
        for right in {0, 1, images // 2, images}:
            low, high = wilson(right, images)
            assert 0 <= low <= right / images <= high <= 1
    assert Baseline(3, 4, "x").as_json() == {"accuracy": 0.75, "interval": list(wilson(3, 4)), "images": 4, "how": "x"}


@pytest.mark.parametrize("shape", [(28, 28, 1), (40, 33, 3), (9, 5, 3), (224, 17, 1)])
def test_thumbnails_are_grey_means(rng, shape):
    pixels = rng.integers(0, 256, (3, *shape), np.uint8)
    found = thumbnails(pixels)
    h, w = min(shape[0], SIDE), min(shape[1], SIDE)
    assert found.shape == (3, h * w)
    assert found.dtype == np.float32
    assert (found == np.rint(found)).all()
    grey = pixels @ (np.array([0.299, 0.587, 0.114]) if shape[2] == 3 else np.ones(1))
    rows, columns = (np.append(np.arange(n) * size // n, size) for n, size in ((h, shape[0]), (w, shape[1])))
    for i in range(h):
        for j in range(w):
            mean = grey[:, rows[i] : rows[i + 1], columns[j] : columns[j + 1]].mean(axis=(1, 2)) - 128
            np.testing.assert_allclose(found[:, i * w + j], mean, atol=0.51)


@pytest.mark.parametrize("block", [1, 7, 100])
def test_the_nearest_of_all_whatever_the_blocks(rng, block):
    known, labels = rng.integers(-128, 128, (100, 256)).astype(np.float32), rng.integers(0, 5, 100)
    known[40], labels[3], labels[40] = known[3], 4, 0  # the first of equals
    images = np.concatenate([known[[3, 40]], rng.integers(-128, 128, (700, 256)).astype(np.float32)])
    blocks = ((known[i : i + block], labels[i : i + block]) for i in range(0, 100, block))
    found = nearest(images, blocks)
    expected = [labels[((known.astype(int) - image.astype(int)) ** 2).sum(axis=1).argmin()] for image in images]
    assert found.tolist() == expected
    assert found[:2].tolist() == [4, 4]


def test_spread_takes_evenly_from_all_classes(rng):
    labels = np.repeat(np.arange(4), [500, 3, 50, 0 + 20])
    rng.shuffle(labels)
    chosen = spread(labels, 100)
    assert len(chosen) <= 100
    assert (np.diff(chosen) > 0).all()
    assert np.bincount(labels[chosen]).tolist() == [38, 3, 38, 20]
    assert spread(labels, 573).tolist() == list(range(573))
    assert len(spread(np.arange(50), 10)) == 10, "more classes than images"
