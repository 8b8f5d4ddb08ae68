"""BMP files that Pillow reads wrongly, or not at all: 16 and 32 bits with masks of any kind (also transparency), 2 and
4 bits, palettes of only black and white, run lengths, headers of OS/2. Such a file is rewritten, in memory, as one that
Pillow reads rightly. forgiving.py asks for it; Pillow decodes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..errors import ImageError
from .bounds import refuse_held, refuse_size

Array = np.ndarray[Any, np.dtype[Any]]
Masks = tuple[int, int, int, int]  # of red, green, blue and transparency in a pixel's number; 0: there is none

_PLAIN, _RLE8, _RLE4, _MASKS, _JPEG, _PNG, _ALPHA_MASKS = range(7)
_BMP_HEADER, _OS2, _V3, _OS2_LONG, _V4, _V5 = 14, 12, 56, 64, 108, 124  # bytes of headers
_LONGEST = 16 + _BMP_HEADER + _V5
_KNOWN = (12, 40, 52, 56, 64, 108, 124)  # headers that Pillow knows
_ALONE = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}  # masks where a file gives none
_PILLOWS: dict[int, tuple[Masks, ...]] = {
    16: ((0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)),
    32: ((0xFF0000, 0xFF00, 0xFF, 0), (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0xFF, 0xFF00, 0xFF0000, 0xFF000000))}
_BGRA = _PILLOWS[32][1]
_STRIP = 1 << 20  # pixels whose bits are taken apart at a time


@dataclass(frozen=True)
class Layout:
    """What the headers say: bytes of the second header, (width, height), whether the upper row comes first, bits a
    pixel, packing, masks, the palette (n, 3) of blue, green and red, and where pixels begin."""

    header: int
    size: tuple[int, int]
    top_down: bool
    bits: int
    packing: int
    masks: Masks
    palette: Array
    start: int

    @property
    def pillows(self) -> bool:
        """Whether Pillow reads it rightly."""
        if self.header not in _KNOWN:
            return False
        if self.packing == _PLAIN and self.bits in (1, 8, 24):
            return self.bits != 8 or len(self.palette) != 2
        known = _PILLOWS.get(self.bits, ()) if self.packing == _MASKS else (_ALONE.get(self.bits),)
        return self.packing in (_PLAIN, _MASKS) and self.masks in known

    @property
    def refusal(self) -> str | None:
        """Why it cannot be read, None if it can."""
        os2 = self.header == _OS2_LONG or self.header not in _KNOWN
        if self.packing in (_JPEG, _PNG) and not os2:
            return f"it is a BMP around a {'JPEG' if self.packing == _JPEG else 'PNG'}; save it as PNG"
        fits = {_PLAIN: (1, 2, 4, 8, 16, 24, 32), _RLE8: (8,), _RLE4: (4,), _MASKS: (16, 32), _ALPHA_MASKS: (16, 32)}
        if self.bits not in fits.get(self.packing, ()) or (os2 and self.packing in (_MASKS, _ALPHA_MASKS)):
            return f"it is a BMP of {self.bits} bits a pixel, packed by method {self.packing}; save it as PNG"
        holes = any(_top(mask) & (_top(mask) + 1) for mask in self.masks)
        if self.bits in _ALONE and (holes or not any(self.masks[:3])):
            return "it is a BMP whose masks mean no colours; save it as PNG"
        return None


def rewritten(path: str, file: BinaryIO, header_only: bool) -> bytes | None:
    """Return a BMP as one that Pillow reads rightly; None if it is one, or if its headers are damaged. header_only:
    without its pixels, unless it has a palette, which Pillow tells only with them. Raises ImageError if it is of a kind
    that is not read, ValueError if pixels are missing.
    """
    layout = _layout(file)
    if layout is None or layout.pillows:
        return None
    refuse_size(path, layout.size)
    if reason := layout.refusal:
        raise ImageError(path, reason, "kind")
    w, h = layout.size
    refuse_held(path, layout.size, "BMP", w * h * (9 if layout.bits <= 8 else layout.bits // 8 + 12))
    file.seek(layout.start)
    if layout.bits <= 8:
        palette = np.zeros((256, 4), np.uint8)
        palette[: len(layout.palette), :3] = layout.palette
        indices = _indices(layout, file, palette)
        return _written(layout, 8, _PLAIN, palette.tobytes(), indices)
    colours = None if header_only else _colours(layout, _rows(layout, file))
    return _written(layout, 32, _MASKS if layout.masks[3] else _PLAIN, b"", colours)


def _layout(file: BinaryIO) -> Layout | None:
    file.seek(0)
    head = file.read(_LONGEST)
    if len(head) < _BMP_HEADER + _OS2:
        return None
    start, header = struct.unpack_from("<II", head, 10)
    if len(head) < _BMP_HEADER + header:
        return None
    if header == _OS2:
        w, h, _, bits = struct.unpack_from("<4H", head, 18)
        packing = used = 0
    elif 16 <= header <= _V5:
        fields = head[18 : _BMP_HEADER + header].ljust(36, b"\0")
        w, h, _, bits, packing, _, _, _, used, _ = struct.unpack_from("<iiHHIIiiII", fields)
    else:
        return None
    palette = np.zeros((0, 3), np.uint8)
    if bits <= 8:
        entry = 3 if header == _OS2 else 4
        file.seek(_BMP_HEADER + header)
        raw = file.read(entry * min(used or 1 << bits, 1 << bits, max(0, start - _BMP_HEADER - header) // entry))
        palette = np.frombuffer(raw[: len(raw) // entry * entry], np.uint8).reshape(-1, entry)[:, :3]
    return Layout(header, (w, abs(h)), h < 0, bits, packing, _masks(head, header, bits, packing), palette, start)


def _masks(head: bytes, header: int, bits: int, packing: int) -> Masks:
    """Return the masks of a pixel's number. Of 32 bits without packing the later headers' mask of transparency counts
    and no other, as in a browser."""
    r, g, b, a = struct.unpack_from("<4I", head.ljust(_LONGEST, b"\0"), 54)
    if packing not in (_MASKS, _ALPHA_MASKS):
        r, g, b, _ = _ALONE.get(bits, (0,) * 4)
        return r, g, b, a if header >= _V4 and bits == 32 else 0
    return r, g, b, a if header >= _V3 or packing == _ALPHA_MASKS else 0


# ---- pixels, in the order of the file's rows ----


def _rows(layout: Layout, file: BinaryIO) -> Array:
    """Return the bytes of rows that are not packed, (h, bytes)."""
    w, h = layout.size
    row = (w * layout.bits + 31) // 32 * 4
    data = file.read(row * h)
    if len(data) < row * h:
        raise ValueError("its pixels are cut off")
    return np.frombuffer(data, np.uint8).reshape(h, row)


def _indices(layout: Layout, file: BinaryIO, palette: Array) -> Array:
    """Return places in the palette, uint8 (h, w). What run lengths leave out becomes black, as in a browser: in
    the place of a colour that no pixel has, or else as the colour that is nearest to it."""
    w, h = layout.size
    if layout.packing == _PLAIN:
        shifts = np.arange(8 - layout.bits, -1, -layout.bits, dtype=np.uint8)
        rows = _rows(layout, file)
        return ((rows[:, :, None] >> shifts) & ((1 << layout.bits) - 1)).reshape(h, -1)[:, :w]
    flat, drawn = _unpacked(file.read(), w, h, layout.bits)
    indices, left = np.frombuffer(flat, np.uint8), np.frombuffer(drawn, np.uint8) == 0
    if left.any():
        used = np.bincount(indices[~left], minlength=256) > 0
        palette[~used] = 0
        indices[left] = int(palette.sum(axis=1).argmin())
    return indices.reshape(h, w)


def _unpacked(data: bytes, w: int, h: int, bits: int) -> tuple[bytearray, bytearray]:
    """Return what run lengths make, a byte a pixel, and 1 for each pixel that they draw."""
    indices, drawn = bytearray(w * h), bytearray(w * h)
    for at, found in _runs(data, w, h, bits):
        indices[at : at + len(found)] = found
        drawn[at : at + len(found)] = b"\1" * len(found)
    return indices, drawn


def _runs(data: bytes, w: int, h: int, bits: int) -> Iterator[tuple[int, bytes]]:
    """Yield at which pixel each run begins and what is in it; none is longer than its row."""
    x = y = at = 0
    while y < h:
        if at + 2 > len(data):
            if (y, x) < (h - 1, w):
                raise ValueError("its pixels are cut off")
            return
        count, value = data[at], data[at + 1]
        at += 2
        if count:
            two = bytes((value, value) if bits == 8 else (value >> 4, value & 15))
            found = (two * (count // 2 + 1))[:count]
        elif value == 0:
            x, y = 0, y + 1
            continue
        elif value == 1:
            return
        elif value == 2:
            x, y, at = x + (data[at] if at < len(data) else 0), y + (data[at + 1] if at + 1 < len(data) else 0), at + 2
            continue
        else:
            part = data[at : at + (value * bits + 7) // 8]
            at += len(part) + len(part) % 2
            found = part if bits == 8 else bytes(half for byte in part for half in (byte >> 4, byte & 15))[:value]
        yield y * w + min(x, w), found[: max(0, w - x)]
        x += len(found)


def _colours(layout: Layout, rows: Array) -> Array:
    """Return blue, green, red and transparency, uint8 (h, 4 * w)."""
    w, h = layout.size
    colours = np.full((h, w, 4), 255, np.uint8)
    if layout.bits == 24:
        colours[:, :, :3] = rows[:, : 3 * w].reshape(h, w, 3)
        return colours.reshape(h, -1)
    values = rows.view(f"<u{layout.bits // 8}")[:, :w]
    step = max(1, _STRIP // w)
    for channel, mask in zip((2, 1, 0, 3), layout.masks, strict=True):
        if not mask:
            colours[:, :, channel] = 255 if channel == 3 else 0
            continue
        shift, top = np.uint32((mask & -mask).bit_length() - 1), _top(mask)
        for y in range(0, h, step):
            part = (values[y : y + step].astype(np.uint32) >> shift) & np.uint32(top)
            colours[y : y + step, :, channel] = (part * 255.0 + top / 2) // top
    if layout.packing == _PLAIN and not colours[:, :, 3].any():
        colours[:, :, 3] = 255  # nobody means a picture that cannot be seen
    return colours.reshape(h, -1)


def _top(mask: int) -> int:
    """Return the largest number that fits into a mask."""
    return mask // (mask & -mask) if mask else 0


# ---- the file that Pillow reads ----


def _written(layout: Layout, bits: int, packing: int, palette: bytes, rows: Array | None) -> bytes:
    """Return a BMP of rows of bytes in the same order; without them where there are none."""
    w, h = layout.size
    start = _BMP_HEADER + _V3 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start, 0, 0, start) + struct.pack(
        "<IiiHHIIiiII4I", _V3, w, -h if layout.top_down else h, 1, bits, packing, 0, 0, 0, 0, 0, *_BGRA)
    if rows is None:
        return head + palette
    padded = np.zeros((h, -(-rows.shape[1] // 4) * 4), np.uint8) if rows.shape[1] % 4 else rows
    padded[:, : rows.shape[1]] = rows
    return b"".join((head, palette, padded.tobytes()))
