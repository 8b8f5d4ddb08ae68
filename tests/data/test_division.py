"""cnncli/data/division.py: how many of each class are held out, and who: the same in every release. test_folder.py and
test_groups.py divide whole folders."""

import sys
from collections import Counter

import pytest

from cnncli.data import division
from cnncli.data.division import FRACTIONS, check_fractions, divide, few_groups, groups_by_split, notes_on_groups, rank
from cnncli.data.groups import Groups
from cnncli.data.splits import Found, Sample, Splits, Survey
from cnncli.errors import DataError, UsageError


def test_the_order_is_that_of_the_release_before() -> None:
    """A run that is resumed by a later release holds the same images out."""
    assert rank(7, "cat/a.png") == (bytes.fromhex("c9da4c2065a419c4"), "cat/a.png")
    assert rank(0, "caf\udce9.png")[0] == bytes.fromhex("788aad4311be8a2b")
    assert FRACTIONS == (0.8, 0.1, 0.1)
    assert division.MOST_VALIDATION == 2500


@pytest.mark.parametrize(("n", "val", "test", "counts"), [
    (0, 0.1, 0.1, (0, 0)), (2, 0.5, 0.5, (0, 0)), (3, 0.1, 0.1, (1, 1)), (14, 0.1, 0.1, (1, 1)), (15, 0.1, 0.1, (2, 2)),
    (9, 0.0, 0.3, (0, 3)), (9, 0.3, 0.0, (3, 0)), (3, 0.5, 0.5, (1, 1)), (4, 0.5, 0.5, (1, 2)), (5, 0.5, 0.5, (2, 2)),
    (4, 0.25, 0.75, (1, 2)), (4, 0.75, 0.25, (2, 1)), (3, 1.0, 0.0, (2, 0)), (3, 0.0, 1.0, (0, 2)),
    (99, 0.3, 0.0, (30, 0))])
def test_how_many_of_a_class_are_held_out(n: int, val: float, test: float, counts: tuple[int, int]) -> None:
    assert division._counts(n, val, test) == counts


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (1, 0, 0), (0.1, 0.9, 0), (0.5, 0.25, 0.25 + 9e-7)])
def test_fractions_that_make_sense(fractions: tuple[float, ...]) -> None:
    check_fractions(fractions)


@pytest.mark.parametrize("fractions", [(0, 0.5, 0.5), (0.8, 0.2), (0.7, 0.1, 0.1, 0.1), (0.5, 0.25, 0.25 + 2e-6),
                                       (0.5, 0.6, -0.1), (1.1, -0.1, 0)])
def test_fractions_that_make_none(fractions: tuple[float, ...]) -> None:
    shown = "/".join(map(str, fractions))
    with pytest.raises(UsageError, match=rf"^the split {shown} cannot be used; give three numbers for train, val and "):
        check_fractions(fractions)


def looked(groups: Groups | None = None, **counts: int) -> Survey:
    """What a survey finds where each class has so many images, called a0, a1 …"""
    found = Found({name: [("", f"{name}/{name}{i}") for i in range(count)] for name, count in counts.items()})
    survey = Survey("", {"train": ""}, {"train": found})
    survey.groups = groups
    return survey


def sizes(survey: Survey, fractions: tuple[float, float, float]) -> list[dict[int, int]]:
    made = divide(survey, list(survey.found["train"].classes), fractions, 3)
    return [dict(Counter(sample.label for sample in made[split])) for split in ("train", "val", "test")]


GROUPS = Groups("g", {}, "g")


def test_shares_of_val_and_test_differ() -> None:
    assert sizes(looked(a=40, b=20), (0.5, 0.4, 0.1)) == [{0: 20, 1: 10}, {0: 16, 1: 8}, {0: 4, 1: 2}]
    many = looked(Groups(r"\d+", {}, "g"), a=40, b=40)
    assert sizes(many, (0.5, 0.4, 0.1)) == [{0: 20, 1: 20}, {0: 16, 1: 16}, {0: 4, 1: 4}]
    assert sizes(many, (0.6, 0.0, 0.4)) == [{0: 24, 1: 24}, {}, {0: 16, 1: 16}]
    assert sizes(many, (0.6, 0.4, 0.0)) == [{0: 24, 1: 24}, {0: 16, 1: 16}, {}]


def test_validation_takes_no_more_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(division, "MOST_VALIDATION", 6)
    assert sizes(looked(a=40, b=20), (0.5, 0.4, 0.1)) == [{0: 32, 1: 16}, {0: 4, 1: 2}, {0: 4, 1: 2}]


def of(**groups: tuple[str | None, ...]) -> Splits:
    """Splits of two classes whose samples are in these groups, of either class in turn."""
    made = {split: [Sample("", f"{split}/{i}", i % 2, group=group) for i, group in enumerate(names)]
            for split, names in groups.items()}
    return Splits(["a", "b"], **{"train": [], "val": [], "test": [], **made})


@pytest.mark.parametrize(("splits", "drawn", "notes"), [
    (of(train=("x", "x", "y", "y", "z", "z")), ["val"],
     ["3 groups of images are kept together, by g: x (2 images), y (2), z (2)."]),
    (of(train=("x", "x")), [], ["1 group of images is kept together, by g: x (2 images)."]),
    (of(train=("x", "x", None, None, "y", "y"), test=("z", "z")), ["val"],
     ["3 groups of images are kept together, by g: x (2 images), y (2), z (2).",
      "Warning: 2 images are in no group, for example train/2. Each such image is divided by itself."]),
    (of(train=("x", "x", "y", "y", "z", "z"), val=("y",), test=("x", "w")), [],
     ["4 groups of images are kept together, by g: x (3 images), y (3), z (2), w (1).",
      "2 of the groups (x, y) lie in more than one of the given splits; the test is too easy."]),
    (of(train=("x", "x", "y", "y", "z")), ["val", "test"],
     ["3 groups of images are kept together, by g: x (2 images), y (2), z (1).",
      "There are fewer than three groups of b, too few to hold one out for each split."]),
    (of(train=("x", "x", "y", "y", "z")), [],
     ["3 groups of images are kept together, by g: x (2 images), y (2), z (1)."]),
    (of(train=("x", "x", None, None)), ["val"],
     ["1 group of images is kept together, by g: x (2 images).",
      "Warning: 2 images are in no group, for example train/2. Each such image is divided by itself.",
      "There are fewer than three groups of a, b, too few to hold one out for each split."]),
])
def test_what_is_said_of_groups(splits: Splits, drawn: list[str], notes: list[str]) -> None:
    assert notes_on_groups(GROUPS, splits, drawn) == notes


def test_groups_that_leave_nothing_to_divide() -> None:
    with pytest.raises(DataError, match="^group_by g finds no group in the path of any image, such as train/0; give "
                                        ".* like "
                                        r"'\(patient\\d\+\)', or a CSV file with the columns file and group\.$"):
        notes_on_groups(GROUPS, of(train=(None, None)), [])
    with pytest.raises(DataError, match=r"^group_by g puts all 3 images into one group, x, and none can be"):
        notes_on_groups(GROUPS, of(train=("x", "x", "x")), ["test"])


def test_groups_that_leave_a_part_of_the_split_empty_are_refused() -> None:
    every, none = (0.8, 0.1, 0.1), (0.9, 0.0, 0.1)
    enough = of(train=("x", "y"), val=("z",), test=("w",))
    assert few_groups(GROUPS, enough, every, ["val", "test"]) is None
    two = of(train=("x", "x", "x", "x", "y", "y", "y", "y"))
    said = "--group-by g leaves no {} images, because there are fewer than three groups of a, b; use smaller groups, "
    for fractions, drawn, what in ((every, ["val", "test"], "validation and no test"), (none, ["val", "test"], "test"),
                                   (every, ["val"], "validation")):
        assert (few_groups(GROUPS, two, fractions, drawn) or "").startswith(said.format(what))
    assert few_groups(GROUPS, two, every, []) is None, "all parts were given"
    assert few_groups(GROUPS, of(train=("x", "x", "y", "y")), every, ["test"]) is None, "so few images need no groups"
    classes = Splits(["a", "b"], [Sample("", f"{i}", i % 2, group="xy"[i % 2]) for i in range(9)], [], [])
    assert few_groups(GROUPS, classes, every, ["test"]) == (
        "--group-by g leaves no test images, because each class is one group (x, y); give a regular expression that "
        r"finds the name of a slide, a patient or a day in the files' paths, like '(patient\d+)'.")


def test_how_many_groups_each_part_has_is_told() -> None:
    splits = of(train=("p", "q", "r", "s", None), val=("t", "t", "u"), test=("v",))
    assert groups_by_split(splits) == ["7 groups: 4 training, 2 validation (t, u), 1 test (v)."]
    assert groups_by_split(of(train=("p",))) == ["1 group: 1 training (p), 0 validation, 0 test."]
    assert groups_by_split(of(train=(None, None))) == []


def test_only_the_largest_of_many_groups_are_named() -> None:
    many = of(train=tuple(name for i, name in enumerate("tuvwxyz") for _ in range(i + 1)))
    assert notes_on_groups(GROUPS, many, [])[0] == (
        "7 groups of images are kept together, by g: z (7 images), y (6), x (5), w (4), v (3) and 2 more.")


def test_twice_as_many_classes_of_large_groups_take_twice_as_many_calls() -> None:
    """Each class has three groups that are larger than what is wanted, so one is chosen for each part by itself."""
    calls = []
    for classes in (15, 30):
        survey = looked(Groups("g", {}, "g"), **{f"c{k}": 0 for k in range(classes)})
        for k in range(classes):
            survey.found["train"].classes[f"c{k}"] = [("", f"c{k}/{i % 3}_{i}.png") for i in range(12)]
        survey.groups = Groups(r"c\d+/\d", {}, "g")
        names, events = sorted(survey.found["train"].classes), [0]

        def count(_: object, event: str, __: object, events: list[int] = events) -> None:
            events[0] += event == "call"

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            made = divide(survey, names, (0.8, 0.1, 0.1), 3)
        finally:
            sys.setprofile(before)
        assert {len(made[split]) for split in ("val", "test")} == {4 * classes}
        calls.append(events[0])
    assert calls[1] < 2.2 * calls[0]
