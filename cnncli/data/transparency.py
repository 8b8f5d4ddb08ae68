"""Transparent parts of an image, laid on white: alpha channels, palettes with alpha, the one colour that a PNG declares
transparent, and what a GIF's picture leaves free of its canvas. As a browser shows it on a white page.

decode.py asks for the colour before the pixels are decoded, because only then Pillow tells how many bits the file has,
and for the composition afterwards.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

Key = tuple[int, ...]
Box = tuple[int, int, int, int]

WHITE = 255
_BITS = {"1": 1, "L;2": 2, "L;4": 4}  # of Pillow's names for how values lie in the file
_STRIP = 1 << 20  # pixels that are converted at a time, so that little is held beside the result


def colour_key(image: Image.Image) -> Key | None:
    """Return the grey or the colour of up to 8 bits that a PNG which is open and not yet decoded declares transparent,
    in the values that its pixels have once they are decoded; None where it declares none."""
    key = image.info.get("transparency")
    if image.format != "PNG" or image.mode not in ("1", "L", "RGB") or key is None:
        return None
    values = key if isinstance(key, tuple) else (key,)
    if len(values) != len(image.getbands()) or not all(isinstance(value, int) for value in values):
        return None
    most = (1 << _BITS.get(_raw_mode(image), 8)) - 1
    return tuple((value & most) * (WHITE // most) for value in values)


def _raw_mode(image: Image.Image) -> str:
    tiles: Any = getattr(image, "tile", ())
    return str(tiles[0][3]) if tiles else ""


def uncovered(image: Image.Image) -> Box | None:
    """Return the box (left, top, right, bottom) of the canvas that a GIF's first picture covers, before it is decoded;
    None where that is all of it."""
    tiles: Any = getattr(image, "tile", ())
    if image.format != "GIF" or not tiles:
        return None
    left, top, right, bottom = tiles[0][1]
    return None if (left, top, right, bottom) == (0, 0, *image.size) else (left, top, right, bottom)


def on_white(image: Image.Image, mode: str) -> Image.Image:
    """Return an image with alpha, or a palette with some, laid on white, in mode "L" or "RGB"."""
    return in_strips(image, mode, _laid)


def _laid(strip: Image.Image) -> Image.Image:
    if strip.mode == "La":  # multiplied by its alpha already, for which Pillow has no way to RGBA
        grey, alpha = (np.asarray(band) for band in strip.split())
        return Image.fromarray(np.minimum(grey, alpha) + (WHITE - alpha))
    strip = strip.convert("RGBA")
    white = Image.new("RGB", strip.size, (WHITE,) * 3)
    white.paste(strip, mask=strip.getchannel("A"))
    return white


def key_on_white(image: Image.Image, key: Key, mode: str) -> Image.Image:
    """Return a grey or colour image with white in the place of the key, in mode "L" or "RGB"."""
    image.info.pop("transparency", None)  # Pillow's notion of it, which conversions would carry along

    def laid(strip: Image.Image) -> Image.Image:
        values = np.array(strip.convert("L") if strip.mode == "1" else strip)
        same = values == np.array(key, np.uint8)
        values[same if values.ndim == 2 else same.all(axis=-1)] = WHITE
        return Image.fromarray(values)

    return in_strips(image, mode, laid)


def white_around(image: Image.Image, box: Box) -> Image.Image:
    """Return an image of mode "L" or "RGB" with white outside the box."""
    white = Image.new(image.mode, image.size, WHITE if image.mode == "L" else (WHITE,) * 3)
    white.paste(image.crop(box), box[:2])
    return white


def in_strips(image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Return what convert makes of an image, in this mode; a strip at a time where it is large."""
    rows = max(1, _STRIP // image.width)
    if rows >= image.height:
        return _as(convert(image), mode)
    result = Image.new(mode, image.size)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        result.paste(_as(convert(strip), mode), (0, top))
    return result


def _as(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)
