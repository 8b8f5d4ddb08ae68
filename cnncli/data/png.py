"""The chunks of a PNG: which hold its pixels, whether their checksums are right, and the same file without what holds
none. forgiving.py asks for it; decoding is Pillow's.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END, _PIXELS, _HEADER, _PALETTE, _TRANSPARENCY, _EXIF = b"IEND", b"IDAT", b"IHDR", b"PLTE", b"tRNS", b"eXIf"
_BLOCK = 1 << 20
_TRANSPARENCY_BYTES = {0: (2,), 2: (6,), 3: range(1, 257)}  # by type of colour
_MOST_CHUNKS = 200_000  # an IDAT chunk may be small, but not all are empty


@dataclass(frozen=True)
class Chunk:
    """A chunk: its name, where it begins (its length) and ends (behind its checksum) in the file; whole is False where
    the file ends before that."""

    name: bytes
    start: int
    end: int
    whole: bool = True

    @property
    def holds_pixels(self) -> bool:
        """Whether nothing can be shown without it: names of such chunks, and of the end, begin with a capital."""
        return not self.name[0] & 32 and self.name != _END

    @property
    def shown(self) -> str:
        return self.name.decode("ascii")


def chunks(file: BinaryIO, at: int, size: int) -> Iterator[Chunk]:
    """Yield the chunks of a PNG whose signature is before `at`, up to the end marker or to what is no chunk."""
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or not head[4:].isalpha():
            return
        end = at + 12 + int.from_bytes(head[:4], "big")
        yield Chunk(head[4:], at, end, end <= size)
        if head[4:] == _END or end > size:
            return
        at = end


def is_right(file: BinaryIO, chunk: Chunk) -> bool:
    """Whether a chunk's checksum is that of its bytes."""
    file.seek(chunk.start + 4)
    left, sum_so_far = chunk.end - chunk.start - 8, 0
    while left:
        block = file.read(min(left, _BLOCK))
        if not block:
            return False
        sum_so_far = zlib.crc32(block, sum_so_far)
        left -= len(block)
    return file.read(4) == struct.pack(">I", sum_so_far)


def body(file: BinaryIO, chunk: Chunk) -> bytes:
    """Return what is in a chunk."""
    file.seek(chunk.start + 8)
    return file.read(max(0, chunk.end - chunk.start - 12))


def raw(file: BinaryIO, chunk: Chunk) -> bytes:
    """Return a chunk with its length, name and checksum."""
    file.seek(chunk.start)
    return file.read(chunk.end - chunk.start)


def with_chunks(file: BinaryIO, kept: list[Chunk]) -> bytes:
    """Return a PNG of these chunks."""
    return SIGNATURE + b"".join(raw(file, chunk) for chunk in kept)


def bare(file: BinaryIO, found: list[Chunk]) -> list[Chunk]:
    """Return the chunks that say how the first picture looks: what is critical, transparency that fits the type of
    colour, and EXIF data."""
    header = body(file, found[0]) if found and found[0].name == _HEADER else b""
    fitting = _TRANSPARENCY_BYTES.get(header[9] if len(header) > 9 else -1, ())
    return [chunk for chunk in found
            if chunk.holds_pixels or chunk.name in (_EXIF, _END)
            or (chunk.name == _TRANSPARENCY and chunk.end - chunk.start - 12 in fitting)]


def out_of_place(found: list[Chunk]) -> list[Chunk]:
    """Return chunks of transparency that count for nothing: those behind the pixels, before the palette, or behind
    another that counts."""
    names = [chunk.name for chunk in found]
    last = names.index(_PIXELS) if _PIXELS in names else len(names)
    first = names.index(_PALETTE) if _PALETTE in names[:last] else 0
    every = [i for i, name in enumerate(names) if name == _TRANSPARENCY]
    return [found[i] for i in every if i != next((j for j in every if first <= j < last), None)]


def late_exif(file: BinaryIO, found: list[Chunk]) -> bytes | None:
    """Return EXIF data that comes behind the pixels, which Pillow reads only after them; None where there is none."""
    names = [chunk.name for chunk in found]
    if _EXIF in names and _PIXELS in names and names.index(_EXIF) > names.index(_PIXELS):
        return b"Exif\0\0" + body(file, found[names.index(_EXIF)])
    return None
