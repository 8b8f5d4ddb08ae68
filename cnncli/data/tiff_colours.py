"""TIFF pages of 8 bits and fewer, with inks, L*a*b*, YCbCr or a palette, that Pillow refuses or shows wrongly: which
these are, and their pixels as red, green and blue. tiff.py takes the values out of the file, decode.py asks here. All
other pages of 8 bits are Pillow's.
"""

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from . import tiff
from .depth import Scales, Values, share_of
from .tiff import Page

Array = np.ndarray[Any, np.dtype[Any]]

_PALETTE, _INKS, _YCBCR, _LAB, _ICC_LAB = 3, 5, 6, 8, 9
_COLOUR_MAP, _SUBSAMPLING = 320, 530
_JPEG = (6, 7)
_PACKED_GREYS = (1, 2, 4, 8)  # bits
_AT_ONCE = 1 << 18  # pixels converted at a time
# From CIE XYZ, relative to the white of D50, to linear red, green and blue of sRGB (Bradford's adaptation to D65).
_TO_SRGB = np.array([[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540],
                     [0.0719453, -0.2289914, 1.4052427]]) * [0.96422, 1.0, 0.82521]


def is_ours(page: Page) -> bool:
    """Whether Pillow refuses such a page, or would show other pixels."""
    if page.deep or page.raw or page.number(tiff.COMPRESSION, 1) in _JPEG:
        return False
    planes = page.number(tiff.PLANES, 1) == 2 and page.channels > 1
    photometric, bits, extra = page.photometric, page.bits, page.numbers(tiff.EXTRA)
    beside = page.channels - page.colours
    if photometric in (0, 1):
        return bits not in _PACKED_GREYS or (beside == 1 and (photometric == 0 or planes))
    if photometric == 2:
        return (planes and beside > 0 and extra != (2,)) or any(extra[1:])
    if photometric == _PALETTE:
        return bits > 8 or max(page.numbers(_COLOUR_MAP), default=0) < 256
    if photometric == _INKS:
        return beside > 0 or (planes and bits > 8)
    if photometric == _YCBCR:
        return planes or _is_subsampled(page)
    return photometric in (_LAB, _ICC_LAB) and (photometric, bits, page.channels, planes) != (_LAB, 8, 3, False)


def is_grey(page: Page) -> bool:
    """Whether such a page, or a deep one, shows no colour."""
    if page.photometric == _PALETTE:
        palette = _palette(page)
        return bool((palette == palette[:, :1]).all())
    return page.grey


def values(page: Page, file: BinaryIO) -> tuple[Values, Scales]:
    """Return the pixels of such a page, as they are stored and not upright, and what is black and white in them."""
    if page.photometric == _YCBCR and _is_subsampled(page):
        return Values(_in_pieces(_subsampled(page, file), _of_ycbcr), 8), Scales((0, 255))
    samples = page.samples(file)
    alpha = None if page.alpha is None else share_of(samples[:, :, page.alpha], page.bits)
    top = (1 << page.bits) - 1
    if page.photometric in (0, 1, 2):
        colours = np.ascontiguousarray(samples[:, :, 0] if page.colours == 1 else samples[:, :, :3])
        return Values(colours, page.bits, alpha, page.associated, page.photometric == 0), Scales((0, top))
    palette = _palette(page) if page.photometric == _PALETTE else None
    to_colours: dict[int, Callable[[Array], Array]] = {
        _PALETTE: lambda part: palette[np.minimum(part[..., 0], len(palette) - 1)],  # type: ignore[index, arg-type]
        _INKS: lambda part: _of_inks(part, top), _YCBCR: _of_ycbcr,
        _LAB: lambda part: _of_lab(part, top), _ICC_LAB: lambda part: _of_icc_lab(part, top)}
    colours = _in_pieces(samples[:, :, : page.colours], to_colours[page.photometric])
    return Values(colours, 8, alpha), Scales((0, 255))


def _in_pieces(samples: Array, convert: Callable[[Array], Array]) -> Array:
    """Return uint8 (h, w, 3) of what convert makes of rows."""
    h, w, _ = samples.shape
    found = np.empty((h, w, 3), np.uint8)
    rows = max(1, _AT_ONCE // max(1, w))
    for y in range(0, h, rows):
        found[y : y + rows] = convert(samples[y : y + rows])
    return found


# ---- palettes ----


def _palette(page: Page) -> Array:
    """Return uint8 (n, 3). One without values beyond 8 bits has 8 where 16 are meant, which libtiff believes, too."""
    numbers = page.numbers(_COLOUR_MAP)
    if not numbers or len(numbers) % 3:
        raise ValueError("its palette is missing")
    found: Array = np.array(numbers).reshape(3, -1).T
    return (found if max(numbers) < 256 else found >> 8).astype(np.uint8)


# ---- inks, YCbCr ----


def _of_inks(part: Array, top: int) -> Array:
    bytes_ = part if top == 255 else np.floor(part * (255 / top) + 0.5)
    return _by_pillow(bytes_, "CMYK")


def _of_ycbcr(part: Array) -> Array:
    return _by_pillow(part, "YCbCr")


def _by_pillow(part: Array, mode: str) -> Array:
    h, w, _ = part.shape
    return np.asarray(Image.frombytes(mode, (w, h), np.ascontiguousarray(part, np.uint8).tobytes()).convert("RGB"))


def _sampling(page: Page) -> tuple[int, int]:
    across, down = (*page.numbers(_SUBSAMPLING), 2, 2)[:2]
    return max(1, across), max(1, down)


def _is_subsampled(page: Page) -> bool:
    """Whether some pixels share their colour, in data that is not packed; packed data libtiff unfolds for Pillow. What
    a file's size says counts more than what it says itself."""
    w, h = page.size
    return (page.number(tiff.COMPRESSION, 1) == 1 and _sampling(page) != (1, 1) and page.number(tiff.PLANES, 1) == 1
            and tiff.TILES not in page.tags and 0 < sum(page.places()[1]) < 3 * w * h)


def _subsampled(page: Page, file: BinaryIO) -> Array:
    """Return (h, w, 3) of blocks of pixels, each with its brightnesses and then one pair of colours."""
    w, h = page.size
    across, down = _sampling(page)
    if across not in (1, 2, 4) or down not in (1, 2, 4) or page.channels != 3 or page.bits != 8:
        raise ValueError("its colours are laid out in an unknown way")
    high, wide = -(-h // down), -(-w // across)
    starts, sizes = page.places()
    strip = min(page.number(tiff.ROWS, h), h)
    if strip % down and len(starts) > 1:
        raise ValueError("its strips end within a block of colours")
    data = tiff.pieces(file, starts, sizes, 6 * w * h)
    block = across * down + 2
    if len(data) < high * wide * block:
        raise ValueError("its pixels are cut off")
    blocks = np.frombuffer(data, np.uint8, high * wide * block).reshape(high, wide, block)
    bright = blocks[:, :, :-2].reshape(high, wide, down, across).swapaxes(1, 2).reshape(high * down, wide * across)
    pairs = np.repeat(np.repeat(blocks[:, :, -2:], down, axis=0), across, axis=1)
    return np.concatenate([bright[:, :, None], pairs], axis=2)[:h, :w]


# ---- L*a*b* ----


def _of_lab(part: Array, top: int) -> Array:
    """Of CIE L*a*b* as TIFF has it: L* from 0 to 100 in all of the type, a* and b* signed, of whole numbers in the
    upper byte."""
    signed = part[..., 1:].astype(np.int64)
    signed -= (signed > top // 2) * (top + 1)
    return _to_srgb(part[..., 0] * (100 / top), signed / ((top + 1) / 256))


def _of_icc_lab(part: Array, top: int) -> Array:
    """The same in the encoding of ICC profiles of version 2."""
    unit = (top + 1) / 256
    return _to_srgb(part[..., 0] * (100 / (255 * unit)), part[..., 1:] / unit - 128)


def _to_srgb(lightness: Array, opponents: Array) -> Array:
    """Return levels of sRGB; a grey picture has no opponents."""
    middle = (lightness + 16) / 116
    if opponents.shape[-1] < 2:
        opponents = np.zeros((*lightness.shape, 2))
    f = np.stack([middle + opponents[..., 0] / 500, middle, middle - opponents[..., 1] / 200], axis=-1)
    linear = np.clip(np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) @ _TO_SRGB.T, 0, 1)
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    levels: Array = np.floor(shown * 255 + 0.5).astype(np.uint8)
    return levels
