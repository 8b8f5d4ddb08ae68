"""cnncli/data/memory.py and pixels.py: arrays take the place of a folder, to the same pixels; the split is by the
images' places; and whatever is no image or no label is refused in a sentence."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Preprocessing, Splits, choose_size, fold_of, load_images, scan, scan_labelled, typical_side
from cnncli.data.pixels import as_picture, as_pictures
from cnncli.errors import CnnError, DataError, UsageError
from cnncli.runs.samples import fingerprint


def arrays(count: int = 40, shape: tuple[int, ...] = (6, 5, 3), classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, *shape), np.uint8), np.arange(count) % classes


def relatives(splits: Splits) -> list[set[str]]:
    return [{sample.relative for sample in split} for split in (splits.train, splits.val, splits.test)]


# ---- splits ----


def test_a_pair_is_split_by_the_places_of_its_images():
    images, labels = arrays(100)
    splits = scan((images, labels))
    assert splits.classes == ["0", "1"]
    assert splits.notes == [
        "The arrays are not divided: 80 images are for training, 10 for validation and 10 for the test, drawn at "
        "random. If several images show one thing, slide or patient, keep them together with group_by."]
    assert [Counter(s.label for s in split) for split in (splits.train, splits.val, splits.test)] == [
        {0: 40, 1: 40}, {0: 5, 1: 5}, {0: 5, 1: 5}]
    assert set.union(*relatives(splits)) == {str(i) for i in range(100)}
    for sample in splits.train + splits.val + splits.test:
        place = int(sample.relative)
        assert sample.pixels is not None
        assert np.shares_memory(sample.pixels, images[place])
        assert sample.label == labels[place]
        assert sample.path == f"images[{place}]"
    assert relatives(scan((images[::-1], labels))) == relatives(splits), "what is in them does not matter"
    assert relatives(scan((images, labels), seed=1)) != relatives(splits)


def test_images_that_are_appended_move_few_others():
    images, labels = arrays(200)
    before, after = relatives(scan((images[:190], labels[:190]))), relatives(scan((images, labels)))
    assert sum(len(old - new) for old, new in zip(before, after, strict=True)) <= 4


def test_splits_that_are_given_are_taken_and_the_others_drawn():
    images, labels = arrays(50)
    names = np.array(["dog", "cat"])[labels]
    tested = images[40:]
    splits = scan({"train": (images[:40], names[:40]), "test": (tested, names[40:].tolist())})
    assert splits.classes == ["cat", "dog"]
    assert splits.notes == ["There is no val: 4 images of train are held out as val."]
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [36, 4, 10]
    assert {s.relative for s in splits.test} == {f"test/{i}" for i in range(10)}
    for sample in splits.train + splits.val:
        assert sample.path == f"train[{sample.relative.removeprefix('train/')}]"
        assert np.shares_memory(sample.pixels, images[int(sample.relative.removeprefix("train/"))])
    for sample in splits.test:
        assert np.shares_memory(sample.pixels, tested[int(sample.relative.removeprefix("test/"))])
        assert splits.classes[sample.label] == names[40 + int(sample.relative.removeprefix("test/"))]


@pytest.mark.parametrize(("labels", "classes"), [
    ([10, 9, 2, 2], ["2", "9", "10"]), ([-1, 0, 0, 1], ["-1", "0", "1"]), ([True, False, True, True], ["0", "1"]),
    (np.array([[3], [1], [3], [1]]), ["1", "3"]), (["b", "a", "é", "a"], ["a", "b", "é"]),
    (np.array(["b", "a", "a", "a"], object), ["a", "b"]), (np.array([2, 7, 7, 7], np.uint8), ["2", "7"])])
def test_classes_are_called_like_their_labels(labels, classes):
    splits = scan((arrays(4)[0], labels), fractions=(1, 0, 0))
    assert splits.classes == classes
    flat = np.asarray(labels).reshape(-1)
    flat = flat.astype(int) if flat.dtype == bool else flat
    assert [splits.classes[s.label] for s in sorted(splits.train, key=lambda s: int(s.relative))] == [
        str(label) for label in flat.tolist()]


def test_exclude_folds_and_small_classes():
    images, labels = arrays(30, classes=3)
    splits = scan((images, labels), exclude=["0", "3", "99"])
    assert not set.union(*relatives(splits)) & {"0", "3"}
    assert splits.notes[:-1] == ["the data in memory: 2 images left out, because the list to exclude names them; 1 "
                                 "more on the list is not there."]
    assert "22 images are for training, 3 for validation" in splits.notes[-1]
    folds = [fold_of(splits, which, 3, 0) for which in (1, 2, 3)]
    assert sorted(s.relative for fold in folds for s in fold.val) == sorted(relatives(splits)[0] | relatives(splits)[1])
    assert all(s.pixels is not None for fold in folds for s in fold.train)
    assert "dealt into 3 folds, at random." in folds[0].notes[0].replace("random. If", "random.")
    assert not any("for validation and" in note for note in folds[0].notes), "a fold is divided in another way"
    assert scan((images[:4], [0, 0, 1, 1])).notes == [
        "There are fewer than three training images of 0 (2), 1 (2). That is too few to learn these classes; add "
        "images of them.", "There are no validation and no test images, because every class has too few images. It "
        "stays unknown how many of the model's answers to new images are right."]


def test_the_fingerprint_is_of_what_is_in_the_images():
    images, labels = arrays()
    mark = fingerprint(scan((images, labels)))
    assert fingerprint(scan((images.copy(), labels.tolist()))) == mark
    other = images.copy()
    other[int(scan((images, labels)).train[3].relative), 2, 1, 0] ^= 1
    assert fingerprint(scan((other, labels))) != mark
    assert fingerprint(scan((images.reshape(40, 5, 6, 3), labels))) != mark


# ---- pixels ----


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["ram", "none"])
@pytest.mark.parametrize("grey", [False, True])
def test_arrays_become_the_same_pixels_as_files(tmp_path: Path, cache, grey):
    images, labels = arrays(30, (12, 9) if grey else (12, 9, 3))
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / str(label) / f"{i:02}.png")
    files, ours = scan(tmp_path, (1, 0, 0)).train, scan((images, labels), (1, 0, 0)).train
    assert choose_size(ours) == choose_size(files)
    assert typical_side(ours) == typical_side(files) == 12
    for how in (Preprocessing((12, 9), grey), Preprocessing((5, 7), not grey, "crop")):
        a, b = (load_images(samples, how, 2, cache) for samples in (files, ours))
        assert np.array_equal(a.pixels(range(30)), b.pixels(range(30)))
        assert np.array_equal(a.histogram, b.histogram)
        assert b.skipped == []
        assert [np.array_equal(x, y) for x, y in zip(a.in_order(7), b.in_order(7), strict=True)] == [True] * 5
        [(pixels, rows)] = b.decoded([np.array([3, 29])])
        assert np.array_equal(pixels, a.pixels(rows))


def test_images_of_different_sizes_layouts_and_libraries():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, shape, np.uint8) for shape in ((4, 6), (9, 2, 1), (5, 5, 3))]
    pictures.append(np.asfortranarray(pictures[2])[:, ::-1])
    pictures.append(Image.fromarray(pictures[2]))
    splits = scan((pictures, [0, 0, 1, 1, 1]), (1, 0, 0))
    loaded = load_images(splits.train, Preprocessing((5, 5)))
    assert np.array_equal(loaded.pixels([3, 4]), np.stack([pictures[2][:, ::-1], pictures[2]]))
    assert choose_size(splits.train)[0].grey is False


def test_floats_from_0_to_1_are_rounded():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for dtype in (np.float32, np.float64, ">f4"):
        assert np.array_equal(as_picture((levels / 255).astype(dtype), "x"), levels)
        assert np.array_equal(as_pictures((levels / 255).astype(dtype)[None], "x")[0], levels)


# ---- labelled by a model ----


def test_images_are_labelled_by_the_names_of_a_models_classes():
    images, labels = arrays(6)
    samples, notes = scan_labelled((images, labels), ["2", "1", "0"])
    assert notes == []
    assert [(s.relative, s.label) for s in samples] == [("1", 1), ("3", 1), ("5", 1), ("0", 2), ("2", 2), ("4", 2)]
    samples, _ = scan_labelled({"train": (images, labels), "test": (images[4:], ["0", "0"])}, ["0", "1"])
    assert [s.path for s in samples] == ["test[0]", "test[1]"]
    assert np.shares_memory(samples[0].pixels, images[4])
    with pytest.raises(DataError, match="labels hold 0, 1, but the model's classes are cat, dog"):
        scan_labelled((images, labels), ["cat", "dog"])


# ---- what is refused ----


X, Y = arrays(4)


@pytest.mark.parametrize(("data", "words"), [
    (["photos"], "a list of paths has no labels; give the path of one folder"),
    ((X, ["a", 1, 2, 3]), "the labels hold names and numbers"),
    (([None, *X[1:]], Y), r"images\[0\]: None is no image; give an array"),
    (3, "not int"), (None, "not NoneType"), ((X,), "must be a pair"), ((X, Y, Y), "must be a pair"), (X, "not ndarray"),
    ({}, "no images are given"), ({"tests": (X, Y)}, "must be named train, val and test, not 'tests'"),
    ({"test": (X, Y)}, "no train; give the training images"),
    ({"train": X}, "train must be a pair"), ((X, Y[:3]), "4 images and 3 labels"), ((X, 0), "give one label for each"),
    ((X[:0], Y[:0]), "there is no image"), (([], []), "there is no image"),
    ((X, np.zeros(4, int)), "one class only, 0"),
    ((X, np.eye(4)), r"one-hot rows: labels.argmax"), ((X, Y / 2), "of the type float64"), ((X, Y * 1j), "complex"),
    ((X, ["", "a", "a", "a"]), "an empty name"), ((X, [None] * 4), "of the type object"),
    ((X, [[1], [1, 2], 3, 4]), "array"),
    ((X.astype(int), Y), "type is int64; give uint8"), ((X.astype(np.uint16), Y), "type is uint16"),
    ((X.astype(float), Y), "floats go from 0 to"), ((X / 255 - 0.5, Y), "floats go from -0"),
    ((X * np.nan, Y), "from nan"),
    ((X.transpose(0, 3, 1, 2), Y), r"moveaxis\(images, -3, -1\)"), ((X[..., :2], Y), r"shape is \(4, 6, 5, 2\)"),
    ((X[:, :0], Y), "no pixels"), ((X[0, 0], Y), "but images are"), (("a", "b"), "a list of paths"),
    ((X.astype("O"), Y), "object"),
    (([X[0], X[0, 0, 0], X[1], X[2]], Y), r"images\[1\]: the shape is \(3,\)"), ((X.astype(str), Y), "give uint8"),
    (([[[[1, 2], [3]]]], [1]), r"images\[0\]: these values form no array"),
    ({"train": (X, Y), "test": (X, Y + 1)}, "hold 2, which the train labels do not have"),
])
def test_what_is_no_data_is_refused_in_a_sentence(data, words):
    with pytest.raises(CnnError, match=words) as caught:
        scan(data)
    assert str(caught.value).endswith((".", ". Move the channels to the end with numpy.moveaxis(images, -3, -1)."))
    assert "\n" not in str(caught.value)


def test_fractions_and_lost_classes_are_refused():
    with pytest.raises(UsageError, match="cannot be used; give three numbers"):
        scan((X, Y), (0.5, 0.1, 0.1))
    with pytest.raises(DataError, match="every training image of 1 "):
        scan((X, Y), exclude=["1", "3"])
