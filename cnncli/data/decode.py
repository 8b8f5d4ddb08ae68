"""From one image file to pixels: PNG, JPEG, BMP, GIF (first frame), TIFF (first page) and WebP, whatever mode the file
is in, through Pillow; values deeper than 8 bits are read by tiff.py and deep_png.py and scaled by depth.py. Nothing
that is too large or built to be slow is decoded, and whatever goes wrong becomes an ImageError. preprocessing.py, the
only caller in training and use, makes all images one size.
"""

import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import ImageError
from . import deep_png, tiff
from .depth import Scales, Seen, Values, narrow

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
MOST_PIXELS = 100_000_000
MOST_SCANS = 500  # of a JPEG: each costs a pass over the image, and 40 kB of file can hold more than a thousand
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274  # TIFF's and EXIF's tags
_WIDE = ("I", "F")  # and I;16, I;16B …
_EIGHT_BITS = Scales()
_JPEG = ("JPEG", "MPO")  # the latter has further images behind the first, as many phones write
_TRANSPOSED = (5, 6, 7, 8)  # orientations that swap width and height

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its image: the format (PNG, JPEG, BMP, GIF, TIFF, WEBP) that it really has, Pillow's mode
    or the kind of its values where they are deeper than 8 bits (wide), height and width once it is upright, EXIF's
    orientation (1: upright as it is), whether it has further frames, and transparency."""

    format: str
    mode: str
    height: int
    width: int
    orientation: int
    frames: bool
    transparent: bool
    wide: bool


def decode(path: str | os.PathLike[str], grey: bool) -> Array:
    """Return an image as uint8 (h, w, 1) if grey, else (h, w, 3). Raises ImageError, which names file and reason."""
    pixels = np.asarray(open_image(path, grey))
    return pixels.reshape(*pixels.shape[:2], 1 if grey else 3)


def open_image(path: str | os.PathLike[str], grey: bool, least: tuple[int, int] | None = None,
               scales: Scales = _EIGHT_BITS, seen: Seen | None = None) -> Image.Image:
    """Return an image decoded and upright, as a Pillow image of mode "L" if grey, else "RGB".

    EXIF orientation is applied; transparency is laid on white; palettes, 1-bit, CMYK, YCbCr and LAB are converted.
    Values deeper than 8 bits are scaled as `scales` says and noted in `seen`. Without scales: integers from all that
    their type can hold (unsigned ones of 32 bits from 0..65535 where none is larger; signed ones with negative ones
    from their own smallest and largest), floats from 0..1, and from their own limits where one lies outside.
    A JPEG that is far larger than `least` (h, w) may come back reduced to twice that or more, which is faster.

    Raises ImageError, which names file and reason; nothing else, and no warning.
    """
    return _decoded(os.fspath(path), grey, least, scales, seen, look=False)[0]


def examine(path: str | os.PathLike[str], least: tuple[int, int] | None = None, scales: Scales = _EIGHT_BITS,
            seen: Seen | None = None) -> tuple[Image.Image, Header]:
    """Return an image as ``open_image`` does, of mode "L" where the file's own mode is grey, else "RGB", and what its
    header says. Raises ImageError."""
    image, header = _decoded(os.fspath(path), None, least, scales, seen, look=True)
    assert header is not None
    return image, header


def _decoded(path: str, grey: bool | None, least: tuple[int, int] | None, scales: Scales, seen: Seen | None, look: bool
             ) -> tuple[Image.Image, Header | None]:
    """Return an image decoded and upright, and, where one wants to look, its header; grey None: as the file is."""
    page: tiff.Page | None = None
    try:
        with quiet(), _open(path) as file:
            page = tiff.first_page(file)
            if page is not None and (page.deep or page.raw):
                values = _values_of(path, page, file)
                said = _header_of(page)
                return _shown(values, page.grey if grey is None else grey, said.orientation, scales, seen), said
            _refuse_scans(path, file)
            with Image.open(file, formats=FORMATS) as image:
                _refuse_size(path, image.size)
                wide = image.format == "PNG" and deep_png.is_deep(image)
                if wide:
                    values = deep_png.read(image, file)
                header = _header(image, wide) if look else None
                if least and image.format == "JPEG":
                    side = 2 * max(least)
                    image.draft(None, (side, side))
                wanted = _is_grey(image) if grey is None else grey
                if wide:
                    return _shown(values, wanted, _orientation(image), scales, seen), header
                image.load()
                return _upright(_plain(image, wanted), _orientation(image)), header
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(path, _reason(error, page)) from None


def _values_of(path: str, page: tiff.Page, file: BinaryIO) -> Values:
    """Return the values of a deep page of a TIFF, where they can be read."""
    _refuse_size(path, page.size)
    if reason := page.refusal():
        raise ImageError(path, reason)
    return page.values(file)


def _shown(values: Values, grey: bool, orientation: int, scales: Scales, seen: Seen | None) -> Image.Image:
    """Return deep values as an upright image of 8 bits."""
    if seen is not None:
        seen.look(values)
    image = Image.fromarray(narrow(values, scales))
    wanted = "L" if grey else "RGB"
    return _upright(image if image.mode == wanted else image.convert(wanted), orientation)


def _header(image: Image.Image, wide: bool) -> Header:
    form = "JPEG" if image.format in _JPEG else str(image.format)
    orientation = _orientation(image)
    return Header(
        form, image.mode, *_upright_size(image, orientation), orientation,
        frames=form != "JPEG" and bool(getattr(image, "is_animated", False)),  # an MPO's second image is no frame
        transparent=image.has_transparency_data,
        wide=wide or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())),  # inks and L*a*b* of 16 bits
    )


def _header_of(page: tiff.Page) -> Header:
    """Return what a deep page of a TIFF says."""
    turned = page.number(_ORIENTATION, 1)
    turned = turned if 1 <= turned <= 8 else 1
    w, h = page.size
    h, w = (w, h) if turned in _TRANSPOSED else (h, w)
    return Header("TIFF", page.kind, h, w, turned, page.pages > 1, page.alpha is not None, wide=True)


def _upright_size(image: Image.Image, orientation: int) -> tuple[int, int]:
    """Return (h, w) as they are once the image is upright. Pillow may have turned a TIFF's size, but not its tags."""
    tags = getattr(image, "tag_v2", {})
    w, h = (int(tags.get(tag, side)) for tag, side in zip((_WIDTH, _HEIGHT), image.size, strict=True))
    return (w, h) if orientation in _TRANSPOSED else (h, w)


def read_header(path: str | os.PathLike[str]) -> tuple[int, int, bool]:
    """Return an image's (h, w, grey) from its header alone; w and h as they are once it is upright.

    Raises ImageError as ``open_image`` does, as far as the header shows it.
    """
    path = os.fspath(path)
    page: tiff.Page | None = None
    try:
        with quiet(), _open(path) as file:
            page = tiff.first_page(file)
            if page is not None and (page.deep or page.raw):
                _refuse_size(path, page.size)
                if reason := page.refusal():
                    raise ImageError(path, reason)
                header = _header_of(page)
                return header.height, header.width, page.grey
            with Image.open(file, formats=FORMATS) as image:
                _refuse_size(path, image.size)
                return *_upright_size(image, _orientation(image)), _is_grey(image)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(path, _reason(error, page)) from None


# ---- opening, and refusing before decoding ----


def _open(path: str) -> BinaryIO:
    """Open a regular file; O_NONBLOCK, so that a FIFO is refused and not waited for."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        os.close(descriptor)
        raise ImageError(path, "it is empty" if stat.S_ISREG(status.st_mode) else "it is not a regular file")
    return os.fdopen(descriptor, "rb")


def _refuse_scans(path: str, file: BinaryIO) -> None:
    """Refuse a JPEG with too many scans, by counting their markers: compressed data cannot hold that byte pair."""
    start = file.read(2)
    if start == b"\xff\xd8":
        scans, block, last = 0, start, b""
        while block:
            scans += (last + block).count(b"\xff\xda")
            last, block = block[-1:], file.read(1 << 20)
        if scans > MOST_SCANS:
            raise ImageError(path, f"this JPEG has {scans} scans, more than {MOST_SCANS}, and would take too long")
    file.seek(0)


def _refuse_size(path: str, size: tuple[int, int]) -> None:
    w, h = size
    if w * h > MOST_PIXELS:
        raise ImageError(path, f"its {w} x {h} pixels are more than {MOST_PIXELS // 1_000_000} megapixels")
    if w < 1 or h < 1:
        raise ImageError(path, "it has no pixels")


def _reason(error: Exception, page: tiff.Page | None) -> str:
    """Return in plain words why Pillow or the system refused."""
    if isinstance(error, UnidentifiedImageError):
        if page is not None and (reason := page.refusal()):
            return reason
        return "its content is not PNG, JPEG, BMP, GIF, TIFF or WebP"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {MOST_PIXELS // 1_000_000} megapixels"
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    words = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return f"it is damaged or cut short ({words.rstrip('.')})" if not getattr(error, "errno", None) else words


_quiet_lock = threading.Lock()
_quiet_depth = 0
_quiet_filters: Any = None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings to ourselves: what they announce is either refused or handled here. Every function here
    does; whoever decodes many images does so around all of them, too, which saves the setting up of each.

    The filters of Python's warnings belong to the process and not to a thread, so the first thread that enters sets
    one, for Pillow's modules only, and the last one that leaves takes it away again.
    """
    global _quiet_depth, _quiet_filters  # noqa: PLW0603
    with _quiet_lock:
        if _quiet_depth == 0:
            _quiet_filters = warnings.catch_warnings()
            _quiet_filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                _quiet_filters.__exit__(None, None, None)


# ---- every mode to 8-bit grey or RGB ----


def _plain(image: Image.Image, grey: bool) -> Image.Image:
    """Return a loaded image of any mode of 8 bits as one of mode "L" or "RGB"; itself where it is one."""
    if image.has_transparency_data:
        image = _on_white(image)
    if image.mode not in ("1", "L", "RGB"):  # P, CMYK, YCbCr, LAB …: not all of them turn grey directly
        image = image.convert("RGB")
    wanted = "L" if grey else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _on_white(image: Image.Image) -> Image.Image:
    """Lay a transparent image on white."""
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _orientation(image: Image.Image) -> int:
    """Return what the EXIF data says of how the image lies, 1 to 8; EXIF that cannot be read says nothing, which is
    no reason to refuse the pixels."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(plain: Image.Image, orientation: int) -> Image.Image:
    """Apply the orientation that the file's EXIF data asks for; 1 is none."""
    moves = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
             5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
             8: Image.Transpose.ROTATE_90}
    move = moves.get(orientation)
    return plain.transpose(move) if move is not None else plain


def _is_grey(image: Image.Image) -> bool:
    """Whether the header shows that there is no colour: a grey mode, or a palette of greys."""
    if image.mode == "P":
        palette = np.asarray(image.getpalette() or [0, 0, 0]).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La", *_WIDE) or image.mode.startswith("I;")
