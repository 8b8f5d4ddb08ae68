"""data/archive.py and files.py: archives as folders, indices that do not fit, and archives of others: WebDataset's
conventions, and what is hostile or damaged."""

import io
import os
import shutil
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from cnncli.data import archive, files, scan, scan_flat, shard_index, tar
from cnncli.data.finding import Missing, find_images, image_files
from cnncli.data.folder import survey, written_labels
from cnncli.data.pack import pack_images
from cnncli.data.walk import check_folder, entries, filled_folders, images_in
from cnncli.data.webdataset import classes_of
from cnncli.errors import DataError, ImageError

from ..pictures import CLASSES, make_folder


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_folder(tmp_path / "photos", 4)


@pytest.fixture
def shards(photos: Path) -> Path:
    pack_images("photos", "shards", shard_size=10_000)
    return Path("shards")


def write_tar(path: str | Path, members: Mapping[str, bytes | tuple[bytes, str]]) -> None:
    """Write an archive of files; a pair is the kind of a member and what it leads to."""
    with tarfile.open(path, "w") as made:
        for name, content in members.items():
            info = tarfile.TarInfo(name.partition("#")[0])
            if isinstance(content, tuple):
                info.type, info.linkname = content
                made.addfile(info)
            else:
                info.size = len(content)
                made.addfile(info, io.BytesIO(content))


def png(photos: Path, name: str = "ant/00") -> bytes:
    return (photos / f"{name}.png").read_bytes()


def relatives(data: str | Path) -> list[str]:
    splits = scan(data)
    return sorted(sample.relative for part in (splits.train, splits.val, splits.test) for sample in part)


# ---- archives as folders ----


def test_what_is_a_folder(photos: Path, shards: Path) -> None:
    write_tar("one.tar", {"ant/a.png": png(photos), "bee/b.png": png(photos)})
    for path in ("photos", "shards", "shards/ant", "one.tar", "one.tar/ant", "./shards/../shards/bee"):
        assert files.is_folder(path), path
        assert files.exists(path)
    for path in ("photos/ant/00.png", "shards/ant/00.png", "one.tar/ant/a.png"):
        assert files.is_file(path)
        assert files.exists(path)
        assert not files.is_folder(path)
    for path in ("shards/fly", "shards/ant/no.png", "one.tar/ant/b.png", "one.tar/ant/a.png/x", "no.tar",
                 "no.tar/a.png", "shards/an", "shards/ant/00.cls"):
        assert not files.is_folder(path), path
        assert not files.exists(path) or path.endswith(".cls")
    assert files.size("shards/ant/00.png") == os.path.getsize("photos/ant/00.png")
    with pytest.raises(FileNotFoundError):
        files.size("shards/ant/no.png")
    check_folder("shards")
    assert [entry.name for entry in entries("shards")] == list(CLASSES)
    assert filled_folders("shards") == list(CLASSES)
    assert images_in("shards/ant") == 4
    check_folder("one.tar")
    with pytest.raises(DataError, match="there is no folder shards/fly"):
        check_folder("shards/fly")


def test_which_folders_are_archives(photos: Path) -> None:
    """Those with archives and neither folders nor images: whatever was a folder of images stays one."""
    members = {"ant/a.png": png(photos), "bee/b.png": png(photos)}
    for name, beside, is_one in (("a", "readme.txt", True), ("b", ".hidden/", True), ("c", "x.png", False),
                                 ("d", "folder/", False), ("e", "Thumbs.db", True)):
        os.mkdir(name)
        write_tar(f"{name}/x.TAR", members)
        os.mkdir(f"{name}/{beside}") if beside.endswith("/") else Path(name, beside).touch()
        assert (archive.archive_at(name) is not None) == is_one
    os.mkdir("f")
    os.mkdir("f/folder.tar")
    os.mkfifo("g.tar")
    assert archive.archive_at("f") is None
    assert archive.archive_at("g.tar") is None


def test_archives_that_lie_in_a_folder_of_images_are_no_part_of_it(photos: Path) -> None:
    """Else a downloaded archive that somebody keeps there would become a class."""
    before = relatives("photos")
    os.mkdir("photos/raw")
    for name in ("photos/backup.tar", "photos/raw/backup.tar"):
        write_tar(name, {"ant/a.png": png(photos), "bee/b.png": png(photos)})
    assert relatives("photos") == before
    assert relatives("photos/raw") == ["ant/a.png", "bee/b.png"]  # given itself
    assert relatives("photos") == before
    assert len(scan_flat("photos")) == len(before)
    assert scan_flat("photos/raw") == ["photos/raw/ant/a.png", "photos/raw/bee/b.png"]


def test_single_archives(photos: Path) -> None:
    with tarfile.open("photos.tar", "w") as made:
        made.add("photos", "./photos")
    splits, from_folder = scan("photos.tar"), scan("photos")
    assert [sample.relative for sample in splits.train] == [sample.relative for sample in from_folder.train]
    assert splits.train[0].path == os.path.join("photos.tar", "photos", from_folder.train[0].relative)
    assert splits.notes[0] == "photos.tar: the class folders are those in photos/."


def test_images_by_their_names(photos: Path, shards: Path) -> None:
    assert find_images("shards/ant") == [f"shards/ant/0{i}.png" for i in range(4)]
    assert find_images(["shards/ant/00.png", "photos/bee/00.png"]) == ["shards/ant/00.png", "photos/bee/00.png"]
    assert len(find_images("shards")) == len(scan_flat("shards")) == len(image_files("shards")) == 12
    [missing] = [each for each in find_images(["shards/ant/00.png", "shards/nothing"]) if isinstance(each, Missing)]
    assert missing.error == "there is no file or folder shards/nothing"


def test_archives_that_change_are_read_anew(photos: Path, shards: Path) -> None:
    write_tar("one.tar", {"ant/a.png": png(photos), "bee/b.png": png(photos)})
    assert relatives("one.tar") == ["ant/a.png", "bee/b.png"]
    first = archive.archive_at("one.tar")
    assert archive.archive_at("./one.tar") is first
    write_tar("one.tar", {"ant/a.png": png(photos), "bee/c.png": png(photos), "bee/d.png": png(photos)})
    assert relatives("one.tar") == ["ant/a.png", "bee/c.png", "bee/d.png"]
    shutil.rmtree("shards")
    shutil.copytree("photos", "shards")
    assert relatives("shards") == relatives("photos")


def test_an_archive_that_is_changed_while_it_is_read(photos: Path) -> None:
    write_tar("one.tar", {"ant/a.png": png(photos), "bee/b.png": png(photos)})
    scan("one.tar")
    data = bytearray(Path("one.tar").read_bytes())
    data[124:135] = b"%011o" % 5
    with open("one.tar", "r+b") as file:
        file.write(data)
    opened = archive.find("one.tar/ant/a.png")
    assert opened is not None
    with pytest.raises(OSError, match="has been changed"):
        opened[0].open(opened[1])
    with open("one.tar", "r+b") as file:
        file.truncate(1000)
    from cnncli.data import decode

    with pytest.raises(ImageError, match="the archive that it lies in has been changed"):
        decode("one.tar/bee/b.png", True)


def test_many_archives_are_read_by_many_threads(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_OPEN_FILES", 2)
    os.mkdir("many")
    for number in range(12):
        write_tar(f"many/{number}.tar", {f"{name}/{number}.png": f"{name}{number}".encode() for name in ("ant", "bee")})
    wrong, paths = list[str](), scan_flat("many")
    assert len(paths) == 24

    def read() -> None:
        for path in paths * 20:
            file = files.opened(path)
            assert file is not None
            with file:
                if file.read() != (path.split("/")[1] + path.split("/")[2][:-4]).encode():
                    wrong.append(path)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    held = archive.archive_at("many")
    assert held is not None
    assert len(held._files) == 2


def test_windows_of_files(photos: Path) -> None:
    write_tar("one.tar", {"ant/a.png": bytes(range(250)), "bee/b.png": b""})
    scan_flat("one.tar")
    file, empty = files.opened("one.tar/ant/a.png"), files.opened("one.tar/bee/b.png")
    assert file is not None
    assert empty is not None
    assert empty.read() == b""
    assert file.seek(-10, os.SEEK_END) == 240
    assert file.read() == bytes(range(240, 250))
    assert (file.seek(20), file.seek(5, os.SEEK_CUR), file.tell(), file.read(2)) == (20, 25, 25, b"\x19\x1a")
    assert (file.seek(900), file.read(3)) == (900, b"")
    with pytest.raises(OSError, match="before the beginning"):
        file.seek(-1)
    assert file.seekable()
    assert file.readable()


# ---- the index ----


def index_of(folder: Path) -> shard_index.ShardIndex:
    sizes = {path.name: path.stat().st_size for path in folder.glob("*.tar")}
    return shard_index.read_index(str(folder / shard_index.NAME), sizes)


def test_an_index_says_what_the_archives_hold(shards: Path) -> None:
    index = index_of(shards)
    assert index.classes == list(CLASSES)
    assert index.by_folder
    for i, path in enumerate(index.paths):
        data = (shards / index.tars[index.tar[i]]).read_bytes()
        assert data[index.start[i] : index.start[i] + index.size[i]] == Path("photos", path).read_bytes()
        assert index.classes[index.label[i]] == path.split("/")[0]
    with np.load(shards / shard_index.NAME, allow_pickle=False) as arrays:
        assert arrays["start"].tolist() == index.start.tolist()
    assert index.data() == (shards / shard_index.NAME).read_bytes()


def test_with_an_index_no_archive_is_read_through(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar, "read", lambda file: pytest.fail("read through"))
    assert len(relatives("shards")) == 12


@pytest.mark.parametrize("change", ["size", "content", "more", "cut", "damaged", "pickle", "empty", "version"])
def test_an_index_that_does_not_fit_is_not_used(photos: Path, shards: Path, change: str) -> None:
    index, first = shards / shard_index.NAME, shards / "images-000000.tar"
    words = "does not fit the archives beside it (it is damaged)"
    expected = relatives("photos")
    if change == "size":
        first.write_bytes(first.read_bytes() + bytes(10240))
        words = "(images-000000.tar has 20,480 bytes, and had 10,240)"
    elif change == "content":  # as large as before
        members = {f"fly/{i}.png": png(photos) for i in range(2)} | {"x.txt": bytes(6000)}
        write_tar(first, members)
        assert first.stat().st_size == 10240
        words = "(images-000000.tar has been changed)"
        kept = {path for i, path in enumerate(index_of(shards).paths) if index_of(shards).tar[i] != 0}
        expected = sorted({"fly/0.png", "fly/1.png"} | kept)
    elif change == "more":
        write_tar(shards / "more.tar", {"ant/more.png": png(photos)})
        words, expected = "(it does not know more.tar)", sorted([*expected, "ant/more.png"])
    elif change == "cut":
        index.write_bytes(index.read_bytes()[:-500])
    elif change == "damaged":
        data = bytearray(index.read_bytes())
        data[2000:2100] = bytes(100)
        index.write_bytes(data)
    elif change == "pickle":
        np.savez(index, version=np.array([{}], object))
    elif change == "empty":
        index.write_bytes(b"")
    else:
        with np.load(index) as arrays:
            np.savez(index, **{**arrays, "version": np.array(9)})
        words = "(another version of cnn wrote it)"
    before = {path.name: path.read_bytes() for path in shards.iterdir()}
    assert relatives("shards") == expected
    [note] = [note for note in scan("shards").notes if shard_index.NAME in note]
    assert note.startswith("shards/cnn-index.npz does not fit the archives beside it")
    assert words in note
    assert note.endswith("they were read through. To have one that fits, pack the images again.")
    assert before == {path.name: path.read_bytes() for path in shards.iterdir()}


def test_numbers_of_an_index_are_not_trusted(shards: Path) -> None:
    with np.load(shards / shard_index.NAME) as arrays:
        good = dict(arrays)

    def refused(**changed: object) -> None:
        np.savez(shards / shard_index.NAME, **{**good, **changed})
        with pytest.raises(shard_index.Unfit, match="it is damaged"):
            index_of(shards)

    def text(*names: str) -> object:
        return np.frombuffer("\0".join(names).encode(), np.uint8)

    paths = bytes(good["paths"]).decode().split("\0")
    np.savez(shards / shard_index.NAME, **good)
    assert index_of(shards).paths == paths
    for name in ("tar", "start", "size", "label", "part"):
        for value in (-512, 1 << 30):
            array = good[name].copy()
            array[3] = max(min(value, np.iinfo(array.dtype).max), np.iinfo(array.dtype).min)
            refused(**{name: array})
        refused(**{name: good[name][:-1]})
        refused(**{name: good[name].astype(np.float64)})
        refused(**{name: good[name][:, None]})
    refused(start=good["start"] + 1)
    for bad in ("../a.png", "/a.png", "a//b.png", "a/./b.png", "a/..", "", "b/"):
        refused(paths=text(bad, *paths[1:]))
        refused(paths=text(*paths[:-1], bad))
    refused(paths=text(paths[1], *paths[1:]))
    refused(paths=text(), tar=good["tar"][:0], start=good["start"][:0], size=good["size"][:0],
            label=good["label"][:0], part=good["part"][:0])
    np.savez_compressed(shards / shard_index.NAME, **good)
    with pytest.raises(shard_index.Unfit):
        index_of(shards)


def test_an_archive_that_an_index_lists_and_is_not_there(shards: Path) -> None:
    (shards / "images-000001.tar").unlink()
    with pytest.raises(DataError, match=r"shards lacks images-000001.tar, which its index lists; put it there, or "
                                        r"delete \S*shards/cnn-index.npz to use the archives that there are\."):
        scan("shards")
    (shards / shard_index.NAME).unlink()
    assert 0 < len(relatives("shards")) < 12


# ---- WebDataset's archives ----


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


# ---- hostile and damaged archives ----


HOSTILE: dict[str, tuple[bytes | tuple[bytes, str], str]] = {
    "../../ant/out.png": (b"x", "its path leaves the archive"),
    "/ant/out.png": (b"x", "its path begins at the root of the disk"),
    "ant/link.png": ((tarfile.SYMTYPE, "/etc/passwd"), "it is a symbolic link"),
    "ant/hard.png": ((tarfile.LNKTYPE, "ant/0.png"), "it is a hard link"),
    "ant/device.png": ((tarfile.CHRTYPE, ""), "it is a device"),
    "ant/pipe.png": ((tarfile.FIFOTYPE, ""), "it is a named pipe"),
    "ant/0.png#2": (b"another", "another file has the same path"),
    "bee": (b"a file", "a folder has the same path"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_members_are_named_and_not_followed(photos: Path, name: str) -> None:
    good = {f"{folder}/{i}.png": png(photos) for folder in ("ant", "bee") for i in range(4)}
    write_tar("one.tar", {**good, name: HOSTILE[name][0]})
    before = sorted(os.listdir())
    assert relatives("one.tar") == sorted(good)
    shown = f"one.tar: 1 of the files in it is passed over: {name.partition('#')[0]} " \
            f"({HOSTILE[name][1]})."
    assert shown in scan("one.tar").notes
    said = list[str]()
    assert len(scan_flat("one.tar", said.append)) == 8
    assert shown in said
    with files.reading("one.tar/ant/0.png") as (file, size):
        assert file.read() == png(photos)
        assert size == len(png(photos))
    assert sorted(os.listdir()) == before


def test_many_of_them_are_counted(photos: Path) -> None:
    good = {f"{folder}/{i}.png": png(photos) for folder in ("ant", "bee") for i in range(4)}
    write_tar("one.tar", {**good, **{f"../{i}\n.png": b"" for i in range(8)}})
    [note] = [note for note in scan("one.tar").notes if "passed over" in note]
    assert ": 8 of the files in it are passed over: ../0\\n.png (its path leaves the archive); ../1\\n.png" in note
    assert note.endswith("; … and 3 more.")


def test_the_same_path_in_two_archives(photos: Path) -> None:
    os.mkdir("two")
    for number in range(2):
        write_tar(f"two/{number}.tar", {"ant/a.png": png(photos), f"bee/{number}.png": png(photos)})
    assert relatives("two") == ["ant/a.png", "bee/0.png", "bee/1.png"]
    assert any("ant/a.png (another file in 0.tar has the same path)" in note for note in scan("two").notes)


def test_an_archive_that_is_cut_is_said(photos: Path, shards: Path) -> None:
    data = (shards / "images-000000.tar").read_bytes()
    os.mkdir("alone")
    Path("alone/cut.tar").write_bytes(data[:5000])
    write_tar("alone/whole.tar", {"bee/b.png": png(photos)})
    splits = scan("alone")
    assert splits.train
    assert any("cut.tar is not whole: it has no end; perhaps it is cut off." in note for note in splits.notes)


def test_what_is_no_archive(photos: Path) -> None:
    Path("no.tar").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"no.tar cannot be used: its content is no tar archive\."):
        scan("no.tar")
    with tarfile.open("packed.tar", "w:gz") as made:
        made.add("photos")
    with pytest.raises(DataError, match=r"packed.tar cannot be used: it is compressed \(gzip\), and images are read "
                                        r"straight from an archive; decompress it first, with gunzip\."):
        scan("packed.tar")
    shutil.move("packed.tar", "packed.tar.gz")
    with pytest.raises(DataError, match=r"packed.tar.gz is compressed, and images are read straight"):
        scan("packed.tar.gz")
    os.mkdir("some")
    shutil.move("no.tar", "some/no.tar")
    write_tar("some/yes.tar", {"ant/a.png": png(photos), "bee/b.png": png(photos)})
    assert relatives("some") == ["ant/a.png", "bee/b.png"]
    assert any("some/no.tar is passed over: its content is no tar archive." in note for note in scan("some").notes)
    assert not files.exists("some/no.tar/x.png")
    write_tar("bad.tar", {"../a.png": b"", "/b.png": b""})
    with pytest.raises(DataError, match=r"bad.tar holds no file that can be used \(\S*bad.tar: 2 of the files in it "
                                        r"are passed over: .*\); give an archive with images\."):
        scan("bad.tar")
