"""cnncli/data/table.py: tables in every form that programs write, each refusal with the number of its line, and the
paths that stand in them."""

import os
import unicodedata
from pathlib import Path

import pytest

from cnncli.data import table
from cnncli.data.table import Line, path_inside, read_bytes, read_table
from cnncli.errors import CnnError, DataError, UsageError

ACCENT = "été.png"


# ---- lines ----


@pytest.mark.parametrize("text", [
    "file,class\na,x\n\nb,\"y,z\"\n", "file;class\r\na;x\r\n;\r\nb;y,z\r\n", "Class\tFILE \nx\ta\n\t\ny,z\t b \n",
    "file|more|class\ra|1|x\r\rb||y,z", "file,class,group\na,x,\n,,\n\"b\", \"y,z\",\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_lines_have_their_numbers(text: str, mark: bytes, tmp_path: Path) -> None:
    encoding = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(mark, "utf-8")
    (tmp_path / "t.csv").write_bytes(mark + text.encode(encoding))
    lines = read_table(tmp_path / "t.csv", ["file", "class"], ["group"])
    group = {"group": ""} if "group" in text else {}
    assert lines == [Line(2, {"file": "a", "class": "x", **group}), Line(4, {"file": "b", "class": "y,z", **group})]
    assert lines[1].where("a\nb") == r"line 4 of a\nb"


def test_a_cell_of_several_lines_counts_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('file,class\n"a\n\nb",x\nc,y\n', encoding="utf-8")
    assert [line.number for line in read_table(tmp_path / "t.csv", ["file"])] == [2, 5]
    (tmp_path / "t.csv").write_text('class,file\nx,"a""b"\n', encoding="utf-8")
    assert read_table(tmp_path / "t.csv", ["file", "class"]) == [Line(2, {"file": 'a"b', "class": "x"})]


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "t.csv is empty; write a first line with the names of columns."),
    (b"file,class\n\n,\n", "t.csv has no line below the first; write one for each image."),
    (b"file,class,File\na,b,c\n", "line 1 of t.csv has the column file twice; take one of them out."),
    (b"file,class,group,group\na,b,c,d\n", "line 1 of t.csv has the column group twice; take one of them out."),
    (b"file,class\n\na,b,c\n", "line 3 of t.csv has 3 columns, but the first line has 2; put what holds commas in "
                                "double quotes."),
    (b"file;class\na\n", "line 2 of t.csv has 1 column, but the first line has 2; fill it in, with semicolons between "
                         "the columns, or take it out."),
    (b"file,class\na,b\nc, \n", "line 3 of t.csv has nothing in the column class; fill it in, or take the line out."),
    (b"file,class\na,b\n\xe9,c\n", "line 3 of t.csv is not UTF-8; save the file as UTF-8."),
    (b"\xff\xfef\0i\0l\0e\0\n\0\0\xd8", "line 2 of t.csv is not UTF-16; save the file as UTF-8."),
    (b"file,class\na,\0\n", "line 2 of t.csv holds zero bytes, which no CSV file has; save it as CSV in UTF-8."),
    (b'file,class\n"a\n",b\n"c"d,e\n', "line 4 of t.csv is not well quoted (',' expected after '\"'); write a double "
                                       "quote inside of quotes twice."),
    (b"fils,label\na,b\n", "line 1 of t.csv names no column file and no column class (it has: fils, label); write "
                           "file,class there, with commas, semicolons, tabs or bars between the columns. Did you mean "
                           "'file'?"),
    (b"file;classes\na;b\n", "line 1 of t.csv names no column class (it has: file, classes); write file,class there, "
                             "with commas, semicolons, tabs or bars between the columns. Did you mean 'class'?"),
])
def test_what_is_no_such_table(content: bytes, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table("t.csv", ["file", "class"], ["group"])
    assert str(caught.value) == sentence


def test_what_is_no_file_or_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(table, "MOST_BYTES", 5)
    Path("t").write_bytes(b"12345")
    assert read_bytes("t", "give one", "a list") == b"12345"
    Path("t").write_bytes(b"123456")
    for name, sentence in (("t", "t is too large for a list."), (".", ". is no file; give one."),
                           ("gone", "there is no file gone; give one.")):
        with pytest.raises(UsageError) as caught:
            read_bytes(name, "give one", "a list")
        assert str(caught.value) == sentence
    with pytest.raises(CnnError, match="too large for a table of images; cut it into several"):
        read_table("t", ["a"])
    with pytest.raises(CnnError, match="there is no file gone; give a CSV file"):
        read_table("gone", ["a"])


# ---- paths ----


@pytest.mark.parametrize(("named", "inside"), [
    ("a.png", "a.png"), ("x/b.png", "x/b.png"), ("./x//b.png", "x/b.png"), ("x/../a.png", "a.png"),
    ("x\\b.png", "x/b.png"), ("gone\\b.png", "gone/b.png"), ("gone/b.png", "gone/b.png"), ("..", None), (".", None),
    ("../a.png", None), ("x/../../a.png", None), ("..a", "..a"), ("/a.png", None)])
def test_paths_inside_a_folder(named: str, inside: str | None, tmp_path: Path) -> None:
    (tmp_path / "d" / "x").mkdir(parents=True)
    (tmp_path / "d" / "a.png").touch()
    (tmp_path / "d" / "x" / "b.png").touch()
    assert path_inside(named, str(tmp_path / "d")) == inside


def test_paths_from_the_root_also_by_way_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "d" / "x").mkdir(parents=True)
    (tmp_path / "d" / "x" / "b.png").touch()
    (tmp_path / "link").symlink_to("d")
    for root in ("d", "link"):
        for way in ("d", "link"):
            assert path_inside(str(tmp_path / way / "x" / "b.png"), str(tmp_path / root)) == "x/b.png"
        assert path_inside(str(tmp_path / "other" / "b.png"), str(tmp_path / root)) is None
        assert path_inside(str(tmp_path / root), str(tmp_path / root)) is None


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("there", ["NFC", "NFD", None])
@pytest.mark.parametrize("folder", ["", "x\\"])
def test_accents_in_the_form_that_is_there(form: str, there: str | None, folder: str, tmp_path: Path) -> None:
    """Where none is, a name is as it is spelt."""
    (tmp_path / "x").mkdir()
    beside = folder.replace("\\", os.sep)
    if there:
        (tmp_path / beside / unicodedata.normalize(there, ACCENT)).touch()
    expected = folder.replace("\\", "/") + unicodedata.normalize(there or form, ACCENT)
    assert path_inside(folder + unicodedata.normalize(form, ACCENT), str(tmp_path)) == expected


def test_a_name_with_a_backslash_is_itself_where_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "b").touch()
    assert path_inside("x\\b", str(tmp_path)) == "x/b"
    (tmp_path / "x\\b").touch()
    assert path_inside("x\\b", str(tmp_path)) == "x\\b"
