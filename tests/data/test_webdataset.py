"""data/webdataset.py: archives of others, whose classes lie beside the images."""

import os
from pathlib import Path

import pytest

from cnncli.data import scan, scan_flat
from cnncli.data.folder import survey, written_labels
from cnncli.data.webdataset import classes_of
from cnncli.errors import DataError

from ..pictures import make_folder
from .tars import png, write_tar


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_folder(tmp_path / "photos", 4)


def test_classes_as_numbers(photos: Path) -> None:
    """Images in no class folders, with .cls: a table of labels."""
    write_tar("one.tar", {f"{i:03}.{kind}": png(photos) if kind == "png" else str(i % 3).encode()
                          for i in range(12) for kind in ("png", "cls")})
    splits = scan("one.tar")
    assert splits.classes == ["0", "1", "2"]
    assert {sample.relative: sample.label for sample in splits.train + splits.val + splits.test} == {
        f"{i:03}.png": i % 3 for i in range(12)}
    assert not any("not called like" in note for note in splits.notes)


def test_parts_by_the_names_of_archives(photos: Path) -> None:
    os.mkdir("sets")
    for part, count in (("train", 6), ("validation", 4)):
        for number in range(2):
            write_tar(f"sets/imagenet-{part}-00000{number}.tar", {
                f"{part}{number}{i}.{kind}": png(photos) if kind == "png" else b"%d\n" % (i % 2)
                for i in range(count) for kind in ("png", "cls")})
    splits = scan("sets")
    assert [len(part) for part in (splits.train, splits.val)] == [10, 8]  # one of each class is held out for the test
    assert all(sample.relative.startswith("validation") for sample in splits.val)


def test_folders_that_say_the_same_stay_the_classes(photos: Path) -> None:
    write_tar("one.tar", {f"{name}/{i}.{kind}": png(photos) if kind == "png" else b"%d" % label
                          for label, name in enumerate(("zebra", "ant")) for i in range(4) for kind in ("png", "cls")})
    assert written_labels("one.tar") is None
    assert scan("one.tar").classes == ["ant", "zebra"]
    write_tar("two.tar", {f"{name}/{i}.{kind}": png(photos) if kind == "png" else b"%d" % (i % 2)
                          for name in ("ann", "bob") for i in range(4) for kind in ("png", "cls")})
    assert scan("two.tar").classes == ["0", "1"]  # the folders are those of people


def test_several_images_of_a_sample_and_names_with_dots(photos: Path) -> None:
    image = png(photos)
    write_tar("one.tar", {"a/x.left.png": image, "a/x.right.png": image, "a/x.cls": b"cat", "a/x.json": b"{}",
                          "a/y.png": image, "a/y.bmp": image, "a/y.cls": b"dog", "a/z.v2.png": image,
                          "a/z.v2.cls": b"dog", "a/z.cls": b"cat", "a/w.png": image, "a/readme.md": b"",
                          "a/v.png": image, "a/v.cls": b" \n"})
    looked = survey("one.tar")
    assert {path: name for name, items in looked.found["train"].classes.items() for _, path in items} == {
        "a/x.left.png": "cat", "a/x.right.png": "cat", "a/y.png": "dog", "a/y.bmp": "dog", "a/z.v2.png": "dog"}


def test_texts() -> None:
    numbers = {"a": "0", "b": "1", "c": "0"}
    assert classes_of(numbers, {"a": "ant", "b": "bee", "c": "ant"}) == {"a": "ant", "b": "bee", "c": "ant"}
    assert classes_of(numbers, {"a": "an ant", "b": "bee", "c": "two ants"}) == numbers
    assert classes_of(numbers, {"a": "ant", "b": "ant", "c": "ant"}) == numbers
    assert classes_of(numbers, {"a": "ant"}) == numbers
    assert classes_of({}, {"a": "ant", "b": "bee", "c": "ant", "d": "bee"}) == {
        "a": "ant", "b": "bee", "c": "ant", "d": "bee"}
    assert classes_of({}, {"a": "a photograph", "b": "another", "c": "a third"}) == {}
    assert classes_of({"a": "x" * 300, "b": "two\nlines", "c": "1"}, {}) == {"c": "1"}


def test_archives_without_classes(photos: Path) -> None:
    write_tar("one.tar", {f"{i}.png": png(photos) for i in range(4)})
    with pytest.raises(DataError, match=r"the images of one\.tar lie directly in it"):
        scan("one.tar")
    assert scan_flat("one.tar") == [f"one.tar/{i}.png" for i in range(4)]
