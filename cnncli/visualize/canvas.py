"""A sheet of paper for pictures with words: Pillow, a font that covers most alphabets, colour ramps that colour-blind
people can read, and tiles enlarged without blur. report/ and visualize/ draw on it; nothing here knows of models.
"""

import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from ..data.outputs import Kind, software, write
from ..errors import printable

Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (32, 33, 36)
FAINT: Colour = (110, 114, 120)
LINE: Colour = (208, 211, 216)
RIGHT: Colour = (0, 90, 160)  # blue for right, vermilion for wrong: told apart with any kind of colour sight
WRONG: Colour = (190, 70, 0)

# Anchors of the ramps, evenly spaced. All maps (of activations, weights and evidence), here and on the page that runs a
# model, have those of "diverging": a map without values below 0 its upper half. So a colour means the same everywhere.
RAMPS = {
    "diverging": ["053061", "2166ac", "4393c3", "92c5de", "f7f7f7", "f4a582", "d6604d", "b2182b", "67001f"],
    "blues": ["ffffff", "deebf7", "b3d1ea", "7fb6dc", "4a94c8", "2171b5", "08468b"],
    "oranges": ["ffffff", "fee8d3", "fdc999", "fba35c", "ee7a26", "d1540a", "9a3a03"],
    "grey": ["000000", "ffffff"],
}
SIGNS = "white is 0, red is above 0, blue is below 0"  # what these colours mean, for the legends of maps

# Families that cover what DejaVu Sans lacks (Chinese, Japanese, Korean, Indic, emoji), where the system has them.
_WIDER = ("NotoSansCJK", "NotoSansSC", "NotoSansJP", "NotoSansKR", "SourceHanSans", "wqy-", "DroidSansFallback",
          "uming", "ipag", "TakaoGothic", "NanumGothic", "PingFang", "Hiragino", "msyh", "YuGoth", "malgun",
          "Arial Unicode", "unifont", "NotoSansDevanagari", "NotoSansThai", "NotoEmoji")


@lru_cache
def ramp(name: str) -> NDArray[np.uint8]:
    """Return a colour ramp, uint8 (256, 3): "diverging" (0 in the middle), "blues", "oranges", "grey"."""
    anchors = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in RAMPS[name]], np.float64)
    at = np.linspace(0, len(anchors) - 1, 256)
    columns = [np.interp(at, np.arange(len(anchors)), anchors[:, i]) for i in range(3)]
    colours: NDArray[np.uint8] = np.stack(columns, axis=1).round().astype(np.uint8)
    return colours


def coloured(values: NDArray[Any], low: float, high: float, name: str) -> NDArray[np.uint8]:
    """Map values, any shape, from [low, high] to a ramp's colours: uint8 (…, 3). All low where low == high."""
    span = high - low
    with np.errstate(invalid="ignore"):  # a broken model's NaNs and infinities are drawn, too: as the lowest value
        at = np.zeros(np.shape(values)) if span <= 0 else np.clip((np.asarray(values, np.float64) - low) / span, 0, 1)
    colours: NDArray[np.uint8] = ramp(name)[(np.nan_to_num(at) * 255).round().astype(np.intp)]
    return colours


def signed(values: NDArray[Any], most: float) -> NDArray[np.uint8]:
    """Map values from [-most, most] to the colours of maps, 0 to white: uint8 (…, 3)."""
    return coloured(values, -(most or 1.0), most or 1.0, "diverging")


def picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return uint8 (h, w), (h, w, 1) or (h, w, 3) as an RGB image."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")


def fitted(image: Image.Image, side: int) -> Image.Image:
    """Return image with its longer side at most side: enlarged by a whole factor, without blur, or reduced."""
    longest = max(image.size)
    if longest > side:
        size = [max(1, round(v * side / longest)) for v in image.size]
        return image.resize((size[0], size[1]), Image.Resampling.BOX)
    factor = side // longest
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


class Canvas:
    """A white sheet of width x height pixels. Texts are put on one line; a character that no font here can draw is
    shown as its code point."""

    def __init__(self, width: float, height: float) -> None:
        self.image = Image.new("RGB", (max(1, int(width)), max(1, int(height))), PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def __getstate__(self) -> Image.Image:
        return self.image  # what draws on it is made anew for a copy

    def __setstate__(self, image: Image.Image) -> None:
        self.image, self.draw = image, ImageDraw.Draw(image)

    def text(self, x: float, y: float, text: str, size: int = 13, fill: Colour = INK, *, bold: bool = False,
             align: str = "left", width: float | None = None) -> None:
        """Write text with its line's top at y. align says which of its edges is at x: left, centre or right.

        Where it is wider than width pixels, its middle gives way to "…".
        """
        text = printable(text) if width is None else fit(text, width, size, bold=bold)
        x -= {"left": 0.0, "centre": 0.5, "right": 1.0}[align] * text_width(text, size, bold=bold)
        for part, font in _runs(text, size, bold):
            self.draw.text((round(x), round(y + size)), part, fill=fill, font=font, anchor="ls")
            x += font.getlength(part)

    def paragraph(self, x: float, y: float, lines: list[str], size: int = 12, fill: Colour = FAINT) -> float:
        """Write lines (see ``wrapped``) one under the other; return where the next would stand."""
        for line in lines:
            self.text(x, y, line, size, fill)
            y += round(size * 1.5)
        return y

    def text_upward(self, x: float, y: float, text: str, size: int = 13, fill: Colour = INK, *,
                    width: float) -> None:
        """Write text that reads from bottom to top, its line centred on x and starting (its lowest point) at y."""
        text = fit(text, width, size)
        strip = Canvas(int(text_width(text, size)) + 4, round(size * 1.45))
        strip.text(1, round(size * 0.1), text, size, fill)
        turned = strip.image.transpose(Image.Transpose.ROTATE_90)
        self.image.paste(turned, (round(x - turned.width / 2), round(y - turned.height)))

    def paste(self, image: Image.Image, x: float, y: float, *, frame: bool = False) -> None:
        """Put an image with its top left corner at x, y; with a hairline around it where asked."""
        x, y = round(x), round(y)
        if frame:
            self.draw.rectangle((x - 1, y - 1, x + image.width, y + image.height), outline=LINE)
        self.image.paste(image, (x, y))

    def rectangle(self, x: float, y: float, width: float, height: float, fill: Colour) -> None:
        """Fill a rectangle."""
        if width >= 1 and height >= 1:
            self.draw.rectangle((round(x), round(y), round(x + width) - 1, round(y + height) - 1), fill=fill)

    def line(self, x0: float, y0: float, x1: float, y1: float, fill: Colour = LINE) -> None:
        """Draw a hairline."""
        self.draw.line((round(x0), round(y0), round(x1), round(y1)), fill=fill)

    def scale(self, x: float, y: float, low: float, high: float, name: str, width: int = 160) -> None:
        """Draw a ramp as a bar with the values at its ends written beneath."""
        bar = np.broadcast_to(ramp(name)[np.linspace(0, 255, width).round().astype(int)], (10, width, 3))
        self.paste(picture(bar), x, y, frame=True)
        self.text(x, y + 12, number(low), 11, FAINT)
        self.text(x + width, y + 12, number(high), 11, FAINT, align="right")
        if low < 0 < high:
            self.text(x + width * -low / (high - low), y + 12, "0", 11, FAINT, align="centre")

    def save(self, path: str | os.PathLike[str], kind: Kind) -> Path:
        """Write the sheet as a PNG file of a kind, replacing one of that kind. Raises UsageError where something else
        is there, SaveError where the disk refuses."""
        data, mark = io.BytesIO(), PngInfo()
        mark.add_text("Software", software(kind))
        self.image.save(data, format="PNG", pnginfo=mark)
        write(path, data.getvalue(), kind)
        return Path(path)


def percent(share: float) -> str:
    """Return a probability in per cent; what is not quite none or all is not called that."""
    return "<0.1%" if 0 < share < 0.0005 else ">99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def number(value: float, digits: int = 3) -> str:
    """Return a number in few characters: to so many significant digits, without an exponent where it need not be."""
    value += 0.0  # -0 is 0
    return f"{value:.0f}" if 10 ** (digits - 1) <= abs(value) < 1e5 else f"{value:.{digits}g}"


def text_width(text: str, size: int = 13, *, bold: bool = False) -> float:
    """Return how many pixels wide text is on a canvas."""
    return float(sum(font.getlength(part) for part, font in _runs(printable(text), size, bold)))


def wrapped(text: str, width: float, size: int = 12) -> list[str]:
    """Cut text at blanks into lines of at most width pixels; a single longer word loses its middle."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(fit(word, width, size))
    return lines


def fit(text: str, width: float, size: int = 13, *, bold: bool = False) -> str:
    """Return text on one line, its middle replaced by "…" where it is wider than width pixels."""
    text = printable(text)
    if text_width(text, size, bold=bold) <= width:
        return text
    low, high = 0, len(text) - 1  # characters kept
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_width(_cut(text, middle), size, bold=bold) <= width else (low, middle - 1)
    return _cut(text, low)


def _cut(text: str, keep: int) -> str:
    tail = keep // 2
    return text[: keep - tail] + "…" + text[len(text) - tail :]


def drawable(text: str) -> str:
    """Return text on one line, with characters that no font here can draw written as code points ("\\u5e3d")."""
    return "".join(part for _, part in _split(printable(text)))


def fallback_fonts(text: str) -> list[str]:
    """Return the files of the fonts, beside DejaVu Sans, that drawable(text) needs."""
    return list(dict.fromkeys(path for path, _ in _split(printable(text)) if path))


def _runs(text: str, size: int, bold: bool) -> list[tuple[str, Any]]:
    return [(part, _font(path, size, bold)) for path, part in _split(text)]


@lru_cache(maxsize=4096)
def _split(text: str) -> tuple[tuple[str, str], ...]:
    """Cut text into runs of one font: (file, "" for DejaVu Sans; text)."""
    runs: list[tuple[str, str]] = []
    for char in text:
        path = _file_for(char)
        if path is None:
            path, char = "", f"\\u{ord(char):04x}"
        if runs and runs[-1][0] == path:
            runs[-1] = (path, runs[-1][1] + char)
        else:
            runs.append((path, char))
    return tuple(runs)


@lru_cache(maxsize=8192)
def _file_for(char: str) -> str | None:
    if " " <= char <= "~" or ord(char) in _covered(_dejavu(False)):
        return ""
    return next((path for path in _wider_fonts() if ord(char) in _covered(path)), None)


@contextmanager
def quiet_matplotlib() -> Iterator[None]:
    """Keep what matplotlib says of its own caches, where HOME cannot be written for one, from the user of a block."""
    logger = logging.getLogger("matplotlib")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@lru_cache
@quiet_matplotlib()
def _covered(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (RuntimeError, OSError):  # a font file that FreeType cannot read
        return frozenset()


@lru_cache
@quiet_matplotlib()
def _wider_fonts() -> list[str]:
    from matplotlib.font_manager import findSystemFonts

    files = sorted(findSystemFonts())
    wanted = [[path for path in files if name.lower() in os.path.basename(path).lower()] for name in _WIDER]
    # One file a family is enough; the regular weight where it can be told.
    return [next((p for p in paths if "regular" in p.lower()), paths[0]) for paths in wanted if paths]


@lru_cache
def _dejavu(bold: bool) -> str:
    spec = find_spec("matplotlib")  # found, not imported: that would cost more than drawing the text
    root = Path(spec.origin).parent if spec and spec.origin else Path()
    return str(root / "mpl-data" / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"))


@lru_cache(maxsize=64)
def _font(path: str, size: int, bold: bool) -> Any:
    return ImageFont.truetype(path or _dejavu(bold), size)
