"""cnncli/data/batches.py: the same bits for a seed and an epoch, whatever the threads, the cache and the start."""

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Augmentation, Batches, Images, Preprocessing, Sample, load_images
from cnncli.data import batches as batches_module

PREPROCESSING = Preprocessing((9, 7), grey=False, mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.3))


@pytest.fixture
def samples(tmp_path: Path, rng: np.random.Generator) -> list[Sample]:
    samples = []
    for i in range(41):
        path = tmp_path / f"{i:02}.png"
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(path)
        samples.append(Sample(str(path), path.name, i % 3))
    return samples


def load(samples: list[Sample], cache: str = "ram") -> Images:
    return load_images(samples, PREPROCESSING, threads=2, cache=cache)


def workers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("cnn-")]


def test_an_epoch_holds_every_image_once(samples: list[Sample]) -> None:
    images = load(samples)
    batches = Batches(images, PREPROCESSING, 16, seed=3)
    seen = list(batches.epoch(0))
    assert len(seen) == batches.steps == 3
    assert [len(labels) for _, labels, _ in seen] == [16, 16, 9]
    indices = np.concatenate([i for _, _, i in seen])
    assert sorted(indices) == list(range(41))
    assert not np.array_equal(indices, np.arange(41))
    for x, labels, rows in seen:
        assert np.array_equal(x, PREPROCESSING.normalise(images.pixels(rows)))
        assert np.array_equal(labels, images.labels[rows])


@pytest.mark.parametrize(
    ("n", "size", "steps"), [(41, 20, 2), (41, 41, 1), (41, 40, 1), (42, 40, 2), (1, 8, 1), (0, 8, 0)]
)
def test_a_single_left_over_image_sits_out(samples: list[Sample], n: int, size: int, steps: int) -> None:
    batches = Batches(load((samples * 2)[:n]), PREPROCESSING, size)
    assert batches.steps == steps == len(list(batches.epoch(1)))


def test_order_depends_on_seed_and_epoch_alone(samples: list[Sample]) -> None:
    images = load(samples)
    order = Batches(images, PREPROCESSING, 16, seed=3).order(5)
    assert np.array_equal(order, Batches(images, PREPROCESSING, 4, seed=3).order(5))
    assert not np.array_equal(order, Batches(images, PREPROCESSING, 16, seed=3).order(6))
    assert not np.array_equal(order, Batches(images, PREPROCESSING, 16, seed=4).order(5))


def test_the_order_is_what_its_definition_says(samples: list[Sample]) -> None:
    """A run saved by one release must resume in the next with the same order: the hash, written again in integers."""

    def mix(z: int) -> int:
        z = (z + 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    def bits(*words: int) -> int:
        state = words[0]
        for word in words[1:]:
            state = mix((state + word * 0x9E3779B97F4A7C15) % 2**64)
        return state

    assert mix(0) == 0xE220A8397B1DCDAF  # SplitMix64's first output for the seed 0
    expected = sorted(range(41), key=lambda i: bits(3, 5, 1, i))
    assert Batches(load(samples), PREPROCESSING, 16, seed=3).order(5).tolist() == expected


def test_cache_and_resuming_give_the_same_bits(samples: list[Sample]) -> None:
    augmentation = Augmentation(2, True)
    whole = list(Batches(load(samples), PREPROCESSING, 6, 1, augmentation).epoch(4))
    for cache in ("ram", "none"):
        again = list(Batches(load(samples, cache), PREPROCESSING, 6, 1, augmentation).epoch(4, first_step=3))
        assert len(again) == len(whole) - 3
        for one, other in zip(whole[3:], again, strict=True):
            for a, b in zip(one, other, strict=True):
                assert np.array_equal(a, b)


def test_augmentation_is_the_padded_crop_and_the_flip(samples: list[Sample]) -> None:
    images = load(samples)
    augmentation = Augmentation(2, True)
    for x, _, indices in Batches(images, PREPROCESSING, 16, 1, augmentation).epoch(0):
        for got, pixels, (dy, dx, flip) in zip(x, images.pixels(indices), augmentation.moves(1, 0, indices, (9, 7)),
                                               strict=True):
            padded = np.pad(pixels, ((2, 2), (2, 2), (0, 0)), "reflect")
            crop = padded[2 + dy : 2 + dy + 9, 2 + dx : 2 + dx + 7]
            assert np.array_equal(got, PREPROCESSING.normalise((crop[:, ::-1] if flip else crop)[None])[0])


def test_moves_are_spread_evenly() -> None:
    moves = Augmentation(3, True).moves(0, 0, np.arange(20000), (32, 32))
    for column, values in ((0, range(-3, 4)), (1, range(-3, 4)), (2, (0, 1))):
        share = [np.mean(moves[:, column] == v) for v in values]
        assert min(share) > 0.93 / len(values)
        assert max(share) < 1.07 / len(values)
    assert abs(np.corrcoef(moves.T.astype(float)) - np.eye(3)).max() < 0.03
    assert not np.array_equal(moves, Augmentation(3, True).moves(0, 1, np.arange(20000), (32, 32)))
    assert not Augmentation(0, False).moves(0, 0, np.arange(9), (32, 32)).any()


def test_default_augmentation() -> None:
    assert Augmentation.default(Preprocessing((28, 28), grey=True)) == Augmentation(2, False)
    assert Augmentation.default(Preprocessing((32, 32))) == Augmentation(4, True)


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_reused_arrays_hold_the_same(samples: list[Sample], cache: str) -> None:
    batches = Batches(load(samples, cache), PREPROCESSING, 6, 1, Augmentation(2, True))
    alone = list(batches.epoch(2))
    addresses = set()
    for (x, labels, rows), (y, same_labels, same_rows) in zip(alone, batches.epoch(2, reuse=True), strict=True):
        assert np.array_equal(x, y)
        assert np.array_equal(labels, same_labels)
        assert np.array_equal(rows, same_rows)
        addresses.add(y.ctypes.data)
    assert cache == "none" or len(addresses) == 2  # whole batches, and the smaller last one


def test_moves_drawn_for_many_batches_at_once_are_those_of_each(samples: list[Sample],
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    batches = Batches(load(samples), PREPROCESSING, 4, 1, Augmentation(3, True))
    together = [x for x, _, _ in batches.epoch(7)]
    monkeypatch.setattr(batches_module, "_AT_ONCE", 1)
    for x, (y, _, _) in zip(together, batches.epoch(7), strict=True):
        assert np.array_equal(x, y)


def test_no_thread_is_left_behind(samples: list[Sample]) -> None:
    batches = Batches(load(samples, "none"), PREPROCESSING, 4)
    iterator = batches.epoch(0)
    next(iterator)
    iterator.close()
    assert not workers()
    for _ in batches.epoch(0):
        break
    assert not workers()
    list(batches.epoch(0))
    assert not workers()


def test_an_image_that_vanishes_is_left_out_and_reported(samples: list[Sample]) -> None:
    images = load(samples, "none")
    Path(samples[7].path).unlink()
    for _ in range(2):
        seen = np.concatenate([i for _, _, i in Batches(images, PREPROCESSING, 16, 3).epoch(0)])
        assert sorted(seen) == [i for i in range(41) if i != 7]
    assert [path for path, _ in images.skipped] == [samples[7].path]
