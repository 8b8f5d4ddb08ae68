"""cnncli/data/folds.py: folds are disjoint, cover everything but the test images, and hold a like share of
each class."""

from pathlib import Path

import pytest

from cnncli.data import Splits, fold_of, scan
from cnncli.data.folds import check_fold
from cnncli.data.splits import Sample
from cnncli.errors import DataError, UsageError

from ..pictures import make_folder


def splits_of(*counts: int) -> Splits:
    """Train and val of so many samples a class, one in seven of them val, and two of each for test."""
    splits = Splits([f"class {label}" for label in range(len(counts))], [], [], [])
    for label, count in enumerate(counts):
        for number in range(count + 2):
            sample = Sample(f"/x/{label}/{number}", f"{label}/{number}", label)
            (splits.test if number >= count else splits.val if number % 7 == 0 else splits.train).append(sample)
    return splits


@pytest.mark.parametrize("counts", [(20, 20, 20), (23, 5, 31, 2), (100, 7), (12, 12, 12, 12, 12, 12, 13)])
@pytest.mark.parametrize("of", [2, 3, 5, 10])
def test_each_sample_is_validated_on_once(counts: tuple[int, ...], of: int) -> None:
    splits = splits_of(*counts)
    pool = sorted(splits.train + splits.val, key=lambda s: s.relative)
    folds = [fold_of(splits, which, of, 3) for which in range(1, of + 1)]
    assert sorted((s for fold in folds for s in fold.val), key=lambda s: s.relative) == pool
    sizes = [len(fold.val) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for fold in folds:
        assert sorted(fold.train + fold.val, key=lambda s: s.relative) == pool
        assert fold.test == splits.test
        assert {s.label for s in fold.train} == set(range(len(counts))), "every class is learnt"
        for label, count in enumerate(counts):
            held = sum(s.label == label for s in fold.val)
            assert count // of <= held <= -(-count // of)


def test_folds_depend_on_the_seed_and_not_on_the_order(tmp_path: Path) -> None:
    splits = scan(make_folder(tmp_path / "data"), seed=1)
    mixed = Splits(splits.classes, splits.val + splits.train[::-1], [], splits.test)
    assert set(fold_of(splits, 2, 4, 1).val) == set(fold_of(mixed, 2, 4, 1).val)
    assert set(fold_of(splits, 2, 4, 1).val) != set(fold_of(splits, 2, 4, 2).val)


def test_the_parts_are_those_of_the_release_before() -> None:
    """The first parts are the larger ones, and each class begins where the one before it has ended."""
    splits = splits_of(5, 4)
    parts = [sorted(sample.relative for sample in fold_of(splits, which, 3, 7).val) for which in (1, 2, 3)]
    assert parts == [["0/3", "0/4", "1/1"], ["0/0", "0/2", "1/0"], ["0/1", "1/2", "1/3"]]
    assert [len([name for name in part if name.startswith("0/")]) for part in parts] == [2, 2, 1]


class Counted(Sample):
    """A sample that counts how often anything of any of them is looked at."""

    __slots__ = ()
    looks = 0

    def __getattribute__(self, name: str) -> object:
        Counted.looks += 1
        return super().__getattribute__(name)


def test_twice_as_many_classes_are_looked_at_twice_as_often() -> None:
    looks = []
    for classes in (20, 40):
        splits = splits_of(*[6] * classes)
        train, val = ([Counted(s.path, s.relative, s.label) for s in each] for each in (splits.train, splits.val))
        counted = Splits(splits.classes, train, val, [])
        before = Counted.looks
        fold_of(counted, 1, 3, 0)
        looks.append(Counted.looks - before)
    assert looks[1] < 2.2 * looks[0]


def test_which_folds_there_are() -> None:
    check_fold(1, 2)
    check_fold(100, 100)
    for which, of, why in [(1, 101, "the number of folds must be a whole number from 2 to 100, not 101."),
                           (1, 1, "the number of folds must be a whole number from 2 to 100, not 1."),
                           (3, 2, "there is no fold 3 of 2; give a number from 1 to 2."),
                           (0, 2, "there is no fold 0 of 2; give a number from 1 to 2."),
                           (True, 2, "the number of a fold must be a whole number, not True."),
                           (1, 2.0, "the number of a fold must be a whole number, not 2.0.")]:
        with pytest.raises(UsageError) as caught:
            check_fold(which, of)  # type: ignore[arg-type]
        assert str(caught.value) == why


def test_as_many_images_as_folds_are_enough() -> None:
    assert fold_of(splits_of(9, 5), 1, 3, 0).notes == []
    assert fold_of(splits_of(9, 2), 1, 3, 0).notes == [
        "class 1 has 2 images for 3 folds; some folds have none of them for validation, and their accuracy says "
        "nothing about this class.",
        "There are fewer than three training images of class 1 (1). That is too few to learn this class; add images "
        "of it."]
    assert len(fold_of(splits_of(9, 2), 3, 3, 0).notes) == 2
    fold_of(splits_of(2, 2), 2, 2, 0)


def grouped(*groups: tuple[str, int, int]) -> Splits:
    """Samples to train on, of so many images each: (group, class, images)."""
    samples = [Sample("", f"{name}/{i}", label, group=name or None) for name, label, count in groups
               for i in range(count)]
    return Splits(["a", "b"], samples[::2], samples[1::2], [])


def test_groups_are_dealt_from_the_largest_on() -> None:
    splits = grouped(("p", 0, 6), ("q", 0, 3), ("r", 0, 2), ("s", 0, 1), ("t", 1, 4), ("u", 1, 4))
    for which, names in ((1, {"p", "t"}), (2, {"q", "r", "s", "u"})):
        fold = fold_of(splits, which, 2, 0)
        held = {sample.group for sample in fold.val}
        assert held in ({*names}, {*names} ^ {"t", "u"})
        assert {sample.group for sample in fold.train} == {*"pqrstu"} - held
        assert len(fold.train) + len(fold.val) == 20
    said = ("b is in the groups of 2 of the 3 folds; the others have none of it for validation, and their accuracy "
            "says nothing about this class.")
    assert said in fold_of(splits, 1, 3, 0).notes
    assert fold_of(splits, 1, 2, 0).notes == []
    alone = Splits(["a", "b"], [*splits.train, Sample("", "p", 0), Sample("", "v", 1)], splits.val, [])
    together = [fold_of(alone, which, 2, 0).val for which in (1, 2)]
    assert sorted(len(val) for val in together) == [11, 11], "an image called like a group is none of it"


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(DataError, match="class 1 has only one image"):
        fold_of(splits_of(9, 1), 1, 3, 0)
    assert any("class 1 has 2 images for 3 folds" in note for note in fold_of(splits_of(9, 2), 1, 3, 0).notes)
    for which, of in ((0, 3), (4, 3), (1, 1), (1, 101), (1, True), (1.0, 3)):
        with pytest.raises(UsageError, match="fold"):
            fold_of(splits_of(9, 9), which, of, 0)  # type: ignore[arg-type]
