"""data/shard_index.py: what an index says, and what is done where it does not fit the archives beside it."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.data import scan, shard_index, tar
from cnncli.data.pack import pack_images
from cnncli.errors import DataError

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
