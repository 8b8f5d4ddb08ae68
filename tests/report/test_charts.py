"""report/charts.py: every mark of a drawing lies where its number says, on a sheet of 340 x 300 with the axes from 44
to 318 and from 260 up to 24."""

import re

import numpy as np
import pytest

from cnncli.model.calibration import Bin, coverage
from cnncli.report import charts


def places(drawing: str, tag: str, kind: str, *names: str) -> list[tuple[float, ...]]:
    """The attributes of all elements of a class."""
    found = re.findall(rf'<{tag} class="{kind}"([^>]*)', drawing)
    return [tuple(float(re.search(rf'\b{name}="([-\d.]+)"', each)[1]) for name in names) for each in found]  # type: ignore[index]


def path(drawing: str, kind: str) -> list[tuple[float, float]]:
    [found] = re.findall(rf'<path class="{kind}" d="([^"]*)"', drawing)
    return [(float(x), float(y)) for x, y in re.findall(r"([-\d.]+) ([-\d.]+)", found)]


def words(drawing: str) -> list[tuple[str, float, float]]:
    found = re.findall(r'<text[^>]* x="([-\d.]+)" y="([-\d.]+)"[^>]*>([^<]*)', drawing)
    return [(text, float(x), float(y)) for x, y, text in found]


def test_an_interval_is_a_bar_with_a_line_over_it() -> None:
    drawn = charts.interval(0.5, 0.4, 0.75)
    assert places(drawn, "rect", "right", "width") == [(50,)]
    assert places(drawn, "rect", "whisker", "x", "width") == [(40, 35)]
    assert places(charts.interval(1, 1, 1), "rect", "whisker", "x", "width") == [(100, 0.6)], "still seen"
    assert places(charts.interval(0.5, 0.4, 0.75, "other"), "rect", "other", "width") == [(50,)]


def test_reliability_stands_on_its_axes() -> None:
    """From 216 up to 24, for below are the bars that count: 30 pixels for the most images."""
    bins = [Bin(0.0, 0.5, 10, 0.25, 0.5), Bin(0.5, 1.0, 40, 0.9, 0.75)]
    drawn = charts.reliability(bins, "x")
    assert (bins[0].images, bins[0].confidence, bins[0].accuracy) == (10, 0.25, 0.5), "what the fields are"
    box = ("x", "y", "width", "height")
    assert places(drawn, "rect", "right", *box) == [(44, 168, 136, 48), (181, 72, 136, 144)], "up to the lower of both"
    assert places(drawn, "rect", "shy", *box) == [(44, 120, 136, 48)], "half are right, where a quarter should be"
    assert places(drawn, "rect", "sure", *box) == [(181, 43.2, 136, 28.8)], "three quarters, where 0.9 should be"
    assert re.findall(r'class="said" d="M([\d.]+) ([\d.]+)h136.0"', drawn) == [("44.0", "168.0"), ("181.0", "43.2")]
    assert places(drawn, "rect", "count", *box) == [(44, 252.5, 136, 7.5), (181, 230, 136, 30)]
    assert not places(charts.reliability([Bin(0.0, 1.0, 9, 0.5, 0.5)], "x"), "rect", "shy", *box)
    assert path(drawn, "diagonal") == [(44, 216), (318, 24)]
    assert [bar[3] for bar in places(charts.reliability([Bin(0, 0.5, 1, 0.1, 1), Bin(0.5, 1, 90, 1, 1)], "x"), "rect",
                                     "count", *box)] == [1, 30], "still seen"
    assert '<path class="axis" d="M44 260H318"/>' in drawn
    assert re.findall(r'class="grid" d="M44 ([\d.]+)H318"', drawn) == [
        "216.0", "177.6", "139.2", "100.8", "62.4", "24.0"]
    assert drawn.index('"grid"') < drawn.index('"right"'), "the lines lie below"
    assert {("0 %", 44, 275), ("100 %", 318, 275), ("40 %", 153.6, 275), ("0 %", 39, 220), ("100 %", 39, 28),
            ("probability of the answer", 181, 293), ("right", 44, 14)} <= set(words(drawn))


@pytest.mark.parametrize(("wrong", "ticks"), [
    (0, ["99 %", "100 %"]), (4, ["96 %", "97 %", "98 %", "99 %", "100 %"]),
    (7, ["92 %", "94 %", "96 %", "98 %", "100 %"]), (20, ["80 %", "85 %", "90 %", "95 %", "100 %"]),
    (25, ["75 %", "80 %", "85 %", "90 %", "95 %", "100 %"]), (50, ["50 %", "60 %", "70 %", "80 %", "90 %", "100 %"]),
    (60, ["40 %", "60 %", "80 %", "100 %"])])
def test_coverage_begins_below_the_lowest_accuracy(wrong: int, ticks: list[str]) -> None:
    """Of 100 images the least sure ones are wrong."""
    right = np.arange(100) < 100 - wrong
    curve = coverage(np.linspace(1, 0.5, 100), right)
    drawn = charts.coverage(curve, [(1.0, 1 - wrong / 100, "0.9"), (0.5, 1.0, "0.99")], "x")
    lines = [text for text, x, _ in words(drawn) if x == 39]
    assert lines == ticks
    floor = float(ticks[0].split()[0]) / 100

    def y(accuracy: float) -> float:
        return pytest.approx(260 - 236 * (accuracy - floor) / (1 - floor), abs=0.06)  # type: ignore[no-any-return]

    assert places(drawn, "circle", "mark", "cx", "cy") == [(318, y(1 - wrong / 100)), (181, 24)]
    written = {text: (x, top) for text, x, top in words(drawn) if text.startswith("0.9")}
    assert written == {"0.9": (324, pytest.approx(y(1 - wrong / 100).expected - 7, abs=0.06)), "0.99": (187, 17)}
    anchors = {text: anchor for anchor, text in re.findall(r'text-anchor="(\w+)">(0\.9+)<', drawn)}
    assert anchors == {"0.9": "end", "0.99": "start"}
    points = path(drawn, "curve")
    assert points[-1] == (318, y(1 - wrong / 100))
    assert points[0][1] == 24
    assert len(points) == 100
    named = {("0 %", 44, 275), ("100 %", 318, 275), ("share of images with an answer", 181, 293)}
    assert named <= set(words(drawn))


def test_the_surest_answers_do_not_squeeze_the_curve() -> None:
    """Of 100 images the surest is wrong: the curve begins at 0, which is not drawn."""
    curve = coverage(np.linspace(1, 0.5, 100), np.arange(100) > 0)
    drawn = charts.coverage(curve, [], "x")
    assert path(drawn, "curve")[0][1] == 260, "at the floor"
    assert next(text for text, x, _ in words(drawn) if x == 39) == "80 %"
    drawn = charts.coverage(coverage(np.linspace(1, 0.5, 20), np.arange(20) > 0), [], "x")
    assert next(text for text, x, _ in words(drawn) if x == 39) == "0 %", "a twentieth of them does"


@pytest.mark.parametrize(("images", "count"), [(2999, 335), (3000, 301)])
def test_long_curves_have_300_points_and_their_end(images: int, count: int) -> None:
    curve = coverage(np.linspace(1, 0.5, images), np.ones(images, bool))
    points = path(charts.coverage(curve, [], "x"), "curve")
    assert len(points) == count
    assert points[-1] == (318, 24)
