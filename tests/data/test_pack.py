"""data/pack.py: what is written is the same for the same folder, is whole or not there, and is read as the folder."""

import errno
import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli.data import load_images, pack, scan, scan_flat, scan_part
from cnncli.data.folder import survey
from cnncli.data.labels import read_labels
from cnncli.data.marks import of_file, of_files, whole
from cnncli.data.pack import bytes_of, pack_images
from cnncli.data.preprocessing import Preprocessing
from cnncli.data.shard_index import NAME
from cnncli.data.splits import Splits
from cnncli.errors import DataError, SaveError, UsageError

from ..pictures import CLASSES, make_folder


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_folder(tmp_path / "photos", 6)


def named(splits: Splits) -> dict[str, list[tuple[str, int, str | None, str]]]:
    """Return what decides about a training: paths inside the data, classes, groups and sizes, in order."""
    return {part: [(s.relative, s.label, s.group, s.mark()) for s in getattr(splits, part)]
            for part in ("train", "val", "test")}


def same(one: Any, other: Any, **options: Any) -> None:
    first, second = scan(one, **options), scan(other, **options)
    assert first.classes == second.classes
    assert named(first) == named(second)
    assert [os.path.relpath(s.path, one) for s in first.train] == [os.path.relpath(s.path, other) for s in second.train]
    preprocessing = Preprocessing((8, 8))
    a, b = (load_images(each.train + each.val + each.test, preprocessing, threads=2) for each in (first, second))
    assert a.stored is not None
    assert b.stored is not None
    assert np.array_equal(a.stored, b.stored)
    assert np.array_equal(a.marks, b.marks)


def without_index(shards: Path) -> Path:
    """Return a copy of archives alone."""
    copy = shards.with_name(f"{shards.name}-alone")
    shutil.copytree(shards, copy, ignore=shutil.ignore_patterns(NAME))
    return copy


# ---- the folder again ----


def test_class_folders(photos: Path) -> None:
    (photos / "ant" / "deeper").mkdir()
    shutil.move(photos / "ant" / "03.png", photos / "ant" / "deeper" / "a.b.c.PNG")
    packed = pack_images("photos", "shards", shard_size=12_000)
    assert packed.archives == [f"images-{number:06}.tar" for number in range(len(packed.archives))]
    assert len(packed.archives) > 2
    assert sorted(os.listdir("shards")) == [NAME, *packed.archives]
    assert packed.bytes == sum(os.path.getsize(f"shards/{name}") for name in packed.archives)
    assert (packed.classes, packed.image_counts, packed.skipped) == (list(CLASSES), {"": 18}, [])
    for seed in (0, 7):
        same("photos", "shards", seed=seed)
        same("photos", without_index(Path("shards")), seed=seed)
        shutil.rmtree("shards-alone")
    assert [os.path.relpath(p, "photos") for p in scan_flat("photos")] == [
        os.path.relpath(p, "shards") for p in scan_flat("shards")]


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid"), ("seg_train", "seg_test")])
def test_parts(tmp_path: Path, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for count, name in zip((6, 5, 4), names, strict=False):
        make_folder(Path("photos") / name, count)
    packed = pack_images("photos", "shards")
    parts = {"val" if "val" in name else name[-5:].strip("_") if "train" in name.lower() else "test" for name in names}
    assert len(packed.archives) == len(packed.image_counts) == len(parts)
    same("photos", "shards")
    same("photos", without_index(Path("shards")))
    model = scan_part("photos", CLASSES)
    assert [s.relative for s in model[0]] == [s.relative for s in scan_part("shards", CLASSES)[0]]
    assert model[2] == scan_part("shards", CLASSES)[2]


def test_a_folder_around_everything_and_one_of_no_class(photos: Path) -> None:
    make_folder(Path("outer/inner"), 4)
    Path("outer/inner/empty").mkdir()
    shutil.copy(photos / "ant" / "00.png", "outer/loose.png")
    (Path("outer") / "readme.txt").touch()
    said = list[str]()
    pack_images("outer", "shards", note=said.append)
    assert any("loose.png" in sentence or "outside" in sentence for sentence in said)
    same("outer", "shards")
    assert next(sample.relative for sample in scan("shards").train).startswith("ant/")


def test_a_table_of_labels(photos: Path) -> None:
    lines = ["file,label,split"]
    os.mkdir("images")
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        name = f"{number * 7 % 18:02}.v2.png" if number % 4 == 0 else f"{number * 7 % 18:02}.png"
        shutil.copy(path, f"images/{name}")
        lines.append(f"{name},{path.parent.name},")
    Path("labels.csv").write_text("\n".join(lines))
    packed = pack_images("images", "shards", labels="labels.csv")
    assert packed.classes == list(CLASSES)
    table = read_labels("labels.csv").within("images")
    expected = named(scan("images", labels=table))
    for shards in ("shards", without_index(Path("shards"))):
        assert named(scan(shards)) == expected
        assert named(scan(shards, labels=read_labels("labels.csv").within(os.fspath(shards)))) == expected
    with tarfile.open("shards/images-000000.tar") as archive:
        held = {each.name: archive.extractfile(each).read() for each in archive}  # type: ignore[union-attr]
    assert held["00.v2.cls"] == b"0"
    assert held["00.v2.txt"] == b"ant"


def test_a_table_with_parts(photos: Path) -> None:
    lines = ["file,label,split"]
    os.mkdir("images")
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        shutil.copy(path, f"images/{number}.png")
        lines.append(f"{number}.png,{path.parent.name},{('train', 'train', 'test')[number % 3]}")
    Path("labels.csv").write_text("\n".join(lines))
    assert pack_images("images", "shards", labels="labels.csv").image_counts == {"train": 12, "test": 6}
    expected = named(scan("images", labels=read_labels("labels.csv").within("images")))
    assert named(scan("shards")) == expected
    assert named(scan(without_index(Path("shards")))) == expected


def test_images_to_leave_out(photos: Path) -> None:
    out = ["ant/00.png", "bee/03.png", "not/there.png"]
    said = list[str]()
    packed = pack_images("photos", "shards", exclude=out, note=said.append)
    assert packed.image_counts == {"": 16}
    assert said == ["photos: 2 images left out, because the list to exclude names them; 1 more on the list is not "
                    "there."]
    assert named(scan("photos", exclude=out)) == named(scan("shards"))


def test_lists_tables_and_groups_name_images_in_archives(photos: Path) -> None:
    pack_images("photos", "shards")
    same("photos", "shards", exclude=["ant/00.png", "cat/05.png"])
    Path("groups.csv").write_text("file,group\n" + "".join(
        f"{os.path.relpath(path, photos)},{i // 2}\n" for i, path in enumerate(sorted(photos.rglob("*.png")))))
    for given in (r"/\d(\d)", "groups.csv"):
        splits = [scan(data, groups=cnncli.data.sources.within(data, None, cnncli.data.groups.groups_of(given))[1])
                  for data in ("photos", "shards")]
        assert named(splits[0]) == named(splits[1])


def test_archives_are_packed_again(photos: Path) -> None:
    pack_images("photos", "shards", shard_size=12_000)
    packed = pack_images("shards", "again")
    assert packed.archives == ["images-000000.tar"]
    same("photos", "again")
    pack_images("again", "third", shard_size=12_000)
    assert content("third") == content("shards")


def test_files_through_links_and_damaged_ones_keep_their_bytes(photos: Path) -> None:
    os.symlink(photos / "ant" / "00.png", photos / "bee" / "linked.png")
    (photos / "ant" / "damaged.png").write_bytes(b"\x89PNG nothing")
    (photos / "ant" / "empty.png").touch()
    pack_images("photos", "shards")
    for inside in ("bee/linked.png", "ant/damaged.png", "cat/02.png"):
        assert whole(f"shards/{inside}") == (photos / inside).read_bytes()
        assert of_file(f"shards/{inside}") == of_file(photos / inside)
    assert of_files(["shards/ant/01.png", "shards/no.png"])[1] == 0
    with pytest.raises(cnncli.errors.ImageError, match=r"shards/ant/empty.png cannot be used: it is empty\."):
        cnncli.data.decode("shards/ant/empty.png", True)
    with pytest.raises(cnncli.errors.ImageError, match=r"damaged.png cannot be used: it is damaged or cut short"):
        cnncli.data.decode("shards/ant/damaged.png", True)
    same_skipped = [load_images(scan(data).train, Preprocessing((8, 8))).skipped for data in ("photos", "shards")]
    assert [(os.path.relpath(path, "photos"), why) for path, why in same_skipped[0]] == [
        (os.path.relpath(path, "shards"), why) for path, why in same_skipped[1]]


# ---- what is written ----


def content(folder: str) -> dict[str, bytes]:
    return {name: Path(folder, name).read_bytes() for name in sorted(os.listdir(folder))}


def test_the_same_folder_gives_the_same_bytes(photos: Path) -> None:
    pack_images("photos", "one", shard_size="20KB")
    shutil.copytree("photos", "copy")
    for path in Path("copy").rglob("*.png"):
        os.utime(path, (5, 5))
        path.chmod(0o600)
    pack_images("copy", "two", shard_size="20KB")
    assert content("one") == content("two")
    pack_images("photos", "three", shard_size="21KB")
    assert content("one") != content("three")


def test_images_that_are_one_sample_to_webdataset_stay_together(photos: Path) -> None:
    for name in ("x.png", "x.1.png", "x.2.png", "x-1.png"):
        shutil.copy(photos / "ant" / "00.png", photos / "bee" / name)
    pack_images("photos", "shards", shard_size=10_000)
    together = list[list[str]]()
    for path in sorted(Path("shards").glob("*.tar")):
        with tarfile.open(path) as archive:
            names = archive.getnames()
        assert len(set(names)) == len(names)
        if "bee/x.png" in names:
            together.append([name for name in names if name.startswith("bee/x.")])
    assert together == [["bee/x.1.png", "bee/x.2.png", "bee/x.png", "bee/x.1.cls", "bee/x.2.cls", "bee/x.cls"]]
    same("photos", without_index(Path("shards")))


def test_two_endings_with_two_labels_are_refused(photos: Path) -> None:
    os.mkdir("images")
    for name in ("a.png", "a.bmp", "b.png"):
        shutil.copy(photos / "ant" / "00.png", f"images/{name}")
    Path("labels.csv").write_text("file,label\na.png,ant\na.bmp,bee\nb.png,bee\n")
    with pytest.raises(DataError, match="two images are called a, with different endings and labels; rename one"):
        pack_images("images", "shards", labels="labels.csv")
    assert not os.path.exists("shards")


@pytest.mark.parametrize(("text", "count"), [("256MB", 256_000_000), ("1 gb", 10**9), ("20k", 20_000), (30_000, 30_000),
                                             ("1GiB", 2**30), ("20kib", 20_480), ("1T", 10**12)])
def test_sizes(text: str, count: int) -> None:
    assert bytes_of(text) == count


@pytest.mark.parametrize("text", ["0", "9KB", "many", "-1", "1.5GB", "1EB"])
def test_sizes_that_make_no_sense(photos: Path, text: str) -> None:
    with pytest.raises(UsageError, match="shard_size must be a number of bytes, at least 10,000, like 256MB or 1GB"):
        pack_images("photos", "shards", shard_size=text)


# ---- whole, or not there ----


def test_nothing_is_written_over(photos: Path) -> None:
    os.mkdir("full")
    Path("full/mine").write_text("mine")
    Path("file").write_text("mine")
    for name, words in (("full", "is not empty"), ("file", "is not a folder"), ("photos/ant", "is not empty")):
        with pytest.raises(DataError, match=words):
            pack_images("photos", name)
    with pytest.raises(UsageError, match="a folder of images that models learn from"):
        pack_images("photos", "photos/shards")
    assert Path("file").read_text() == Path("full/mine").read_text() == "mine"
    os.mkdir("empty")
    pack_images("photos", "empty")
    with pytest.raises(DataError, match="is not empty"):
        pack_images("photos", "empty")


def interrupted(done: int, total: int) -> None:
    if done == 9:
        raise KeyboardInterrupt


def test_what_is_stopped_leaves_nothing(photos: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        pack_images("photos", "shards", shard_size=10_000, progress=interrupted)
    assert not os.path.exists("shards")
    os.mkdir("shards")
    with pytest.raises(KeyboardInterrupt):
        pack_images("photos", "shards", shard_size=10_000, progress=interrupted)
    assert os.listdir("shards") == []


def test_a_full_disk(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def full(descriptor: int) -> None:
        real(descriptor)
        if os.path.exists("shards/.unfinished/images-000001.tar"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SaveError, match=r"shards could not be written \(no space left on device\); nothing was left"):
        pack_images("photos", "shards", shard_size=10_000)
    assert not os.path.exists("shards")
    monkeypatch.setattr(os, "fsync", real)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9**9, 9**9, 20_000))
    with pytest.raises(SaveError, match=r"no space left in \S*shards: 20,000 bytes are free, and [\d,]+ bytes are"):
        pack_images("photos", "shards")
    assert not os.path.exists("shards")


def test_an_image_that_cannot_be_read_is_skipped(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[[str], bytes] = pack._content

    def content(path: str) -> bytes:
        if path.endswith("ant/03.png"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path)

    monkeypatch.setattr(pack, "_content", content)
    packed = pack_images("photos", "shards")
    assert packed.skipped == [("photos/ant/03.png", "permission denied")]
    assert packed.as_json()["skipped"] == [{"path": "photos/ant/03.png", "error": "permission denied"}]
    assert packed.image_counts == {"": 17}
    assert not os.path.exists("shards/ant/03.png")
    with tarfile.open("shards/images-000000.tar") as archive:
        assert "ant/03.cls" not in archive.getnames()
    monkeypatch.setattr(pack, "_LARGEST", 3)
    monkeypatch.setattr(pack, "_content", real)
    with pytest.raises(DataError, match="none of the 18 images can be read"):
        pack_images("photos", "none")
    assert not os.path.exists("none")


def test_where_there_is_nothing_to_pack(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        pack_images(tmp_path / "no", tmp_path / "shards")
    (tmp_path / "photos" / "ant").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no images"):
        pack_images(tmp_path / "photos", tmp_path / "shards")
    assert os.listdir(tmp_path) == ["photos"]


def test_what_moves_first_is_the_index(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process is killed while the files get their places, the index says which archives are missing."""
    moved, real = list[str](), Path.rename

    def killed(self: Path, target: Path) -> Path:
        moved.append(self.name)
        if len(moved) == 3:
            raise SystemExit  # the next lines of the program would not run either
        return real(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    monkeypatch.setattr(shutil, "rmtree", lambda *args, **options: None)
    with pytest.raises(SystemExit):
        pack_images("photos", "shards", shard_size=10_000)
    assert moved == [NAME, "images-000000.tar", "images-000001.tar"]
    with pytest.raises(DataError, match=r"shards lacks images-000001.tar, which its index lists; put it there, or"):
        survey("shards")
    monkeypatch.undo()


def test_webdataset_reads_what_is_written(photos: Path) -> None:
    """As its group_by_keys does: files whose names are alike up to the first dot, one after the other, are a sample."""
    pack_images("photos", "shards", shard_size=12_000)
    samples = list[dict[str, Any]]()
    for path in sorted(Path("shards").glob("*.tar")):
        with tarfile.open(path) as archive:
            for each in archive:
                file = archive.extractfile(each)
                assert file is not None
                folder, _, name = each.name.rpartition("/")
                key, _, ending = name.partition(".")
                if not samples or samples[-1]["__key__"] != f"{folder}/{key}":
                    samples.append({"__key__": f"{folder}/{key}"})
                assert ending not in samples[-1]
                samples[-1][ending] = file.read()
    assert len(samples) == 18
    assert all(set(sample) == {"__key__", "png", "cls"} for sample in samples)
    for sample in samples:
        assert CLASSES[int(sample["cls"])] == sample["__key__"].split("/")[0]
        assert sample["png"] == (photos / f"{sample['__key__']}.png").read_bytes()
    assert io.BytesIO(samples[0]["png"]).read(4) == b"\x89PNG"
