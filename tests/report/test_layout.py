"""Where pictures, lines and words stand on the sheets of mistakes.py, offenders.py and confusion.py, in pixels, and how
words look. Words may move with the font; test_mistakes.py and its neighbours see to it that they lie on nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.data.check import KINDS, File, Finding, Report
from cnncli.evaluation.scores import score
from cnncli.report import confusion, curves, mistakes, offenders, rates
from cnncli.visualize.canvas import FAINT, INK, LINE, PAPER, RIGHT, WRONG, percent, ramp

from .strokes import looks, of


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
    here = "all of them, the surest first" if wrong <= 48 else "the 48 surest"
    assert words[1][2] == f"{wrong} of {wrong + 1} images wrong; this sheet shows {here}"
    assert words[2:] == [word for i, (x, y) in enumerate(places) for word in [
        (x, y + 165, "true: a"), (x + 160, y + 182, "73.1%"), (x, y + 182, "answer: b"), (x, y + 200, f"{i}.png")]]
    width = sheet[0] - 48
    assert looks(strokes).items() >= {
        "t": [18, INK, True, "left", width], words[1][2]: [13, FAINT, False, "left", width],
        "true: a": [12, RIGHT, False, "left", 160], "73.1%": [12, WRONG, False, "right", None],
        "answer: b": [12, WRONG, False, "left", 112], "0.png": [10, INK, False, "left", 160]}.items()


def test_no_mistake_is_said_in_the_middle(strokes: list[tuple[Any, ...]]) -> None:
    mistakes.draw(score(np.eye(2), np.arange(2), ["a", "b"]), None, ["", ""], "mistakes.png", "t")
    assert of(strokes, "sheet") == [(748, 326)]
    assert of(strokes, "text")[1:] == [(24, 50, "2 images, all right"), (374, 174, "No mistakes among 2 images.")]
    assert looks(strokes)["No mistakes among 2 images."] == [18, RIGHT, False, "centre", None]
    assert [percent(chance) for chance in (0.9994, 0.9995, 1, 0, 0.0004)] == [
        "99.9%", ">99.9%", "100.0%", "0.0%", "<0.1%"]


def test_findings_stand_in_rows_of_nine_under_their_kinds(tmp_path: Path, strokes: list[tuple[Any, ...]]) -> None:
    """Cards of as many pictures as a finding has, six at most, 136 pixels each; 54 for a heading, 228 for a row."""
    (tmp_path / "ant").mkdir()
    Image.new("RGB", (60, 30)).save(tmp_path / "ant" / "wide.png")
    wide = File(str(tmp_path / "ant" / "wide.png"), "ant/wide.png", "train", "ant")
    gone = File(str(tmp_path / "gone.png"), "ant/gone.png", "train", "ant")
    findings = [Finding("duplicate", (wide,) * 7, "seven"), Finding("duplicate", (wide, gone), "two", None, (gone,)),
                Finding("duplicate", (wide,) * 2, "more"), Finding("blank", (wide,), "one")]
    offenders.draw(Report(str(tmp_path), 0, {"ant": {"train": 2, "val": 0, "test": 1}}, [], findings), "sheet.png")
    assert of(strokes, "sheet") == [(48 + 9 * 136 - 16, 48 + 64 + 54 + 228 * 2 + 54 + 228)]
    images = of(strokes, "image")
    assert [stroke for stroke in of(strokes, "line") if stroke[0] == 24] == [(24, y, 1232, y) for y in (88, 598)]
    first = 88
    cards = [(24 + 136 * i, first + 54, 120) for i in range(6)] + [
        (24 + 136 * i, first + 54, 120) for i in (6, 7)] + [(24 + 136 * i, first + 282, 120) for i in (0, 1)]
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
    assert [text for text in of(strokes, "text") if text[1] < first + 54] == [
        (24, 24, f"Found in {tmp_path}"), (24, 50, "3 images; 3 x duplicate, 1 x blank"),
        (24, first + 6, "duplicate (warning): 3"), (24, first + 28, KINDS["duplicate"].about)]
    assert [text for text in of(strokes, "text") if text[0] == 24 + 7 * 136] == [
        (24 + 7 * 136, first + 54 + 123, "train / ant"), (24 + 7 * 136, first + 54 + 135, "gone.png")]
    assert [text for text in of(strokes, "text") if text[2] == "two"] == [(24 + 6 * 136, first + 54 + 148, "two")]
    card = 120 + 136
    assert looks(strokes).items() >= {
        f"Found in {tmp_path}": [18, INK, True, "left", 1208],
        "3 images; 3 x duplicate, 1 x blank": [13, FAINT, False, "left", 1208],
        "duplicate (warning): 3": [15, INK, True, "left", 1208], "blank (warning): 1": [15, INK, True, "left", 1208],
        KINDS["blank"].about: [12, FAINT, False, "left", 1208], "no image": [12, FAINT, False, "centre", None],
        "two": [9, FAINT, False, "left", card], "gone.png": [9, INK, False, "left", 120]}.items()
    belongs = [colour for what, size, colour, *_ in of(strokes, "look") if what == "train / ant"]
    assert belongs == [RIGHT] * 7 + [WRONG] + [RIGHT] * 2 + [WRONG], "blue is what may stay beside others"


def test_of_many_findings_the_first_are_shown(strokes: list[tuple[Any, ...]]) -> None:
    finding = Finding("duplicate-across-splits", (File("gone.png", "ant/a.png", "train", "ant"),), "x")
    for count, heading in ((16, "duplicate-across-splits (error): 16"),
                           (17, "duplicate-across-splits (error): 17, the first 16 here")):
        strokes.clear()
        offenders.draw(Report("x", 0, {"ant": {"train": 9, "val": 0, "test": 0}}, [], [finding] * count), "sheet.png")
        assert of(strokes, "text")[2][2] == heading
        assert looks(strokes)[heading][1] == WRONG
        assert [text for *_, text in of(strokes, "text")].count("no image") == 16
    strokes.clear()
    offenders.draw(Report("x", 0, {}, [], []), "sheet.png")
    assert of(strokes, "sheet") == [(48 + 9 * 136 - 16, 48 + 130)]


@pytest.mark.parametrize(("split", "name", "shown"), [
    ("train", "train/ant/a.png", "a.png"), ("val", "train/ant/a.png", "a.png"), ("test", "test/ant/b/a.png", "b/a.png"),
    ("train", "ant/a.png", "a.png")])
def test_a_card_has_five_lines_and_says_folders_once(split: str, name: str, shown: str,
                                                     strokes: list[tuple[Any, ...]]) -> None:
    finding = Finding("blank", (File("gone.png", name, split, "ant"),), "word " * 40)
    offenders.draw(Report("x", 0, {"ant": {"train": 1, "val": 0, "test": 0}}, [], [finding]), "sheet.png")
    card = [(y, text) for x, y, text in of(strokes, "text") if x == 24 and y >= 142]
    assert [y for y, _ in card] == [142 + 123, 142 + 135, *(142 + 148 + 12 * line for line in range(5))]
    assert card[-1][1].endswith("word …")
    assert card[:2] == [(265, f"{split} / ant"), (277, shown)]


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
    width = int(max(left + side + 70, 520) + 24) - 48
    assert of(strokes, "text")[:3] == [
        (24, 24, "t"), (24, 50, "4 images, 75.0% right"), (left, 78, "predicted class →")]
    assert looks(strokes).items() >= {
        "t": [18, INK, True, "left", width], "4 images, 75.0% right": [13, FAINT, False, "left", None],
        "predicted class →": [13, FAINT, False, "left", None], "right": [12, RIGHT, False, "left", None],
        "wrong": [12, WRONG, False, "left", None], "0 to 100%": [12, FAINT, False, "left", None],
        "of the row's images; the numbers are counts": [12, FAINT, False, "left", None],
        "a": [13, INK, False, "right", 230], "0": [13, LINE, False, "centre", None],
        "precision": [13, FAINT, False, "right", None]}.items()
    assert of(strokes, "upward") == [
        (34, top + 120, "← true class", 13, FAINT, 200),
        *((left + 52 * i + 26, top - 8, name, 13, INK, 230) for i, name in enumerate("abc")),
        (left + side + 38, top - 8, "recall", 13, FAINT, 80)]
    assert [(x, y) for x, y, text in of(strokes, "text") if text in ("a", "b", "c")] == [
        (left - 8, top + 52 * i + 26 - 13 * 0.65) for i in range(3)]
    assert [(x, y) for x, y, text in of(strokes, "text") if text == "precision"] == [(left - 8, top + side + 14)]
    assert [box[:4] for box in of(strokes, "box")] == [
        (left + 52 * j, top + 52 * i, 52, 52) for i in range(3) for j in range(3)]
    assert [box[4] for box in of(strokes, "box")] == [
        tuple(map(int, colour)) for row in confusion.shades(found.confusion_matrix) for colour in row]
    assert of(strokes, "image") == [(x + 46, top + side + 54, 60, 13, False) for x in (24, 274)]
    for [bar], name in zip(of(strokes, "pixels"), ("blues", "oranges"), strict=True):
        colours = np.asarray(bar)
        assert (colours == colours[:1]).all()
        assert (colours[0] == ramp(name)[np.round(np.linspace(0, 1, 60) * 255).astype(int)]).all()


@pytest.mark.parametrize(("count", "cell", "size", "every"), [(12, 52, 13, 1), (13, 38, 13, 1), (30, 38, 13, 1),
                                                              (31, 26, 11, 5)])
def test_more_classes_have_smaller_cells(count: int, cell: int, size: int, every: int,
                                         strokes: list[tuple[Any, ...]]) -> None:
    """Of 13 classes on, cells without images stay empty; shares of narrow columns have no sign."""
    labels = np.arange(2 * count) % count
    guesses = np.where(np.arange(2 * count) < count, labels, (labels + 1) % count)
    confusion.draw(score(np.eye(count)[guesses], labels, [f"c{i}" for i in range(count)]), "confusion.png", "t")
    assert {box[2:4] for box in of(strokes, "box")} == {(cell, cell)}
    drawn = [text for *_, text in of(strokes, "text")]
    assert (drawn.count("1"), drawn.count("0")) == (2 * count, count * (count - 2) if count == 12 else 0)
    assert looks(strokes)["1"][:2] == [size, INK]
    assert drawn.count("50%") == (2 if cell >= 34 else 1) * count
    assert (drawn.count("50"), looks(strokes).get("50", [10])[0]) == (0 if cell >= 34 else count, 10)
    assert len(of(strokes, "line")) == 2 * len(range(0, count + 1, every))


def test_wide_counts_widen_cells_and_dark_ones_are_white(strokes: list[tuple[Any, ...]],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confusion, "text_width", lambda text, size: 9.6 * len(text))
    matrix = np.array([[1_234_567, 0], [1, 1]])
    found = replace(score(np.eye(2), np.arange(2), ["a", "b"]), confusion_matrix=matrix)
    confusion.draw(found, "confusion.png", "t")
    assert {box[2:4] for box in of(strokes, "box")} == {(94, 94)}
    ink = {(place, text): look[1] for place, ((_, _, text), (_, *look)) in enumerate(zip(
        of(strokes, "text"), of(strokes, "look"), strict=True)) if text in ("1,234,567", "0", "1")}
    assert [(text, colour) for (_, text), colour in ink.items()] == [
        ("1,234,567", PAPER), ("0", LINE), ("1", PAPER), ("1", INK)]


def test_shades_are_shares_of_the_row() -> None:
    """Blue on the diagonal; half of a class taken for one other is as bad as it gets."""
    shown = confusion.shades(np.array([[1, 0, 0], [1, 2, 1], [0, 1, 1]]))
    blues, oranges = ramp("blues"), ramp("oranges")
    assert [shown[i, j].tolist() for i, j in ((0, 0), (0, 1), (1, 1), (1, 0), (2, 1), (2, 2))] == [
        blues[255].tolist(), oranges[0].tolist(), blues[128].tolist(), oranges[128].tolist(), oranges[255].tolist(),
        blues[128].tolist()]


@pytest.mark.parametrize(("count", "kind"), [(120, "_Matrix"), (121, "_Overview")])
def test_of_more_than_120_classes_there_is_an_overview(count: int, kind: str, strokes: list[tuple[Any, ...]],
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    class Chosen(Exception):
        pass

    def choose(*_: Any) -> None:
        raise Chosen

    monkeypatch.setattr(confusion, kind, choose)
    with pytest.raises(Chosen):
        confusion.draw(score(np.eye(count)[:1], np.array([0]), ["x"] * count), "confusion.png", "t")


@pytest.mark.parametrize(("count", "pixels", "cell", "every"), [
    (121, 1600, 13, 1), (133, 1600, 12, 1), (134, 1600, 11, 2), (121, 121, 1, 12), (121, 120, 120 / 121, 13)])
def test_an_overview_has_as_many_names_as_there_is_room_for(count: int, pixels: int, cell: float, every: int,
                                                            strokes: list[tuple[Any, ...]],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confusion, "OVERVIEW", pixels)
    named: list[int] = []
    monkeypatch.setattr(confusion._Sheet, "write_name", lambda self, i: named.append(i))
    monkeypatch.setattr(confusion, "text_width", lambda text, size: 50)
    confusion.draw(score(np.eye(count)[[0, 1]], np.array([0, 1]), ["x"] * count), "confusion.png", "t")
    assert named == list(range(0, count, every))
    left, top, side = 24 + 38 + 50, 24 + 86 + 50, round(count * cell)
    assert (left, top, side, side, False) in of(strokes, "image")
    assert of(strokes, "line") == [(left, top, left + side, top), (left, top, left, top + side),
                                   (left, top + side, left + side, top + side),
                                   (left + side, top, left + side, top + side)]
    assert "of the row's images; the counts are in confusion.csv" in looks(strokes)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep matplotlib's figures instead of making pixels of them."""
    import matplotlib.figure  # noqa: F401  (here, because it takes long)

    kept: list[Any] = []
    for drawing in (curves, rates):
        monkeypatch.setattr(drawing, "save", lambda figure, path, kind: kept.append(figure))
    return kept


def test_lines_of_charts_are_thin_and_grey(figures: list[Any]) -> None:
    curves.draw([{"epoch": 1, "train_loss": 1.0}, {"epoch": 2, "train_loss": 0.5}], "curves.png", "runs/a")
    rates.draw([0.1, 1], [2, 1], [2, 1], "lr.png", "runs/a", None)
    assert [(figure.get_size_inches() * figure.dpi).round().tolist() for figure in figures] == [[1430, 462], [880, 506]]
    assert figures[0].get_suptitle() == "runs/a"
    labels = [("epoch", ""), ("epoch", ""), ("epoch", ""), ("learning rate", "loss (cross-entropy, nats)")]
    for axes, said in zip([*figures[0].axes, *figures[1].axes], labels, strict=True):
        grid = axes.get_xgridlines()[0]
        assert (grid.get_color(), grid.get_linewidth()) == ("#e3e5e8", 0.8)
        assert axes.get_axisbelow()
        assert [name for name, spine in axes.spines.items() if not spine.get_visible()] == ["right", "top"]
        assert (axes.get_xlabel(), axes.get_ylabel()) == said
    places = [[round(side, 3) for side in axes.get_position().extents] for figure in figures for axes in figure.axes]
    assert places == [[0.05, 0.125, 0.326, 0.83], [0.381, 0.125, 0.657, 0.83], [0.712, 0.125, 0.988, 0.83],
                      [0.09, 0.13, 0.97, 0.88]]
