"""cnncli/data/exclude.py: a list of images that survives any name, and every file that is no such list."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli.data import scan
from cnncli.data.exclude import fingerprint, names_of, read_list, write_list
from cnncli.errors import DataError, UsageError

from .test_folder import make, relatives

NAMES = ["ant/1.png", "a b/ü 帽子.png", "ant/new\nline.png", "ant/tab\t.png", '"quoted".png', "#hash.png",
         " blank .png", "back\\slash.png", os.fsdecode(b"caf\xe9/1.png"), "\u2028.png", "./dot.png", "cr\r.png"]


def test_every_name_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    assert write_list(path, [("some", NAMES[:5]), ("others", NAMES[3:]), ("none", [])]) == len(NAMES)
    assert read_list(path) == set(NAMES)
    text = path.read_bytes()
    assert text.count(b"\n") == len(text.splitlines())
    assert b"# none" not in text
    assert b'"ant/new\\nline.png"' in text
    assert b"\nant/1.png\n" in text


@pytest.mark.slow
@settings(deadline=None, max_examples=60)  # each writes to the disk
@given(st.lists(st.binary(min_size=1, max_size=12).filter(lambda b: b"\0" not in b)))
def test_every_bytes_come_back(names: list[bytes]) -> None:
    import tempfile

    decoded = [os.fsdecode(name) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "list.txt")
        write_list(path, [("x", decoded)])
        assert read_list(path) == set(decoded)


def test_lists_written_by_people(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbf# mine\r\nant/1.png\r\n\r\n./ant/2.png\n   \nbee/3.png")
    assert read_list(path) == {"ant/1.png", "ant/2.png", "bee/3.png"}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_lists_of_other_systems(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("\ufeff# mine\r\nant/é.png\r\n".encode(encoding))
    assert read_list(tmp_path / "list.txt") == {"ant/é.png"}


def test_names_that_are_given() -> None:
    assert names_of(["b", "a", "b"]) == ["a", "b"]
    assert names_of(frozenset()) == []
    assert names_of(["b"]).config() == ["b"]
    assert names_of([Path("b/c.png"), "a"]) == ["a", "b/c.png"]
    for wrong, words in (("dress/x.jpg", "has the path of an image, dress/x.jpg; give a list of images"),
                         ([b"a"], "b'a' is none"), ([3], "and 3 is none"), ([""], "and '' is none")):
        with pytest.raises(UsageError, match=words):
            names_of(wrong)  # type: ignore[arg-type]
    assert fingerprint(["b", "a"]) == (  # which runs keep
        "59b271ae1bbcb1d31d41929817f4b16fb439eb4f31520b5ad1d5ce98920a7138")


@pytest.mark.parametrize("line", ['"open', '"a" b', '"bad \\x escape"', '"\\777"'])
def test_a_line_that_makes_no_sense_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"ant/1.png\n{line}\n")
    with pytest.raises(UsageError, match="line 2 of"):
        read_list(path)


def test_what_is_no_list(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "missing", "."):
        with pytest.raises(UsageError, match=r"there is no file .*missing|is no file; give a list"):
            read_list(tmp_path / name)


def test_only_lists_are_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    write_list(path, [("x", ["a"])])
    write_list(path, [("x", ["b"])])
    assert read_list(path) == {"b"}
    path.write_text("my diary")
    with pytest.raises(UsageError, match="is not an unedited list of images"):
        write_list(path, [("x", ["c"])])
    assert path.read_text() == "my diary"


def test_a_list_that_somebody_has_edited_stays(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    write_list(path, [("x", ["a", "b"])])
    edited = path.read_text().replace("a\n", "")
    path.write_text(edited)
    with pytest.raises(UsageError, match="is not an unedited list of images"):
        write_list(path, [("x", ["a", "b"])])
    assert path.read_text() == edited
    assert read_list(path) == {"b"}


def test_the_fingerprint_is_of_the_names_alone() -> None:
    assert fingerprint(["b", "a"]) == fingerprint({"a", "b"})
    assert fingerprint(["ab"]) != fingerprint(["a", "b"])
    assert fingerprint([]) is None


# ---- scanning without them ----


def test_scan_leaves_them_out_and_says_so(tmp_path: Path) -> None:
    root = make(tmp_path, ant=30, bee=30)
    names = {"ant/03.png", "bee/07.png", "bee/no.png"}
    splits = scan(root, exclude=names)
    assert set.union(*relatives(scan(root))) - set.union(*relatives(splits)) == {"ant/03.png", "bee/07.png"}
    assert splits.excluded == sorted(names)
    assert splits.notes[0] == (f"{tmp_path}: 2 images left out, because the list to exclude names them; 1 more on the "
                               "list is not there.")


def test_the_others_stay_where_they_were_drawn(tmp_path: Path) -> None:
    root = make(tmp_path, ant=100, bee=100)
    before = relatives(scan(root))
    after = relatives(scan(root, exclude=set(sorted(before[0])[:10])))
    assert len(before[2] ^ after[2]) <= 2
    assert not after[2] & before[0]


def test_scan_leaves_them_out_of_given_splits(tmp_path: Path) -> None:
    root = make(tmp_path, train__a=10, train__b=10, test__a=3, test__b=3, valid__a=2, valid__b=2)
    splits = scan(root, exclude={"train/a/01.png", "test/b/02.png", "valid/a/00.png"})
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [19, 3, 5]


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    root = make(tmp_path, train__a=10, train__b=10)
    for name in ("train/a", "train/b/", "train"):
        with pytest.raises(DataError, match=f"names images, and {name.rstrip('/')} is a folder; list its images"):
            scan(root, exclude=[name])


def test_a_class_may_not_vanish(tmp_path: Path) -> None:
    root = make(tmp_path, ant=2, bee=5)
    with pytest.raises(DataError, match="every training image of ant"):
        scan(root, exclude={"ant/00.png", "ant/01.png"})
