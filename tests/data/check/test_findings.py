"""data/check/findings.py: what a report counts, when it fails, and what its list to exclude says."""

import pytest

from cnncli.data.check.findings import File, Finding, Report, words
from cnncli.data.depth import Scales
from cnncli.errors import UsageError


def file(name: str) -> File:
    return File(f"/d/{name}", name, "train", name.partition("/")[0])


def finding(kind: str, *names: str, exclude: tuple[str, ...] = (), value: float | None = None) -> Finding:
    return Finding(kind, tuple(map(file, names)), "Text.", value, tuple(map(file, exclude)))


def report(*findings: Finding) -> Report:
    counts = {"a": {"train": 5, "val": 1, "test": 2}, "b": {"train": 7, "val": 0, "test": 1}}
    return Report("/d", 3, counts, ["val"], [*findings], notes=["a note"], scales=Scales((0, 4095)))


COPIES = finding("duplicate", "a/1", "a/2", "a/3", "a/4", exclude=("a/2", "a/3", "a/4"))
DAMAGED = finding("damaged", "a/2", exclude=("a/2",))
OTHERS = finding("duplicate-two-labels", "a/9", "b/9", exclude=("a/9", "b/9"), value=0.5)
NOTE, WARNING = finding("rotated", "b/1"), finding("dark", "b/2")


def test_good_images_are_copies_with_which_nothing_else_is_wrong() -> None:
    assert report(COPIES, DAMAGED).good() == 2
    assert report(COPIES, DAMAGED, OTHERS).good() == 4
    assert report(DAMAGED).good() == 0
    assert report(COPIES).good() == 3


def test_sections_say_why() -> None:
    assert report(NOTE, COPIES, OTHERS, DAMAGED).sections() == [
        ("damaged: cannot be decoded, or is cut short; training skips it", ["a/2"]),
        ("duplicate-two-labels: the same pixels in two classes: one of them is wrong. Good images: people must say "
         "which label is right", ["a/9", "b/9"]),
        ("duplicate: the same pixels several times in one class and split. Good images: one of each stays",
         ["a/2", "a/3", "a/4"]),
        ("rotated: turned as its EXIF says", [])]


@pytest.mark.parametrize(("fail_on", "kinds"), [
    (["error"], [True, False, False]), (["warning"], [True, True, False]), (["note"], [True, True, True]),
    ([], [False] * 3), (["rotated"], [False, False, True]), (["dark", "error"], [True, True, False]),
    (["never"], [False] * 3), (["error", "warning"], [True, True, False])])
def test_when_a_check_fails(fail_on: list[str], kinds: list[bool]) -> None:
    assert [report(one).fails(fail_on) for one in (DAMAGED, WARNING, NOTE)] == kinds
    assert not report().fails(fail_on)


def test_the_json() -> None:
    found = report(NOTE, DAMAGED, OTHERS, WARNING, DAMAGED).as_json()
    assert found["images"] == {"train": 12, "val": 1, "test": 3}
    assert (found["errors"], found["warnings"], found["notes"]) == (3, 1, 1)
    assert (found["folder"], found["seed"], found["drawn"], found["range"]) == ("/d", 3, ["val"], [0, 4095])
    assert found["classes"][1] == {"name": "b", "train": 7, "val": 0, "test": 1}
    assert [(one["kind"], one["level"], one["findings"], one["files"]) for one in found["kinds"]] == [
        ("damaged", "error", 2, 2), ("duplicate-two-labels", "error", 1, 2), ("dark", "warning", 1, 1),
        ("rotated", "note", 1, 1)]
    assert [one["kind"] for one in found["findings"]] == [*["damaged"] * 2, "duplicate-two-labels", "dark", "rotated"]
    assert found["findings"][2] == {
        "kind": "duplicate-two-labels", "level": "error", "text": "Text.", "value": 0.5,
        "files": [{"path": "a/9", "split": "train", "class": "a"}, {"path": "b/9", "split": "train", "class": "b"}],
        "exclude": ["a/9", "b/9"]}
    assert found["exclude"] == ["a/2", "a/9", "b/9"]
    assert Report("/d", 3, {}, []).as_json()["range"] is None


def test_words_of_a_list() -> None:
    assert words(" dark, blurred ,,", "ignore") == ["dark", "blurred"]
    assert words("never", "fail_on", ["never"]) == ["never"]
    with pytest.raises(UsageError, match=r"^ignore: there is no kind of finding 'drak'; 'cnn check .*'dark'"):
        words("blank,drak", "ignore")
    with pytest.raises(UsageError, match="there is no kind of finding 'never'"):
        words("never", "ignore")
