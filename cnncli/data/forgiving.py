"""Damage that takes nothing from the picture, and that browsers ignore: bytes before or after an image, a missing end
marker, chunks without pixels that are too large, cut off or have a wrong checksum. Pillow then reads the image without
them, and a note says what was ignored. Damage to pixels stays; it is refused here if Pillow would not notice. decode.py
begins here; png.py, jpeg.py and bmp.py know the parts of the formats.
"""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from ..errors import ImageError
from . import bmp, png
from .bounds import refuse_scans, refuse_size
from .jpeg import END, START, Jpeg, is_whole, read_markers
from .png import Chunk

_LARGEST_FILE = 512 << 20  # bytes of a damaged file that are read into memory
_FURTHEST = 1024  # bytes before an image, at most
_SCANS = 500  # markers are not counted further
_TIFF = (b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"MM\0+", b"II+\0")
# Files that hold pictures and are none: the first picture in them is not what they show.
_CONTAINERS = (b"%PDF", b"%!PS", b"8BPS", b"PK\3\4", b"ID3", b"\0\0\1\0", b"\0\0\2\0", b"icns", b"{\\rtf", b"Rar!",
               b"\x1f\x8b", b"\xd0\xcf\x11\xe0")


@dataclass
class Sound:
    """What Pillow reads in place of a file. notes are sentences on what was ignored. Of a JPEG it has what the markers
    say, of a PNG the chunks.
    """

    file: BinaryIO
    notes: list[str] = field(default_factory=list)
    jpeg: Jpeg | None = None
    chunks: list[Chunk] = field(default_factory=list)
    late_exif: bytes | None = None

    def bare(self) -> bool:
        """Take everything from a PNG that says nothing of its pixels, once Pillow has stumbled over it; False where
        there is nothing to take."""
        kept = png.bare(self.file, self.chunks)
        if not self.chunks or len(kept) == len(self.chunks):
            return False
        data = png.with_chunks(self.file, kept)
        named = ", ".join(dict.fromkeys(chunk.shown for chunk in self.chunks if chunk not in kept))
        self.notes.append(f"its chunks without pixels ({named}) are damaged or too large, and were passed over")
        self.file, self.chunks = io.BytesIO(data), []
        return True


def forgive(path: str, file: BinaryIO, header_only: bool = False) -> Sound:
    """Return what is to be decoded of a file, from its first byte on. Raises ImageError if pixels are damaged in a way
    that Pillow does not notice, and for a JPEG whose scans would take too long. header_only: what comes after the
    header is not looked at.
    """
    size = file.seek(0, os.SEEK_END)
    sound = Sound(file)
    start, kind = _beginning(file, size)
    if start:
        file.seek(start)
        sound.file = io.BytesIO(file.read())
        size -= start
    if kind is not None:
        kind(path, sound, size, header_only)
    if start:
        sound.notes.insert(0, _passed_over(start, "before its beginning"))
    sound.file.seek(0)
    return sound


def _passed_over(count: int, where: str) -> str:
    return f"{count:,} byte{'s' * (count != 1)} {where} {'was' if count == 1 else 'were'} passed over"


def _beyond(sound: Sound, end: int, size: int) -> None:
    if 0 < end < size:
        sound.notes.append(_passed_over(size - end, "behind its end"))


# ---- where an image begins ----


def _beginning(file: BinaryIO, size: int) -> "tuple[int, _Kind | None]":
    """Return where the image begins and what its format needs: 0 unless bytes that belong to no format known here come
    before an image that is most of the file."""
    file.seek(0)
    head = file.read(_FURTHEST + 16)
    kind = _kind(head)
    if kind is not None or _is_other(head) or size > _LARGEST_FILE:
        return 0, kind
    places = [at for magic in (START + b"\xff", png.SIGNATURE, b"GIF8", b"RIFF") if (at := head.find(magic)) > 0]
    for at in sorted(places):
        kind = _kind(head[at:])
        if kind is not None and at <= _FURTHEST and 2 * (_end(file, at, size, kind) - at) > size:
            return at, kind
    return 0, None


def _kind(head: bytes) -> "_Kind | None":
    if head.startswith(START):
        return _jpeg
    if head.startswith(png.SIGNATURE):
        return _png
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _gif
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp
    return _bmp if head.startswith(b"BM") else None


def _is_other(head: bytes) -> bool:
    return head.startswith((*_TIFF, *_CONTAINERS)) or head[4:8] == b"ftyp" or head[128:132] == b"DICM"


def _end(file: BinaryIO, start: int, size: int, kind: "_Kind") -> int:
    """Return where the image that begins at `start` ends, as far as can be told without reading it whole."""
    file.seek(start)
    if kind is _jpeg:
        return read_markers(file, _SCANS).end or size
    if kind is _png:
        found = list(png.chunks(file, start + 8, size))
        return found[-1].end if found else start
    if kind is _webp:
        return start + 8 + int.from_bytes(file.read(8)[4:], "little")
    return size


# ---- one format after the other ----


def _jpeg(path: str, sound: Sound, size: int, header_only: bool) -> None:
    if header_only:
        return
    sound.file.seek(0)
    jpeg = sound.jpeg = read_markers(sound.file, _SCANS)
    refuse_size(path, jpeg.size) if jpeg.components else None
    refuse_scans(path, jpeg)
    if jpeg.end is not None:
        # What ends like an image is one: of phones, with a second picture or a map of brightness behind the first.
        sound.file.seek(max(0, size - 2))
        if sound.file.read(2) != END:
            _beyond(sound, jpeg.end, size)
    elif jpeg.last and size <= _LARGEST_FILE:
        sound.file.seek(0)
        data = sound.file.read()
        if is_whole(data, jpeg):
            sound.file = io.BytesIO(data.rstrip(b"\xff") + END)
            sound.notes.append("its end marker is missing")


def _png(path: str, sound: Sound, size: int, header_only: bool) -> None:
    found = list(png.chunks(sound.file, 8, size))
    if header_only:
        sound.chunks, sound.late_exif = found, png.late_exif(sound.file, found)
        return
    kept, nowhere = [], png.out_of_place(found)
    for chunk in found:
        if chunk in nowhere:
            sound.notes.append(f"its chunk {chunk.shown} is out of place, and was passed over")
            continue
        right = chunk.whole and png.is_right(sound.file, chunk)
        if right or (chunk.holds_pixels and not chunk.whole):  # what is cut off, Pillow notices if it was pixels
            kept.append(chunk)
        elif chunk.holds_pixels:
            raise ImageError(path, f"it is damaged or cut short (the checksum of its chunk {chunk.shown} is wrong)")
        elif chunk.whole or chunk.name != b"IEND":
            sound.notes.append(f"its chunk {chunk.shown} has a wrong checksum, or is cut off, and was passed over")
    if found and found[-1].name == b"IEND" and found[-1].whole:
        _beyond(sound, found[-1].end, size)
    elif found:
        sound.notes.append("its end is missing")
    sound.chunks, sound.late_exif = kept, png.late_exif(sound.file, kept)
    if len(kept) < len(found) and size <= _LARGEST_FILE:
        sound.file = io.BytesIO(png.with_chunks(sound.file, kept))
        sound.chunks = list(png.chunks(sound.file, 8, size))


def _gif(path: str, sound: Sound, size: int, header_only: bool) -> None:
    sound.file.seek(size - 1)
    if header_only or sound.file.read(1) == b";" or size > _LARGEST_FILE:
        return
    sound.file.seek(0)
    end = _gif_end(sound.file.read())
    if end:
        _beyond(sound, end, size)
    else:
        sound.notes.append("its end is missing")


def _gif_end(data: bytes) -> int:
    """Return where a GIF's blocks end, 0 where they do not."""
    def table(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 128 else 0

    at = 13 + table(data[10] if len(data) > 10 else 0)
    while at < len(data):
        if data[at] == 0x3B:
            return at + 1
        if data[at] == 0x2C and at + 10 < len(data):
            at += 11 + table(data[at + 9])
        elif data[at] == 0x21:
            at += 2
        else:
            return 0
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return 0


def _webp(path: str, sound: Sound, size: int, header_only: bool) -> None:
    sound.file.seek(4)
    end = 8 + int.from_bytes(sound.file.read(4), "little")
    if not header_only:
        _beyond(sound, end + end % 2, size)


def _bmp(path: str, sound: Sound, size: int, header_only: bool) -> None:
    """Rows of a BMP without compression end where their number says; its later headers may have a profile there. What
    Pillow would misread is given to it in another way (bmp.py)."""
    data = bmp.rewritten(path, sound.file, header_only)
    _behind_rows(sound, size, header_only)
    if data:
        sound.file = io.BytesIO(data)


def _behind_rows(sound: Sound, size: int, header_only: bool) -> None:
    sound.file.seek(0)
    head = sound.file.read(54)
    if header_only or len(head) < 54 or int.from_bytes(head[14:18], "little") not in (40, 52, 56, 108):
        return
    w, h = (abs(int.from_bytes(head[at : at + 4], "little", signed=True)) for at in (18, 22))
    bits, packing = int.from_bytes(head[28:30], "little"), int.from_bytes(head[30:34], "little")
    if packing in (0, 3):
        end = int.from_bytes(head[10:14], "little") + (w * bits + 31) // 32 * 4 * h
        _beyond(sound, end, size)


_Kind = Callable[[str, Sound, int, bool], None]
