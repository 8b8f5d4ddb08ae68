"""What an image may cost: pixels, bytes in memory at once, and the work of a JPEG's scans. decode.py asks here, with
what headers and markers say, before a pixel is decoded: a few kilobytes of file can ask for gigabytes, or minutes.
"""

from typing import Any

from PIL import Image

from ..errors import ImageError
from .jpeg import Jpeg

MOST_PIXELS = 100_000_000
MOST_BYTES = 512 << 20  # held at once for one image: as it is stored, as it is wanted, and what is needed between
MOST_DEEP_BYTES = 640 << 20  # the same for one whose values are deeper than 8 bits
MOST_SCANS = 500  # of a JPEG: each costs a pass over the image, and 40 kB of file can hold more than a thousand
MOST_SCANNED = 2_000_000_000  # pixels, counted once for each scan: a second or two; photographs have some ten scans
_HEIGHT, _BITS, _SAMPLES, _STRIP_ROWS, _COMPRESSION = 257, 258, 277, 278, 259  # TIFF's tags
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_NOT_COMPRESSED = 1
_WEBP = 12  # bytes a pixel beside Pillow's image: two canvases of an animation and a copy


def refuse_size(path: str, size: tuple[int, int]) -> None:
    """Raise ImageError if an image has too many pixels, or none."""
    w, h = size
    if w * h > MOST_PIXELS:
        raise ImageError(path, f"its {w} x {h} pixels are more than {MOST_PIXELS // 1_000_000} megapixels", "too large")
    if w < 1 or h < 1:
        raise ImageError(path, "it has no pixels", "empty")


def refuse_scans(path: str, jpeg: Jpeg) -> None:
    """Raise ImageError if a JPEG's scans would take too long."""
    if jpeg.scans > MOST_SCANS:
        raise ImageError(path, f"this JPEG has more than {MOST_SCANS} scans, and would take too long", "too large")
    w, h = jpeg.size
    if jpeg.scans * w * h > MOST_SCANNED:
        raise ImageError(path, f"this JPEG has {jpeg.scans} scans of {w} x {h} pixels, and would take too long; save "
                               "it anew, with fewer", "too large")


def refuse_bytes(path: str, image: Image.Image, wanted: str, turned: bool, jpeg: Jpeg | None) -> None:
    """Raise ImageError if decoding an open image would take too much memory at once; also making it of the wanted mode
    ("L" or "RGB") and turning it upright.
    """
    result = bytes_a_pixel(wanted)
    each = bytes_a_pixel(image.mode) + turned * result
    if image.has_transparency_data:
        each += bytes_a_pixel("RGB")  # whatever is wanted, so that grey models refuse what others do
    elif image.mode != wanted:
        each += result
    held = image.width * image.height * each + (jpeg.kept() if jpeg else 0) + _working_memory(image)
    refuse_held(path, image.size, image.mode, held)


def refuse_held(path: str, size: tuple[int, int], mode: str, held: int) -> None:
    """Raise ImageError if these are too many bytes at once for an image of 8 bits."""
    if held > MOST_BYTES:
        w, h = size
        raise ImageError(path, f"its {w} x {h} pixels ({mode}) would take {held / 2**20:,.0f} MiB "
                               f"of memory, more than {MOST_BYTES >> 20}; make it smaller", "too large")


def refuse_deep(path: str, size: tuple[int, int], each: int, alpha: bool, copies: int) -> None:
    """Raise ImageError if values of more than 8 bits would take too much memory: `each` bytes per pixel with all its
    channels, several copies at once while they are read, and transparency as floats.
    """
    refuse_size(path, size)
    w, h = size
    held = w * h * (copies * each + 3 + 8 * alpha)
    if held > MOST_DEEP_BYTES:
        raise ImageError(path, f"its {w} x {h} pixels of {each} bytes would take {held / 2**20:,.0f} MiB of memory, "
                               f"more than {MOST_DEEP_BYTES >> 20}; make it smaller, or save it with 8 bits a value",
                         "too large")


def bytes_a_pixel(mode: str) -> int:
    """Return what a pixel of one of Pillow's modes takes in memory."""
    return 1 if mode in ("1", "L", "P") else 2 if mode.startswith("I;") else 4


def _working_memory(image: Image.Image) -> int:
    """Return what Pillow's decoder holds beside the image."""
    if image.format == "WEBP":
        return _WEBP * image.width * image.height
    tags: Any = getattr(image, "tag_v2", {})
    if image.format != "TIFF" or tags.get(_COMPRESSION, _NOT_COMPRESSED) == _NOT_COMPRESSED:
        return 0
    bits = tags.get(_BITS, (8,))
    samples: int = int(tags.get(_SAMPLES, 1)) * max(bits if isinstance(bits, tuple) else (bits,))
    rows = min(int(tags.get(_STRIP_ROWS, image.height)), int(tags.get(_HEIGHT, image.height)))
    tiled = _TILE_WIDTH in tags and _TILE_HEIGHT in tags
    pixels = int(tags[_TILE_WIDTH]) * int(tags[_TILE_HEIGHT]) if tiled else rows * image.width
    return pixels * samples // 8
