"""What the tests of pictures share: a record of every word and picture on a sheet and where it stands, so that a test
can say that all of it is there, on the paper, that no two lie on each other, and that the paper is no larger than that.
"""

from collections.abc import Iterator

import pytest
from PIL import Image

from cnncli.errors import printable
from cnncli.visualize import canvas
from cnncli.visualize.canvas import Canvas

Box = tuple[float, float, float, float]


class Words:
    """The words drawn, with their boxes (left, top, right, bottom), and the boxes of pictures."""

    def __init__(self) -> None:
        self.drawn: list[tuple[str, Box]] = []
        self.pictures: list[Box] = []

    @property
    def texts(self) -> list[str]:
        return [text for text, _ in self.drawn]

    def check(self, sheet: tuple[int, int]) -> None:
        """Fail where a word leaves the sheet of (width, height) or covers another."""
        assert self.drawn
        _check(self.drawn, sheet)

    def check_all(self, sheet: tuple[int, int], margin: int, spare: tuple[int, int]) -> None:
        """Fail, too, where a picture does, or where beside and below what is on the sheet there is less than a margin,
        or more than that and what is to spare."""
        assert self.pictures
        everything = self.drawn + [("a picture", box) for box in self.pictures]
        _check(everything, sheet)
        ends = [max(box[side] for _, box in everything) for side in (2, 3)]
        for name, size, end, more in zip(("wide", "high"), sheet, ends, spare, strict=True):
            assert margin <= size - end <= margin + more, f"{size} pixels {name}, and all ends at {end}"


def _check(drawn: list[tuple[str, Box]], sheet: tuple[int, int]) -> None:
    for text, (left, top, right, bottom) in drawn:
        assert min(left, top, sheet[0] - right, sheet[1] - bottom) >= 0, f"{text!r} leaves the sheet"
    for i, (text, a) in enumerate(drawn):
        for other, b in drawn[i + 1 :]:
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart, f"{text!r} at {a} and {other!r} at {b} lie on each other"


def record(monkeypatch: pytest.MonkeyPatch) -> Iterator[Words]:
    """Record what Canvas.text and Canvas.text_upward write, and Canvas.paste pastes."""
    words = Words()
    text, upward, paste = Canvas.text, Canvas.text_upward, Canvas.paste
    inside = []

    def recorded_text(self, x, y, what, size=13, fill=canvas.INK, *, bold=False, align="left", width=None):
        shown = printable(what) if width is None else canvas.fit(what, width, size, bold=bold)
        wide = canvas.text_width(shown, size, bold=bold)
        left = x - {"left": 0.0, "centre": 0.5, "right": 1.0}[align] * wide
        if not inside and shown:
            words.drawn.append((shown, (left, y + 0.2 * size, left + wide, y + size)))
        text(self, x, y, what, size, fill, bold=bold, align=align, width=width)

    def recorded_upward(self, x, y, what, size=13, fill=canvas.INK, *, width):
        shown = canvas.fit(what, width, size)
        wide = canvas.text_width(shown, size)
        words.drawn.append((shown, (x - size / 2, y - wide, x + size / 2, y)))
        inside.append(True)
        upward(self, x, y, what, size, fill, width=width)
        inside.pop()

    def recorded_paste(self, image: Image.Image, x, y, *, frame=False):
        words.pictures.append((x, y, x + image.width, y + image.height))
        paste(self, image, x, y, frame=frame)

    monkeypatch.setattr(Canvas, "paste", recorded_paste)
    monkeypatch.setattr(Canvas, "text", recorded_text)
    monkeypatch.setattr(Canvas, "text_upward", recorded_upward)
    yield words


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Iterator[Words]:
    """Give the words that the test's pictures consist of."""
    yield from record(monkeypatch)
