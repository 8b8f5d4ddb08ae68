"""cnncli/data/batches.py: the same bits for a seed and an epoch, whatever the threads, the cache and the start."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli import kernels
from cnncli.data import Augmentation, Batch, Batches, Images, Preprocessing, Sample, load_images
from cnncli.data import batches as batches_module

PLAIN = Augmentation(2, True)
EVERYTHING = Augmentation(2, True, 20, 0.3, 10, 0.3, 0.3, 0.3, 0.1, 2, 12, 0.5, 3)
MIXED = replace(EVERYTHING, mixup=0.4, cutmix=1.0)
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
    for x, labels, rows, *_ in seen:
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


def flat(batch: Batch) -> list[np.ndarray]:
    """All arrays of a batch."""
    return [*batch[:3], *(batch[3] if len(batch) == 4 else ())]


@pytest.mark.slow
@pytest.mark.parametrize("augmentation", [PLAIN, EVERYTHING, MIXED], ids=["plain", "everything", "mixed"])
def test_cache_and_resuming_give_the_same_bits(samples: list[Sample], augmentation: Augmentation, isa: str) -> None:
    whole = list(Batches(load(samples), PREPROCESSING, 6, 1, augmentation).epoch(4))
    for cache in ("ram", "none"):
        again = list(Batches(load(samples, cache), PREPROCESSING, 6, 1, augmentation).epoch(4, first_step=3))
        assert len(again) == len(whole) - 3
        for one, other in zip(whole[3:], again, strict=True):
            for a, b in zip(flat(one), flat(other), strict=True):
                assert np.array_equal(a, b)


@pytest.mark.parametrize("augmentation", [EVERYTHING, MIXED], ids=["everything", "mixed"])
def test_threads_change_nothing(samples: list[Sample], augmentation: Augmentation, isa: str) -> None:
    batches, before, results = Batches(load(samples), PREPROCESSING, 16, 1, augmentation), kernels.threads(), []
    try:
        for count in (1, 3):
            kernels.set_threads(count)
            results.append([flat(batch) for batch in batches.epoch(2)])
    finally:
        kernels.set_threads(before)
    for one, other in zip(*results, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_mixed_images_are_of_the_two_that_the_labels_say(samples: list[Sample], cache: str) -> None:
    images = load(samples, cache)
    batches = Batches(images, PREPROCESSING, 16, 1, MIXED)
    unmixed = Batches(images, PREPROCESSING, 16, 1, replace(MIXED, mixup=0, cutmix=0))
    blended = 0
    for batch, plain in zip(batches.epoch(3), unmixed.epoch(3), strict=True):
        assert len(batch) == 4
        x, labels, rows, (others, shares) = batch
        assert np.array_equal(rows, plain[2])
        mixing = MIXED.mixing(1, 3, rows, (9, 7))
        assert np.array_equal(others, labels[mixing.partners])
        for i, (partner, box) in enumerate(zip(mixing.partners, mixing.boxes, strict=True)):
            if box[2] == 0:
                blended += 1
                wanted = shares[i] * plain[0][i] + (1 - shares[i]) * plain[0][partner]
                np.testing.assert_allclose(x[i], wanted, atol=1e-5)
            else:
                inside = np.zeros((9, 7), bool)
                inside[box[0] : box[0] + box[2], box[1] : box[1] + box[3]] = True
                assert np.array_equal(x[i], np.where(inside[:, :, None], plain[0][partner], plain[0][i]))
                assert shares[i] == pytest.approx(1 - inside.mean(), abs=1e-6)
    assert 10 < blended < 31


@pytest.mark.slow
@pytest.mark.parametrize("augmentation", [EVERYTHING, MIXED, None], ids=["everything", "mixed", "none"])
def test_a_sample_is_what_is_in_the_batch(samples: list[Sample], augmentation: Augmentation | None) -> None:
    batches = Batches(load(samples), PREPROCESSING, 16, 1, augmentation)
    for batch in batches.epoch(2):
        others, shares = batch[3] if len(batch) == 4 else (batch[1], np.ones(len(batch[1])))
        for x, index, other_label, share in zip(batch[0], batch[2], others, shares, strict=True):
            image, other, own = batches.sample(2, int(index))
            assert np.array_equal(image, x)
            assert own == pytest.approx(float(share))
            assert other is None or batches.images.labels[other] == other_label
            assert (other is None) == (augmentation is not MIXED)


@pytest.mark.slow
@pytest.mark.parametrize("augmentation", [EVERYTHING, MIXED], ids=["everything", "mixed"])
def test_a_sample_that_is_drawn_again_is_varied_as_its_copy_in_the_batch(samples: list[Sample],
                                                                         augmentation: Augmentation) -> None:
    few = [replace(sample, label=int(place > 37)) for place, sample in enumerate(samples)]  # three of the second class
    batches = Batches(load(few), PREPROCESSING, 10, 1, augmentation, "balanced")
    draws = batches.order(2)
    assert draws.max() > 4 * 41
    pairs = [(image, row) for batch in batches.epoch(2) for image, row in zip(batch[0], batch[2], strict=True)]
    for draw, (image, row) in list(zip(draws.tolist(), pairs, strict=False))[:30]:
        assert draw % 41 == row
        alone, other, _ = batches.sample(2, draw)
        assert np.array_equal(alone, image)
        assert other is None or other < 41


def test_without_a_seed_of_ones_own_it_is_0(samples: list[Sample]) -> None:
    images = load(samples)
    assert np.array_equal(Batches(images, PREPROCESSING, 16).order(1), Batches(images, PREPROCESSING, 16, 0).order(1))


def test_a_sample_that_sits_out_is_drawn_all_the_same(samples: list[Sample]) -> None:
    batches = Batches(load(samples), PREPROCESSING, 40, 1, MIXED)
    image, _, _ = batches.sample(1, int(batches.order(1)[40]))
    assert image.shape == (9, 7, 3)


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


@pytest.mark.slow
@pytest.mark.parametrize("augmentation", [PLAIN, EVERYTHING, MIXED], ids=["plain", "everything", "mixed"])
@pytest.mark.parametrize("cache", ["ram", "none"])
def test_reused_arrays_hold_the_same(samples: list[Sample], cache: str, augmentation: Augmentation) -> None:
    batches = Batches(load(samples, cache), PREPROCESSING, 6, 1, augmentation)
    alone = list(batches.epoch(2))
    addresses = set()
    for one, other in zip(alone, batches.epoch(2, reuse=True), strict=True):
        for a, b in zip(flat(one), flat(other), strict=True):
            assert np.array_equal(a, b)
        addresses.add(other[0].ctypes.data)
    assert cache == "none" or len(addresses) == 2  # whole batches, and the smaller last one


def test_moves_drawn_for_many_batches_at_once_are_those_of_each(samples: list[Sample],
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    for augmentation in (Augmentation(3, True), EVERYTHING):
        batches = Batches(load(samples), PREPROCESSING, 4, 1, augmentation)
        monkeypatch.setattr(batches_module, "_AT_ONCE", 64)
        together = [batch[0] for batch in batches.epoch(7)]
        monkeypatch.setattr(batches_module, "_AT_ONCE", 1)
        for x, batch in zip(together, batches.epoch(7), strict=True):
            assert np.array_equal(x, batch[0])


def test_images_in_other_arrays_are_mixed_as_well(rng: np.random.Generator) -> None:
    first, second = (rng.random((6, 9, 7, 3)).astype(np.float32) for _ in range(2))
    mixing = MIXED.mixing(1, 3, np.arange(6), (9, 7))
    mixer, kept = batches_module._Mixer(first), second.copy()
    for images in (first, second, first):
        expected = batches_module._Mixer(images).mixed(images, mixing)
        assert np.array_equal(mixer.mixed(images, mixing), expected)
    assert np.array_equal(second, kept)


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
