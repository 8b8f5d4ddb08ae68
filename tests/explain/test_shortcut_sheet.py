"""explain/shortcut_sheet.py: where things stand on the sheet, and what is said beneath each image."""

import numpy as np
import pytest
from PIL import Image

from cnncli.explain.moving import Moved
from cnncli.explain.pasting import Known, Pasted
from cnncli.explain.places import Place
from cnncli.explain.shortcut_sheet import _tile, draw
from cnncli.explain.shortcuts import Shortcut, Shortcuts
from cnncli.visualize.canvas import FAINT, INK, Canvas

from ..report.strokes import looks, of, strokes
from .shortcutting import CLASSES, EACH, MARK, SIDE, images, network

__all__ = ["strokes"]
MODEL = network(True)
TOP = 2 * EACH  # where the images of "top" begin
SHORT = "brightness counts"


def found(shortcut: bool = True, moved: bool = False, pairs: int = 5) -> Shortcuts:
    """What a search would find: the mark decides; and, perhaps, brightness does."""
    pixels, labels = images(True)
    place, mine = Place(*MARK, (SIDE, SIDE)), np.arange(TOP, TOP + EACH)
    pasted = Pasted(place, 24, 24, 0, 99.0, 50.0, EACH, EACH, [(i, int(mine[i % 4])) for i in range(pairs)])
    light = Moved("left", "brightness", "bright", 0.9, 12, 8, 0, True,
                  [(TOP + i, np.full_like(pixels[0], 200 + i)) for i in range(2)])
    return Shortcuts("birds", CLASSES, 36, 0, 3, [Shortcut("top", ("stamp",), 1.0, 0.0, pasted, True)] * shortcut, [],
                     [], [light] * moved, {}, [], Known(pixels, labels, MODEL.logits(pixels)))


def test_where_things_stand(strokes) -> None:
    """Three images of the class, what lies there, three others before and after."""
    draw(found(), MODEL)
    assert of(strokes, "sheet") == [(1368, 322)]
    shown = of(strokes, "image")
    assert [(x, y) for x, y, *_ in shown] == [(x, 134) for x in (24, 152, 280, 428, *range(576, 1300, 128))]
    assert all((width, height, framed) == (120, 120, True) for *_, width, height, framed in shown)
    heads = [(x, y, words) for x, y, words in of(strokes, "text") if y in (20, 114)]
    assert heads == [(24, 20, "Shortcuts of birds"), (24, 114, "images of top"), (428, 114, "what lies there"),
                     (576, 114, "others before and after it is pasted")]
    assert looks(strokes).items() >= {
        "Shortcuts of birds": [18, INK, True, "left", 1320], "images of top": [12, INK, True, "left", 384],
        "what lies there": [12, INK, True, "left", 120], "says top": [11, INK, True, "left", 120],
        "others before and after it is pasted": [12, INK, True, "left", 768]}.items()
    lines = [words for x, y, words in of(strokes, "text") if y in (68, 88)]
    assert " ".join(lines) == found().found[0].sentence
    assert [(x, y) for x, y, words in of(strokes, "text") if words.startswith("says ")] == [
        (x, 256) for x, *_ in shown if x != 428]


def test_what_is_said_before_and_after(strokes) -> None:
    draw(found(), MODEL)
    known, label = found().known, CLASSES.index("top")
    beneath = [words for *_, words in of(strokes, "text") if words.startswith("says ")]
    bold = [look[3] for look in of(strokes, "look") if look[0].startswith("says ")]
    colours = [look[2] for look in of(strokes, "look") if look[0].startswith("says ")]
    assert beneath == ["says top"] * 3 + [words for i in range(3) for words in (
        f"says {CLASSES[known.answers[i]]}", "says top")]
    assert label not in known.answers[:3]
    assert bold == [False] * 3 + [False, True] * 3
    assert colours == [INK if each else FAINT for each in bold]


def test_what_is_shown_is_what_was_pasted(strokes) -> None:
    """Images of the class and what one of them has at the place; others before, and after with that in them. Lines lie
    around the place, three pixels wide, and leave what is in it as it is."""
    draw(found(), MODEL)
    shown, pixels = [np.asarray(image)[..., 0] for image, in of(strokes, "pixels")], found().known.pixels
    assert np.array_equal(shown[3], enlarged(pixels[TOP, 11:15, 12:16]))
    pasted = pixels[:3].copy()
    pasted[:, 11:15, 12:16] = pixels[TOP : TOP + 3, 11:15, 12:16]
    for number, image in zip((0, 1, 2, 4, 6, 8, 5, 7, 9), (*pixels[TOP : TOP + 3], *pixels[:3], *pasted), strict=True):
        wanted, marked = enlarged(image), number in (0, 1, 2, 5, 7, 9)
        assert np.array_equal(shown[number][:78], wanted[:78]), "above the place"
        assert np.array_equal(shown[number][82:112, 90:], wanted[82:112, 90:]), "in it"
        assert np.array_equal(shown[number], wanted) is not marked
        assert not marked or (np.unique(shown[number][79, 90:]).tolist(), shown[number][80, 100]) == ([255], INK[0])


def enlarged(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image[..., 0]).resize((120, 120), Image.Resampling.NEAREST))


@pytest.mark.parametrize(("shortcut", "moved", "height"), [(True, True, 552), (False, True, 322), (False, False, 128)])
def test_properties_and_nothing(shortcut: bool, moved: bool, height: int, strokes) -> None:
    draw(found(shortcut, moved), MODEL)
    assert of(strokes, "sheet") == [(1368, height)]
    words = [each for *_, each in of(strokes, "text")]
    assert any(SHORT in each for each in words) is moved
    assert ("others before and after that is moved" in words) is moved
    assert any(each.startswith("No shortcut was found") for each in words) is not (shortcut or moved)
    if moved:
        assert words.count("images of left") == 1
        assert len(of(strokes, "image")) == 3 + 2 * 2 + (3 + 1 + 6) * shortcut


@pytest.mark.parametrize(("size", "shown"), [((480, 240), (60, 120)), ((240, 480), (120, 60)), ((8, 16), (120, 60)),
                                             ((500, 1), (1, 120)), ((1, 500), (120, 1)), ((120, 120), (120, 120))])
def test_an_image_has_its_longer_side_on_the_sheet(size: tuple[int, int], shown: tuple[int, int], strokes) -> None:
    """Width by height; a large one is made smaller by means, with a place where it is then."""
    pixels = np.zeros((*size, 1), np.uint8)
    pixels[:, 1::2] = 200
    _tile(Canvas(300, 300), pixels, 10.5, 20, "beneath", bold=True)
    assert of(strokes, "image") == [(10.5, 40, *shown, True)]
    assert of(strokes, "text") == [(10.5, 162, "beneath")]
    if size == (240, 480):
        [[image]] = of(strokes, "pixels")
        assert set(np.unique(np.asarray(image))) == {100}
        _tile(Canvas(300, 300), pixels, 0, 0, "", Place(80, 160, 160, 320, size))
        lines = np.argwhere((np.asarray(of(strokes, "pixels")[1][0]) != 100).all(axis=2))
        assert (lines.min(axis=0).tolist(), lines.max(axis=0).tolist()) == ([17, 37], [42, 82])
