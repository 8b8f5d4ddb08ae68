"""explain/unit_sheet.py: what stands where on the sheet of a layer's filters."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data.outputs import claim
from cnncli.errors import UsageError
from cnncli.explain import unit_sheet
from cnncli.explain.explained_units import ExplainedUnits, Unit
from cnncli.explain.unit_sheet import UNITS, draw
from cnncli.explain.units import Window
from cnncli.visualize.canvas import FAINT, INK, Canvas, wrapped

from ..report.strokes import looks, of, strokes

__all__ = ["strokes"]


def unit_of(channel: int, count: int = 3, side: int = 8, depth: int = 3, shade: int = 10) -> Unit:
    patches = [np.full((side, side, depth), shade + 20 * i, np.uint8) for i in range(count)]
    answers = [np.full((side, side, depth), 0.5 * (-1) ** i, np.float32) for i in range(count)]
    return Unit(channel, [3.5 - i for i in range(count)], [f"{i}.png" for i in range(count)],
                [Window(0, 0, side, side)] * count, patches, answers, np.full((side, side, depth), 200, np.uint8), 9.25,
                [("boot", 1.5), ("a class with a long name that does not fit", 0.25)])


def explained(*units: Unit, **changed: object) -> ExplainedUnits:
    found = ExplainedUnits(
        name="small", layer="conv2", kind="Conv2d", activation=None, rectified=False, channels=len(units),
        wanted=len(units), telling=False, size=(28, 30), sees=(8, 8), image_count=1000, given=1000, answered=False,
        back="deconvnet", by_weights=False, names=[], skipped=[], units=list(units))
    return replace(found, **changed)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is written on sheets, as it is written."""
    said: list[str] = []
    real = Canvas.text

    def text(self: Canvas, x: float, y: float, words: str, *rest: object, **options: object) -> None:
        said.append(words)
        real(self, x, y, words, *rest, **options)

    monkeypatch.setattr(Canvas, "text", text)
    return said


@pytest.mark.slow
def test_every_part_of_a_filter_is_on_it(written):
    pixels = np.asarray(draw(explained(unit_of(0), unit_of(5, shade=100))).image)
    for shade in (10, 30, 50, 100, 120, 140):  # each patch, enlarged to 64 x 64 pixels
        assert 64 * 64 <= (pixels == shade).all(axis=2).sum() < 64 * 64 + 600
    assert (pixels == 200).all(axis=2).sum() >= 2 * 144 * 144
    for shade in (191, 64):  # 0.5 of the largest is all of it: 127.5 + 127.5
        assert (pixels == shade).all(axis=2).sum() < 600
    assert (pixels == 255).all(axis=2).any()
    for words in ("0", "5", "3.5", "2.5", "1.5", "0.5", "9.25", "boot", "+1.5", "+0.25"):
        assert words in written
    said = " ".join(written)
    for words in ("Each place of conv2 sees 8 x 8 pixels", "1,000 images", "do, in standard deviations: 0.2",
                  "bright is where more light excites it", "proves nothing", "What the filters of conv2 look for"):
        assert words in said


@pytest.mark.slow
@pytest.mark.parametrize(("changed", "words"), [
    ({"sees": None}, "sees all of the image"),
    ({"channels": 99}, "2 of 99 are shown"),
    ({"image_count": 640}, "640 of 1,000 images"),
    ({"answered": True}, "as the model answers"),
    ({"back": "guided"}, "reacts to, by guided backpropagation;"),
    ({"by_weights": True}, "by the weights of the last layer"),
    ({"activation": "relu2", "rectified": True}, "Only those above 0 pass relu2 and reach the rest"),
    ({"activation": "silu2"}, "network gets what silu2 makes of them. To see that: cnn explain --units silu2"),
])
def test_what_it_says_of_itself(changed, words, written):
    draw(explained(unit_of(0), unit_of(1), **changed))
    assert words in " ".join(written)


@pytest.mark.parametrize(("answered", "searched"), [(False, False), (True, True)])
def test_what_its_notes_say(answered, searched):
    found = explained(unit_of(0), unit_of(1), answered=answered, image_count=640 if searched else 1000)
    said = " ".join(unit_sheet._notes(found))
    assert ("as the model answers, since the images have no labels" in said) is answered
    assert ("640 of 1,000 images" in said) is searched
    assert "sees 8 x 8 pixels" in said


def test_grey_images_are_answered_to_in_red_and_blue(written):
    pixels = np.asarray(draw(explained(unit_of(0, depth=1))).image).astype(int)
    red, blue = (((pixels[..., a] - pixels[..., b]) > 60).sum() for a, b in ((0, 2), (2, 0)))
    assert red >= 2 * 64 * 64
    assert blue >= 64 * 64
    assert "red is where more light excites it" in " ".join(written)


@pytest.mark.parametrize(("top", "rectified", "dead"), [
    (0.0, False, True), (-0.5, True, True), (-0.5, False, False), (0.5, True, False)])
def test_a_dead_filter_is_said_to_be_and_no_class_is_named(top, rectified, dead, written):
    draw(explained(replace(unit_of(0), values=[top, top, top], classes=[]), rectified=rectified))
    assert ("None of the images excites it." in written) == dead
    assert "no class" in written


@pytest.mark.slow
def test_many_and_large_and_few(written):
    tall = draw(explained(*[unit_of(i) for i in range(20)])).image
    short = draw(explained(unit_of(0))).image
    assert tall.height - short.height == 19 * 184
    widths = [draw(explained(unit_of(0, side=side, count=9))).image.width for side in (64, 65)]
    assert widths[1] - widths[0] == (9 + 2) * (96 - 64), "of more than 64 pixels more is shown"
    large = draw(explained(unit_of(0, side=130, count=9))).image
    assert large.width > draw(explained(unit_of(0, count=9))).image.width
    assert draw(explained(unit_of(0, count=1))).image.width >= 760
    assert draw(explained()).image.height > 100


@pytest.mark.parametrize(("side", "tile"), [(8, 64), (80, 96)])
def test_where_things_stand(side, tile, strokes):
    """A row has two lines of tiles, 6 apart, with 16 beneath each for its number; then what was made, as high as both,
    and 166 for the classes."""
    short = unit_of(5, side=side)
    dead = replace(unit_of(7, side=side), values=[0.0] * 3, classes=[], made=None, made_value=None)
    found = explained(unit_of(3, side=side), short, dead)
    draw(found)
    [(width, height)] = of(strokes, "sheet")
    made, speaks = 68 + 3 * (tile + 6) + 24, 68 + 3 * (tile + 6) + 48 + 2 * tile + 16
    assert width == max(speaks + 190 + 24, 760)
    words = of(strokes, "text")
    assert words[0] == (24, 20, "What the filters of conv2 look for, in small")
    heads = [word for word in words if word[2] in ("filter", "made to excite it", "speaks for")]
    top = heads[0][1] + 24
    assert heads == [(24, top - 24, "filter"), (made, top - 24, "made to excite it"), (speaks, top - 24, "speaks for")]
    assert (68, top - 24, "what excites it most") in words
    lines = sorted(y for x, y, _ in words if x == 24 and 20 < y < top - 24)
    assert lines == [50 + 18 * i for i in range(len(lines))]
    assert [said for x, y, said in words if y in lines] == [
        line for note in unit_sheet._notes(found) for line in wrapped(note, width - 48)]
    assert top == 24 + 36 + 18 * len(lines) + 34
    row = 2 * (tile + 16) + 24
    assert height == top + 3 * row + 24
    tiles = [(x, y) for x, y, w, h, frame in of(strokes, "image") if frame and (w, h) == (tile, tile)]
    assert tiles == [(68 + i * (tile + 6), top + k * row + under * (tile + 16))
                     for k in range(2) for i in range(3) for under in range(2)]
    large = [(x, y) for x, y, w, h, frame in of(strokes, "image") if frame and w > tile]
    room = 2 * tile + 16
    real = room if side > room // 2 else room // side * side
    assert large == [(made + (room - real) / 2, top + k * row + (room - real) / 2) for k in range(2)]
    for word in ((24, top + tile / 2 - 10, "3"), (24, top + row + tile / 2 - 10, "5"),
                 (68 + tile / 2, top + tile + 1, "3.5"), (68 + tile / 2, top + 2 * tile + 17, "0.5"),
                 (made + room / 2, top + room + 1, "9.25"), (speaks, top + 4, "boot"),
                 (speaks + 180, top + 4, "+1.5"), (speaks + 180, top + 24, "+0.25"),
                 (68, top + 2 * row + tile / 2 - 8, "None of the images excites it."),
                 (made, top + 2 * row + tile - 8, "not made"), (speaks, top + 2 * row + 4, "no class")):
        assert word in words, word
    assert looks(strokes).items() >= {
        "What the filters of conv2 look for, in small": [18, INK, True, "left", width - 48],
        "filter": [12, INK, True, "left", None], "speaks for": [12, INK, True, "left", None],
        "3": [16, INK, True, "left", None], "3.5": [10, FAINT, False, "centre", None],
        "boot": [13, INK, False, "left", 130], "+1.5": [12, FAINT, False, "right", None],
        "no class": [13, FAINT, False, "left", None], "not made": [13, FAINT, False, "left", None],
        "None of the images excites it.": [13, FAINT, False, "left", None]}.items()


def test_of_very_many_the_first_are_drawn(written, monkeypatch):
    monkeypatch.setattr(unit_sheet, "MOST", 2)
    sheet = draw(explained(*[unit_of(i, count=1) for i in (7, 8, 9)], channels=512)).image
    assert sheet.height == draw(explained(*[unit_of(i, count=1) for i in (7, 8)], channels=512)).image.height
    assert "2 of 512 are shown here, 3 on the page beside this sheet." in " ".join(written)
    assert "9" not in written


def test_a_sheet_has_64_rows_at_most():
    many = explained(*[unit_of(0, count=1)] * 65, channels=70)
    assert "; 64 of 70 are shown here, 65 on the page beside this sheet. Each place" in unit_sheet._notes(many)[0]
    assert "; 64 of 70 are shown here. Each place" in unit_sheet._notes(replace(many, units=many.units[:64]))[0]
    assert "Each row is one filter. Each place" in unit_sheet._notes(replace(many, units=many.units[:3], channels=3))[0]


def test_what_was_stopped_before_it_was_made_is_said_to_be(written):
    draw(explained(replace(unit_of(0), made=None, made_value=None)))
    assert "not made" in written


def test_it_is_known_again(tmp_path: Path) -> None:
    path = draw(explained(unit_of(0))).save(tmp_path / "units-conv2.png", UNITS)
    with Image.open(path) as image:
        assert re.match(r"cnn filters explained$", str(image.info["Software"]))
    with claim({path: UNITS}):
        pass
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="is not a picture of filters explained that cnn wrote"), claim({path: UNITS}):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("side", [40, 90, 96, 200])
def test_what_is_kept_for_the_sheet_is_what_it_shows(side):
    unit = unit_of(0, count=2, side=side)
    for answer in unit.answers:
        answer[...] = np.random.default_rng(side).normal(size=answer.shape)
    kept = unit_sheet.for_sheet(unit)
    assert kept.answers[0].shape == (min(side, 96), min(side, 96), 3)
    assert np.array_equal(np.asarray(draw(explained(kept)).image), np.asarray(draw(explained(unit)).image))


def test_single_numbers_leave_no_picture_grey_and_patches_fill_their_place(written):
    unit = unit_of(0, count=1, side=67)
    unit.answers[0][...] = 0.25
    unit.answers[0][0, 0] = 99
    pixels = np.asarray(draw(explained(unit)).image)
    assert (pixels == 255).all(axis=2).sum() > 96 * 96
    assert "0.25" in written
    assert 96 * 96 <= (pixels == 10).all(axis=2).sum() < 96 * 96 + 600


def test_what_goes_further_than_the_colours_has_the_last_of_them():
    answer = np.full((20, 20, 3), 0.25, np.float32)
    answer[:10] *= -1
    answer[0, 0], answer[19, 19] = -99, 99
    colours, most = unit_sheet.in_colours(answer, 20)
    assert most == 0.25
    assert (colours[:10] == 0).all()
    assert (colours[10:] == 255).all()
    colours, most = unit_sheet.in_colours(0 * answer, 20)
    assert (most, np.unique(colours).tolist()) == (0, [128])


def test_colours_of_what_is_made_smaller_are_of_the_mean():
    """Neighbours of different sign are no colour together: the colours reach to what is left of them."""
    answer = np.zeros((40, 80, 3), np.float32)
    answer[::2], answer[1::2] = 1, -1
    answer[:20, :, 0] += 0.5
    colours, most = unit_sheet.in_colours(answer, 20)
    assert colours.shape == (10, 20, 3)
    assert most == pytest.approx(0.5)
    assert (colours[:5, :, 0] == 255).all()
    assert set(np.unique(colours[5:])) <= {127, 128}
    assert unit_sheet.in_colours(answer, 80)[0].shape == (40, 80, 3)
    grey, most = unit_sheet.in_colours(answer[:, :, :1], 20)
    assert (grey.shape, most) == ((10, 20, 3), pytest.approx(0.5))
    assert grey[0, 0, 0] > grey[0, 0, 2], "red"
