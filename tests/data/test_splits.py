"""cnncli/data/splits.py: samples and what tells that one has changed, what a survey leaves out, and its sentences."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.data.groups import Groups
from cnncli.data.splits import Found, Sample, Splits, Survey, exclusion_note, listed, small_classes_notes
from cnncli.errors import DataError


def test_a_sample_is_a_file_or_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bytes(321))
    file = Sample(str(tmp_path / "a.png"), "x/a.png", 1)
    assert (file.source, file.mark()) == (file.path, "321")
    assert Sample(str(tmp_path / "gone"), "gone", 1).mark() == "-1"
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    array = Sample("images[0]", "0", 1, pixels)
    assert array.source is pixels
    assert array.mark() == "185a11f87c03aefe37ad5338df296ad1"  # of the shape and the bytes: runs keep it
    assert array.mark() != Sample("", "", 0, pixels.reshape(4, 3)).mark()
    assert array.mark() != Sample("", "", 0, pixels + 1).mark()
    assert file == Sample(file.path, file.relative, 1, pixels, "g")


def found(**classes: int) -> Found:
    return Found({name: [(f"/d/{name}/{i}", f"{name}/{i}") for i in range(count)] for name, count in classes.items()})


def test_paths_inside_the_data_folder() -> None:
    survey = Survey("/d", {"train": "/d", "val": "/d/x/val", "test": "/d/test/"}, {})
    assert survey.relative("train", "a/1") == "a/1"
    assert survey.relative("val", "a/1") == "x/val/a/1"
    assert survey.relative("test", "a/1") == "test/a/1"


def test_what_is_excluded_is_counted_in_every_split() -> None:
    survey = Survey("/d", {"train": "/d/train", "test": "/d/test"}, {"train": found(a=3, b=2), "test": found(a=1, b=2)})
    names = {"train/a/0", "train/a/2", "test/a/0", "test/b/1", "b/0"}
    assert survey.exclude(names) == 4
    assert {split: {name: [item[1] for item in items] for name, items in each.classes.items()}
            for split, each in survey.found.items()} == {"train": {"a": ["a/1"], "b": ["b/0", "b/1"]},
                                                         "test": {"b": ["b/0"]}}
    with pytest.raises(DataError, match=r"^every training image of a is on the list to exclude; take some off the "
                                        "list"):
        survey.exclude({"train/a/1"})


def test_samples_have_their_groups() -> None:
    survey = Survey("/d", {"train": "/d/train"}, {"train": found(a=2)})
    assert survey.samples("train", "a", 4) == [Sample("/d/a/0", "train/a/0", 4), Sample("/d/a/1", "train/a/1", 4)]
    assert survey.samples("train", "b", 0) == []
    assert survey.samples("train", "a", 4)[0].group is None
    survey.groups = Groups(r"^a/\d", {}, "g")
    assert [sample.group for sample in survey.samples("train", "a", 4)] == ["a/0", "a/1"]
    survey.groups = Groups(None, {"train/a/1": "one"}, "g")
    assert [sample.group for sample in survey.samples("train", "a", 4)] == [None, "one"]


@pytest.mark.parametrize(("dropped", "names", "said"), [
    (1, 1, "d: 1 image left out, because the list to exclude names it."),
    (2, 2, "d: 2 images left out, because the list to exclude names them."),
    (0, 1, "d: 0 images left out, because the list to exclude names them; 1 more on the list is not there."),
    (1, 1501, "d: 1 image left out, because the list to exclude names it; 1,500 more on the list are not there."),
    (2000, 2000, "d: 2,000 images left out, because the list to exclude names them.")])
def test_what_is_said_of_a_list_to_exclude(dropped: int, names: int, said: str) -> None:
    assert exclusion_note("d", dropped, names) == said


def test_classes_of_few_images_are_named() -> None:
    samples = [Sample("", str(i), label) for i, label in enumerate([0, 0, 0, 1, 1, 3])]
    splits = Splits(["a", "b", "c", "d\n"], samples, [], [])
    few = (r"There are fewer than three training images of b (2), c (0), d\n (1). That is too few to learn these "
           "classes; add images of them.")
    assert small_classes_notes(splits) == [few]
    splits.test = [samples[0], samples[3], samples[5]]
    assert small_classes_notes(splits, ["val", "test"]) == [
        few, "There are no validation images, because every class has too few images.",
        "There are no test images of c, because it has too few images. The accuracy on the test images says nothing "
        "about this class."]
    splits.val = [samples[0]]
    assert small_classes_notes(splits, ["val", "test"])[1:] == [
        "There are no validation images of b, d\\n, because they have too few images. The accuracy on the validation "
        "images says nothing about these classes.",
        "There are no validation and no test images of c, because it has too few images. The accuracy on the "
        "validation and test images says nothing about this class."]
    assert small_classes_notes(Splits(["a"], samples, [], [])) == []


def test_names_in_a_sentence() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b\n", "c", "d", "e"]) == r"a, b\n, c, d, e"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert listed(list("abc"), 2) == "a, b and 1 more"
