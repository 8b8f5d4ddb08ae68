"""cnncli/data/cached.py and kept.py: what lies on the disk is what decoding gives, and it lies where it should."""

import sys
from pathlib import Path

import numpy as np
import pytest

from cnncli.data import Augmentation, Batches, Images, Preprocessing, Sample, cached, images
from cnncli.errors import DataError, ImageError, SaveError, UsageError

from .conftest import Load, file_of, known


def test_the_disk_gives_what_memory_gives(samples: list[Sample], place: Path, load: Load) -> None:
    expected = known(load(samples, cache="ram"))
    assert expected[8]
    assert [reason for _, reason in expected[3]] == ["its content is not PNG, JPEG, BMP, GIF, TIFF or WebP",
                                                     "it is not there"]
    damaged = [sentence for sentence in load.said if "damaged" in sentence]
    assert damaged
    first = load(samples)
    assert load.says("The decoded training images are kept in ")
    assert known(first) == expected
    assert first.stored is None
    second = load(samples)
    assert load.decoded == 2, "only what could not be used is tried again"
    assert load.says(f"10 decoded training images come from {file_of(place)}.")
    assert set(damaged) <= set(load.said)
    assert known(second) == expected
    assert load.decoded == 2
    assert known(load(samples, cache="none")) == expected


def test_batches_are_the_same_bits(samples: list[Sample], load: Load) -> None:
    def epoch(found: Images) -> list[bytes]:
        batches = Batches(found, found.preprocessing, 4, 1, Augmentation(2, True), "balanced")
        return [array.tobytes() for batch in batches.epoch(3, reuse=True) for array in batch[:3]]  # type: ignore

    expected = epoch(load(samples, cache="ram"))
    for _ in range(2):
        assert epoch(load(samples)) == expected


def test_a_range_that_is_known_finds_the_same_file(samples: list[Sample], load: Load) -> None:
    """A run that is resumed knows the range that was found when it began."""
    found = load(samples).preprocessing
    assert found.range == (0, 4095)
    again = load(samples, found, find_range=False)
    assert load.says("come from")
    assert again.preprocessing == found
    load(samples, Preprocessing((6, 5), mean=(0.5,) * 3, std=(0.1,) * 3))
    assert load.says("come from"), "normalising comes later"
    load(samples, Preprocessing((6, 5), range=(0, 100)))
    assert load.says("because its images of more than 8 bits have another range.")
    load(samples)
    assert load.says("another range")


def test_without_deep_images_the_range_is_no_matter(samples: list[Sample], load: Load) -> None:
    shallow = [samples[i] for i in (0, 1, 4, 6)]
    load(shallow)
    load(shallow, Preprocessing((6, 5), range=(0, 100)), find_range=False)
    assert load.says("come from")


def test_parts_and_folders_have_files_of_their_own(samples: list[Sample], tmp_path: Path, place: Path, load: Load,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    load(samples[:6])
    load(samples[6:], part="validation", find_range=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").symlink_to("photos")
    for before in ("photos/", "./photos/", "other/", f"{tmp_path}/photos/"):
        load([Sample(before + sample.relative, sample.relative, 0) for sample in samples[:6]])
        assert load.says("come from"), before
    load(samples[6:], part="validation", find_range=False)
    assert load.says("come from")
    assert sorted(path.name.rpartition("-")[0] for path in place.iterdir()) == ["photos-training", "photos-validation"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in place.iterdir())


def test_strict_raises_the_first_from_the_disk_as_well(samples: list[Sample], load: Load) -> None:
    for _ in range(2):
        with pytest.raises(ImageError, match=r"03\.png cannot be used"):
            load(samples, strict=True)
        load(samples)
    assert len(load(samples[4:11], strict=True)) == 7


def test_arrays_stay_in_memory(place: Path, load: Load, rng: np.random.Generator,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    ours = [Sample(f"image {i}", str(i), 0, rng.integers(0, 256, (6, 5, 3), np.uint8)) for i in range(5)]
    found = load(ours)
    assert load.said == ["Arrays are not written to the disk; these images are kept in memory."]
    assert found.stored is not None
    monkeypatch.setattr(images, "free_memory", lambda: 0)
    assert known(load(ours, cache="auto")) == known(found)
    assert load.said == ["5 images of 5 x 6 need 0.0 GiB and only 0.0 GiB are free; they are prepared again in each "
                         "epoch."]
    with pytest.raises(DataError, match="use cache='disk' or a smaller size"):
        load(ours, cache="ram")
    assert not place.exists()


def test_nothing_to_keep(place: Path, load: Load) -> None:
    assert len(load([])) == 0
    assert not place.exists()


# ---- where ----


def test_auto_takes_memory_if_there_is_some(samples: list[Sample], place: Path, load: Load,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(samples, cache="auto").stored is not None
    assert not place.exists()
    monkeypatch.setattr(images, "free_memory", lambda: 0)
    for said in ("are kept in", "come from"):
        found = load(samples, cache="auto")
        assert found.stored is None
        assert load.says(said)


def test_a_folder_that_takes_no_file(samples: list[Sample], place: Path, load: Load,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    place.write_text("a file")
    with pytest.raises(UsageError, match=r"is a file; give another place with CNN_CACHE_DIR\.$"):
        load(samples)
    monkeypatch.setattr(images, "free_memory", lambda: 0)
    assert len(load(samples, cache="auto")) == 10
    assert load.says("cannot be kept on the disk: ")


@pytest.mark.linux
def test_a_folder_that_cannot_be_made(samples: list[Sample], load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cached.VARIABLE, "/proc/cnn")
    with pytest.raises(SaveError, match=r"^no folder can be made at /proc/cnn .* place with CNN_CACHE_DIR\.$"):
        load(samples)
    monkeypatch.setattr(images, "free_memory", lambda: 0)
    assert len(load(samples, cache="auto")) == 10
    assert load.says("cannot be kept on the disk: no folder can be made at /proc/cnn")


def test_a_folder_that_can_only_be_read_is_read(samples: list[Sample], load: Load,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    expected = known(load(samples))

    def refuse(folder: str, *_: object) -> None:
        raise SaveError(f"{folder} takes no files (read-only file system); change that, or give another place.")

    monkeypatch.setattr(cached, "check_runs", refuse)
    assert known(load(samples)) == expected
    with pytest.raises(SaveError, match=r"takes no files .*, or give another place with CNN_CACHE_DIR\.$"):
        load(samples[:5])


def test_nothing_is_written_among_images(samples: list[Sample], tmp_path: Path, load: Load,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cached.VARIABLE, str(tmp_path / "photos" / "decoded"))
    before = sorted(path.name for path in (tmp_path / "photos").iterdir())
    with pytest.raises(UsageError, match=r"a folder of images .*give another place with CNN_CACHE_DIR\.$"):
        load(samples)
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == before


@pytest.mark.parametrize(("system", "variables", "expected"), [
    ("linux", {"HOME": "/home/me"}, "/home/me/.cache/cnn"),
    ("linux", {"HOME": "/home/me", "XDG_CACHE_HOME": "/caches"}, "/caches/cnn"),
    ("linux", {"HOME": "/home/me", "XDG_CACHE_HOME": "caches"}, "/home/me/.cache/cnn"),
    ("linux", {"HOME": "/home/me", "CNN_CACHE_DIR": "/big"}, "/big"),
    ("linux", {"HOME": "/home/me", "CNN_CACHE_DIR": ""}, "/home/me/.cache/cnn"),
    ("darwin", {"HOME": "/Users/me", "XDG_CACHE_HOME": "/caches"}, "/Users/me/Library/Caches/cnn"),
    ("win32", {"HOME": "/me", "LOCALAPPDATA": "/me/local"}, "/me/local/cnn"),
])
def test_where_it_lies(system: str, variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "CNN_CACHE_DIR", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", system)
    assert cached.folder() == expected


def test_no_home(samples: list[Sample], load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cached.VARIABLE, "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "here")
    monkeypatch.setattr(images, "free_memory", lambda: 0)
    with pytest.raises(SaveError, match=r"there is no home folder .* give another place with CNN_CACHE_DIR"):
        load(samples)
    assert len(load(samples, cache="auto")) == 10
    assert load.says("there is no home folder to keep decoded images in")
