"""data/archive.py and files.py: archives as folders, and what is hostile or damaged in them."""

import os
import shutil
import tarfile
import threading
from pathlib import Path

import pytest

from cnncli.data import archive, files, scan, scan_flat
from cnncli.data.decode import decode
from cnncli.data.finding import Missing, find_images, image_files
from cnncli.data.pack import pack_images
from cnncli.data.walk import check_folder, entries, filled_folders, images_in
from cnncli.errors import DataError, ImageError

from ..pictures import CLASSES, make_folder
from .tars import png, relatives, write_tar


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_folder(tmp_path / "photos", 4)


@pytest.fixture
def shards(photos: Path) -> Path:
    pack_images("photos", "shards", shard_size=10_000)
    return Path("shards")


# ---- archives as folders ----


def test_what_is_known_of_many_files_at_once(photos: Path, shards: Path) -> None:
    there = os.stat("photos/ant/00.png")
    own = (there.st_size, there.st_mtime_ns, there.st_ino)
    mixed = files.statuses(["photos/ant/00.png", "shards/ant/00.png", "photos/ant/no.png", "shards/ant/no.png"])
    assert tuple(mixed[0].tolist()) == own
    assert mixed[1, 0] == own[0]
    assert (mixed[2:] == -1).all()
    names = [f"shards/{label}/{i:02}.png" for label in CLASSES for i in range(4)]
    found = files.statuses([*names, "shards/ant/no.png"])
    assert found[:-1, 0].tolist() == [files.size(name) for name in names]
    assert set(found[:-1, 1].tolist()) == {path.stat().st_mtime_ns for path in shards.glob("*.tar")}
    assert len(set(found[:-1, 2].tolist())) == len(names)
    assert (found[-1] == -1).all()
    assert (found[0] == mixed[1]).all()
    assert files.statuses([]).shape == (0, 3)


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
    assert not files.is_folder("shards")
    assert not files.is_file("shards/ant/00.png")
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
