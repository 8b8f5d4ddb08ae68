"""evaluation/grounds.py: which runs' accuracies cannot be compared, and what is said of them."""

from pathlib import Path

import pytest

from cnncli.evaluation.grounds import Grounds, grounds, unlike
from cnncli.runs import Run

from ..cli.test_runs import make

OURS, OTHER = ("cat", "dog"), ("cat", "fox")
HEAD = "split,class,path,bytes,file,pixels\n"


def said(*known: tuple[str, tuple[str, ...] | None, str | None]) -> str | None:
    return unlike((name, Grounds(classes, images)) for name, classes, images in known)


def test_where_all_is_alike_or_not_known_nothing_is_said() -> None:
    assert said() is None
    assert said(("a", OURS, "x")) is None
    assert said(("a", OURS, "x"), ("b", OURS, "x"), ("c", None, None), ("d", OURS, None)) is None


def test_each_unlike_the_others() -> None:
    assert said(("a", OURS, "x"), ("b", OURS, "y")) == (
        "a and b have different validation images, so their accuracies cannot be compared directly.")
    assert said(("a", OURS, "x"), ("b\x1b", OURS, "y"), ("c", OURS, "z")) == (
        "a, b\\x1b and c have different validation images, so their accuracies cannot be compared directly.")
    assert said(("a", OURS, "x"), ("b", OTHER, "y")) == (
        "a and b have different classes and validation images, so their accuracies cannot be compared directly.")
    assert said(("a", OURS, "x"), ("b", OTHER, "x")) == (
        "a and b have different classes, so their accuracies cannot be compared directly.")


def test_groups_and_of_very_many_the_first() -> None:
    assert said(("a", OURS, "x"), ("b", OURS, "y"), ("c", OURS, "x"), ("d", OURS, None)) == (
        "The runs have different validation images, so accuracies can be compared only within each of these groups: "
        "a, c and d; b.")
    many = said(*((f"r{i}", OURS, str(min(i % 9, 7))) for i in range(90)))
    assert many is not None
    assert many.endswith(" r0, r9, r18, r27, r36, r45 and 4 more; r1, r10, r19, r28, r37, r46 and 4 more; "
                         "r2, r11, r20, r29, r38, r47 and 4 more; r3, r12, r21, r30, r39, r48 and 4 more; "
                         "r4, r13, r22, r31, r40, r49 and 4 more; r5, r14, r23, r32, r41, r50 and 4 more; "
                         "and 2 more groups.")
    assert said(*((f"r{i}", OURS, str(i)) for i in range(90))) == (
        "r0, r1, r2, r3, r4, r5 and 84 more have different validation images, so their accuracies cannot be compared "
        "directly.")


@pytest.mark.parametrize(("table", "same"), [
    ("val,cat,b.png,3,b,2\nval,cat,a.png,3,a,1\ntrain,cat,other.png,3,c,3\n", True),
    ("val,cat,elsewhere/a.png,3,a,1\nval,cat,b.png,3,b,2\n", True),
    ("val,cat,a.png,3,a,1\n", False),
    ("val,cat,a.png,3,a,1\nval,cat,b.png,3,c,2\n", False),
    ("val,cat,a.png,3,a,1\nval,cat,b.png,3,b,2\nval,cat,b2.png,3,b,2\n", False),
])
def test_what_a_run_rests_on(table: str, same: bool, tmp_path: Path) -> None:
    known = []
    for name, rows in (("one", "val,cat,a.png,3,a,1\nval,cat,b.png,3,b,2\n"), ("two", table)):
        run = make(tmp_path, name, [0.5])
        (run.path / "images.csv").write_text(HEAD + rows)
        known.append(grounds(run))
    assert (known[0] == known[1]) is same
    assert known[0].classes is None


def test_a_run_of_an_earlier_version_says_nothing(tmp_path: Path) -> None:
    assert grounds(make(tmp_path, "old", [0.5])) == Grounds(None, None)
    make(tmp_path, "new", [0.5]).write_config({"classes": ["cat", "dog"]})
    assert grounds(Run(tmp_path / "new")) == Grounds(OURS, None)
