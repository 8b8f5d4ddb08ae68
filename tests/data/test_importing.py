"""cnncli/data/importing.py and writing.py: the forms that are read, the folder that comes out, and hostile files."""

import gzip
import io
import json
import struct
import threading
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.cli import main
from cnncli.data import decode, importing, scan, writing
from cnncli.data.importing import FASHION, import_images, load_arrays, parse_names, read_idx
from cnncli.data.writing import write_images
from cnncli.errors import CnnError, DataError, UsageError


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def images(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *(shape or (5, 4))), np.uint8)


def mnist(folder: Path, suffix: str = "", dot: str = "-") -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write the four files of MNIST in small; return what they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    pack = gzip.compress if suffix else bytes
    sets = {}
    for split, name, n in (("train", "train", 30), ("test", "t10k", 20)):
        sets[split] = images(n), np.arange(n) % 10
        (folder / f"{name}-images{dot}idx3-ubyte{suffix}").write_bytes(pack(idx(sets[split][0])))
        (folder / f"{name}-labels{dot}idx1-ubyte{suffix}").write_bytes(pack(idx(sets[split][1])))
    return sets


def same(got: Any, wanted: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    assert list(got) == list(wanted)
    for split, (x, y) in wanted.items():
        assert got[split][0].dtype == np.uint8
        assert np.array_equal(got[split][0], x)
        assert got[split][1].tolist() == y.tolist()


# ---- what is read ----


@pytest.mark.parametrize(("suffix", "dot"), [("", "-"), (".gz", "-"), ("", ".")])
def test_a_folder_of_idx_files(suffix: str, dot: str, tmp_path: Path) -> None:
    sets = mnist(tmp_path / "x", suffix, dot)
    (tmp_path / "x" / "readme.txt").touch()
    splits, classes = load_arrays([tmp_path / "x"])
    same(splits, sets)
    assert classes == [str(i) for i in range(10)]


def test_packed_and_plain_side_by_side_are_one(tmp_path: Path) -> None:
    mnist(tmp_path, ".gz")
    same(load_arrays([tmp_path])[0], mnist(tmp_path))


def test_a_pair_of_idx_files(tmp_path: Path) -> None:
    sets = mnist(tmp_path)
    x, y = tmp_path / "t10k-images-idx3-ubyte", tmp_path / "t10k-labels-idx1-ubyte"
    for sources in ([x, y], [y, x], [x]):
        same(load_arrays(sources)[0], {"test": sets["test"]})
    x.rename(tmp_path / "some")
    y.rename(tmp_path / "other")
    same(load_arrays([tmp_path / "some", tmp_path / "other"])[0], {"": sets["test"]})


@pytest.mark.parametrize("names", [
    {"x_train": "train", "x_test": "test"}, {"train_images": "train", "val_images": "val", "test_images": "test"},
    {"images": ""}, {"X": ""}, {"X_train": "train"}, {"data": ""},
])
def test_names_in_an_npz(names: dict[str, str], tmp_path: Path) -> None:
    sets = {split: (images(6 + i, 5, 4, 3), np.arange(6 + i) % 3) for i, split in enumerate(names.values())}
    arrays = {}
    for name, split in names.items():
        label = name.replace("x_", "y_").replace("images", "labels").replace("X", "y").replace("data", "targets")
        arrays[name], arrays[label] = sets[split][0], sets[split][1][:, None]  # MedMNIST has them as a column
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    same(load_arrays([tmp_path / "a.npz"])[0], sets)


@pytest.mark.parametrize(("stored", "read"), [
    (np.array([[[0, 1]]], bool), [0, 255]),
    (np.array([[[0, 0.5, 1]]], np.float32), [0, 128, 255]),
    (np.array([[[0, 7, 255]]], np.float64), [0, 7, 255]),
    (np.array([[[0, 7, 255]]], np.int64), [0, 7, 255]),
    (np.array([[[0, 257, 65535]]], np.uint16), [0, 1, 255]),
    (np.array([[0, 1, 2, 3]], np.uint8), [0, 1, 2, 3]),
    (np.arange(12, dtype=np.uint8).reshape(1, 3, 2, 2), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]),
    (np.array([[[[5], [6]]]], np.uint8), [5, 6]),
])
def test_kinds_of_images(stored: np.ndarray, read: list[int], tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=stored, labels=np.zeros(1, np.int64))
    splits, _ = load_arrays([tmp_path / "a.npz"])
    assert splits[""][0].ravel().tolist() == read
    assert splits[""][0].dtype == np.uint8


@pytest.mark.parametrize(("labels", "read", "names"), [
    ([0, 11, 3], [0, 2, 1], ["00", "03", "11"]),
    (np.array([2, 0, 1], np.uint8), [2, 0, 1], ["0", "1", "2"]),
    (np.array([2.0, 0, 1]), [2, 0, 1], ["0", "1", "2"]),
    (["dog", "cat", "dog"], [1, 0, 1], ["cat", "dog"]),
    (np.array([b"b", b"\xff", b"a"]), [1, 2, 0], ["a", "b", "\udcff"]),
    (np.eye(3)[[2, 0, 1]], [2, 0, 1], ["0", "1", "2"]),
    ([0, 2**31 - 1, 5], [0, 2, 1], ["0000000000", "0000000005", "2147483647"]),
])
def test_kinds_of_labels(labels: Any, read: list[int], names: list[str], tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=images(3), labels=np.asarray(labels))
    splits, classes = load_arrays([tmp_path / "a.npz"])
    assert splits[""][1].tolist() == read
    assert classes == names


def test_names_of_the_classes(tmp_path: Path) -> None:
    mnist(tmp_path / "fashion")
    assert load_arrays([tmp_path / "fashion"])[1] == list(FASHION)
    mnist(tmp_path / "x")
    names = [f"n{i}" for i in range(11)]
    assert load_arrays([tmp_path / "x"], names)[1] == names
    with pytest.raises(UsageError, match="gives 2 names, but the labels go up to 9; give 10 names"):
        load_arrays([tmp_path / "x"], ["a", "b"])
    assert parse_names("a, b c,d") == ["a", "b c", "d"]
    (tmp_path / "names.txt").write_text("größe\r\nb, c\n\n", "utf-8")
    assert parse_names(str(tmp_path / "names.txt")) == ["größe", "b, c"]
    (tmp_path / "names.bin").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="cannot be read as text"):
        parse_names(str(tmp_path / "names.bin"))


# ---- hostile and broken files ----


def refused(words: str, *sources: Path) -> None:
    with pytest.raises(CnnError, match=words) as caught:
        load_arrays(sources)
    message = str(caught.value)
    assert message.isprintable()
    assert message.endswith(".")
    assert not message.endswith("..")


@pytest.mark.parametrize(("data", "words"), [
    (b"", "neither an IDX nor"),
    (b"\0\0", "neither an IDX nor"),
    (b"PNG....", "neither an IDX nor"),
    (b"\0\0\x08\xff" + b"\0\0\0\1" * 255, "neither an IDX nor"),
    (b"\0\0\x0d\3" + bytes(12), "type 0x0d"),
    (b"\0\0\x08\3\0\0", "ends within its header"),
    (b"\0\0\x08\3" + b"\xff" * 12, "too short for that"),
    (b"\0\0\x08\3" + struct.pack(">3I", 2, 2, 2) + bytes(7), "ends after 7 of 8|too short"),
    (b"\0\0\x08\3" + struct.pack(">3I", 2, 2, 2) + bytes(9), "goes on after"),
    (gzip.compress(b"\0\0\x08\3" + struct.pack(">3I", 2, 2, 2) + bytes(7), mtime=0), "ends after 7 of 8"),
    (gzip.compress(b"\0\0\x08\3" + struct.pack(">3I", 2, 2, 2) + bytes(9), mtime=0), "goes on after"),
    (gzip.compress(b"\0\0\x08\3" + struct.pack(">3I", 2**16, 2**16, 2**16) + bytes(9), mtime=0), "too short"),
    (gzip.compress(b"\0\0\x08\3" + struct.pack(">3I", 9, 9, 9) + bytes(range(243)) * 3, mtime=0)[:-30],
     "cannot be read"),
    (b"\x1f\x8b" + bytes(20), "cannot be read"),
])
def test_broken_idx_files(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    (tmp_path / "y").write_bytes(idx(np.zeros(2)))
    refused(words, tmp_path / "x", tmp_path / "y")


def test_idx_cut_or_changed_anywhere_is_refused_or_read(tmp_path: Path, rng: np.random.Generator) -> None:
    """Whatever happens to a file, the answer is an array of the size that it has, or a sentence."""
    path = tmp_path / "x"
    for whole in (idx(images(3)), gzip.compress(idx(images(3)))):
        for end in range(len(whole)):
            path.write_bytes(whole[:end])
            refused(".", path, path)
        for _ in range(200):
            data = bytearray(whole)
            data[rng.integers(len(data))] = rng.integers(256)
            path.write_bytes(bytes(data))
            with suppress(DataError, OSError, EOFError, importing.zlib.error):
                assert read_idx(str(path)).nbytes <= 60


def test_idx_files_that_do_not_go_together(tmp_path: Path) -> None:
    x, y = tmp_path / "x", tmp_path / "y"
    x.write_bytes(idx(images(5)))
    y.write_bytes(idx(np.zeros(4)))
    refused("holds 5 images but 4 labels", x, y)
    refused("not a file of images and one of labels", x, x)
    refused("not a file of images and one of labels", y, y)
    refused("is not an .npz file", x)
    refused("there is no file or folder", tmp_path / "none", y)
    refused("SOURCE must be a folder", x, y, y)
    (tmp_path / "empty").mkdir()
    refused("holds no IDX files", tmp_path / "empty")
    mnist(tmp_path / "m")
    (tmp_path / "m" / "train-labels-idx1-ubyte").unlink()
    refused("has no file of labels beside it", tmp_path / "m")
    refused(r"has no file of labels \(train-labels-idx1-ubyte\) beside it", tmp_path / "m" / "train-images-idx3-ubyte")
    mnist(tmp_path / "two")
    (tmp_path / "two" / "emnist-train-images-idx3-ubyte").write_bytes(idx(images(3)))
    refused("hold the same split", tmp_path / "two")
    x.write_bytes(idx(np.zeros((0, 28, 28))))
    y.write_bytes(idx(np.zeros(0)))
    refused("holds images of the shape 0 x 28 x 28; save them", x, y)


class Explosive:
    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('unpickled')",))


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize(("member", "words"), [
    (b"", "is not an array"),
    (b"must be an array", "is not an array"),
    (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000)}"), "is cut short"),
    (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2)}", bytes(7)), "is cut short"),
    (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 2, 2)}", bytes(7)), "."),
    (npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}"), "Python objects"),
    (npy("__import__('os').system('true')"), "is not an array"),
])
def test_broken_npz_members(member: bytes, words: str, tmp_path: Path) -> None:
    good = io.BytesIO()
    np.save(good, np.zeros(2, np.int64))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", member)
        archive.writestr("labels.npy", good.getvalue())
    refused(words, tmp_path / "a.npz")


def test_npz_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, images=np.array([Explosive()] * 2, object), labels=np.zeros(2))
    refused("Python objects, which are never loaded", path)
    np.savez(path, picture=images(2), labels=np.zeros(2))
    refused("holds labels, picture; call images and labels", path)
    np.savez(path, images=images(2), labels=np.zeros(3))
    refused("holds 2 images but 3 labels", path)
    np.savez(path, images=images(2) + np.nan, labels=np.zeros(2))
    refused("without a single finite number", path)
    np.savez(path, images=images(2).astype(complex), labels=np.zeros(2))
    refused("complex128; save them as real numbers", path)
    for shape in ((2, 5), (2, 5, 4, 2), (2, 2, 2, 2, 2), ()):
        np.savez(path, images=np.zeros(shape, np.uint8), labels=np.zeros(2))
        refused("save them as n x h x w", path)
    for labels in ([0.5, 1], [-1, 0], [0, 2**40], [1j, 0]):
        np.savez(path, images=images(2), labels=np.array(labels))
        refused("not whole numbers from 0 on; save", path)
    np.savez(path, images=images(2), labels=np.array([[1, 1, 0], [0, 0, 1]]))
    refused("labels of the shape 2 x 3; save one label for each image", path)
    data = path.read_bytes()
    for end in range(0, len(data), 50):
        path.write_bytes(data[:end])
        refused(".", path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((100, 100, 100), np.uint8), labels=np.zeros(100))
    monkeypatch.setattr(importing, "free_memory", lambda: 500_000)
    refused("of memory", tmp_path / "a.npz")
    monkeypatch.undo()
    assert len(load_arrays([tmp_path / "a.npz"])[0][""][0]) == 100


# ---- what is written ----


@pytest.mark.slow
def test_the_folder_that_comes_out(tmp_path: Path) -> None:
    x = {"train": images(600, 5, 4, 3), "test": images(20, 5, 4)}
    splits = {name: (a, np.arange(len(a)) % 3) for name, a in x.items()}
    told: list[tuple[int, int]] = []
    target = tmp_path / "a" / "b"
    counts = write_images(target, splits, ["cat", "größe x", "dog"], threads=3, progress=lambda *a: told.append(a))
    assert counts == {"train": 600, "test": 20}
    assert told == [(256, 620), (512, 620), (600, 620), (620, 620)]
    assert sorted(p.name for p in target.iterdir()) == ["test", "train"]
    found = scan(target, fractions=(1, 0, 0))
    assert found.classes == ["cat", "dog", "größe x"]
    assert len(found.train) == 600
    for i in (0, 1, 599):
        path = target / "train" / ["cat", "größe x", "dog"][i % 3] / f"{i + 1:05}.png"
        assert np.array_equal(decode(path, grey=False), x["train"][i])
    assert np.array_equal(decode(target / "test" / "cat" / "00001.png", grey=True)[..., 0], x["test"][0])
    with Image.open(target / "test" / "cat" / "00001.png") as image:
        assert image.mode == "L"
    with pytest.raises(DataError, match="is not empty"):
        write_images(target, splits, ["a", "b", "c"])


def test_an_empty_folder_and_a_link_to_one_will_do(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_images(tmp_path / "link", {"": (images(4), np.arange(4) % 2)}, ["a", "b"])
    assert sorted(p.name for p in (tmp_path / "real").iterdir()) == ["a", "b"]
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="not a folder"):
        write_images(tmp_path / "file", {}, [])
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(DataError, match="not a folder"):
        write_images(tmp_path / "dangling", {}, [])


@pytest.mark.parametrize("names", [["a", ""], ["a", "."], ["a", ".."], ["a", "../x"], ["a", "b/c"], ["a", ".git"],
                                   ["a", "b\0"], ["a", "a"], ["a", "x" * 256]])
def test_names_that_no_folder_can_have(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="names"):
        write_images(tmp_path / "x", {"": (images(4), np.arange(4) % 2)}, names)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("made", [True, False])
def test_what_goes_wrong_leaves_nothing_behind(made: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Image.Image, path: str, *args: Any) -> None:
        if path.endswith("00003.png"):
            raise OSError(28, "No space left on device", path)
        Path(path).touch()

    monkeypatch.setattr(writing.Image.Image, "save", full)
    target = tmp_path / "x"
    if made:
        target.mkdir()
    with pytest.raises(OSError, match="No space"):
        write_images(target, {"": (images(9), np.arange(9) % 2)}, ["a", "b"])
    assert target.exists() == made
    assert not made or not list(target.iterdir())

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.undo()
    with pytest.raises(KeyboardInterrupt):
        write_images(target, {"": (images(9), np.arange(9) % 2)}, ["a", "b"], progress=stop)
    assert target.exists() == made
    assert not [t for t in threading.enumerate() if t.name.startswith("cnn-write")]


# ---- the command ----


def test_one_call_reads_and_writes(tmp_path: Path) -> None:
    x, y = images(7), np.arange(7) % 3
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    told: list[str] = []
    steps: list[tuple[int, int]] = []
    found = import_images(tmp_path / "a.npz", tmp_path / "out", "a,b,c", note=told.append,
                          progress=lambda *step: steps.append(step))
    assert (found.directory, found.classes) == (tmp_path / "out", list("abc"))
    assert found.image_counts == {"train": 7, "test": 2}
    assert steps[-1] == (9, 9)
    assert told == [f"reading {tmp_path / 'a.npz'}"]
    assert len(scan(tmp_path / "out").train) + len(scan(tmp_path / "out").val) == 7
    assert import_images([tmp_path / "a.npz"], tmp_path / "two", ["x", "y", "z"]).classes == ["x", "y", "z"]
    with pytest.raises(DataError, match="is not empty"):
        import_images(tmp_path / "nowhere.npz", tmp_path / "out", note=told.append)
    assert len(told) == 1, "refused before anything is read"
    with pytest.raises(DataError, match=r"nowhere\.npz"):
        import_images(str(tmp_path / "nowhere.npz"), tmp_path / "three")


def test_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mnist(tmp_path / "x", ".gz")
    assert main(["import", str(tmp_path / "x"), str(tmp_path / "out"), "--json"]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert answer["images"] == {"train": 30, "test": 20}
    assert answer["classes"] == [str(i) for i in range(10)]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 50
    assert main(["import", str(tmp_path / "x"), str(tmp_path / "out")]) == 1
    assert "is not empty" in capfd.readouterr().err
    pair = [str(tmp_path / "x" / f"t10k-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")]
    assert main(["import", *pair, str(tmp_path / "pair"), "--classes", ",".join("abcdefghij")]) == 0
    assert capfd.readouterr().out == f"{tmp_path / 'pair'}: 20 test images of 10 classes.\n"
    assert (tmp_path / "pair" / "test" / "j" / "00010.png").is_file()
    assert main(["import", *pair, str(tmp_path / "few"), "--classes", "a,b"]) == 2
    assert "give 10 names" in capfd.readouterr().err
    assert not (tmp_path / "few").exists()
