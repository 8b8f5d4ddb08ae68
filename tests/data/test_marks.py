"""data/marks.py: an image has the same marks wherever it lies, and no other image has them."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Preprocessing, Sample, load_images, marks
from cnncli.data.decode import open_image
from cnncli.data.marks import FILE, NONE, PIXELS, among, of_file, of_files, of_images, of_pixels, union
from cnncli.errors import ImageError

PLAIN = Preprocessing((8, 8))
RNG = np.random.default_rng(3)


def sample(path: Path, pixels: np.ndarray | None = None) -> Sample:
    return Sample(str(path), path.name, 0, pixels)


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_marks_are_of_the_file_and_of_the_pixels(cache, tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (8, 8, 3), np.uint8)
    for name in ("a.png", "b.bmp"):
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "copy.png").write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "bad.png").write_bytes(b"no image")
    Image.fromarray(pixels[::-1]).save(tmp_path / "other.png")
    given = [sample(tmp_path / name) for name in ("bad.png", "a.png", "copy.png", "b.bmp", "other.png")]
    given.append(sample(Path("images[0]"), pixels))
    images = load_images(given, PLAIN, 2, cache)
    assert images.marks.dtype == np.uint64
    png, copy, bitmap, other, array = images.marks.tolist()
    assert png == copy == [of_file(tmp_path / "a.png"), of_pixels(pixels)]
    assert bitmap[PIXELS] == array[PIXELS] == png[PIXELS]
    assert len({png[FILE], bitmap[FILE], other[FILE], NONE}) == 4
    assert (array[FILE], other[PIXELS] != png[PIXELS]) == (NONE, True)


FORMATS = ("png", "jpg", "bmp", "gif", "tif", "webp")


@pytest.mark.parametrize("largest", [1 << 20, 10])
def test_a_file_is_opened_once_unless_large(largest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FORMATS:
        Image.fromarray(RNG.integers(0, 256, (20, 20, 3), np.uint8)).save(tmp_path / f"a.{name}")
    expected = [[of_file(path), of_pixels(PLAIN.prepare(path))] for path in sorted(tmp_path.iterdir())]
    opened, plain = [], os.open

    def counted(path, *more, **named):
        opened.append(path)
        return plain(path, *more, **named)

    monkeypatch.setattr(marks, "_WHOLE", largest)
    monkeypatch.setattr(os, "open", counted)
    images = load_images([sample(path) for path in sorted(tmp_path.iterdir())], PLAIN, 1)
    assert images.marks.tolist() == expected
    count = 1 if largest > 10 else 3  # to see that it is large, to decode it, to mark it
    assert sorted(opened) == sorted(str(path) for path in tmp_path.iterdir() for _ in range(count))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "packing"), [*((name, "raw") for name in FORMATS), ("tif", "tiff_lzw"),
                                               ("tif", "jpeg"), ("tif", "group4")])
def test_what_was_read_decodes_as_the_file_does(name: str, packing: str, tmp_path: Path) -> None:
    """Whole, cut short at several places, and with a byte changed: the same pixels and notes, or the same reason."""
    image = Image.fromarray(RNG.integers(0, 256, (24, 24, 3), np.uint8)).convert("1" if packing == "group4" else "RGB")
    image.save(tmp_path / f"whole.{name}", **({"compression": packing} if name == "tif" else {}))
    data = (tmp_path / f"whole.{name}").read_bytes()
    changed = [data, b"", data + b"12", *(data[: len(data) * k // 8] for k in range(1, 8))]
    changed += [data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :] for at in range(3, len(data), len(data) // 7)]
    for content in changed:
        (tmp_path / "a").write_bytes(content)
        said = []
        for given in (None, content):
            notes: list[str] = []
            try:
                said.append((open_image(tmp_path / "a", False, forgiven=notes, data=given).tobytes(), notes))
            except ImageError as error:
                said.append((error.reason, notes))
        assert said[0] == said[1], f"{name} of {len(content)} bytes"


def test_what_has_no_mark(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert [of_file(tmp_path / name) for name in ("pipe", "nothing", ".", "a\0b")] == [NONE] * 4
    (tmp_path / "empty").touch()
    assert of_file(tmp_path / "empty") != NONE


def test_a_file_of_more_than_a_piece(tmp_path: Path) -> None:
    data = RNG.bytes((1 << 20) + 5)
    (tmp_path / "one").write_bytes(data)
    (tmp_path / "two").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    one, two = of_files([str(tmp_path / "one"), str(tmp_path / "two")]).tolist()
    assert one != two
    known = frozenset([len(data)])
    assert of_files([str(tmp_path / name) for name in ("one", "none")], known).tolist() == [one, NONE]
    assert of_files([str(tmp_path / "one")], frozenset([3])).tolist() == [NONE]


def test_pixels_of_another_shape_are_another_image() -> None:
    zeros = np.zeros(48, np.uint8)
    assert len({of_pixels(zeros.reshape(shape)) for shape in ((4, 4, 3), (2, 8, 3), (4, 12, 1))}) == 3
    assert of_pixels(np.asfortranarray(RNG.integers(0, 9, (4, 4, 3)))) != NONE


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 1), (7, 7, 3), (8, 8, 3)])
@pytest.mark.parametrize("at_once", [1, 200])
def test_marks_of_several_images_are_those_of_each(shape, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "_IN_CACHE", at_once)
    images = RNG.integers(0, 256, (5, *shape), np.uint8)
    for given in (images, images[:, ::-1], images.astype(np.float32)):
        assert of_images(given).tolist() == [of_pixels(image) for image in given]
    assert of_images(images[:0]).tolist() == []


def test_marks_are_those_that_runs_keep(tmp_path: Path) -> None:
    """A later release must know the images that an earlier one has trained on."""
    assert of_pixels(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)) == 16732793806084003262
    assert of_pixels(np.arange(45, dtype=np.uint8).reshape(5, 3, 3)) == 12729393164511964259  # no whole words
    assert of_pixels(np.arange(16, dtype=np.uint8).reshape(4, 4, 1)) == 15066257715939740178
    (tmp_path / "a").write_bytes(b"some bytes")
    assert of_file(tmp_path / "a") == 17258009828327883188


def test_which_are_known() -> None:
    marks = np.array([[1, 2], [0, 3], [4, 0]], np.uint64)
    assert union(marks[:2], None, marks[2]).tolist() == [1, 2, 3, 4]
    assert among(marks, np.array([2, 4], np.uint64)).tolist() == [True, False, True]
    assert among(marks, union(None)).tolist() == [False] * 3
    assert among(np.empty((0, 2), np.uint64), np.array([2], np.uint64)).tolist() == []


@pytest.mark.slow
def test_marks_of_pixels_differ_for_every_change_of_a_byte_or_a_place() -> None:
    """Also where only every eighth byte differs, which lies in the uppermost bits of what is summed."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (9, 8, 1), np.uint8)
    found = {of_pixels(image), of_pixels(image.reshape(8, 9, 1)), of_pixels(image[:-1])}
    for place in range(image.size):
        changed = image.copy()
        changed.flat[place] ^= 1
        found.add(of_pixels(changed))
    assert len(found) == 3 + image.size
    sparse = np.zeros((4000, 16, 16, 1), np.uint8)
    for one in sparse:
        one.reshape(-1)[7::8] = rng.integers(0, 2, 32)
    assert len({of_pixels(one) for one in sparse}) == len({one.tobytes() for one in sparse})
