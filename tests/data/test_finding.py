"""data/finding.py: what a file, a folder, a pattern and a list stand for, and a name that stands for nothing."""

import io
import itertools
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.data import finding
from cnncli.data.finding import Missing, Picture, as_they_come, find_images, image_files, images_of
from cnncli.errors import DataError, UsageError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: photos/ with two images, one below and a file that is none; d.jpg; archive/, unpacked.
    Nothing is opened."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photos/below", "archive/photos", "archive/__MACOSX"):
        os.makedirs(folder)
    for name in ("archive/photos/e.png", "archive/__MACOSX/e.png", "photos/b.png", "photos/a.png",
                 "photos/below/c.png", "d.jpg", "photos/notes.txt", "x[1].png", "x1.png"):
        Path(name).touch()
    return tmp_path


@pytest.mark.parametrize(("named", "found"), [
    (["d.jpg", "photos", "photos/notes.txt", "gone.png"],
     ["d.jpg", "photos/a.png", "photos/b.png", "photos/below/c.png", "photos/notes.txt", "gone.png"]),
    (["photos/?.png"], ["photos/a.png", "photos/b.png"]),
    (["photos/**"], ["photos/a.png", "photos/b.png", "photos/below/c.png"]),
    (["ph*/bel*"], ["photos/below/c.png"]),
    (["no*.png"], ["no*.png"]),
    (["x[1].png"], ["x[1].png"]),  # a file of that name, not x1.png, which the pattern matches
    (["x[12].png"], ["x1.png"]),
    (["arch*/*"], ["archive/photos/e.png"]),
    (["archive/**"], ["archive/photos/e.png"]),
    (["archive/__MACOSX/*"], ["archive/__MACOSX/e.png"]),
    ("photos", ["photos/a.png", "photos/b.png", "photos/below/c.png"]),
    (Path("d.jpg"), ["d.jpg"]),
    ([], []),
])  # fmt: skip
def test_files_folders_and_patterns(home: Path, named, found: list[str]) -> None:
    assert find_images(named) == found


def test_a_folder_without_images_is_missing(home: Path) -> None:
    os.mkdir("empty")
    [item] = find_images(["empty"])
    assert isinstance(item, Missing)
    assert item.path == "empty"
    assert "holds no images" in item.error


def test_a_name_of_nothing_is_said_to_be_that(home: Path) -> None:
    item, _ = find_images(["neww/", "photos/a.png"])
    assert isinstance(item, Missing)
    assert item.error == "there is no file or folder neww/"
    with pytest.raises(DataError, match=r"^there is no file or folder neww; give an image, or a folder"):
        find_images("neww")
    assert find_images("neww.png") == ["neww.png"], "what is called like an image is said to be none when it is opened"


@pytest.mark.parametrize(("listing", "names"), [
    (b"a.png\nb c.png\r\n\n\nx[1].png", ["a.png", "b c.png", "x[1].png"]),
    (b"a\nb.png\0c.png\0", ["a\nb.png", "c.png"]),
    (b"caf\xe9.png\n", ["caf\udce9.png"]),
    (b"", []),
])
def test_a_list_on_standard_input(listing: bytes, names: list[str]) -> None:
    assert find_images(["-"], listing) == names


def test_one_name_is_looked_up_and_a_list_is_taken_as_it_stands(home: Path) -> None:
    assert image_files("photos/?.png") == ["photos/a.png", "photos/b.png"]
    gone = Missing("gone", "no such thing")
    assert image_files([Path("photos/a.png"), "photos/?.png", gone]) == ["photos/a.png", "photos/?.png", gone]
    assert image_files(["d.jpg", "photos/below"]) == ["d.jpg", "photos/below/c.png"]


def test_arrays_are_images_too() -> None:
    grey = np.zeros((3, 8, 7), np.uint8)
    assert image_files(grey) == [Picture(f"images[{i}]", grey[i]) for i in range(3)]
    assert image_files(np.zeros((8, 7, 3), np.uint8)) == [Picture("images[0]", grey)]
    assert image_files(["a.png", grey[0], Missing("b", "c"), Picture("d", grey[1])]) == [
        "a.png", Picture("images[1]", grey[0]), Missing("b", "c"), Picture("d", grey[1])]
    assert image_files(np.array(["a.png", "b.png"])) == ["a.png", "b.png"]
    with pytest.raises(UsageError, match="not int"):
        image_files(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(("given", "words"), [
    (np.zeros((8, 7), int), "give uint8"), (None, "is no image"), (np.zeros(5, np.uint8), r"the shape is \(5,\)"),
    ({}, "is no image"), (io.StringIO("text"), "opened as text"), ("below", "holds")])
def test_what_is_no_image_in_a_list_takes_nothing_from_the_others(home: Path, given: Any, words: str) -> None:
    (home / "below").mkdir()
    first, wrong, last = image_files([np.zeros((8, 7), np.uint8), given, "a.png"])
    assert (first.path, last) == ("images[0]", "a.png")  # type: ignore[union-attr]
    assert isinstance(wrong, Missing)
    assert re.search(words, wrong.error)
    assert wrong.cause == ("empty" if words == "holds" else "kind")
    assert str(wrong.exception) == wrong.error


def test_a_source_that_is_slow_or_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(finding, "monotonic", lambda: next(clock))
    names = map(str, itertools.count())
    assert next(as_they_come(images_of(names), 64)) == ["0"], "each took a second"
    monkeypatch.setattr(finding, "monotonic", lambda: 0)
    assert len(next(as_they_come(images_of(names), 64))) == 128
    assert next(names) == "129"
    held = (np.zeros((2, 2), np.uint8) for _ in itertools.count())
    assert [len(group) for group in itertools.islice(as_they_come(images_of(held), 5), 2)] == [5, 5]
