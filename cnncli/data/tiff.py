"""TIFF files as far as Pillow does not read them whole: the tags of the first page, how many pages there are, and the
values of pages of more than 8 bits: integers of any size, signed or not, floats, grey or colour, either byte order,
zero black or white. depth.py makes 8 bits of them. Pages of 8 bits are left to Pillow.

A deep page is unpacked by Pillow as well: from a copy of the file whose tags say that it is a grey picture of 8 bits
with as many pixels per row as there are bytes. So its bytes come out as they are, whatever the compression.
"""

import io
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, BinaryIO

import numpy as np

from .depth import Values, share_of

Array = np.ndarray[Any, np.dtype[Any]]

_MOST_PACKING = 1 << 16  # bytes by which packing may enlarge what it packs, beside twice its size
_MOST_PAGES = 100_000  # that are counted
_MOST_TAGS = 1000
_MOST_NUMBERS = 10_000_000  # of one tag
_SIZES = {1: "B", 2: "s", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q", 17: "q"}  # of the types that are needed
(SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, DESCRIPTION, MAKE, STRIPS, SAMPLES, ROWS,
 STRIP_BYTES, PLANES, PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, SUB_PAGES, EXTRA, FORMAT, NO_DATA, DNG) = (
    254, 256, 257, 258, 259, 262, 266, 270, 271, 273, 277, 278, 279, 284, 317, 322, 323, 324, 325, 330, 338, 339, 42113,
    50706)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_PHOTOMETRIC = {3: "a palette", 4: "a mask", 5: "inks (CMYK)", 6: "YCbCr", 8: "L*a*b*", 9: "L*a*b*", 10: "L*a*b*",
                32803: "a sensor's mosaic (raw)", 32844: "LogL", 32845: "LogLuv", 34892: "a sensor's values (raw)"}
_PACKED = {1: "raw", 5: "LZW", 8: "deflate", 32773: "PackBits", 32946: "deflate", 34925: "LZMA", 50000: "Zstandard"}
_UNPREDICTED = (1, 32773)
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3, 9: 3}  # channels of what is read
_LAB = (8, 9)
_SIGNED = 2  # a format of numbers
_ALPHA = {1: True, 2: False}  # kinds of extra channels -> whether colours were multiplied with them


@dataclass(frozen=True)
class Page:
    """The first page of a TIFF: its tags, the byte order of the file, how many pages there are, whether the file is a
    camera's raw one, and whether what a tag says lies beyond its end."""

    tags: Mapping[int, tuple[int, ...] | bytes]
    order: str
    pages: int
    raw: bool
    cut: bool = False

    def number(self, tag: int, default: int) -> int:
        """Return the first number of a tag."""
        value = self.tags.get(tag)
        return int(value[0]) if value else default

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return the numbers of a tag, none where it is missing."""
        value = self.tags.get(tag, ())
        return tuple(value)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height as they are stored."""
        return self.number(WIDTH, 0), self.number(HEIGHT, 0)

    @property
    def bits(self) -> int:
        """Of each value."""
        return self.number(BITS, 1)

    @property
    def format(self) -> int:
        """What kind of numbers the values are: 1 unsigned, 2 signed, 3 floats."""
        found = self.number(FORMAT, 1)
        return 1 if found == 4 else found  # 4: undefined

    @property
    def channels(self) -> int:
        """How many values a pixel has."""
        return self.number(SAMPLES, 1)

    @property
    def photometric(self) -> int:
        """What the values mean."""
        return self.number(PHOTOMETRIC, 0)

    @property
    def colours(self) -> int:
        """How many of them are grey, or red, green and blue, or what stands for these."""
        return min(_COLOURS.get(self.photometric, 1), self.channels if self.photometric in _LAB else 4)

    @property
    def grey(self) -> bool:
        """Whether there is no colour."""
        return self.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) or (self.photometric in _LAB and self.colours == 1)

    @property
    def alpha(self) -> int | None:
        """Which channel is the transparency."""
        extra = self.numbers(EXTRA)[: self.channels - self.colours]
        if not extra and self.channels == self.colours + 1 and self.colours == 3:
            return 3  # as is the custom
        return next((self.colours + i for i, kind in enumerate(extra) if kind in _ALPHA), None)

    @property
    def associated(self) -> bool:
        """Whether the colours were multiplied with the transparency."""
        extra = self.numbers(EXTRA)
        return self.alpha is not None and bool(extra) and _ALPHA[extra[self.alpha - self.colours]]

    @property
    def deep(self) -> bool:
        """Whether it is grey or red, green and blue with values that do not fit into 8 bits."""
        return self.number(PHOTOMETRIC, 0) in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and (
            self.bits > 8 or self.format != 1)

    @property
    def predictor(self) -> int:
        """What was done to the values before they were packed: 1 nothing, as always where they are not, or by
        PackBits, whatever the tag says: so has it every other reader."""
        return 1 if self.number(COMPRESSION, 1) in _UNPREDICTED else self.number(PREDICTOR, 1)

    @property
    def kind(self) -> str:
        """What its values are, in words."""
        numbers = {1: "unsigned numbers", 2: "signed numbers", 3: "floats", 5: "complex numbers", 6: "complex numbers"}
        return f"{numbers.get(self.format, 'values of an unknown kind')} of {self.bits} bits"

    def refusal(self) -> str | None:
        """Return why such a page is not read, None where it can be."""
        bits, channels, extra = self.numbers(BITS), self.channels, self.channels - self.colours
        packing, floats = self.number(COMPRESSION, 1), self.format == 3
        photometric = self.photometric
        if self.raw or photometric in (32803, 34892):
            return "it is a camera's raw file; develop it to JPEG or PNG, with the camera's software or darktable"
        if photometric not in _COLOURS or (photometric > _RGB and (self.format > _SIGNED or self.bits > 16)):
            what = _PHOTOMETRIC.get(photometric, f"something unknown ({photometric})")
            return f"it is a TIFF whose {self.kind} are {what}; save it as grey or RGB"
        if len(set(bits)) > 1:
            return f"it is a TIFF whose channels have {', '.join(map(str, bits))} bits; save them with the same"
        if self.format not in (1, 2, 3) or self.bits > 64 or (floats and self.bits not in (16, 32, 64)):
            return f"it is a TIFF of {self.kind}; save it with integers, or floats of 32 bits"
        if extra < 0 or (self.grey and extra > (self.alpha is not None)):
            return (f"it is a TIFF of {channels} channels, and an image has one (grey), three (red, green, blue), or "
                    "these with transparency; save those that are meant")
        if packing not in _PACKED:
            packed = "JPEG" if packing in (6, 7) else f"method {packing}"
            return f"it is a TIFF of {self.kind}, packed by {packed}; save it with deflate or LZW, or unpacked"
        if self.number(FILL_ORDER, 1) != 1 and packing != 1:
            return "it is a TIFF whose bits are stored in reverse; save it anew"
        predictor = self.predictor
        if predictor not in (1, 2, 3) or (predictor > 1 and self.bits % 8) or (predictor == 3 and not floats):
            return f"it is a TIFF of {self.kind} with predictor {predictor}; save it without one"
        return None

    def values(self, file: BinaryIO) -> Values:
        """Return what such a page holds; as it is stored, not upright. Raises whatever Pillow does for damaged ones."""
        samples = self.samples(file)
        colours = np.ascontiguousarray(samples[:, :, 0] if self.grey else samples[:, :, :3])
        self._fill(colours)
        alpha = None if self.alpha is None else share_of(samples[:, :, self.alpha], self.bits)
        return Values(colours, self.bits, alpha, self.associated, self.number(PHOTOMETRIC, 0) == _WHITE_IS_ZERO)

    def _fill(self, colours: Array) -> None:
        """Put the darkest value where the file says that there is none, as maps do."""
        text = self.tags.get(NO_DATA, b"")
        try:
            nothing = colours == colours.dtype.type(float(bytes(text).strip(b"\0 ")))
        except (ValueError, OverflowError):
            return
        if nothing.any() and not nothing.all():
            colours[nothing] = colours[~nothing].min()

    # ---- from bytes to values ----

    def samples(self, file: BinaryIO) -> Array:
        """Return all channels, (h, w, channels)."""
        count = self.channels
        if self.number(PLANES, 1) == 2 and count > 1:
            starts, sizes = self.places()
            part = len(starts) // count
            planes = [self._plane(file, starts[i * part : (i + 1) * part], sizes[i * part : (i + 1) * part], 1)
                      for i in range(count)]
            return np.concatenate(planes, axis=2)
        return self._plane(file, *self.places(), count)

    def places(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return where strips or tiles begin, and how long they are."""
        tiled = TILES in self.tags
        starts, sizes = self.numbers(TILES if tiled else STRIPS), self.numbers(TILE_BYTES if tiled else STRIP_BYTES)
        if not sizes and self.number(COMPRESSION, 1) == 1 and not tiled:
            row = -(-self.size[0] * self.channels * self.bits // 8)
            rows = min(self.number(ROWS, self.size[1]), self.size[1])
            sizes = tuple(row * min(rows, self.size[1] - i * rows) for i in range(len(starts)))
        if not starts or len(sizes) != len(starts):
            raise ValueError("it does not say where its pixels are")
        return starts, sizes

    def _plane(self, file: BinaryIO, starts: tuple[int, ...], sizes: tuple[int, ...], channels: int) -> Array:
        """Return (h, w, channels) of the strips or tiles that begin there; nothing else of the file is read."""
        w, h = self.size
        tile = self.number(TILE_WIDTH, w) if TILES in self.tags else w
        across = -(-w // tile) * tile  # with what tiles have beyond the border
        row = -(-tile * channels * self.bits // 8) * (across // tile)
        tags: dict[int, tuple[int, ...]] = {WIDTH: (row,), HEIGHT: (h,), BITS: (8,), SAMPLES: (1,),
                PHOTOMETRIC: (_BLACK_IS_ZERO,), COMPRESSION: (self.number(COMPRESSION, 1),)}
        data = pieces(file, starts, sizes, 2 * row * h)
        starts = tuple(accumulate(sizes[:-1], initial=8))
        if TILES in self.tags:
            tags |= {TILE_WIDTH: (row * tile // across,), TILE_HEIGHT: (self.number(TILE_HEIGHT, h),), TILES: starts,
                     TILE_BYTES: sizes}
        else:
            tags |= {ROWS: (min(self.number(ROWS, h), h),), STRIPS: starts, STRIP_BYTES: sizes}
        from PIL import TiffImagePlugin  # milliseconds that only who has such a file pays

        with TiffImagePlugin.TiffImageFile(io.BytesIO(_with_tags(data, self.order, tags))) as image:
            rows = np.array(image)
        tiles = [self._unpacked(part, channels) for part in np.split(rows, across // tile, axis=1)]
        return np.concatenate(tiles, axis=1)[:, :w] if len(tiles) > 1 else tiles[0][:, :w]

    def _unpacked(self, rows: Array, channels: int) -> Array:
        """Return (h, w, channels) of the bytes of rows, uint8 (h, bytes)."""
        h, size = len(rows), self.bits // 8
        if self.bits % 8:
            return _bits(rows, self.bits, self.format == 2).reshape(h, -1, channels)
        if self.predictor == 3:
            sums = np.cumsum(rows.reshape(h, -1, channels), axis=1, dtype=np.uint8).reshape(h, size, -1)
            rows = np.ascontiguousarray(sums.transpose(0, 2, 1)).reshape(h, -1)
        order = ">" if self.predictor == 3 else self.order
        if size not in (1, 2, 4, 8):
            values = _wide(rows.reshape(h, -1, size), order, self.format == 2)
        else:
            kind = "f" if self.format == 3 and self.predictor != 2 else "i" if self.format == 2 else "u"
            values = np.ascontiguousarray(rows).view(f"{order}{kind}{size}")
        values = values.astype(values.dtype.newbyteorder("=")).reshape(h, -1, channels)
        if self.predictor == 2:
            values = np.cumsum(values, axis=1, dtype=values.dtype)
            if self.format == 3:
                values = values.view(f"f{size}")
        return values


def first_page(file: BinaryIO) -> Page | None:
    """Return what the first page of an open file says; None where it is no TIFF or its tags cannot be read. The file is
    left at its beginning."""
    try:
        start = file.read(16)
        if start[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return None
        order, big = "<" if start[:1] == b"I" else ">", start[2:4] in (b"+\0", b"\0+")
        at = struct.unpack_from(f"{order}Q" if big else f"{order}I", start, 8 if big else 4)[0]
        tags, after, cut = _tags(file, at, order, big)
        made = MAKE in tags and SUB_PAGES in tags and tags.get(SUBFILE) == (1,)
        return Page(tags, order, max(1 + sum(1 for _ in _further(file, at, after, order, big)), _stacked(tags)),
                    start[8:10] == b"CR" or DNG in tags or made, cut)
    except (struct.error, OSError, OverflowError, MemoryError):
        return None
    finally:
        file.seek(0)


def _tags(file: BinaryIO, at: int, order: str, big: bool) -> tuple[dict[int, tuple[int, ...] | bytes], int, bool]:
    """Return the tags of the page that begins there, where the next begins (0: there is none), and whether what a tag
    says lies beyond the file's end."""
    entry, pointer = f"{order}HH{'Q8s' if big else 'I4s'}", f"{order}{'Q' if big else 'I'}"
    file.seek(at)
    count = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))[0]
    if count > _MOST_TAGS:
        raise struct.error
    size = struct.calcsize(entry)
    entries = file.read(size * count)
    after = struct.unpack(pointer, file.read(struct.calcsize(pointer)))[0]
    tags: dict[int, tuple[int, ...] | bytes] = {}
    cut = False
    for tag, kind, number, inline in struct.iter_unpack(entry, entries):
        letter = _SIZES.get(kind)
        if letter is None or number > _MOST_NUMBERS or tag in tags:
            continue
        wanted = struct.calcsize(f"{order}{number}{letter}")
        if wanted > len(inline):
            file.seek(struct.unpack(pointer, inline)[0])
            inline = file.read(wanted)
        cut = cut or len(inline) < wanted
        if len(inline) >= wanted:
            tags[tag] = inline[:wanted] if letter == "s" else struct.unpack(f"{order}{number}{letter}", inline[:wanted])
    return tags, after, cut


def _further(file: BinaryIO, first: int, at: int, order: str, big: bool) -> Iterator[int]:
    """Yield where the pages after the first begin."""
    seen = {first}
    while at and at not in seen and len(seen) < _MOST_PAGES:
        seen.add(at)
        file.seek(at)
        start = file.read(8 if big else 2)
        if len(start) < (8 if big else 2):
            return
        yield at
        count = struct.unpack(f"{order}{'Q' if big else 'H'}", start)[0]
        file.seek(count * (20 if big else 12), io.SEEK_CUR)
        pointer = file.read(8 if big else 4)
        if len(pointer) < (8 if big else 4):
            return
        at = struct.unpack(f"{order}{'Q' if big else 'I'}", pointer)[0]


def _stacked(tags: Mapping[int, tuple[int, ...] | bytes]) -> int:
    """Return how many pictures ImageJ says that it has laid behind the first one's, without pages of their own."""
    text = bytes(tags.get(DESCRIPTION, b""))
    found = re.search(rb"^images=(\d{1,9})\s*$", text, re.MULTILINE) if text.startswith(b"ImageJ=") else None
    return int(found[1]) if found else 1


def pieces(file: BinaryIO, starts: tuple[int, ...], sizes: tuple[int, ...], most: int) -> bytes:
    """Return strips or tiles one behind the other. Raises ValueError where they are together larger than packing could
    make them, or cut off."""
    if sum(sizes) > most + _MOST_PACKING:
        raise ValueError("its strips or tiles are larger than what is in them")
    found = []
    for start, size in zip(starts, sizes, strict=True):
        file.seek(start)
        found.append(file.read(size))
        if len(found[-1]) < size:
            raise ValueError("a strip or tile is cut off")
    return b"".join(found)


def _with_tags(data: bytes, order: str, tags: dict[int, tuple[int, ...]]) -> bytes:
    """Return a file of these strips or tiles with one page of these tags, all of them whole numbers."""
    at, entries, behind = 8 + len(data) + len(data) % 2, [], b""
    end = at + 2 + 12 * len(tags) + 4
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(packed) > 4:
            packed, behind = struct.pack(f"{order}I", end + len(behind)), behind + packed
        entries.append(struct.pack(f"{order}HHI", tag, 4, len(numbers)) + packed)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", at)
    return b"".join((start, data, bytes(len(data) % 2), struct.pack(f"{order}H", len(tags)), *entries,
                     bytes(4), behind))


def _bits(rows: Array, bits: int, signed: bool) -> Array:
    """Return the numbers that lie bit after bit in each row, the upper bit first."""
    count = rows.shape[1] * 8 // bits
    unsigned = np.uint16 if bits <= 16 else np.uint32 if bits <= 32 else np.uint64
    found = np.zeros((len(rows), count), np.int64 if signed else unsigned)
    for i, row in enumerate(rows):
        each = np.unpackbits(row)[: count * bits].reshape(count, bits)
        for j in range(bits):
            found[i] = found[i] << 1 | each[:, j]
    if signed:
        found[found >= 1 << (bits - 1)] -= 1 << bits
    return found


def _wide(values: Array, order: str, signed: bool) -> Array:
    """Return numbers of 3, 5, 6 or 7 bytes, (h, n), of their bytes, (h, n, size)."""
    size = values.shape[2]
    found = np.zeros(values.shape[:2], np.int64 if signed else np.uint64)
    for i in range(size) if order == ">" else reversed(range(size)):
        found = found << 8 | values[:, :, i]
    if signed:
        found[found >= 1 << (8 * size - 1)] -= 1 << 8 * size
    return found
