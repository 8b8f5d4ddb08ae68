"""What the tests of pictures share: a record of every word on a sheet and where it stands, so that a test can say that
all of it is there, on the paper, and that no two words lie on each other.
"""

from collections.abc import Iterator

import pytest

from cnncli.errors import printable
from cnncli.visualize import canvas
from cnncli.visualize.canvas import Canvas

Box = tuple[float, float, float, float]


class Words:
    """The words drawn, with their boxes (left, top, right, bottom)."""

    def __init__(self) -> None:
        self.drawn: list[tuple[str, Box]] = []

    @property
    def texts(self) -> list[str]:
        return [text for text, _ in self.drawn]

    def check(self, sheet: tuple[int, int]) -> None:
        """Fail where a word leaves the sheet of (width, height) or covers another."""
        assert self.drawn
        for text, (left, top, right, bottom) in self.drawn:
            assert min(left, top, sheet[0] - right, sheet[1] - bottom) >= 0, f"{text!r} leaves the sheet"
        for i, (text, a) in enumerate(self.drawn):
            for other, b in self.drawn[i + 1 :]:
                apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
                assert apart, f"{text!r} at {a} and {other!r} at {b} lie on each other"


def record(monkeypatch: pytest.MonkeyPatch) -> Iterator[Words]:
    """Record what Canvas.text and Canvas.text_upward write."""
    words = Words()
    text, upward = Canvas.text, Canvas.text_upward
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

    monkeypatch.setattr(Canvas, "text", recorded_text)
    monkeypatch.setattr(Canvas, "text_upward", recorded_upward)
    yield words


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Iterator[Words]:
    """Give the words that the test's pictures consist of."""
    yield from record(monkeypatch)
