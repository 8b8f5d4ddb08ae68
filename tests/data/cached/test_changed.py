"""cnncli/data/cached.py and kept.py: a file of decoded images that is out of date, cut or changed is not used, and no
wrong pixel comes of it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Preprocessing, Sample, cached, files, kept
from cnncli.errors import ImageError

from ..tars import write_tar
from .conftest import HOW, Load, file_of, flip, known


def grow(samples: list[Sample]) -> None:
    before = os.stat(samples[1].path)
    with open(samples[1].path, "ab") as file:
        file.write(b"more")
    os.utime(samples[1].path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(samples: list[Sample]) -> None:
    """Another file of the same size and time takes the place of one."""
    path = samples[1].path
    before = os.stat(path)
    data = Path(path).read_bytes()
    Path(path + "~").write_bytes(data[:-1] + b"x")
    os.replace(path + "~", path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[list[Sample]], None], str]] = {
    "time": (lambda samples: os.utime(samples[1].path, ns=(0, 10**18 + 1)), "01.png has changed"),
    "size": (grow, "01.png has changed"),
    "another file": (replace, "01.png has changed"),
    "gone": (lambda samples: os.unlink(samples[1].path), "01.png has changed"),
    "several": (lambda samples: [os.utime(samples[i].path) for i in (4, 1)] and None, "2 images have changed, /"),
    "appeared": (lambda samples: Image.new("RGB", (5, 6)).save(samples[11].path), "11.png has changed"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_images_that_have_changed_are_decoded_again(change: str, samples: list[Sample], place: Path,
                                                    load: Load) -> None:
    load(samples)
    CHANGES[change][0](samples)
    found = load(samples)
    assert load.says(f"{file_of(place)} is made anew, because ")
    assert load.says(CHANGES[change][1])
    assert known(found) == known(load(samples, cache="ram"))
    load(samples)
    assert load.says("come from")


def test_a_file_that_was_young_is_known_by_its_content(samples: list[Sample], load: Load) -> None:
    """A second change in the same tick of the file system's clock has the same time."""
    os.utime(samples[1].path)
    load(samples)
    load(samples)
    assert load.says("come from")
    data = bytearray(Path(samples[1].path).read_bytes())
    data[-1] ^= 1
    before = os.stat(samples[1].path)
    Path(samples[1].path).write_bytes(data)
    os.utime(samples[1].path, ns=(before.st_atime_ns, before.st_mtime_ns))
    load(samples)
    assert load.says("01.png has changed")


def test_another_number_alone_is_no_change(samples: list[Sample], load: Load) -> None:
    """File systems over a network may give a file another one after each mount."""
    load(samples)
    path = Path(samples[1].path)
    path.rename(f"{path}~")
    path.write_bytes(Path(f"{path}~").read_bytes())
    os.utime(path, ns=(10**18, 10**18))
    load(samples)
    assert load.says("come from")


def packed(samples: list[Sample], changed: bytes = b"", last: int = 0, time: int = 10**18) -> list[Sample]:
    """Return some of the images as those of an archive. Of the image with that number the end is another."""
    folder = Path(samples[0].path).parent.parent
    images = {sample.relative: Path(sample.path).read_bytes() for sample in samples[:10]}
    name = samples[last].relative
    images[name] = images[name][: len(images[name]) - len(changed)] + changed
    write_tar(folder / "~", images)
    os.utime(folder / "~", ns=(time, time))
    os.replace(folder / "~", folder / "photos.tar")
    assert files.looks_through(str(folder / "photos.tar"))
    return [Sample(str(folder / "photos.tar" / name), name, i % 3) for i, name in enumerate(images)]


@pytest.mark.parametrize(("after", "said"), [
    ({"time": 10**18 + 1}, "10 images have changed, /"),
    ({"changed": b"x", "last": 4, "time": 10**18 + 1}, "10 images have changed, /"),
    ({"changed": b"x", "last": 4}, "04.png has changed"),  # the archive's number tells that content must be compared
    ({}, "come from"),
])
def test_images_of_an_archive_that_has_changed_are_decoded_again(after: dict[str, Any], said: str,
                                                                 samples: list[Sample], load: Load) -> None:
    images = packed(samples)
    load(images)
    load(images)
    assert load.says("come from")
    images = packed(samples, **after)
    found = load(images)
    assert load.says(said)
    assert known(found) == known(load(images, cache="ram"))


def test_what_could_not_be_used_and_now_can(samples: list[Sample], load: Load,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> bytes:
        raise ImageError(samples[3].path, "a disk does not answer")

    Image.new("RGB", (5, 6)).save(samples[3].path)
    os.utime(samples[3].path, ns=(10**18, 10**18))
    with monkeypatch.context() as patch:
        prepare = Preprocessing.prepare
        patch.setattr(Preprocessing, "prepare", lambda how, source, *rest: refuse() if source == samples[3].path
                      else prepare(how, source, *rest))
        assert (samples[3].path, "a disk does not answer") in load(samples).skipped
        assert (samples[3].path, "a disk does not answer") in load(samples).skipped
    found = load(samples)
    assert load.says("because images that could not be used can be used now.")
    assert len(found) == 11


@pytest.mark.parametrize(("how", "chosen", "why"), [
    (HOW, slice(1, None), "other images belong to it now"),
    (HOW, slice(None, None, -1), "other images belong to it now"),
    (Preprocessing((5, 6)), slice(None), "it has images of another size or kind"),
    (Preprocessing((6, 5), grey=True), slice(None), "it has images of another size or kind"),
    (Preprocessing((6, 5), resize="pad"), slice(None), "it has images of another size or kind"),
])
def test_another_list_and_another_preprocessing(how: Preprocessing, chosen: slice, why: str, samples: list[Sample],
                                                place: Path, load: Load) -> None:
    load(samples)
    found = load(samples[chosen], how)
    assert load.says(f"{file_of(place)} is made anew, because {why}.")
    assert known(found) == known(load(samples[chosen], how, "ram"))


def test_another_version_of_what_decodes(samples: list[Sample], load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    load(samples)
    monkeypatch.setattr(cached, "decoders", lambda: "others")
    load(samples)
    assert load.says("because it was made by another version of cnn, or of what it decodes with.")


# ---- damaged ----


def test_a_changed_byte_of_the_head_or_the_tables_is_found(samples: list[Sample], place: Path, load: Load) -> None:
    expected = known(load(samples))
    size = file_of(place).stat().st_size
    pixels = kept.HEAD + 12 * 90
    for at in (0, 20, 33, 45, 60, 100, kept.HEAD - 1, pixels + pixels % 8 + 3, pixels + 200, size - 1):
        flip(file_of(place), at)
        assert known(load(samples)) == expected, at
        assert load.says("is made anew, because it"), at


def test_a_cut_file_is_found(samples: list[Sample], place: Path, load: Load) -> None:
    expected = known(load(samples))
    size = file_of(place).stat().st_size
    for length in (0, 10, kept.HEAD, kept.HEAD + 500, size - 1, size + 1):
        os.truncate(file_of(place), length)
        assert known(load(samples)) == expected, length
        assert load.says("because it was cut." if length < size else "because it has grown."), length


def test_a_changed_byte_of_the_pixels_changes_no_pixel(samples: list[Sample], place: Path, load: Load) -> None:
    expected = known(load(samples))
    flip(file_of(place), kept.HEAD + 4 * 90 + 7)
    found = load(samples)
    assert load.says("come from"), "all pixels are not read before they are needed"
    path = file_of(place)
    assert known(found) == expected
    assert load.said[-1] == (f"{path} was cut or changed since it was written. Images that it does not have any more "
                             "are decoded again from their own files, and the next training makes it anew.")
    assert load.said.count(load.said[-1]) == 1
    assert load.decoded == 2 + 2  # for each time that it is read
    assert not path.exists()
    assert known(load(samples)) == expected
    assert load.says("are kept in")


@pytest.mark.parametrize("length", [0, kept.HEAD + 400])
def test_a_file_that_is_cut_while_it_is_used(length: int, samples: list[Sample], place: Path, load: Load) -> None:
    expected = known(load(samples))
    found = load(samples)
    os.truncate(file_of(place), length)
    assert known(found) == expected
    assert load.says("was cut or changed since it was written")
    assert not list(place.iterdir())


def test_a_changed_pixel_of_an_image_that_is_gone_as_well(samples: list[Sample], place: Path, load: Load) -> None:
    found = load(samples)
    flip(file_of(place), kept.HEAD + 4 * 90 + 7)
    os.unlink(samples[4].path)
    with pytest.raises(ImageError, match=r"04\.png cannot be used: it is not there"):
        found.pixels([3])
    [(pixels, rows)] = found.decoded([np.array([2, 3, 4])])
    assert rows.tolist() == [2, 4]
    assert np.array_equal(pixels, found.pixels([2, 4]))
    assert (samples[4].path, "it is not there") in found.skipped


def test_a_file_that_is_removed_is_used_to_the_end(samples: list[Sample], place: Path, load: Load) -> None:
    found = load(samples)
    expected, decoded = known(found), load.decoded
    file_of(place).unlink()
    assert known(found) == expected
    assert load.decoded == decoded


def test_random_bytes_are_no_such_file(samples: list[Sample], place: Path, load: Load) -> None:
    expected = known(load(samples))
    path = file_of(place)
    for data in (b"", os.urandom(9000), kept.MAGIC + bytes(9000)):
        path.write_bytes(data)
        assert known(load(samples)) == expected
        assert load.says("is made anew")
    path.unlink()
    path.symlink_to(samples[0].path)
    before = Path(samples[0].path).read_bytes()
    assert known(load(samples)) == expected
    assert Path(samples[0].path).read_bytes() == before
