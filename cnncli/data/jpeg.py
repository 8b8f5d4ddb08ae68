"""The parts of a JPEG, read from its markers without decoding a pixel: scans, where it ends, what is kept in memory
while it is decoded, and whether all of its data is there. bounds.py refuses what would take too long by this;
forgiving.py tells damage to pixels from other damage by it.
"""

import io
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import BinaryIO

from PIL import Image

START, END = b"\xff\xd8", b"\xff\xd9"
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # not 00 (a value of 255), FF (filling), D0 to D7 (restarts)
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_ALONE, _RESTARTS, _SCAN = (0x01, 0xD8), 0xDD, 0xDA
_BLOCK = 1 << 16
_MOST_SEGMENTS = 100_000  # a JPEG has some tens
# What may follow data that is cut off: decoders make zeros of what is missing, so that anything else gives other pixels
# where something is missing, and the same where nothing is.
_FILLINGS = (b"\0" * 64, b"\xff\0" * 64, b"\xaa" * 64, b"\x55" * 64)


@dataclass
class Jpeg:
    """scans as far as they were counted; end, the position behind the end marker, None where there is none; the frame's
    (width, height), whether it is progressive, and its components' (horizontal, vertical) sampling by number."""

    scans: int = 0
    end: int | None = None
    size: tuple[int, int] = (0, 0)
    progressive: bool = False
    components: dict[int, tuple[int, int]] = field(default_factory=dict)
    restart: int = 0  # blocks of samples (MCUs) between two restart markers; 0: none
    restarts: int = 0  # restart markers of the last scan
    last: tuple[int, ...] = ()  # the components of the last scan
    refined: dict[int, list[int | None]] = field(default_factory=dict)  # by coefficient: low bits still to come

    def kept(self) -> int:
        """Return the bytes of coefficients that a decoder keeps: all of them where there are several scans."""
        if self.scans < 2 and not self.progressive:
            return 0
        (w, h), (wide, high) = self.size, self._most()
        return sum(2 * (w * x // wide) * (h * y // high) for x, y in self.components.values())

    def scans_are_whole(self) -> bool:
        """Whether the scans that are there say every coefficient to its last bit, and none lacks a restart."""
        if any(low != 0 for lows in self.refined.values() for low in lows) or not self.last:
            return False
        return not self.restart or self.restarts == -(-self._units() // self.restart) - 1

    def _most(self) -> tuple[int, int]:
        sampling = [*self.components.values()] or [(1, 1)]
        return max(x for x, _ in sampling), max(y for _, y in sampling)

    def _units(self) -> int:
        """Return how many MCUs the last scan has: of a single component its blocks that hold something of the image."""
        (w, h), (wide, high) = self.size, self._most()
        if len(self.last) > 1:
            return math.ceil(w / (8 * wide)) * math.ceil(h / (8 * high))
        x, y = self.components.get(self.last[0], (1, 1))
        return math.ceil(math.ceil(w * x / wide) / 8) * math.ceil(math.ceil(h * y / high) / 8)


def read_markers(file: BinaryIO, most_scans: int) -> Jpeg:
    """Walk through the markers of the JPEG that begins where the file is, up to its end marker or to one scan more than
    most_scans. Segments are jumped over and scans searched, so that bytes in a comment, a thumbnail or what follows the
    image are taken for nothing."""
    jpeg, at = Jpeg(), file.tell()
    for _ in range(_MOST_SEGMENTS):
        at, restarts = _next_marker(file, at)
        jpeg.restarts += restarts
        if at < 0:
            return jpeg
        file.seek(at)
        head = file.read(4)
        marker = head[1]
        if marker == END[1]:
            jpeg.end = at + 2
            return jpeg
        if marker in _ALONE or len(head) < 4:
            at += 2
            continue
        length = max(2, head[2] << 8 | head[3])
        body = file.read(length - 2) if marker in _FRAMES or marker in (_RESTARTS, _SCAN) else b""
        at += 2 + length
        _note(jpeg, marker, body)
        if jpeg.scans > most_scans:
            return jpeg
    return jpeg


def _next_marker(file: BinaryIO, at: int) -> tuple[int, int]:
    """Return where the next marker from a position on is, -1 if nowhere, and how many restarts are before it."""
    file.seek(at)
    restarts, last, size = 0, b"", 4  # where one is expected, it is
    while block := file.read(size):
        data, size = last + block, _BLOCK
        found = _MARKER.search(data)
        if restarts or b"\xff\xd0" in data:  # the first of eight, which come in turn
            restarts += len(_RESTART.findall(data, 0, found.start() if found else len(data)))
        if found:
            return at + found.start(), restarts
        last = data[-1:] if data[-1] == 0xFF else b""
        at += len(data) - len(last)
    return -1, restarts


def _note(jpeg: Jpeg, marker: int, body: bytes) -> None:
    """Take from a segment what is of interest; one that is too short says nothing."""
    if marker == _RESTARTS and len(body) >= 2:
        jpeg.restart = body[0] << 8 | body[1]
    elif marker in _FRAMES and len(body) >= 6 and len(body) >= 6 + 3 * body[5]:
        jpeg.progressive = marker in _PROGRESSIVE
        h, w = struct.unpack(">HH", body[1:5])
        jpeg.size = w, h
        for i in range(6, 6 + 3 * body[5], 3):
            jpeg.components[body[i]] = max(1, body[i + 1] >> 4), max(1, body[i + 1] & 15)
            jpeg.refined[body[i]] = [None] * 64
    elif marker == _SCAN:
        jpeg.scans += 1
        jpeg.restarts = 0
        if body and len(body) >= 4 + 2 * body[0]:
            jpeg.last = tuple(body[1 : 1 + 2 * body[0] : 2])
            first, last, bits = body[1 + 2 * body[0] : 4 + 2 * body[0]]
            for component in jpeg.last:
                lows = jpeg.refined.get(component, [None] * 64)
                for k in range(first, min(last, 63) + 1):
                    lows[k] = bits & 15


def is_whole(data: bytes, jpeg: Jpeg) -> bool:
    """Whether a JPEG without its end marker has all of its pixels: whatever is put behind its data changes none."""
    data = data.rstrip(b"\xff")  # the first half of a marker, or of a value of 255 that is then missing
    return jpeg.scans_are_whole() and len({_digest(data + filling + END) for filling in _FILLINGS}) == 1


def _digest(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        image.load()
        digest = blake2b(digest_size=16)
        for strip in _strips(image):
            digest.update(strip.tobytes())
        return digest.digest()


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    rows = max(1, _BLOCK // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))
