"""The sheet that pictures are drawn on: colours mean what the words say, and any text can be written."""

import logging
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from cnncli.data.outputs import drawing
from cnncli.visualize import canvas
from cnncli.visualize.canvas import Canvas

HAIRY = "帽子 a$x^2$b new\nline \x1b[31m \udce9 ürün кошка عربي 👒 \u200e"


def test_ramps_run_from_end_to_end_and_diverge_from_white():
    for name in ("diverging", "blues", "oranges", "grey"):
        ramp = canvas.ramp(name)
        assert ramp.shape == (256, 3)
        assert len(np.unique(ramp, axis=0)) > 100
    assert canvas.signed(np.array([0.0]), 3.0).min() > 235
    minus, plus = canvas.signed(np.array([-1.0, 1.0]), 1.0).astype(int)
    assert minus[2] > minus[0] + 50, "negative is not blue"
    assert plus[0] > plus[2] + 50, "positive is not red"


def test_lightness_grows_along_the_sequential_ramps():
    for name, sign in (("blues", -1), ("oranges", -1), ("grey", 1)):
        light = canvas.ramp(name).astype(int) @ (299, 587, 114)
        assert (np.diff(light) * sign >= -300).all(), name


def test_values_beyond_the_range_and_a_range_of_nothing():
    ramp = canvas.ramp("blues")
    drawn = canvas.coloured(np.array([-9.0, 9.0, np.nan]), 0, 1, "blues")
    assert drawn.tolist() == [ramp[0].tolist(), ramp[255].tolist(), ramp[0].tolist()]
    assert (canvas.coloured(np.full((2, 2), 5.0), 5, 5, "blues") == ramp[0]).all()
    assert canvas.signed(np.zeros(1), 0).min() > 235, "filters of zeros must be white, not an extreme"


@pytest.mark.parametrize(("size", "side", "wanted"), [((28, 28), 140, (140, 140)), ((30, 20), 100, (90, 60)),
                                                     ((400, 200), 100, (100, 50)), ((1000, 1), 100, (100, 1))])
def test_fitted(size, side, wanted):
    assert canvas.fitted(Image.new("RGB", size), side).size == wanted


def test_enlarging_does_not_blur():
    image = canvas.picture(np.array([[0, 255]], np.uint8))
    assert sorted(set(np.asarray(canvas.fitted(image, 64)).ravel().tolist())) == [0, 255]


def ink(sheet):
    """The box of what is drawn: left, top, right, bottom; the last two beyond it."""
    rows, columns = np.nonzero((np.asarray(sheet.image) < 200).any(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def drawn(draw, width=300, height=200):
    sheet = Canvas(width, height)
    draw(sheet)
    return sheet


@pytest.mark.parametrize(("align", "part"), [("left", 0), ("centre", 0.5), ("right", 1)])
def test_words_stand_where_they_are_put(align, part):
    for size, bold in ((12, False), (30, True)):
        found = ink(drawn(lambda sheet, size=size, bold=bold: sheet.text(200, 40, "HamburgH", size, align=align,
                                                                         bold=bold), 400))
        width = canvas.text_width("HamburgH", size, bold=bold)
        begins = 200 - part * width
        assert found[0] == pytest.approx(begins + 0.1 * size, abs=2)
        assert found[2] == pytest.approx(begins + width - 0.1 * size, abs=2)
        assert found[1] == pytest.approx(40 + 0.25 * size, abs=2)
        assert found[3] == pytest.approx(40 + 1.2 * size, abs=3), "the g reaches below the line"
    assert canvas.text_width("HamburgH", 24) == pytest.approx(2 * canvas.text_width("HamburgH", 12), rel=0.05)
    assert canvas.text_width("H", bold=True) > canvas.text_width("H")
    assert canvas.text_width("H") == canvas.text_width("H", 13)
    assert ink(drawn(lambda sheet: sheet.text(10, 10, "HHHHHHHHHHHHHHHH", 13, width=60)))[2] <= 70


def test_lines_of_a_paragraph_stand_apart():
    ends = []
    sheet = drawn(lambda sheet: ends.append(sheet.paragraph(10, 20, ["one", "two", "three"], 20)))
    assert ends == [20 + 3 * 30]
    assert [ink(drawn(lambda sheet, y=y: sheet.text(10, y, "one", 20)))[1] - y for y in (20, 50)] == [
        ink(sheet)[1] - 20] * 2
    rows = (np.asarray(sheet.image) < 200).any(axis=(1, 2))
    assert not rows[46:52].any()
    assert rows[52:80].any()
    assert rows[82:110].any()


def test_words_that_read_upward():
    left, top, right, bottom = ink(drawn(lambda sheet: sheet.text_upward(100, 150, "HHHHHH", 20, width=500)))
    assert (left + right) / 2 == pytest.approx(100, abs=4)
    assert bottom == pytest.approx(148, abs=3)
    assert bottom - top == pytest.approx(canvas.text_width("HHHHHH", 20), abs=6)
    assert right - left == pytest.approx(15, abs=3)
    cut = ink(drawn(lambda sheet: sheet.text_upward(100, 150, "HHHHHHHHHHHH", 20, width=60)))
    assert cut[3] - cut[1] <= 60
    dark = np.asarray(drawn(lambda sheet: sheet.text_upward(100, 150, "HHH.......", 20, width=500)).image) < 200
    assert dark[:105].sum() < dark[105:].sum() / 3, "it begins below"


def test_what_is_painted_covers_what_it_says():
    sheet = np.asarray(drawn(lambda sheet: sheet.rectangle(10, 20, 30, 5, canvas.RIGHT)).image)
    rows, columns = np.nonzero((sheet == canvas.RIGHT).all(axis=2))
    assert (columns.min(), columns.max(), rows.min(), rows.max(), len(rows)) == (10, 39, 20, 24, 150)
    for size in ((0.9, 5), (5, 0.9)):
        assert (np.asarray(drawn(lambda sheet, size=size: sheet.rectangle(10, 20, *size, canvas.INK)).image) ==
                255).all()
    assert (np.asarray(drawn(lambda sheet: sheet.rectangle(10, 20, 1, 1, canvas.INK)).image) != 255).any(
        axis=2).sum() == 1
    black = Image.new("RGB", (8, 6))
    for frame in (False, True):
        sheet = np.asarray(drawn(lambda sheet, frame=frame: sheet.paste(black, 10.4, 19.6, frame=frame)).image)
        assert (sheet[20:26, 10:18] == 0).all()
        around = (sheet == canvas.LINE).all(axis=2)
        assert around.sum() == (2 * 10 + 2 * 6 if frame else 0)
        assert not frame or (around[19, 9:19].all() and around[26, 9:19].all() and around[19:27, [9, 18]].all())
    line = (np.asarray(drawn(lambda sheet: sheet.line(10.4, 20, 30, 20)).image) == canvas.LINE).all(axis=2)
    assert np.argwhere(line).tolist() == [[20, x] for x in range(10, 31)]


def test_a_scale_has_its_values_beneath_it(words):
    sheet = np.asarray(drawn(lambda sheet: sheet.scale(20, 30, -1, 3, "diverging")).image)
    ramp = canvas.ramp("diverging")
    assert (sheet[30:40, 20] == ramp[0]).all()
    assert (sheet[30:40, 179] == ramp[255]).all()
    assert (sheet[30:40, 100] == ramp[128]).all()
    assert (sheet[29, 20] == canvas.LINE).all()
    (low, a), (high, b), (zero, c) = words.drawn
    assert (low, high, zero) == ("-1", "3", "0")
    assert (a[0], b[2], (c[0] + c[2]) / 2) == (20, 180, pytest.approx(20 + 160 / 4))
    assert a[1] == b[1] == c[1] > 40
    assert a[3] < 55
    for low, high in ((0, 3), (-3, 0), (1, 2)):
        words.drawn.clear()
        drawn(lambda sheet, low=low, high=high: sheet.scale(20, 30, low, high, "blues"))
        assert words.texts == [str(low), str(high)]


@pytest.mark.parametrize(("value", "digits", "text"), [
    (0, 3, "0"), (-0.0, 3, "0"), (1.2345, 3, "1.23"), (-12.345, 3, "-12.3"), (123.45, 3, "123"), (100, 3, "100"),
    (12345.6, 3, "12346"), (99999, 3, "99999"), (100000, 3, "1e+05"), (-123456, 3, "-1.23e+05"),
    (0.0012345, 3, "0.00123"),
    (1e-7, 3, "1e-07"), (12.345, 2, "12"), (1.2345, 2, "1.2"), (123.4, 2, "123"), (float("nan"), 3, "nan")])
def test_numbers_in_few_characters(value, digits, text):
    assert canvas.number(value, digits) == text


def test_any_text_can_be_written_without_a_warning():
    sheet = Canvas(900, 100)
    sheet.text(5, 5, HAIRY, 14)
    sheet.text_upward(500, 95, HAIRY, 12, width=80)
    assert (np.asarray(sheet.image) < 128).any()
    assert "\n" not in canvas.drawable(HAIRY)


def test_a_character_without_a_glyph_becomes_its_code_point(monkeypatch):
    monkeypatch.setattr(canvas, "_wider_fonts", lambda: [])
    for cache in (canvas._split, canvas._file_for):
        cache.cache_clear()
    assert canvas.drawable("a帽") == "a\\u5e3d"
    assert canvas.fallback_fonts("a帽") == []
    for cache in (canvas._split, canvas._file_for):
        cache.cache_clear()


def test_a_font_of_the_system_is_used_where_it_has_the_glyph(monkeypatch):
    """DejaVu Sans has no double-struck 𝔸; stand in for a wider font with one that matplotlib carries."""
    wide = canvas._dejavu(False).replace("DejaVuSans.ttf", "STIXGeneral.ttf")
    rare = next(chr(c) for c in sorted(canvas._covered(wide) - canvas._covered(canvas._dejavu(False))) if c > 0x2000)
    monkeypatch.setattr(canvas, "_wider_fonts", lambda: [wide])
    for cache in (canvas._split, canvas._file_for):
        cache.cache_clear()
    assert canvas.drawable(f"a{rare}") == f"a{rare}"
    assert canvas.fallback_fonts(f"a{rare}") == [wide]
    Canvas(100, 30).text(1, 1, f"a{rare}b")
    for cache in (canvas._split, canvas._file_for):
        cache.cache_clear()


def test_fit_keeps_within_the_width_and_keeps_both_ends():
    name = "a very long class name that does not fit"
    short = canvas.fit(name, 120, 12)
    assert canvas.text_width(short, 12) <= 120
    assert short.startswith("a v")
    assert "…" in short
    assert short.endswith("it")
    assert canvas.fit("short", 120, 12) == "short"
    for width in (30, 61, 120, 200):
        cuts = [canvas._cut(name, keep) for keep in range(len(name))]
        assert canvas.fit(name, width, 12) == [cut for cut in cuts if canvas.text_width(cut, 12) <= width][-1]
    assert [canvas._cut("abcdef", keep) for keep in range(6)] == ["…", "a…", "a…f", "ab…f", "ab…ef", "abc…ef"]
    assert canvas.fit(name, 0, 12) == "…"


def test_one_font_a_family_is_enough(monkeypatch):
    from matplotlib import font_manager

    files = ["/f/Unifont.ttf", "/f/NotoSansCJK-Bold.ttc", "/f/NotoSansCJK-Regular.ttc", "/f/wqy-zenhei.ttc",
             "/f/Arial.ttf", "/f/wqy-microhei.ttc", "/NotoEmoji/Other.ttf"]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
    assert canvas._wider_fonts.__wrapped__() == ["/f/NotoSansCJK-Regular.ttc", "/f/wqy-microhei.ttc", "/f/Unifont.ttf"]


def test_matplotlib_is_quiet_for_as_long_as_it_is_asked_to_be(caplog):
    logger = logging.getLogger("matplotlib")
    before = logger.level
    with canvas.quiet_matplotlib():
        logger.warning("chatter")
        logger.error("trouble")
    assert logger.level == before
    assert [record.message for record in caplog.records] == ["trouble"]


def test_a_font_that_cannot_be_read_has_no_letters(tmp_path):
    (tmp_path / "a.ttf").write_bytes(b"no font")
    assert canvas._covered(str(tmp_path / "a.ttf")) == frozenset()


def test_wrapped_keeps_every_word():
    text = "one two three four five six seven eight nine ten"
    lines = canvas.wrapped(text, 100)
    assert " ".join(lines) == text
    assert len(lines) > 2
    assert all(canvas.text_width(line, 12) <= 100 for line in lines)
    for line, following in pairwise(lines):
        assert canvas.text_width(f"{line} {following.split()[0]}", 12) > 100, "a line is filled"
    long = canvas.wrapped(f"a {'b' * 99} c", 100)
    assert long[0] == "a"
    assert "…" in long[1]
    assert long[2] == "c"


def test_a_saved_sheet_is_a_png_of_its_size(tmp_path):
    path = Canvas(40, 30).save(tmp_path / "a.png", drawing("nothing"))
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (40, 30))
    assert drawing("nothing").ours(str(path))
    assert not drawing("something").ours(str(path))
    assert Canvas(0, 0.5).image.size == (1, 1)
