"""explain/picture.py: where pictures and words stand on the picture of an image's explanations, in pixels, and how
words look."""

from dataclasses import replace
from typing import Any

import cnncli
from cnncli.data.boxes import Box
from cnncli.explain.explanation import Beside, Explanation
from cnncli.explain.picture import draw, pixels_of
from cnncli.visualize.canvas import FAINT, INK

from ..report.strokes import looks, of, strokes
from .test_explanation import lit, sides

__all__ = ["strokes"]


def explained(*targets: str, method: str = "hirescam", size: tuple[int, int] = (24, 36)) -> list[Explanation]:
    return [cnncli.explain(sides(), lit(size[1] * 3 // 4, size[0] * 5 // 8, size), target=target, method=method)
            for target in targets]


def drawn(*targets: str, **how: Any) -> None:
    found = explained(*targets, **how)
    draw(found, "a.png in sides", pixels_of(found[0]))


def test_two_maps_stand_beside_the_image(strokes):
    """36 x 24 pixels, 11 times as large: 20 between panels, 52 below for words, 40 for the scale of the colours."""
    drawn("right", "left")
    lines = [word for word in of(strokes, "text") if word[0] == 24 and word[1] >= 440]
    assert of(strokes, "sheet") == [(24 + 3 * 396 + 2 * 20 + 24, 84 + 264 + 52 + 40 + 18 * len(lines) + 24)]
    assert of(strokes, "image") == [(24, 84, 396, 264, True), (440, 84, 396, 264, True), (856, 84, 396, 264, True),
                                    (440, 400, 200, 10, True)]
    words = of(strokes, "text")
    assert words[:7] == [(24, 20, "right, 33.8%"), (24, 48, "a.png in sides"), (24, 356, "36 x 24 pixels"),
                         (440, 356, "what speaks for right"), (440, 375, "probability 33.8%"),
                         (856, 356, "what speaks for left"), (856, 375, "nothing at relu1 speaks for left")]
    assert [(x, y, said.split()[0]) for x, y, said in words[7:10]] == [(440, 413, "against"), (540, 413, "0"),
                                                                       (640, 413, "for")]
    assert [word[:2] for word in lines] == [(24, 440 + 18 * i) for i in range(len(lines))]
    assert lines[0][2].startswith("HiResCAM: What each position")
    assert looks(strokes).items() >= {
        "right, 33.8%": [20, INK, True, "left", 1228], "a.png in sides": [12, FAINT, False, "left", 1228],
        "36 x 24 pixels": [12, FAINT, False, "left", None], "what speaks for left": [13, INK, True, "left", 396],
        "probability 33.8%": [12, FAINT, False, "left", 396], "0": [11, FAINT, False, "centre", None]}.items()


def test_a_narrow_image_has_room_for_its_words_and_a_sheet_for_its_title(strokes):
    drawn("right", size=(60, 20))
    assert [sheet[0] for sheet in of(strokes, "sheet")] == [560]
    assert of(strokes, "image")[:2] == [(24, 84, 140, 420, True), (264, 84, 140, 420, True)]
    assert looks(strokes)["what speaks for right"][4] == 220


def test_a_large_image_is_made_smaller(strokes):
    drawn("right", size=(560, 840))
    assert of(strokes, "image")[:2] == [(24, 84, 420, 280, True), (464, 84, 420, 280, True)]


def test_a_method_whose_maps_have_no_other_side_has_half_a_scale(strokes):
    drawn("right", method="layercam")
    assert of(strokes, "image")[-1] == (440, 400, 100, 10, True)
    assert [(x, said.split()[0]) for x, y, said in of(strokes, "text") if y == 413] == [(440, "0"), (540, "for")]
    assert looks(strokes)["0"][3] == "left"


def test_a_box_is_on_the_image_and_on_the_map():
    """A light line, two dark ones and a light one, from its own edges inwards: eleven pixels of the sheet for each."""
    [found] = explained("right")
    plain = draw([found], "a", pixels_of(found)).image.convert("L")
    framed = replace(found, besides=(Beside([], {}, Box(6, 3, 18, 12)),))
    made = draw([framed], "a", pixels_of(framed)).image.convert("L")
    for left in (24 + 66, 440 + 66):
        right, top, bottom = left + 12 * 11 - 1, 84 + 33, 84 + 12 * 11 - 1
        middle = top + 50
        for x, step in ((left, 1), (right, -1)):
            assert [made.getpixel((x + step * i, middle)) > 200 for i in range(4)] == [True, False, False, True]
            assert made.getpixel((x - step, middle)) == plain.getpixel((x - step, middle))
            assert made.getpixel((x + 4 * step, middle)) == plain.getpixel((x + 4 * step, middle))
        for y, step in ((top, 1), (bottom, -1)):
            assert [made.getpixel((left + 50, y + step * i)) > 200 for i in range(4)] == [True, False, False, True]
            assert made.getpixel((left + 50, y - step)) == plain.getpixel((left + 50, y - step))
