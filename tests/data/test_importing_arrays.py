"""cnncli/data/importing.py on arrays: which shapes and labels are understood, and what files and names mean."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.data import importing
from cnncli.errors import DataError, UsageError


@pytest.mark.parametrize(("shape", "becomes"), [
    ((2, 16), (2, 4, 4)), ((2, 5, 7), (2, 5, 7)), ((2, 5, 7, 1), (2, 5, 7)), ((2, 5, 7, 3), (2, 5, 7, 3)),
    ((2, 5, 7, 4), (2, 5, 7, 4)), ((2, 3, 5, 7), (2, 5, 7, 3)), ((2, 1, 5, 7), (2, 5, 7)), ((2, 3, 5, 3), (2, 3, 5, 3)),
    ((2, 1, 5, 4), (2, 1, 5, 4)), ((2, 3, 5, 1), (2, 3, 5))])
def test_shapes_of_images(shape: tuple[int, ...], becomes: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape)).reshape(shape)
    found = importing._pictures("a", values)
    assert found.shape == becomes
    if shape[1] in (1, 3) and becomes[-1] != shape[-1] and len(shape) == 4 and shape[3] == 7:
        assert np.array_equal(found.reshape(2, 5, 7, -1), values.transpose(0, 2, 3, 1))
    else:
        assert np.array_equal(found.ravel(), values.ravel())


@pytest.mark.parametrize("shape", [(2, 15), (2,), (2, 5, 7, 2), (2, 4, 5, 7), (2, 5, 0), (0, 5, 7), (2, 5, 7, 3, 1)])
def test_shapes_that_are_no_images(shape: tuple[int, ...]) -> None:
    told = " x ".join(map(str, shape))
    with pytest.raises(DataError, match=f"^a holds images of the shape {told}; save them as n x h x w, or n x h x w x "
                                        r"3\.$"):
        importing._pictures("a", np.zeros(shape))


@pytest.mark.parametrize(("values", "why"), [
    (np.full((1, 2, 2), np.nan), "images without a single finite number; save finite numbers"),
    (np.zeros((1, 2, 2), complex), "images of the type complex128; save them as real numbers"),
    (np.full((1, 2, 2), "a"), "images of the type <U1; save them as real")])
def test_values_that_are_no_images(values: Any, why: str) -> None:
    with pytest.raises(DataError, match=f"^a holds {why}"):
        importing._pictures("a", values)
    half = np.array([[[np.nan, 1.0]]])
    assert importing._pictures("a", half) is half


@pytest.mark.parametrize(("labels", "column"), [
    ([3, 1], [3, 1]), ([[3], [1]], [3, 1]), ([[0, 0, 1], [1, 0, 0]], [2, 0]), ([[0.0, 1.0], [1.0, 0.0]], [1, 0]),
    ([[True, False], [False, True]], [0, 1]), (["b", "a"], ["b", "a"])])
def test_one_label_an_image(labels: Any, column: list[Any]) -> None:
    assert importing._column("a", np.array(labels)).tolist() == column


@pytest.mark.parametrize("labels", [[[1, 1], [0, 1]], [[0, 0], [0, 1]], [[2, 0], [0, 1]], [["a", "b"]], [[[1]]], 3])
def test_several_labels_an_image(labels: Any) -> None:
    with pytest.raises(DataError, match=r"^a has labels of the shape .*; save one label for each image"):
        importing._column("a", np.array(labels))


def labelled(names: list[str] | None = None, path: str = "a.npz", **parts: Any
             ) -> tuple[dict[str, list[int]], list[str]]:
    labels, classes = importing._labels(path, {split: np.array(part) for split, part in parts.items()}, names)
    assert all(part.dtype == np.int64 for part in labels.values())
    return {split: part.tolist() for split, part in labels.items()}, classes


def test_numbers_become_classes() -> None:
    assert labelled(train=[0, 9, 2]) == ({"train": [0, 2, 1]}, ["0", "2", "9"])
    assert labelled(train=[0, 10], test=[7]) == ({"train": [0, 2], "test": [1]}, ["00", "07", "10"])
    assert labelled(train=[99, 100]) == ({"train": [0, 1]}, ["099", "100"])
    assert labelled(train=[1.0, 2.0]) == ({"train": [0, 1]}, ["1", "2"])
    assert labelled(train=[2**31 - 1])[1] == ["2147483647"]
    for wrong in ([0.5], [-1], [2**31]):
        with pytest.raises(DataError, match=r"^a\.npz has labels that are not whole numbers from 0 on; save them so"):
            labelled(train=[0], test=wrong)


def test_words_become_classes() -> None:
    assert labelled(train=["b", "a"], test=["c"]) == ({"train": [1, 0], "test": [2]}, ["a", "b", "c"])
    assert labelled(train=[b"b", "é".encode()]) == ({"train": [0, 1]}, ["b", "é"])
    assert labelled(train=["b", "1"], test=[1])[1] == ["1", "b"]


def test_names_for_numbers() -> None:
    assert labelled(["x", "y", "z"], train=[0, 1]) == ({"train": [0, 1]}, ["x", "y", "z"])
    with pytest.raises(UsageError, match=r"^names gives 1 names, but the labels go up to 1; give 2 names\.$"):
        labelled(["x"], train=[0, 1])
    assert labelled(None, "Fashion.npz", train=[9])[1] == list(importing.FASHION)
    assert labelled(None, "Fashion.npz", train=[10])[1] == ["10"]
    assert labelled(["x", "y"], "fashion.npz", train=[1])[1] == ["x", "y"]


def test_names_as_text_or_file(tmp_path: Path) -> None:
    assert importing.parse_names(" a, b c ,,d") == ["a", "b c", "", "d"]
    (tmp_path / "names.txt").write_text("\ufeffa\n\n  b c\nd,e\n", encoding="utf-8")
    assert importing.parse_names(str(tmp_path / "names.txt")) == ["a", "b c", "d,e"]
    (tmp_path / "names.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"names.txt cannot be read as text; write one class name on each line\.$"):
        importing.parse_names(str(tmp_path / "names.txt"))


@pytest.mark.parametrize(("images", "labels"), [
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"), ("T10K-Images.idx3-ubyte.gz", "T10K-labels.idx1-ubyte"),
    ("x-images-idx3-ubyte", "x-labels-idx1-ubyte.gz")])
def test_labels_lie_beside_their_images(images: str, labels: str, tmp_path: Path) -> None:
    (tmp_path / labels).touch()
    assert importing._labels_beside(str(tmp_path / images)) == str(tmp_path / labels)
    (tmp_path / labels).unlink()
    with pytest.raises(DataError, match=r"has no file of labels \(\S+labels\.?\S*\) beside it; give it as well\.$"):
        importing._labels_beside(str(tmp_path / images))
    with pytest.raises(DataError, match=r"is not an \.npz file; if it holds images as IDX, give its file of labels"):
        importing._labels_beside(str(tmp_path / "pictures.bin"))


def test_what_fits_into_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for free in (100, None):
        monkeypatch.setattr(importing, "free_memory", lambda free=free: free)
        importing._check_free("a", 100)
    monkeypatch.setattr(importing, "free_memory", lambda: 3 << 29)
    with pytest.raises(DataError, match=r"^a needs 2.0 GiB of memory and only 1.5 GiB are free; end other programs"):
        importing._check_free("a", 2 << 30)


def test_pieces_of_large_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(5 * 6, dtype=np.uint16).reshape(5, 2, 3)
    for most, sizes in ((6, [1] * 5), (5, [1] * 5), (12, [2, 2, 1]), (1 << 20, [5])):
        monkeypatch.setattr(importing, "_AT_ONCE", most)
        pieces = [*importing._pieces(values)]
        assert [len(piece.colours) for piece in pieces] == sizes
        assert np.array_equal(np.concatenate([piece.colours for piece in pieces]), values)
        assert {piece.bits for piece in pieces} == {16}
