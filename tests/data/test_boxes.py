"""data/boxes.py: boxes that somebody drew, as PASCAL VOC annotations and as a table; what is bad in them, a sentence
each, and nothing of theirs is trusted."""

import os
from pathlib import Path

import pytest

from cnncli.data.boxes import Box, Drawn, read_annotation, read_boxes
from cnncli.errors import DataError, ImageError, UsageError

VOC = """<?xml version="1.0"?>
<annotation><folder>x</folder><filename>a.jpg</filename><size><width>50</width></size>
{}</annotation>"""
OBJECT = """<object><name> {} </name><part><bndbox><xmin>1</xmin></bndbox></part>
<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def voc(*boxes: tuple[object, ...]) -> str:
    return VOC.format("".join(OBJECT.format(*box) for box in boxes))


def test_overlaps() -> None:
    one = Box(0, 0, 10, 10)
    assert one.iou(one) == 1
    assert one.iou(Box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert one.iou(Box(10, 0, 20, 10)) == one.iou(Box(50, 50, 60, 60)) == 0
    assert one.iou(Box(0, 0, 5, 5)) == Box(0, 0, 5, 5).iou(one) == 0.25


def test_annotations_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.xml").write_text(voc(("boot", 1, 1, 10, 20), ("hat", 5, 6, 7, 8)))
    (tmp_path / "sub" / "b.XML").write_text(voc(("hat", 2.5, 2, 3, 4)))
    (tmp_path / "a.jpg").write_text("not read")
    found = read_boxes(tmp_path)
    assert found.of("anywhere/a.jpg") == [Drawn(Box(0, 0, 10, 20), "boot"), Drawn(Box(4, 5, 7, 8), "hat")]
    assert found.of("images/sub/b.png") == [Drawn(Box(1.5, 1, 3, 4), "hat")]
    assert found.of("images/b.png") == found.of("images/sub/b.png"), "there is only one b"
    assert found.of("c.png") == []
    assert found.unusable == []


def test_a_table(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text("ymin,file,xmin,xmax,ymax,label\n1,./cat/a.png,0,10,20,cat\n1,dog/a.png,5,7,8,\n2,dog/a.png,1,2,3,d\n")
    found = read_boxes(table)
    assert found.of("photos/cat/a.png") == [Drawn(Box(0, 1, 10, 20), "cat")]
    assert found.of("photos/dog/a.png") == [Drawn(Box(5, 1, 7, 8), None), Drawn(Box(1, 2, 2, 3), "d")]
    assert found.of("photos/a.png") == found.of("photos/dog/a.jpg") == []
    table.write_text(f"file,xmin,ymin,xmax,ymax\n{tmp_path}/x.png,0,0,1,1\n")
    assert read_boxes(table).of(os.path.relpath(tmp_path / "x.png")) == [Drawn(Box(0, 0, 1, 1), None)]


@pytest.mark.parametrize(("line", "words"), [
    ("a.png,1,2,x,4", "line 2 of .*: a box must be four numbers of pixels, not '1, 2, x, 4'"),
    ("a.png,1,2,nan,4", "must be four numbers"), ("a.png,1,2,1e300,4", "must be four numbers"),
    ("a.png,5,2,5,4", "xmin and ymin must be smaller than xmax and ymax, not 5, 2, 5, 4"),
    ("a.png,1,,3,4", "nothing in the column ymin"),
])
def test_lines_that_make_no_sense(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "b.csv").write_text(f"file,xmin,ymin,xmax,ymax\n{line}\n")
    with pytest.raises(DataError, match=words):
        read_boxes(tmp_path / "b.csv")


BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;">]>
<annotation><object><bndbox><xmin>&y;</xmin></bndbox></object></annotation>"""


@pytest.mark.parametrize(("text", "words"), [
    (BOMB, r"declares a document type \(<!DOCTYPE …>\)"),
    ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "declares a document type"),
    ("no xml", "it is no XML"), ("", "it is no XML"), ("<annotation>", "it is no XML"),
    (voc(), "no object with a bndbox"), ("<other><object/></other>", "no object with a bndbox"),
    (voc(("x", 1, 2, "&lt;3", 4)), "must be four numbers"), (voc(("x", 9, 2, 3, 4)), "must be smaller than"),
    ("<annotation><object><bndbox><xmin>1</xmin></bndbox></object></annotation>", "'1, nothing, nothing, nothing'"),
    ("<a>" * 100_000, "more tags within tags"), ("<annotation>" + "<object/>" * 20_000, "more objects"),
    ('<?xml version="1.0" encoding="none-such"?><a/>', "cannot be used"),
    ("<a>" + "x" * (1 << 20), "larger than 1 MB"),
])
def test_bad_annotations(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.xml").write_text(text)
    with pytest.raises(ImageError, match=words) as caught:
        read_annotation(str(tmp_path / "bad.xml"))
    assert str(caught.value).startswith(f"{tmp_path}/bad.xml cannot be used: ")
    (tmp_path / "good.xml").write_text(voc(("x", 1, 1, 2, 2)))
    found = read_boxes(tmp_path)
    assert [missing.path for missing in found.unusable] == [str(tmp_path / "bad.xml")]
    assert list(found.boxes) == ["good"]


def test_what_holds_no_boxes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no annotation"):
        read_boxes(tmp_path)
    (tmp_path / "bad.xml").write_text("no xml")
    with pytest.raises(DataError, match=r"no annotation that can be used: .*bad\.xml cannot be used: it is no XML"):
        read_boxes(tmp_path)
    with pytest.raises(UsageError, match="is one annotation; give the folder"):
        read_boxes(tmp_path / "bad.xml")
    with pytest.raises(UsageError, match="there is no file"):
        read_boxes(tmp_path / "none")
    (tmp_path / "other.csv").write_text("file,label\na,b\n")
    with pytest.raises(DataError, match="no column xmin"):
        read_boxes(tmp_path / "other.csv")
    os.mkfifo(tmp_path / "pipe.xml")
    with pytest.raises(ImageError, match="it is no file"):
        read_annotation(str(tmp_path / "pipe.xml"))
