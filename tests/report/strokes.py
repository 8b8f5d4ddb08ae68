"""What is drawn on a sheet, stroke by stroke: for tests of where things stand and how they look."""

from pathlib import Path
from typing import Any

import pytest

from cnncli.visualize.canvas import INK, Canvas


@pytest.fixture
def strokes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Give what is drawn: ("sheet", width, height), ("image", x, y, width, height, frame), ("pixels", image) of each of
    these, ("line", x, y, x, y),
    ("box", x, y, width, height, colour), ("text", x, y, words), and ("look", words, size, colour, bold, align, width)
    of each text; ("upward", x, y, words, size, colour, width)."""
    kept: list[tuple[Any, ...]] = []
    begin = Canvas.__init__

    def text(self: Canvas, x: float, y: float, words: str, size: int = 13, fill: Any = INK, *, bold: bool = False,
             align: str = "left", width: float | None = None) -> None:
        kept.extend([("text", x, y, words), ("look", words, size, fill, bold, align, width)])

    def upward(self: Canvas, x: float, y: float, words: str, size: int = 13, fill: Any = INK, *, width: float) -> None:
        kept.append(("upward", x, y, words, size, fill, width))

    monkeypatch.setattr(Canvas, "__init__", lambda self, w, h: (kept.append(("sheet", w, h)), begin(self, w, h))[1])
    monkeypatch.setattr(Canvas, "paste", lambda self, image, x, y, frame=False: kept.extend(
        [("image", x, y, *image.size, frame), ("pixels", image)]))
    monkeypatch.setattr(Canvas, "line", lambda self, *where: kept.append(("line", *where[:4])))
    monkeypatch.setattr(Canvas, "rectangle", lambda self, *box: kept.append(("box", *box)))
    monkeypatch.setattr(Canvas, "text", text)
    monkeypatch.setattr(Canvas, "text_upward", upward)
    monkeypatch.setattr(Canvas, "save", lambda self, path, *more, **rest: Path(path))
    return kept


def of(strokes: list[tuple[Any, ...]], kind: str) -> list[tuple[Any, ...]]:
    return [stroke[1:] for stroke in strokes if stroke[0] == kind]


def looks(strokes: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Return size, colour, bold, align and width of each text."""
    return {what: look for what, *look in of(strokes, "look")}
