"""cnncli/data/layout.py: data as it comes. Splits under many names, folders inside and around, tests without labels;
what is not clear is refused, with a path that works when it is given."""

import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from cnncli.data import Splits, scan, scan_labelled
from cnncli.data.folder import survey
from cnncli.data.layout import split_of
from cnncli.errors import DataError, UsageError

from .test_folder import make, refused

CLASSES = ["cat", "dog"]


def sets(root: Path, *names: str, classes: tuple[str, ...] = ("cat", "dog"), count: int = 5) -> Path:
    """Make root/<name>/<class>/00.png … for each name, spelt a/b."""
    for name in names:
        for label in classes:
            make(root / name / label, **{".": count})
    return root


def folders(splits: Splits) -> tuple[set[str], ...]:
    """Return the folders that the images of train, val and test lie in."""
    return tuple({s.relative.rpartition("/")[0] for s in split} for split in (splits.train, splits.val, splits.test))


# ---- names ----


@pytest.mark.parametrize(("split", "names"), [
    ("train", "train Train TRAINING training trainset train_set Training_Set train-data TrainImages training.images"),
    ("val", "val VALID validation dev Dev validation_set valset dev-set"),
    ("test", "test TESTING testset test_set Test-Set eval Evaluation testdata test_images"),
])  # fmt: skip
def test_names_of_splits(split: str, names: str) -> None:
    for name in names.split():
        assert split_of(name) == split_of(name.replace("_", " ")) == split, name


def test_names_that_are_no_splits() -> None:
    for name in ("trains", "trainer", "contest", "testament", "device", "valley", "train_station", "crash_test",
                 "test_train", "2019", "", "データ", "seg_train"):
        assert split_of(name) is None, name


@pytest.mark.parametrize("train", ["training", "Training", "trainset", "train_set", "TRAIN", "train"])
@pytest.mark.parametrize(("val", "test"), [("valid", "Testing"), ("dev", "test_set"), ("Validation", "eval")])
def test_splits_under_many_names(train: str, val: str, test: str, tmp_path: Path) -> None:
    splits = scan(sets(tmp_path, train, val, test))
    assert splits.classes == CLASSES
    assert folders(splits) == tuple({f"{name}/cat", f"{name}/dog"} for name in (train, val, test))
    assert len(splits.notes) == 1
    assert splits.notes[0] == f"{tmp_path}: {train}/ is taken as train, {val}/ as val, {test}/ as test."


def test_the_split_that_is_drawn_does_not_depend_on_the_training_folders_name(tmp_path: Path) -> None:
    drawn = []
    for i, name in enumerate(("train", "Training", "seg_train/seg_train", "photos/train_set", "photos")):
        splits = scan(sets(tmp_path / str(i), name, count=30))
        drawn.append([{"/".join(s.relative.split("/")[-2:]) for s in split}
                      for split in (splits.train, splits.val, splits.test)])
    assert [len(split) for split in drawn[0]] == [48, 6, 6]
    assert all(one == drawn[0] for one in drawn)


def test_training_and_testing_are_never_two_classes(tmp_path: Path) -> None:
    refused(make(tmp_path / "1", Training=5, Testing=5), "Training", "lie directly in it")
    refused(make(tmp_path / "2", Training=5, Testing=5, sample=2), "Training", "lie directly in it")
    refused(sets(tmp_path / "3", "Testing", "dev"), "no train/")
    refused(sets(tmp_path / "5", "train", "other", classes=("Training", "Testing", "cat")), "with the names of splits",
            "Testing, Training")
    refused(sets(tmp_path / "4", "Testing"), "no train/")


def test_an_eval_beside_a_test_is_for_validation(tmp_path: Path) -> None:
    splits = scan(sets(tmp_path, "train", "eval", "test"))
    assert folders(splits)[1:] == ({"eval/cat", "eval/dog"}, {"test/cat", "test/dog"})


def test_a_common_prefix(tmp_path: Path) -> None:
    for i, names in enumerate((("seg_train", "seg_test"), ("cifar10-train", "cifar10-test"), ("train2017", "val2017"),
                               ("Train_v1", "Test_v2"))):
        splits = scan(sets(tmp_path / str(i), *names))
        assert splits.classes == CLASSES
        assert {name.split("/")[0] for name in folders(splits)[0]} == {names[0]}


@pytest.mark.parametrize("names", [("train_station", "test_tube"), ("crash_test", "litmus_test"), ("training", "rest"),
                                   ("train", "plane"), ("test", "plane"), ("dev", "ops"), ("steam_train", "bus")])
def test_classes_that_are_called_like_splits(names: tuple[str, ...], tmp_path: Path) -> None:
    assert scan(make(tmp_path, **dict.fromkeys(names, 5))).classes == sorted(names)


def test_a_class_with_folders_that_is_called_like_a_split(tmp_path: Path) -> None:
    assert scan(make(tmp_path, training__a=3, training__b=3, resting__a=3, resting__c=3)).classes == ["resting",
                                                                                                       "training"]


# ---- folders inside and around ----


def test_a_folder_of_the_same_name_inside(tmp_path: Path) -> None:
    splits = scan(sets(tmp_path, "seg_train/seg_train", "seg_test/SEG_TEST"))
    assert splits.classes == CLASSES
    assert folders(splits)[2] == {"seg_test/SEG_TEST/cat", "seg_test/SEG_TEST/dog"}
    assert splits.notes[0] == (f"{tmp_path}: seg_train/seg_train/ is taken as train, seg_test/SEG_TEST/ as test.")


def test_folders_around_it_all(tmp_path: Path) -> None:
    root = sets(tmp_path / "1", "photos")
    make(root / "__MACOSX" / "photos", cat=3)
    make(root / "@eaDir", cat=3)
    (root / "readme.txt").touch()
    splits = scan(root)
    assert splits.classes == CLASSES
    assert folders(splits)[0] == {"cat", "dog"}, "paths inside the folder that holds the classes"
    assert splits.notes[0] == f"{root}: the class folders are those in photos/."
    (root / "cover.png").touch()
    assert scan(root).notes[1] == f"{root}: 1 image outside of photos/ is left out."
    assert survey(root).beside == []
    splits = scan(sets(tmp_path / "2", "archive/photos/Training", "archive/photos/Testing"))
    assert splits.notes[0] == (f"{tmp_path / '2'}: archive/photos/Training/ is taken as train, archive/photos/Testing/ "
                               "as test.")
    assert scan(sets(tmp_path / "3", "train/images", "test/images")).classes == CLASSES
    (tmp_path / "4").mkdir()
    (tmp_path / "4" / "link").symlink_to(tmp_path / "1" / "photos")
    assert scan(tmp_path / "4").classes == CLASSES


def test_however_the_folder_is_spelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets(tmp_path, "data/all/Training", "data/all/test")
    monkeypatch.chdir(tmp_path / "data")
    for spelt in (tmp_path / "data", f"{tmp_path}/data/", f"{tmp_path}/data//", ".", "./", "../data/../data"):
        splits = scan(spelt)
        assert folders(splits)[2] == {"test/cat", "test/dog"}
        assert splits.notes[0].endswith(": all/Training/ is taken as train, all/test/ as test.")
        assert scan_labelled(spelt, CLASSES)[0] == splits.test


def test_wrapper_twice_and_a_part_to_predict(tmp_path: Path) -> None:
    root = sets(tmp_path, "intel/seg_train/seg_train", "intel/seg_test/seg_test")
    make(root / "intel" / "seg_pred", seg_pred=4)
    make(root / "__MACOSX", intel=2)
    splits = scan(root)
    assert splits.classes == CLASSES
    assert {len(splits.train) + len(splits.val), len(splits.test)} == {10}
    assert f"cnn predict {root}/intel/seg_pred/seg_pred" in splits.notes[1]
    samples, _ = scan_labelled(root, CLASSES)
    assert {s.relative.rpartition("/")[0] for s in samples} == {"seg_test/seg_test/cat", "seg_test/seg_test/dog"}
    for part in ("intel/seg_test", "intel/seg_test/seg_test"):
        assert len(scan_labelled(root / part, CLASSES)[0]) == 10
    assert len(scan(root / "intel/seg_train").train) == 6


def test_a_test_without_labels_is_passed_over(tmp_path: Path) -> None:
    for i, name in enumerate(("test", "Testing", "test/test", "test/images", "test1")):
        root = make(sets(tmp_path / str(i), "train", count=10), **{name.replace("/", "__"): 4})
        splits = scan(root)
        assert splits.classes == CLASSES
        assert [len(split) for split in (splits.train, splits.val, splits.test)] == [16, 2, 2]
        assert splits.notes[0] == (f"{root}: {name}/ holds images in no class folder and is passed over. To classify "
                                   f"them without labels: cnn predict {root}/{name}")
        samples, notes = scan_labelled(root, CLASSES)
        assert len(samples) == 20
        assert "cnn predict" in notes[0]
        with pytest.raises(UsageError, match="has no test/"):
            scan_labelled(root, CLASSES, "test")


def test_a_labelled_test_with_loose_images_is_a_labelled_test(tmp_path: Path) -> None:
    splits = scan(make(sets(tmp_path, "train", "test"), test=3))
    assert len(splits.test) == 10
    assert any("3 images lie in no class folder" in note for note in splits.notes)


def test_splits_inside_the_class_folders(tmp_path: Path) -> None:
    root = make(tmp_path / "all", cat__train=4, cat__test=2, dog__train=3, dog__test=1, dog__val=1)
    splits = scan(root)
    assert splits.classes == CLASSES
    assert Counter(s.label for s in splits.train) == {0: 4, 1: 3}
    assert folders(splits)[1:] == ({"dog/val"}, {"cat/test", "dog/test"})
    assert splits.notes[0] == f"{root}: train, val, test are the folders of these names inside the class folders."
    samples, notes = scan_labelled(root, CLASSES)
    assert len(samples) == 3
    assert "test/ in the class folders are used" in notes[-1]
    refused(make(tmp_path / "some", cat__train=4, cow__train=2, dog__test=2),
            "has images of dog, which train/ does not have")
    # Where any class has another folder, too, they are nested folders like others.
    assert len(scan(make(root, cat__more=1), (1, 0, 0)).train) == 12


@pytest.mark.parametrize(("labelled", "others", "numbers"), [
    (["xray/train", "xray/test", "xray/val", "xray/xray/train"], ["xray/__MACOSX/x"], (10, 10, 10)),
    (["asl_train/asl_train"], ["asl_test/asl_test"], (6, 2, 2)),
    (["fruits-360/Training", "fruits-360/Test"], ["fruits-360/test-multiple_fruits", "fruits-360/papers"], (8, 2, 10)),
    (["training_set/training_set", "test_set/test_set"], [], (8, 2, 10)),
    (["imagenette2/train", "imagenette2/val"], [], (8, 10, 2)),
    (["Train"], ["Test", "Meta"], (6, 2, 2)),
    (["images/images/train", "images/images/validation"], ["__MACOSX/images"], (8, 10, 2)),
    (["train", "valid", "test"], ["images to predict"], (10, 10, 10)),
])  # fmt: skip
def test_archives_as_people_unpack_them(labelled: list[str], others: list[str], numbers: tuple[int, ...],
                                        tmp_path: Path) -> None:
    root = sets(tmp_path, *labelled)
    for name in others:
        make(root / name, **{".": 4})
    splits = scan(root)
    assert splits.classes == CLASSES
    assert tuple(len(split) for split in (splits.train, splits.val, splits.test)) == numbers


# ---- what is not clear ----


def paths_given(error: DataError) -> list[str]:
    found = re.search(r"give (?:only )?(.*?)(?:,|\.$)", str(error))
    assert found, error
    return [shlex.split(part)[0] for part in found[1].split(" or ")]


@pytest.mark.parametrize("names", [("train", "Training"), ("photos/train", "photos/train_set"),
                                   ("original", "augmented"), ("part1", "part2"),
                                   ("photos/train", "photos/test", "more/x"), ("seg_train", "seg_training", "seg_test"),
                                   ("train", "train/train", "test"), (".", "it's data"), (".", "backup")])
def test_what_is_not_clear_is_refused_with_paths_that_work(names: tuple[str, ...], tmp_path: Path) -> None:
    root = sets(tmp_path / "it's data", *names)
    with pytest.raises(DataError) as caught:
        scan(root)
    paths = paths_given(caught.value)
    assert paths
    for path in paths:
        assert scan(path).classes == CLASSES


def test_a_class_may_have_folders_called_like_other_classes(tmp_path: Path) -> None:
    assert scan(sets(tmp_path, ".", "both")).classes == ["both", "cat", "dog"]


@pytest.mark.parametrize(("names", "why"), [
    ("train/images train/masks", "images, masks have the same folders"),
    ("Training Pr\u00fcfung", "Training have the same folders"),
    ("entrainement validation test", "have the same folders"),
    (". val test", "a second time in test/; move test/ away, or give only "),
    ("2023/train 2023/test 2024/train", "2023 has train/ and other splits inside; give "),
    ("trainA trainB testA testB", "trainA/ and trainB/, and both names mean training images"),
])  # fmt: skip
def test_data_sets_are_never_classes(names: str, why: str, tmp_path: Path) -> None:
    root = sets(tmp_path, *names.split())
    with pytest.raises(DataError, match=why) as caught:
        scan(root)
    assert all(scan(path).classes == CLASSES for path in paths_given(caught.value))


@pytest.mark.parametrize("names", ["seg_train seg_test", "trainA testA trainB testB", "cat_train dog_train cat_test"])
def test_images_in_folders_of_splits_are_no_classes(names: str, tmp_path: Path) -> None:
    """The same word in the names of training and test folders: what one class would be."""
    refused(make(tmp_path, **dict.fromkeys(names.split(), 3)), "with the names of splits",
            "into train/<class>/ and test/<class>/")


@pytest.mark.parametrize(("train", "test"), [("TRA\u0130N", "TEST"), ("\uff54\uff52\uff41\uff49\uff4e", "t\u00e9st")])
def test_names_in_other_letters(train: str, test: str, tmp_path: Path) -> None:
    splits = scan(sets(tmp_path, train, test))
    assert splits.classes == CLASSES
    assert splits.notes[0].endswith(f": {train}/ is taken as train, {test}/ as test.")


def test_what_is_taken_for_classes_is_said_where_it_may_be_something_else(tmp_path: Path) -> None:
    notes = scan(sets(tmp_path / "1", "trn", "tst")).notes
    assert notes[0] == (f"{tmp_path}/1: trn, tst are taken as the classes. Each holds the same folders (cat, dog); if "
                        "those are the classes, rename trn, tst to train/, val/ and test/.")
    root = make(tmp_path / "2", cat=5, dog=5, test=5)
    assert scan(root).notes[0] == (f"{root}: test/ is taken as a class, like the folders beside it; move it away if it "
                                   "is no class.")


def test_a_test_without_labels_in_several_folders(tmp_path: Path) -> None:
    root = make(sets(tmp_path, "train"), test__batch1=3, test__batch2=3)
    with pytest.raises(DataError, match="images of batch1, batch2, which train/ does not have; rename its") as caught:
        scan(root)
    assert paths_given(caught.value) == [f"{root}/train"]


def test_images_without_labels_are_not_judged(tmp_path: Path) -> None:
    root = make(tmp_path / "it's", test=3)
    with pytest.raises(DataError, match="lie directly in it") as caught:
        scan_labelled(root / "test", CLASSES)
    assert str(caught.value).endswith(f"cnn predict {shlex.quote(str(root / 'test'))}")
    assert "labels='FILE.csv'" in str(caught.value)


def test_one_class_with_folders_is_no_folder_around_classes(tmp_path: Path) -> None:
    root = make(sets(tmp_path, "train"), test__cat__indoor=2, test__cat__outdoor=2, bare__cat__x=1, bare__cat__y=1)
    assert [s.relative for s in scan(root).test] == [f"test/cat/{where}/0{i}.png" for where in ("indoor", "outdoor")
                                                     for i in range(2)]
    assert [s.label for s in scan_labelled(root, CLASSES)[0]] == [0] * 4
    assert [s.relative for s in scan_labelled(root / "bare", CLASSES)[0]] == ["cat/x/00.png", "cat/y/00.png"]


def test_folders_that_are_no_data_sets_are_classes(tmp_path: Path) -> None:
    assert scan(make(tmp_path / "1", part1__x=3, part2__x=3)).classes == ["part1", "part2"]
    root = make(make(tmp_path / "2", old__a=3, old__b=3, new__a=3, new__b=3), old=1)
    assert scan(root).classes == ["new", "old"]
    assert scan(sets(tmp_path / "3", "my_test")).classes == CLASSES
    refused(make(sets(tmp_path / "4", "train/photos"), train=1), "one class only, photos", "if the folders in it")


def test_an_empty_folder_beside_one_for_the_same_split_means_nothing(tmp_path: Path) -> None:
    root = make(sets(tmp_path, "train", "Testing"), test=0, Training__cat=0)
    assert folders(scan(root))[2] == {"Testing/cat", "Testing/dog"}


def test_an_empty_split_alone_is_missed(tmp_path: Path) -> None:
    for name in ("test", "val"):
        refused(make(sets(tmp_path / name, "train"), **{name: 0}), f"{name} holds no images")


@pytest.mark.parametrize(("names", "one", "other"), [
    (("train", "Training"), "Training", "train"),
    (("seg_train", "seg_training", "seg_test"), "seg_train", "seg_training"),
    (("trainA", "testA", "trainB", "testB"), "trainA", "trainB")])
def test_two_folders_for_training_are_both_named(names: tuple[str, ...], one: str, other: str, tmp_path: Path) -> None:
    root = sets(tmp_path, *names)
    with pytest.raises(DataError) as caught:
        scan(root)
    assert str(caught.value) == (f"{root} has {one}/ and {other}/, and both names mean training images; move "
                                 f"one of them away, or give {root}/{one} or {root}/{other}.")


def test_two_folders_for_the_test(tmp_path: Path) -> None:
    refused(sets(tmp_path, "train", "test", "testing"), "has test/ and testing/, and both names mean test images")


def test_two_folders_for_validation(tmp_path: Path) -> None:
    root = sets(tmp_path, "train", "val", "dev")
    with pytest.raises(DataError, match="has dev/ and val/, and both names mean validation images") as caught:
        scan(root)
    assert paths_given(caught.value) == [f"{root}/train"]
    with pytest.raises(DataError, match="has dev/ and val/, and both names mean validation images") as caught:
        scan_labelled(root, CLASSES)
    assert paths_given(caught.value) == [f"{root}/dev", f"{root}/val"]


def test_one_class_that_may_be_a_folder_around_the_classes(tmp_path: Path) -> None:
    root = make(sets(tmp_path, "photos"), photos=1)
    refused(root, "one class only, photos", f"if the folders in it are the classes (cat, dog), give {root}/photos.")
    assert scan(root / "photos").classes == CLASSES


def test_classes_with_the_same_folders_inside_are_classes(tmp_path: Path) -> None:
    """By year, by side: nested folders belong to their class."""
    root = make(tmp_path, healthy__left=3, healthy__right=3, ill__left=3, ill__right=3)
    assert scan(root).classes == ["healthy", "ill"]
