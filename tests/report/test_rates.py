"""report/rates.py: which numbers the picture of a range test shows."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnncli.report import rates

RATES, LOSSES, SMOOTHED = [0.001, 0.01, 0.1, 1.0], [2.0, 1.0, 9.0, 40.0], [2.0, 1.5, 3.0, 20.0]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep the axes instead of making pixels of them."""
    import matplotlib.figure  # noqa: F401  (here, because it takes long)

    kept: list[Any] = []
    monkeypatch.setattr(rates, "save", lambda figure, path, kind: kept.append(figure.axes[0]))
    return kept


def test_losses_are_dots_smoothed_ones_a_line_and_the_suggestion_is_marked(drawn: list[Any]) -> None:
    rates.draw(RATES, LOSSES, SMOOTHED, "lr.png", "Learning rates", 0.05)
    [axes] = drawn
    dots, line, mark = axes.lines
    for drawing, heights, style in ((dots, LOSSES, "None"), (line, SMOOTHED, "-")):
        assert drawing.get_xydata().tolist() == [list(point) for point in zip(RATES, heights, strict=True)]
        assert drawing.get_linestyle() == style
    assert [line.get_label() for line in axes.lines] == ["each step", "smoothed", "suggested peak: 0.05"]
    assert mark.get_xdata() == [0.05, 0.05]
    assert (axes.get_xscale(), axes.get_title()) == ("log", "Learning rates")
    low, high = axes.get_ylim()
    assert (low, high) == pytest.approx((1 - 0.08, 1.6 * 2 - 0.6)), "what runs away further is cut off"


def test_a_flat_curve_has_a_tenth_of_room_above_it(drawn: list[Any]) -> None:
    rates.draw(RATES, [2.0] * 4, [2.0] * 4, "lr.png", "flat", None)
    assert drawn[0].get_ylim() == pytest.approx((2 - 0.008, 2.1))


@pytest.mark.slow
def test_without_a_suggestion_or_any_step_there_is_still_a_picture(drawn: list[Any]) -> None:
    rates.draw(RATES, LOSSES, SMOOTHED, "lr.png", "$x", None)
    assert len(drawn[0].lines) == 2
    rates.draw([], [], [], "lr.png", "nothing", None)
    assert len(drawn[1].lines) == 2


@pytest.mark.slow
def test_the_picture_is_a_png_of_that_size(tmp_path: Path) -> None:
    assert rates.draw(RATES, LOSSES, SMOOTHED, tmp_path / "lr.png", "Learning rates", 0.05) == tmp_path / "lr.png"
    with Image.open(tmp_path / "lr.png") as image:
        assert image.size == (880, 506)
