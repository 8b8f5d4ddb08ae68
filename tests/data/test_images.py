"""cnncli/data/images.py: both caches give the same, bad images are skipped with their reasons, nothing hangs."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Images, Preprocessing, Sample, decoding, images, load_images
from cnncli.data.decode import FIRST
from cnncli.data.marks import PIXELS, of_pixels
from cnncli.errors import DataError, ImageError, UsageError

PREPROCESSING = Preprocessing((6, 5))


@pytest.fixture
def samples(tmp_path: Path, rng: np.random.Generator) -> list[Sample]:
    """100 images, of which 3 (text), 50 (empty) and 99 (missing) cannot be used."""
    samples = []
    for i in range(100):
        path = tmp_path / f"{i:02}.png"
        if i == 3:
            path.write_text("text")
        elif i == 50:
            path.touch()
        elif i != 99:
            Image.fromarray(rng.integers(0, 256, (6, 5, 3), np.uint8)).save(path)
        samples.append(Sample(str(path), path.name, i % 7))
    return samples


GOOD = [i for i in range(99) if i not in (3, 50)]


def check(loaded: Images, samples: list[Sample]) -> None:
    assert len(loaded) == len(GOOD)
    assert [s.relative for s in loaded.samples] == [samples[i].relative for i in GOOD]
    assert loaded.labels.dtype == np.int64
    assert loaded.labels.tolist() == [i % 7 for i in GOOD]
    assert loaded.shape == (6, 5, 3)
    expected = np.stack([PREPROCESSING.prepare(samples[i].path) for i in GOOD])
    assert np.array_equal(loaded.pixels(range(len(loaded))), expected)
    assert np.array_equal(loaded.pixels([70, 2, 2]), expected[[70, 2, 2]])
    for at_once in (1, 7, 97, 200):
        parts = list(loaded.in_order(at_once))
        assert {len(part) for part in parts[:-1]} <= {at_once}
        assert np.array_equal(np.concatenate(parts), expected)
    assert np.array_equal(loaded.histogram[1], np.bincount(expected[..., 1].ravel(), minlength=256))
    assert [path for path, _ in loaded.skipped] == [samples[i].path for i in (3, 50, 99)]
    assert [reason for _, reason in loaded.skipped] == [
        "its content is not PNG, JPEG, BMP, GIF, TIFF or WebP", "it is empty", "it is not there"]


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["ram", "none"])
@pytest.mark.parametrize("threads", [1, 4])
def test_good_images_are_loaded_and_bad_ones_skipped(cache: str, threads: int, samples: list[Sample]) -> None:
    told: list[tuple[int, int]] = []
    callers = set()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        callers.add(threading.current_thread())

    check(load_images(samples, PREPROCESSING, threads, cache, progress=progress), samples)
    assert told == sorted(told)
    assert told[-1] == (100, 100)
    assert callers == {threading.main_thread()}


@pytest.mark.slow
def test_without_a_cache_in_several_pieces(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_PIECE", 1)
    check(load_images(samples, PREPROCESSING, 2, "none"), samples)
    check(load_images(samples, PREPROCESSING, 2, "ram"), samples)


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["ram", "none"])
def test_strict_raises_the_first(cache: str, samples: list[Sample]) -> None:
    with pytest.raises(ImageError, match=r"03\.png cannot be used"):
        load_images(samples, PREPROCESSING, 3, cache, strict=True)
    assert len(load_images(samples[4:50], PREPROCESSING, 3, cache, strict=True)) == 46


def test_nothing_to_load() -> None:
    loaded = load_images([], PREPROCESSING)
    assert len(loaded) == 0
    for cache in ("ram", "none"):
        loaded = load_images([], PREPROCESSING, cache=cache)
        assert loaded.pixels([]).shape == (0, 6, 5, 3)
        assert list(loaded.in_order(4)) == []


def test_an_image_that_becomes_another(samples: list[Sample]) -> None:
    """Its label is that of the picture that was there before."""
    loaded = load_images(samples[4:8], PREPROCESSING, cache="none")
    kept = loaded.pixels([0, 1, 2, 3])
    path = Path(loaded.samples[2].path)
    picture = np.asarray(Image.open(path).convert("RGB"))
    Image.fromarray(255 - picture).save(path)
    [(pixels, rows)] = loaded.decoded([np.arange(4)])
    assert rows.tolist() == [0, 1, 3]
    assert np.array_equal(pixels, kept[[0, 1, 3]])
    assert [reason for _, reason in loaded.skipped] == ["it holds another picture by now than when it was first read"]
    with pytest.raises(ImageError, match="another picture by now"):
        loaded.pixels([2])


def test_an_image_that_vanishes(samples: list[Sample]) -> None:
    loaded = load_images(samples[4:8], PREPROCESSING, cache="none")
    Path(samples[5].path).unlink()
    with pytest.raises(ImageError, match=r"05\.png cannot be used: it is not there"):
        loaded.pixels([0, 1])
    (pixels, kept), (rest, last) = loaded.decoded([np.array([0, 1, 2]), np.array([3])])
    assert kept.tolist() == [0, 2]
    assert last.tolist() == [3]
    assert np.array_equal(pixels, loaded.pixels([0, 2]))
    assert np.array_equal(rest, loaded.pixels([3]))
    assert loaded.skipped == [(samples[5].path, "it is not there")]
    with pytest.raises(DataError, match=r"none of the 1 images can be used any more; give others. The first: "):
        list(loaded.decoded([np.array([1])]))
    with pytest.raises(ImageError, match=r"05\.png cannot be used: it is not there"):
        list(loaded.in_order(2))
    in_memory = load_images(samples[6:8], PREPROCESSING)
    Path(samples[6].path).unlink()
    assert in_memory.pixels([0]).shape == (1, 6, 5, 3)


@pytest.mark.parametrize("threads", [1, 3])
def test_progress_is_told_piece_by_piece(threads: int, samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_PIECE", 2)
    told: list[tuple[int, int]] = []
    load_images(samples[40:47], PREPROCESSING, threads, progress=lambda *step: told.append(step))
    assert sorted({*told} - {(0, 7)}) == [(done, 7) for done in (2, 4, 6, 7)], "and before, of slow ones"
    assert told == sorted(told)


def test_stopping_leaves_no_thread(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_PIECE", 2)

    def progress(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_images(samples, PREPROCESSING, 3, progress=progress)
    assert not [t for t in threading.enumerate() if t.name.startswith("cnn-")]


@pytest.mark.slow
@pytest.mark.alone
def test_slow_images_do_not_keep_anyone_waiting(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wants to stop, by an exception from progress, is asked often and need not wait for a piece to end."""

    def slow(self: Preprocessing, path: str, *_: object) -> np.ndarray:
        time.sleep(0.1)
        return np.zeros(self.shape, np.uint8)

    monkeypatch.setattr(Preprocessing, "prepare", slow)
    monkeypatch.setattr(decoding, "_BEAT", 0.02)
    began = time.monotonic()

    def progress(done: int, total: int) -> None:
        if time.monotonic() - began > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_images(samples, PREPROCESSING, 1, progress=progress)
    assert time.monotonic() - began < 1


def test_memory_that_is_not_there_is_refused_with_the_remedy(samples: list[Sample],
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    assert (images.free_memory() or 1) > 0
    monkeypatch.setattr(images, "free_memory", lambda: 5000)
    with pytest.raises(DataError, match="use cache='disk' or a smaller size"):
        load_images(samples, PREPROCESSING)
    assert len(load_images(samples, PREPROCESSING, cache="none")) == len(GOOD)
    with pytest.raises(UsageError, match="there is no cache 'tape'; give one of auto, ram, disk, none"):
        load_images(samples, PREPROCESSING, cache="tape")


@pytest.mark.parametrize(("free", "refused"), [(1000, False), (999, True), (None, False)])
def test_images_may_fill_most_of_the_free_memory(free: int | None, refused: bool,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "free_memory", lambda: free)
    if not refused:
        images.check_memory(10, (8, 10, 1))  # 800 bytes
        return
    with pytest.raises(DataError, match=r"^10 images of 10 x 8 need 0.0 GiB and only 0.0 GiB are free; use cache"):
        images.check_memory(10, (8, 10, 1))


def test_how_much_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "free_memory", lambda: 3 << 29)
    with pytest.raises(DataError, match=r"^4096 images of 512 x 1024 need 6.0 GiB and only 1.5 GiB are free; use "):
        images.check_memory(4096, (1024, 512, 3))


def test_what_is_said_of_damaged_images_that_are_used() -> None:
    def said(*whys: str) -> list[str]:
        return [*images.forgiven_in_words([(f"{i}.png", why) for i, why in enumerate(whys)])]

    first = f"{FIRST} 3 pages is taken"
    assert said() == []
    assert said("its end is missing") == [
        "1 image is damaged, but no pixel of it, and used all the same: 0.png (its end is missing)."]
    assert said(first) == [f"1 file holds several images, frames or pages, of which one is used: 0.png ({first})."]
    assert said("a", first, "b", first) == [
        "2 images are damaged, but no pixel of them, and used all the same: 0.png (a); 2.png (b).",
        f"2 files hold several images, frames or pages, of which one is used: 1.png ({first}); 3.png ({first})."]
    assert said(*"abcde")[0].endswith("0.png (a); 1.png (b); 2.png (c); 3.png (d); 4.png (e).")
    assert said(*"abcdefg")[0].endswith("4.png (e); … and 2 more.")


@pytest.mark.parametrize(("count", "threads", "piece"), [(0, 2, 1), (1, 2, 1), (4, 2, 1), (5, 2, 2), (128, 2, 32),
                                                         (129, 2, 32), (10_000, 1, 32), (10, 1, 5), (11, 1, 6)])
def test_pieces_for_threads(count: int, threads: int, piece: int) -> None:
    assert decoding.Decoder(PREPROCESSING, threads).piece(count) == piece


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_deep_images_among_others_are_scaled_in_their_places(cache: str, tmp_path: Path,
                                                             rng: np.random.Generator) -> None:
    samples = []
    for i, deep in enumerate([False, False, True, False, True, False, True]):
        values = rng.integers(0, 4096, (6, 5), np.uint16) if deep else rng.integers(0, 256, (6, 5, 3), np.uint8)
        Image.fromarray(values).save(tmp_path / f"{i}.png")
        samples.append(Sample(str(tmp_path / f"{i}.png"), f"{i}.png", 0))
    loaded = load_images(samples, PREPROCESSING, 1, cache, find_range=True)
    assert loaded.preprocessing.range == (0, 4095)
    expected = np.stack([loaded.preprocessing.prepare(sample.path) for sample in samples])
    assert np.array_equal(loaded.pixels(range(7)), expected)
    assert np.array_equal(loaded.histogram[0], np.bincount(expected[..., 0].ravel(), minlength=256))
    assert loaded.marks[:, PIXELS].tolist() == [of_pixels(pixels) for pixels in expected]


def test_several_images_in_a_file_are_told(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (5, 6), (value, 0, 0)) for value in (10, 20, 30)]
    for name in ("a.gif", "b.tif", "c.png", "d.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "e.png")
    told: list[str] = []
    load_images([Sample(str(path), path.name, 0) for path in sorted(tmp_path.iterdir())], PREPROCESSING,
                note=told.append)
    (said,) = told
    assert said.startswith("4 files hold several images, frames or pages, of which one is used: ")
    for name, what in (("a.gif", "3 frames"), ("b.tif", "3 pages"), ("c.png", "3 frames"), ("d.webp", "3 frames")):
        assert f"{tmp_path / name} (the first of its {what} is taken)" in said
