"""Where pictures, lines and words stand on the sheets of mistakes.py, offenders.py and confusion.py, in pixels. Words
may move with the font; test_mistakes.py and its neighbours see to it that they lie on nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.data.check import File, Finding, Report
from cnncli.evaluation.scores import score
from cnncli.report import confusion, curves, mistakes, offenders
from cnncli.visualize.canvas import Canvas


@pytest.fixture
def strokes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Give what is drawn: ("sheet", width, height), ("image", x, y, width, height, frame), ("line", x, y, x, y),
    ("text", x, y, words)."""
    kept: list[tuple[Any, ...]] = []
    begin, text = Canvas.__init__, Canvas.text
    monkeypatch.setattr(Canvas, "__init__", lambda self, w, h: (kept.append(("sheet", w, h)), begin(self, w, h))[1])
    monkeypatch.setattr(Canvas, "paste", lambda self, image, x, y, frame=False: kept.append(
        ("image", x, y, *image.size, frame)))
    monkeypatch.setattr(Canvas, "line", lambda self, *where: kept.append(("line", *where[:4])))
    monkeypatch.setattr(Canvas, "text", lambda self, x, y, what, *more, **rest: (
        kept.append(("text", x, y, what)), text(self, x, y, what, *more, **rest))[1])
    monkeypatch.setattr(Canvas, "save", lambda self, path, *more, **rest: Path(path))
    return kept


def of(strokes: list[tuple[Any, ...]], kind: str) -> list[tuple[Any, ...]]:
    return [stroke[1:] for stroke in strokes if stroke[0] == kind]


@pytest.mark.parametrize(("wrong", "sheet"), [(1, (748, 326)), (6, (1108, 326)), (10, (1468, 564)), (60, (1468, 1516))])
def test_mistakes_stand_in_rows_of_eight(wrong: int, sheet: tuple[int, int], strokes: list[tuple[Any, ...]]) -> None:
    """Wide images in the middle of squares of 160 pixels, 20 beside and 78 below each for its words."""
    found = score(np.eye(2)[[1] * wrong + [0]], np.zeros(wrong + 1, int), ["a", "b"])
    names = [f"{i}.png" for i in range(wrong + 1)]
    mistakes.draw(found, lambda some: np.zeros((len(some), 40, 80, 3), np.uint8), names, "mistakes.png", "t")
    assert of(strokes, "sheet") == [sheet]
    places = [(24 + i % 8 * 180, 84 + i // 8 * 238) for i in range(min(wrong, 48))]
    assert of(strokes, "image") == [(x, y + 40, 160, 80, True) for x, y in places]
    words = of(strokes, "text")
    assert words[0] == (24, 24, "t")
    assert words[1][:2] == (24, 50)
    here = "all of them" if wrong <= 48 else "the 48 most confident of them"
    assert words[1][2] == f"{wrong} of {wrong + 1} images wrong; here {here}, the most confident first"
    assert words[2:] == [word for i, (x, y) in enumerate(places) for word in [
        (x, y + 165, "true: a"), (x + 160, y + 182, "73.1%"), (x, y + 182, "guess: b"), (x, y + 200, f"{i}.png")]]


def test_findings_stand_in_rows_of_nine_under_their_kinds(tmp_path: Path, strokes: list[tuple[Any, ...]]) -> None:
    """Cards of as many pictures as a finding has, six at most, 136 pixels each; 54 for a heading, 204 for a row."""
    (tmp_path / "ant").mkdir()
    Image.new("RGB", (60, 30)).save(tmp_path / "ant" / "wide.png")
    wide = File(str(tmp_path / "ant" / "wide.png"), "ant/wide.png", "train", "ant")
    gone = File(str(tmp_path / "gone.png"), "ant/gone.png", "train", "ant")
    findings = [Finding("duplicate", (wide,) * 7, "seven"), Finding("duplicate", (wide, gone), "two"),
                Finding("duplicate", (wide,) * 2, "more"), Finding("blank", (wide,), "one")]
    offenders.draw(Report(str(tmp_path), 0, {"ant": {"train": 2, "val": 0, "test": 1}}, [], findings), "sheet.png")
    assert of(strokes, "sheet") == [(48 + 9 * 136 - 16, 48 + 64 + 54 + 204 * 2 + 54 + 204)]
    images = of(strokes, "image")
    assert [stroke for stroke in of(strokes, "line") if stroke[0] == 24] == [(24, y, 1232, y) for y in (88, 550)]
    first = 88
    cards = [(24 + 136 * i, first + 54, 120) for i in range(6)] + [
        (24 + 136 * i, first + 54, 120) for i in (6, 7)] + [(24 + 136 * i, first + 258, 120) for i in (0, 1)]
    tall = {(x, y, True) for x, y, *_, frame in images if frame}
    assert {(x, y + 30, True) for i, (x, y, _) in enumerate(cards) if i != 7} <= tall, "half as high: in the middle"
    assert (*cards[7][:2], 120, 120, True) in images, "one that has gone"
    assert len(images) == 11
    joints = [stroke for stroke in of(strokes, "line") if stroke[0] != 24]
    assert (24 + 136 - 13, first + 54 + 60, 24 + 136 - 4, first + 54 + 60) in joints
    assert len(joints) == 5 + 1 + 1
    words = {text for _, _, text in of(strokes, "text")}
    assert {f"Found in {tmp_path}", "3 images; 3 x duplicate, 1 x blank", "seven 1 more files.", "two"} <= words
    assert (24 + 6 * 136 + 60 + 136, first + 54 + 52, "no image") in of(strokes, "text")


def test_the_matrix_has_lines_around_every_class(strokes: list[tuple[Any, ...]]) -> None:
    found = score(np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 2, 1]), ["a", "b", "c"])
    confusion.draw(found, "confusion.png", "t")
    lines = of(strokes, "line")
    left, top = lines[0][:2]
    side = 3 * 52
    assert lines == [line for at in range(0, side + 1, 52) for line in (
        (left, top + at, left + side, top + at), (left + at, top, left + at, top + side))]
    counts = {(x, y): int(text) for x, y, text in of(strokes, "text") if text.isdigit()}
    assert counts == {(left + 52 * j + 26, top + 52 * i + 26 - 13 * 0.65): int(found.confusion_matrix[i, j])
                      for i in range(3) for j in range(3)}
    shares = [(x, y, text) for x, y, text in of(strokes, "text") if text.endswith("%") and " " not in text]
    assert [text for *_, text in shares] == ["100%", "100%", "50%", "100%", "100%", "50%"], "recall, precision"
    assert [place for x, y, _ in shares for place in (x - left, y - top)] == pytest.approx([
        place for i in range(3) for place in (side + 58, 52 * i + 26 - 13 * 0.65, 52 * i + 26, side + 14)])
    legend = [stroke for stroke in of(strokes, "text") if stroke[1] in (top + side + 52, top + side + 72)]
    assert legend == [(24, top + side + 52, "right"), (136, top + side + 52, "0 to 100%"),
                      (274, top + side + 52, "wrong"), (386, top + side + 52, "0 to 50% or more"),
                      (24, top + side + 72, "of the row's images; the numbers are counts")]
    assert of(strokes, "sheet")[0] == (max(left + side + 70, 520) + 24, top + side + 96 + 24)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "cell", "every"), [(121, 13, 1), (200, 8, 2), (1600, 1, 12)])
def test_an_overview_has_as_many_names_as_there_is_room_for(count: int, cell: int, every: int,
                                                            strokes: list[tuple[Any, ...]],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[int] = []
    monkeypatch.setattr(confusion._Sheet, "write_name", lambda self, i: named.append(i))
    monkeypatch.setattr(confusion, "text_width", lambda text, size: 50)
    confusion.draw(score(np.eye(count)[[0, 1]], np.array([0, 1]), ["x"] * count), "confusion.png", "t")
    assert named == list(range(0, count, every))
    left, top, side = 24 + 38 + 50, 24 + 86 + 50, count * cell
    assert (left, top, side, side, False) in of(strokes, "image")
    assert of(strokes, "line") == [(left, top, left + side, top), (left, top, left, top + side),
                                   (left, top + side, left + side, top + side),
                                   (left + side, top, left + side, top + side)]


@pytest.mark.slow
def test_lines_of_charts_are_thin_and_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(curves, "save", lambda figure, path, kind: kept.append(figure))
    curves.draw([{"epoch": 1, "train_loss": 1.0}, {"epoch": 2, "train_loss": 0.5}], "curves.png", "runs/a")
    [figure] = kept
    assert (figure.get_size_inches() * figure.dpi).tolist() == [1430, 462]
    assert figure.get_suptitle() == "runs/a"
    for axes in figure.axes:
        grid = axes.get_xgridlines()[0]
        assert (grid.get_color(), grid.get_linewidth()) == ("#e3e5e8", 0.8)
        assert [name for name, spine in axes.spines.items() if not spine.get_visible()] == ["right", "top"]
        assert axes.get_xlabel() == "epoch"
