"""cnncli/data/folder.py: layouts, the split, names of every kind, and every folder that must be refused."""

import os
import socket
from collections import Counter
from pathlib import Path

import pytest

from cnncli.data import Splits, scan, scan_flat, scan_labelled, walk
from cnncli.data.folder import survey
from cnncli.errors import DataError, UsageError


def make(root: Path, **counts: int) -> Path:
    """Make root/<folder>/…/00.png …, empty files: scanning opens none. Folders of folders are spelt a__b."""
    for name, count in counts.items():
        folder = root.joinpath(*name.split("__"))
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (folder / f"{i:02}.png").touch()
    return root


def relatives(splits: Splits) -> list[set[str]]:
    return [{s.relative for s in split} for split in (splits.train, splits.val, splits.test)]


# ---- layouts ----


def test_bare_class_folders_are_split(tmp_path: Path) -> None:
    splits = scan(make(tmp_path, dog=30, cat=50))
    assert splits.classes == ["cat", "dog"]
    assert splits.notes == [
        f"{tmp_path} has no train/ and test/: 64 images are for training, 8 for validation and 8 for the test, drawn "
        "at random. If several images show one thing, slide or patient, keep them together with --group-by."]
    for split, counts in ((splits.train, {0: 40, 1: 24}), (splits.val, {0: 5, 1: 3}), (splits.test, {0: 5, 1: 3})):
        assert Counter(s.label for s in split) == counts
        assert all(s.relative.startswith(("cat/", "dog/")[s.label]) for s in split)
        assert all(s.path == os.path.join(tmp_path, *s.relative.split("/")) for s in split)
        assert split == sorted(split, key=lambda s: s.relative)
    train, val, test = relatives(splits)
    assert len(train | val | test) == 80


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders_are_taken_as_they_are(val: str, tmp_path: Path) -> None:
    root = make(tmp_path, train__a=3, train__b=4, test__a=2, test__b=1, **{f"{val}__a": 1, f"{val}__b": 2})
    splits = scan(root)
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [7, 3, 3]
    assert splits.val[0].relative == f"{val}/a/00.png"
    assert splits.notes == []


def test_missing_val_is_held_out_of_train(tmp_path: Path) -> None:
    splits = scan(make(tmp_path, train__a=20, train__b=20, test__a=2, test__b=2))
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [36, 4, 4]
    assert splits.notes == ["There is no val/: 4 images of train/ are held out as val."]


def test_a_large_folder_gives_no_more_for_validation_than_it_takes(tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, dog=60, cat=40)
    monkeypatch.setattr("cnncli.data.division.MOST_VALIDATION", 5)
    splits = scan(tmp_path)
    assert Counter(s.label for s in splits.val) == {0: 2, 1: 3}
    assert Counter(s.label for s in splits.test) == {0: 4, 1: 6}


def test_missing_test_is_held_out_of_train(tmp_path: Path) -> None:
    splits = scan(make(tmp_path, train__a=20, train__b=20, val__a=2, val__b=2))
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [36, 4, 4]
    assert "no test/" in splits.notes[0]
    splits = scan(make(tmp_path / "x", train__a=20, train__b=20))
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [32, 4, 4]
    assert len(splits.notes) == 2


def test_what_lies_beside_train_is_noted(tmp_path: Path) -> None:
    splits = scan(make(tmp_path, train__a=3, train__b=3, test__a=3, extra__a=3))
    assert splits.classes == ["a", "b"]
    assert f"{tmp_path}: extra is left out, because train/ is there." in splits.notes


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert scan(make(tmp_path, train=5, plane=5)).classes == ["plane", "train"]
    assert scan(make(tmp_path / "x", test=5, plane=5)).classes == ["plane", "test"]


def test_nested_folders_belong_to_their_class(tmp_path: Path) -> None:
    splits = scan(make(tmp_path, a__x__y=3, a__z=3, b=3), fractions=(1, 0, 0))
    assert splits.classes == ["a", "b"]
    assert Counter(s.label for s in splits.train) == {0: 6, 1: 3}
    assert splits.train[0].relative == "a/x/y/00.png"


def test_hidden_and_litter_are_ignored_without_a_word(tmp_path: Path) -> None:
    root = make(tmp_path, a=3, b=3, **{".git": 3, "a__.ipynb_checkpoints": 3})
    make(root / "__MACOSX", a=3)
    (root / "a" / "Thumbs.db").touch()
    (root / "a" / ".DS_Store").touch()
    (root / "b" / "._00.png").touch()
    (root / ".hidden.png").touch()
    splits = scan(root, fractions=(1, 0, 0))
    assert splits.classes == ["a", "b"]
    assert len(splits.train) == 6
    assert splits.notes == []


def test_other_files_and_empty_classes_are_noted(tmp_path: Path) -> None:
    root = make(tmp_path, a=3, b=3, c=0)
    for name in ("readme.txt", "b/labels.csv", "b/none"):
        (root / name).touch()
    (root / "stray.JPG").touch()
    splits = scan(root)
    assert splits.classes == ["a", "b"]
    notes = "\n".join(splits.notes)
    assert "no images in c" in notes
    assert "1 image lies in no class folder and is left out (stray.JPG)" in notes
    assert "2 files are not called like images and are not used (b/labels.csv, b/none)." in notes


def test_suffixes_in_any_case(tmp_path: Path) -> None:
    root = make(tmp_path, b=3)
    (root / "a").mkdir()
    for name in ("1.PNG", "2.Jpeg", "3.jpg", "4.bmp", "5.gif", "6.TIF", "7.tiff", "8.webp", "9.png.txt"):
        (root / "a" / name).touch()
    assert sum(s.label == 0 for s in scan(root, fractions=(1, 0, 0)).train) == 8


@pytest.mark.parametrize("name", ["a.PNG", "a.jpg", "a.jpeg", "a.Jpe", "a.jfif", "a.bmp", "a.dib", "a.gif", "a.tif",
                                  "a.tiff", "a.b.webp"])
def test_what_is_called_like_an_image(name: str) -> None:
    assert walk.is_image(name)
    assert not walk.is_image(name + "x")
    assert not walk.is_image(name.replace(".", ""))
    assert not walk.is_passed_over(name)
    assert walk.is_passed_over("." + name)


@pytest.mark.parametrize("name", ["__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN",
                                  "System Volume Information"])
def test_what_systems_leave_behind(name: str) -> None:
    assert walk.is_passed_over(name)
    assert not walk.is_passed_over(name + "s")


def test_counting(tmp_path: Path) -> None:
    make(tmp_path, a=2, b__c=1, d=0, e=1)
    make(tmp_path / "b", **{".git": 3})
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "x.png").mkdir()
    (tmp_path / "x.png").touch()
    (tmp_path / ".y.png").touch()
    (tmp_path / "z.txt").touch()
    assert walk.images_in(str(tmp_path)) == 1
    assert walk.images_in(str(tmp_path / "a")) == 2
    assert walk.filled_folders(str(tmp_path)) == ["a", "b", "e"]
    assert walk.filled_folders(str(tmp_path), 1) == ["a"]
    assert walk.filled_folders(str(tmp_path), 2) == ["a", "b"]


# ---- the split ----


def test_the_split_is_seeded_and_repeats(tmp_path: Path) -> None:
    root = make(tmp_path, a=40, b=40)
    assert relatives(scan(root)) == relatives(scan(root))
    assert relatives(scan(root, seed=1)) != relatives(scan(root, seed=0))


def test_the_split_does_not_depend_on_where_the_folder_is(tmp_path: Path) -> None:
    assert relatives(scan(make(tmp_path / "x", a=40, b=40))) == relatives(scan(make(tmp_path / "y", a=40, b=40)))
    bare = relatives(scan(tmp_path / "x"))
    inside = relatives(scan(make(tmp_path / "z", train__a=40, train__b=40)))
    assert [{name.removeprefix("train/") for name in split} for split in inside] == bare


def test_files_that_are_added_move_few_others(tmp_path: Path) -> None:
    before = relatives(scan(make(tmp_path, a=90, b=40)))
    (tmp_path / "a" / "new.png").touch()
    after = relatives(scan(tmp_path))
    moved = sum(len(old - new) for old, new in zip(before, after, strict=True))
    assert moved <= 2
    assert {n for n in before[2] if n.startswith("b/")} == {n for n in after[2] if n.startswith("b/")}
    assert not (before[0] & after[2])


@pytest.mark.parametrize(("n", "counts"), [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (4, (2, 1, 1)),
                                           (9, (7, 1, 1)), (10, (8, 1, 1)), (15, (11, 2, 2)), (99, (79, 10, 10))])
def test_small_classes(n: int, counts: tuple[int, ...], tmp_path: Path) -> None:
    splits = scan(make(tmp_path, a=n, b=20))
    assert tuple(sum(s.label == 0 for s in split) for split in (splits.train, splits.val, splits.test)) == counts
    assert any("fewer than three" in note for note in splits.notes) == (counts[0] < 3)
    none = ("There are no validation and no test images of a, because it has too few images. The accuracy on the "
            "validation and test images says nothing about this class.")
    assert (none in splits.notes) == (n < 3)


def test_a_class_of_few_images_is_told_of_the_parts_that_were_wanted(tmp_path: Path) -> None:
    """Of a part with a folder of its own, the sentence about that folder tells; the recipe fast wants no validation."""
    root = make(tmp_path, train__a=1, train__b=2, train__c=9, test__a=1, test__c=1)
    assert scan(root).notes == [
        "test has no images of b. The accuracy on the test images says nothing about this class.".replace(
            "test has", f"{tmp_path / 'test'} has"),
        "There is no val/: 1 image of train/ is held out as val.",
        "There are fewer than three training images of a (1), b (2). That is too few to learn these classes; add "
        "images of them.",
        "There are no validation images of a, b, because they have too few images. The accuracy on the validation "
        "images says nothing about these classes."]
    assert len(scan(root, (0.9, 0, 0.1)).notes) == 2


def test_fractions(tmp_path: Path) -> None:
    root = make(tmp_path, a=20, b=20)
    splits = scan(root, fractions=(0.5, 0.5, 0))
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [20, 20, 0]
    splits = scan(make(tmp_path / "x", a=3, b=3), fractions=(0.02, 0.49, 0.49))
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [2, 2, 2]
    for wrong in ((0.5, 0.1, 0.1), (0, 0.5, 0.5), (1.2, -0.1, -0.1), (0.8, 0.2), (float("nan"), 0.5, 0.5)):
        with pytest.raises(UsageError, match="cannot be used; give three numbers"):
            scan(root, fractions=wrong)


# ---- what the disk can hold ----


def test_links_and_special_files(tmp_path: Path) -> None:
    root = make(tmp_path / "data", a__deep=3, b=3)
    (root / "a" / "deep" / "up").symlink_to(root / "a")
    (root / "a" / "deep" / "top").symlink_to(root)  # or b's images would be learnt as a's
    (root / "again").symlink_to(root)
    (root / "above").symlink_to(tmp_path)
    (root / "a" / "self").symlink_to("self")
    (root / "a" / "nowhere.png").symlink_to("missing.png")
    (root / "a" / "loop.png").symlink_to("loop.png")
    os.mkfifo(root / "b" / "fifo.png")
    with socket.socket(socket.AF_UNIX) as server:
        directory = os.getcwd()
        os.chdir(root / "b")  # a socket's address has little room
        try:
            server.bind("socket.png")
        finally:
            os.chdir(directory)
        make(tmp_path, elsewhere=4)
        (root / "c").symlink_to(tmp_path / "elsewhere")
        splits = scan(root, fractions=(1, 0, 0))
    assert splits.classes == ["a", "b", "c"]
    assert Counter(s.label for s in splits.train) == {0: 3, 1: 3, 2: 4}
    [note] = [note for note in splits.notes if "regular" in note]
    assert all(name in note for name in ("a/loop.png", "a/nowhere.png", "b/fifo.png", "b/socket.png"))


def test_names_of_every_kind(tmp_path: Path) -> None:
    names = [b"with space", "größe 猫".encode(), b"new\nline", b"\xff\xfe raw", b"-dash", b"a'b\"c", b"10", b"9"]
    for name in names:
        folder = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(folder)
        for i in range(3):
            with open(os.path.join(folder, b"\xe9%d.png" % i), "wb"):
                pass
    splits = scan(tmp_path)
    assert [os.fsencode(name) for name in splits.classes] == [os.fsencode(n) for n in sorted(map(os.fsdecode, names))]
    assert len(splits.train) == len(names)
    for note in splits.notes:
        assert note.isprintable()
        note.encode()


# ---- what is refused ----


def refused(root: Path | str, *words: str) -> None:
    with pytest.raises(DataError) as caught:
        scan(root)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert message.endswith(".")
    assert message.isprintable()


def test_what_is_no_path() -> None:
    for wrong in (3, None, b"photos", ([], [])):
        with pytest.raises(UsageError, match="the data folder must be a path, not"):
            survey(wrong)  # type: ignore[arg-type]


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    refused(tmp_path / "none\n", "there is no folder", r"none\n")
    (tmp_path / "file.png").touch()
    refused(tmp_path / "file.png", "is a file, not a folder")
    refused(tmp_path / "file.png" / "x", "cannot be read")
    refused("a\0b", "cannot be read")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is empty")
    (tmp_path / "hidden" / ".git").mkdir(parents=True)
    refused(tmp_path / "hidden", "is empty")
    refused(make(tmp_path / "one", cat=5), "one class only, cat")
    refused(make(tmp_path / "one", cat=5, dog=0), "one class only, cat")
    refused(make(tmp_path, **{"loose": 3}) / "loose", "lie directly in it (00.png, 01.png, 02.png)", "move them")
    refused(make(tmp_path / "none", cat=0, dog=0), "holds no images", "cat, dog")
    (tmp_path / "none" / "cat" / "a.txt").touch()
    refused(tmp_path / "none", "holds no images", "only .txt")
    run = make(tmp_path, run=1) / "run"
    for name in ("config.json", "images.csv"):
        (run / name).touch()
    refused(run, "is the folder of a run and holds no images to learn from", "model")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").touch()
    refused(tmp_path / "files", "holds no images")


def test_split_folders_that_cannot_be_used(tmp_path: Path) -> None:
    refused(make(tmp_path / "1", train__a=3, train__b=3, val__a=3, val__c=1),
            "val has images of c, which train/ does not have")
    refused(make(tmp_path / "2", train__a=3, train__b=3, test__x=1), "test has images of x")
    refused(make(tmp_path / "3", train__a=3, train__b=3, train__c=0, val__c=1), "val has images of c")
    refused(make(tmp_path / "4", val__a=3, test__a=3), "no train/")
    refused(make(tmp_path / "5", train__a=3, train__b=3, val__a=3, valid__a=3), "val/ and valid/, and both names mean")
    refused(make(tmp_path / "6", train=3, val=3), "train", "lie directly in it")
    refused(make(tmp_path / "7", train__a=3, train__b=3, test__a=0), "test holds no images")
    refused(make(tmp_path / "8", train__a=3, val__a=3), "one class only, a")


def test_a_class_that_is_not_in_val_is_noted(tmp_path: Path) -> None:
    splits = scan(make(tmp_path, train__a=9, train__b=9, val__b=3, test__a=1, test__b=1))
    assert any("val has no images of a." in note for note in splits.notes)
    assert {s.label for s in splits.val} == {1}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    root = make(tmp_path, a=3, b=3)
    (root / "a").chmod(0)
    try:
        refused(root, "cannot be read", "ermission")
    finally:
        (root / "a").chmod(0o700)


# ---- for test and predict ----


def test_labelled_by_the_models_classes(tmp_path: Path) -> None:
    root = make(tmp_path / "x", dog=2, cat=1)
    samples, notes = scan_labelled(root, ["bird", "cat", "dog"])
    assert [(s.relative, s.label) for s in samples] == [("cat/00.png", 1), ("dog/00.png", 2), ("dog/01.png", 2)]
    assert notes == []
    with pytest.raises(DataError, match=r"images of dog, which the model does not know"):
        scan_labelled(root, ["bird", "cat"])
    root = make(tmp_path / "y", train__a=4, train__b=4, test__b=2)
    samples, notes = scan_labelled(root, ["a", "b"])
    assert [(s.relative, s.label) for s in samples] == [("test/b/00.png", 1), ("test/b/01.png", 1)]
    assert "test" in notes[0]
    samples, _ = scan_labelled(root / "test", ["a", "b"])
    assert [s.relative for s in samples] == ["b/00.png", "b/01.png"]
    samples, _ = scan_labelled(make(tmp_path / "z", test__b=2), ["a", "b"])
    assert [s.relative for s in samples] == ["test/b/00.png", "test/b/01.png"]
    with pytest.raises(DataError, match="lie directly"):
        scan_labelled(root / "test" / "b", ["a", "b"])


def test_flat(tmp_path: Path) -> None:
    root = make(tmp_path / "x", b=2, a__c=1)
    (root / "z.jpg").touch()
    (root / "note.txt").touch()
    (root / "b" / "up").symlink_to(root)
    assert [os.path.relpath(p, root) for p in scan_flat(root)] == ["a/c/00.png", "b/00.png", "b/01.png", "z.jpg"]
    told: list[str] = []
    scan_flat(root, told.append)
    assert told == [f"{root}: 1 file is not called like an image and is not used (note.txt)."]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no images \(PNG, JPEG, BMP, GIF, TIFF or WebP\); give a folder with "
                                        r"some\.$"):
        scan_flat(tmp_path / "empty")
    for name in ("1.heic", "2.HEIC", "3.txt"):
        (tmp_path / "empty" / name).touch()
    with pytest.raises(DataError, match=r"\), only \.heic, \.txt; give a folder with some\.$"):
        scan_flat(tmp_path / "empty")
    with pytest.raises(DataError, match="is a file"):
        scan_flat(root / "z.jpg")
