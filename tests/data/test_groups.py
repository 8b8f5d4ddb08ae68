"""cnncli/data/groups.py and what division.py and folds.py make of it: images of a group stay on one side, each class is
in every split that it has groups enough for, and images without groups are divided as ever."""

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cnncli.data import Splits, fold_of, scan
from cnncli.data.groups import Groups, groups_of
from cnncli.data.sources import within
from cnncli.data.splits import Sample
from cnncli.errors import DataError, UsageError

from .test_folder import make


def named(root: Path, names: dict[str, list[str]]) -> Path:
    for folder, files in names.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in files:
            (root / folder / f"{name}.png").touch()
    return root


def patients(root: Path, count: int = 20, each: int = 6, classes: tuple[str, ...] = ("a", "b")) -> Path:
    """Make images of some patients, each in all classes."""
    return named(root, {label: [f"p{p:02}_{i}" for p in range(count) for i in range(each)] for label in classes})


def sides(splits: Splits) -> dict[str, set[str]]:
    """Return the splits that each group is in."""
    found: dict[str, set[str]] = {}
    for name in ("train", "val", "test"):
        for sample in getattr(splits, name):
            assert sample.group is not None
            found.setdefault(sample.group, set()).add(name)
    return found


def by_pattern(pattern: str) -> Groups:
    groups = groups_of(pattern)
    assert groups is not None
    return groups


@pytest.mark.parametrize("seed", range(4))
def test_a_group_is_on_one_side_across_classes(seed: int, tmp_path: Path) -> None:
    splits = scan(patients(tmp_path), seed=seed, groups=by_pattern(r"(p\d+)_"))
    assert all(len(several) == 1 for several in sides(splits).values())
    assert [len(split) for split in (splits.train, splits.val, splits.test)] == [192, 24, 24]
    for split in (splits.val, splits.test):
        assert Counter(s.label for s in split) == {0: 12, 1: 12}
    assert any(note.startswith(r"20 groups of images are kept together, by (p\d+)_: p00 (12 images), p01 (12), ")
               for note in splits.notes)


def test_another_seed_holds_other_groups_out(tmp_path: Path) -> None:
    root, groups = patients(tmp_path), by_pattern("p..")
    chosen = {frozenset(s.group for s in scan(root, seed=seed, groups=groups).test) for seed in range(8)}
    assert len(chosen) > 4


def test_groups_of_one_image_are_divided_as_images_are(tmp_path: Path) -> None:
    root = make(tmp_path, a=37, b=52, c=3, d=2, train=4)
    plain = scan(root, seed=5)
    alone = scan(root, seed=5, groups=by_pattern("^.*/(nothing)|^a/00.png"))
    for name in ("train", "val", "test"):
        assert getattr(plain, name) == getattr(alone, name)


def test_three_large_groups_are_one_for_each_split(tmp_path: Path) -> None:
    root = named(tmp_path, {"a": [f"x{g}_{i}" for g in range(3) for i in range(20)],
                            "b": [f"y{g}_{i}" for g in range(3) for i in range(30)]})
    splits = scan(root, groups=by_pattern(r"([xy]\d)_"))
    for split in (splits.train, splits.val, splits.test):
        assert Counter(s.label for s in split) == {0: 20, 1: 30}
    assert all(len(several) == 1 for several in sides(splits).values())


@pytest.mark.parametrize(("sizes", "counts"), [((30, 20, 10), (30, 20, 10)), ((30, 1, 1), (30, 1, 1)),
                                               ((10, 20, 30), (30, 20, 10)), ((40, 5, 5, 5), (45, 5, 5))])
def test_groups_of_other_sizes(sizes: tuple[int, ...], counts: tuple[int, ...], tmp_path: Path) -> None:
    root = named(tmp_path, {label: [f"{label}{g}_{i}" for g, size in enumerate(sizes) for i in range(size)]
                            for label in "xy"})
    splits = scan(root, groups=by_pattern(r"[xy]\d"))
    assert tuple(sum(s.label == 0 for s in split) for split in (splits.train, splits.val, splits.test)) == counts


def test_two_groups_are_too_few(tmp_path: Path) -> None:
    root = named(tmp_path, {"a": [f"x{g}_{i}" for g in range(2) for i in range(20)],
                            "b": [f"y{g}_{i}" for g in range(5) for i in range(30)]})
    splits = scan(root, groups=by_pattern(r"([xy]\d)_"))
    assert Counter(s.label for s in splits.train)[0] == 40
    assert any("fewer than three groups of a" in note for note in splits.notes)


@pytest.mark.slow
def test_every_class_keeps_something_to_learn_from(tmp_path: Path) -> None:
    for trial in range(20):
        random = Random(trial)
        names: dict[str, list[str]] = {}
        for label in "abcd":
            groups = [random.randrange(12) for _ in range(random.randrange(1, 9))]
            names[label] = [f"g{g:02}_{i}" for g in set(groups) for i in range(random.randrange(1, 15))]
        splits = scan(named(tmp_path / str(trial), names), seed=trial, groups=by_pattern(r"g\d+"))
        assert {s.label for s in splits.train} == {0, 1, 2, 3}
        assert all(len(several) == 1 for several in sides(splits).values())


def test_a_pattern_without_parentheses_and_with_several(tmp_path: Path) -> None:
    root = patients(tmp_path, 6, 2)
    assert set(sides(scan(root, groups=by_pattern(r"p\d\d")))) == {f"p{i:02}" for i in range(6)}
    assert set(sides(scan(root, groups=by_pattern(r"(\w)/p(\d\d)")))) == {f"{c}/{i:02}" for c in "ab" for i in range(6)}


def test_a_table_and_a_mapping(tmp_path: Path) -> None:
    root = patients(tmp_path / "all" / "photos", 6, 2)
    table = tmp_path / "groups.csv"
    rows = [(path.relative_to(tmp_path / "all"), path.name[:3]) for path in sorted(root.rglob("*.png"))]
    table.write_text("group;file\n" + "\n".join(f"{group};{file}" for file, group in rows))
    want = scan(root, groups=by_pattern(r"p\d\d"))
    for data, given in ((tmp_path / "all", table), (tmp_path / "all", str(table)),
                        (tmp_path / "all", {str(file): group for file, group in rows}),
                        (root, {str(root / file.relative_to("photos")): group for file, group in rows})):
        groups = groups_of(given)
        assert groups is not None
        splits = scan(data, groups=groups.within(str(data)))
        assert splits.test == want.test
        assert sides(splits) == sides(want)
        kept = groups.as_found({s.relative: str(s.group) for s in splits.train + splits.val + splits.test})
        assert scan(data, groups=Groups.from_config(kept.config())).test == want.test, "as a run keeps it"


def test_a_group_for_each_array(tmp_path: Path) -> None:
    images, labels = np.zeros((60, 8, 8), np.uint8), np.arange(60) % 2
    ids = np.arange(60) // 6
    splits = scan((images, labels), groups=groups_of(ids))
    assert all(len(several) == 1 for several in sides(splits).values())
    assert len(splits.test) == 6


def test_groups_that_cross_given_splits_are_told(tmp_path: Path) -> None:
    root = patients(tmp_path / "train", 8, 4)
    named(tmp_path / "test", {"a": ["p03_9", "p99_1"], "b": ["p03_8"]})
    splits = scan(tmp_path, groups=by_pattern(r"p\d\d"))
    assert len(splits.test) == 3
    assert any("1 of the groups (p03) lie in more than one of the given splits" in note for note in splits.notes)
    assert not {s.group for s in splits.val} & {s.group for s in splits.train}
    assert root.exists()


def test_images_in_no_group_are_counted(tmp_path: Path) -> None:
    root = make(patients(tmp_path, 6, 2), a=3)
    notes = scan(root, groups=by_pattern(r"p\d\d")).notes
    assert "Warning: 3 images are in no group, for example a/00.png. Each such image is divided by itself." in notes


def test_a_pattern_that_keeps_nothing_together_is_told(tmp_path: Path) -> None:
    notes = scan(patients(tmp_path, 6, 2), groups=by_pattern(".*")).notes
    assert ("--group-by .* finds a different group for each of the 24 images, and keeps none of them together. A group "
            "is called, for example, a/p00_0.png.") in notes


def test_groups_that_cannot_be_used(tmp_path: Path) -> None:
    root = patients(tmp_path, 6, 2)
    for given, words in (("(", "no regular expression"), ("", "is empty"), ("gone.csv", "no file gone.csv"),
                         (3, "of arrays, not 3")):
        with pytest.raises(UsageError, match=words):
            groups_of(given)
    with pytest.raises(DataError, match=r"finds no group in the path of any image, such as a/p0\d_\d.png"):
        scan(root, groups=by_pattern("slide"))
    with pytest.raises(DataError, match="puts all 24 images into one group, p"):
        scan(root, groups=by_pattern("p"))
    with pytest.raises(DataError, match="puts all 24 images into one group, '', and none"):
        scan(root, groups=by_pattern("(x?)"))
    wrong = groups_of({"photos/a/p00_0.png": "x"})
    assert wrong is not None
    with pytest.raises(DataError, match=r"the groups name none of the images: the first names photos/a/p00_0.png, "
                                        "and an image"):
        scan(root, groups=wrong.within(str(root)))
    twice = groups_of({"a/p00_0.png": "x", "./a/p00_0.png": "y"})
    assert twice is not None
    with pytest.raises(DataError, match=r"the groups: a/p00_0.png is in two groups, x and y"):
        twice.within(str(root))
    table = tmp_path / "g.csv"
    table.write_text("file,group\na/p00_0.png,x\nb/p00_0.png,x\na/p00_0.png,y\n")
    with pytest.raises(DataError, match=r"lines 2 and 4 of .*g.csv put a/p00_0.png into two groups, x and y"):
        groups_of(table)
    table.write_text("file,patient\na,b\n")
    with pytest.raises(DataError, match=r"line 1 of .*g.csv names no column group"):
        groups_of(table)
    with pytest.raises(DataError, match=r"not as cnn wrote them; put the file back"):
        Groups.from_config({"pattern": "(", "table": {}, "name": "x"})


def test_which_group_an_image_is_in(tmp_path: Path) -> None:
    path = str(tmp_path / "1.png")
    table = Groups(None, {"train/a/1.png": "x", path: "y", "empty": ""}, "t")
    assert table.of("elsewhere", "train/a/1.png", "a/1.png") == "x"
    assert table.of(path, "other", "other") == "y"
    assert table.of("elsewhere", "a/1.png", "train/a/1.png") is None
    assert by_pattern(r"p(\d)(x)?").of("p1", "p2", "a/p3") == "3/"
    assert by_pattern(r"p\d").of("p1", "p2", "a/p3_p4") == "p3"
    assert by_pattern("q").of("q", "q", "p") is None


def test_the_fingerprint_of_groups() -> None:
    one, other = ({"a": "x", "b": "y"}, {"b": "y", "a": "x"})
    assert Groups(None, one, "t").fingerprint() == Groups(None, other, "u").fingerprint()
    assert Groups(None, one, "t").fingerprint() == (  # which runs keep
        "a6ae7ff037f35d85e664e0ae03b54b0780b00c1f0ae7e241ae2be98fda86b44b")
    assert Groups(None, {"a": "y", "b": "x"}, "t").fingerprint() != Groups(None, one, "t").fingerprint()
    assert by_pattern("p.").fingerprint() == "p."


def test_groups_by_any_way() -> None:
    given = groups_of({Path("a"): 3})
    assert given == Groups(None, {"a": "3"}, "the groups")
    assert groups_of(given) is given
    assert groups_of(None) is None
    assert groups_of([7, "x"]) == Groups(None, {"0": "7", "1": "x"}, "the groups", 2)
    assert groups_of({"pattern": "p", "table": {}, "name": "p"}) == by_pattern("p")
    pattern = by_pattern("p")
    assert pattern.within("/d") is pattern
    assert pattern.as_found({"a": "x"}) is pattern
    for wrong in ({"pattern": 3, "table": {}, "name": "x"}, {"pattern": None, "table": {"a": 1}, "name": "x"},
                  {"pattern": None, "table": {}, "name": 3}, {"pattern": None, "table": [], "name": "x"}, None):
        with pytest.raises(DataError, match="not as cnn wrote them; put the file back"):
            Groups.from_config(wrong)


# ---- folds ----


@pytest.mark.parametrize("of", [2, 3, 5])
def test_folds_keep_groups_together(of: int, tmp_path: Path) -> None:
    splits = scan(patients(tmp_path, 20, 3), groups=by_pattern(r"p\d\d"))
    rest = {s.relative for s in splits.train + splits.val}
    parts = [fold_of(splits, k, of, 0) for k in range(1, of + 1)]
    for part in parts:
        assert not {s.group for s in part.train} & {s.group for s in part.val}
        assert part.test == splits.test
        assert {s.relative for s in part.train + part.val} == rest
        assert abs(len(part.val) - len(rest) / of) <= 6
        assert {s.label for s in part.val} == {0, 1}
    assert sorted(s.relative for part in parts for s in part.val) == sorted(rest)


@pytest.mark.parametrize("sizes", [{"a": (6, 1, 1, 1, 1, 1, 1)}, {"b": (2, 2, 2), "c": (2, 2, 2)}])
def test_folds_are_of_like_sizes(sizes: dict[str, tuple[int, ...]]) -> None:
    samples = [Sample("", f"{name}{g}_{i}", label, group=f"{name}{g}") for label, name in enumerate(sizes)
               for g, size in enumerate(sizes[name]) for i in range(size)]
    part = fold_of(Splits(list(sizes), samples, [], []), 1, 2, 0)
    assert len(part.val) == len(part.train) == 6


def test_a_group_without_a_name_is_one_group_in_folds(tmp_path: Path) -> None:
    """A pattern may find nothing between its parentheses: such images are kept together, as the split keeps them."""
    names = [f"p{p}_{i}" for p in range(5) for i in range(4)] + [f"x{i}" for i in range(6)]
    root = named(tmp_path, {"a": names, "b": names})
    for which in (1, 2, 3):
        fold = fold_of(scan(root, fractions=(1, 0, 0), groups=groups_of(r"/(p\d)?")), which, 3, 0)
        held = {sample.group for sample in fold.val}
        assert not held & {sample.group for sample in fold.train}
    assert Sample("", "a/x0", 0, group="").together != Sample("", "", 0).together


def test_folds_of_too_few_groups(tmp_path: Path) -> None:
    splits = scan(patients(tmp_path / "1", 5, 3), groups=by_pattern(r"p\d\d"))
    assert len({s.group for s in splits.train + splits.val}) == 4
    with pytest.raises(DataError, match="4 groups for 5 folds, because 1 of the 5 groups is held out for "
                                        r"the test \(p02\); give folds=4"):
        fold_of(splits, 1, 5, 0)
    root = named(tmp_path / "2", {"a": ["x1_1", "x1_2"], "b": ["y1", "y2", "y3"]})
    splits = scan(root, groups=by_pattern(r"x\d|y\d"))
    with pytest.raises(DataError, match="images of a form too few groups"):
        fold_of(splits, 1, 2, 0)


def test_a_list_has_a_group_for_each_image_of_arrays(tmp_path: Path) -> None:
    images, labels = np.zeros((20, 4, 4), np.uint8), np.arange(20) % 2
    assert sides(scan((images, labels), groups=groups_of(np.arange(20) // 2)))
    for count in (19, 21):
        with pytest.raises(DataError, match=f"there are 20 images and {count} groups; give one group for each image"):
            scan((images, labels), groups=groups_of(list(range(count))))
    with pytest.raises(UsageError, match=r'give a mapping .* like \{"train/0": "ann"\}'):
        scan({"train": (images, labels)}, groups=groups_of(["a"] * 20))
    with pytest.raises(UsageError, match=r"a list of groups, and .* is a folder"):
        within(patients(tmp_path), None, groups_of(["a"] * 20))
    with pytest.raises(UsageError, match="a list with a group for each image of arrays, not array"):
        groups_of(np.zeros((20, 2)))
