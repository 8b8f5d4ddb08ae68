"""The sheet that pictures are drawn on: colours mean what the words say, and any text can be written."""

import numpy as np
import pytest
from PIL import Image

from cnncli.data.outputs import drawing
from cnncli.visualize import canvas
from cnncli.visualize.canvas import Canvas

HAIRY = "帽子 a$x^2$b new\nline \x1b[31m \udce9 ürün кошка عربي 👒 \u200e"


def test_ramps_run_from_end_to_end_and_diverge_from_white():
    for name in ("viridis", "diverging", "blues", "oranges", "grey"):
        ramp = canvas.ramp(name)
        assert ramp.shape == (256, 3)
        assert len(np.unique(ramp, axis=0)) > 100
    assert canvas.signed(np.array([0.0]), 3.0).min() > 235
    minus, plus = canvas.signed(np.array([-1.0, 1.0]), 1.0).astype(int)
    assert minus[2] > minus[0] + 50, "negative is not blue"
    assert plus[0] > plus[2] + 50, "positive is not red"


def test_lightness_grows_along_the_sequential_ramps():
    for name, sign in (("viridis", 1), ("blues", -1), ("oranges", -1), ("grey", 1)):
        light = canvas.ramp(name).astype(int) @ (299, 587, 114)
        assert (np.diff(light) * sign >= -300).all(), name


def test_values_beyond_the_range_and_a_range_of_nothing():
    ramp = canvas.ramp("viridis")
    drawn = canvas.coloured(np.array([-9.0, 9.0, np.nan]), 0, 1, "viridis")
    assert drawn.tolist() == [ramp[0].tolist(), ramp[255].tolist(), ramp[0].tolist()]
    assert (canvas.coloured(np.full((2, 2), 5.0), 5, 5, "viridis") == ramp[0]).all()
    assert canvas.signed(np.zeros(1), 0).min() > 235, "filters of zeros must be white, not an extreme"


@pytest.mark.parametrize(("size", "side", "wanted"), [((28, 28), 140, (140, 140)), ((30, 20), 100, (90, 60)),
                                                     ((400, 200), 100, (100, 50)), ((1000, 1), 100, (100, 1))])
def test_fitted(size, side, wanted):
    assert canvas.fitted(Image.new("RGB", size), side).size == wanted


def test_enlarging_does_not_blur():
    image = canvas.picture(np.array([[0, 255]], np.uint8))
    assert sorted(set(np.asarray(canvas.fitted(image, 64)).ravel().tolist())) == [0, 255]


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


def test_wrapped_keeps_every_word():
    text = "one two three four five six seven eight nine ten"
    lines = canvas.wrapped(text, 100)
    assert " ".join(lines) == text
    assert len(lines) > 2
    assert all(canvas.text_width(line, 12) <= 100 for line in lines)


def test_a_saved_sheet_is_a_png_of_its_size(tmp_path):
    path = Canvas(40, 30).save(tmp_path / "a.png", drawing("nothing"))
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (40, 30))
