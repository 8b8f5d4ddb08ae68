"""evaluation/validated.py: the table of what is said of validation images keeps any name, and tells the groups."""

from pathlib import Path

from cnncli.evaluation import validated
from cnncli.evaluation.grouped import GroupScore
from cnncli.evaluation.validated import Validated

NAMES = ("s1", 'a,"b"', "two\nlines\r", "\udcff", "=1", "")


def test_the_table_keeps_any_name(tmp_path: Path) -> None:
    rows = [Validated(f"{name}/1.png", name, "x", 0.123457, name) for name in NAMES]
    validated.write(tmp_path / "t.csv", rows)
    assert validated.read(tmp_path / "t.csv") == rows
    assert validated.read(tmp_path / "none.csv") == []
    (tmp_path / "t.csv").write_text("path,label\nx,3\n")
    assert validated.read(tmp_path / "t.csv") == []


def test_an_image_in_no_group_is_one_by_itself() -> None:
    rows = [Validated("1", "a", "a", 0.9, "s2"), Validated("2", "a", "b", 0.9, "s2"),
            Validated("3", "b", "b", 0.5, "3"), Validated("4", "b", "a", 0.5, "")]
    assert validated.groups_of(rows) == [GroupScore("", 1, 0), GroupScore("3", 1, 1), GroupScore("s2", 2, 1)]
