"""From one image file to pixels: PNG, JPEG, BMP, GIF (first frame), TIFF and WebP, through Pillow, whatever mode the
file is in. Nothing that is too large or built to be slow is decoded, and whatever goes wrong becomes an ImageError.
preprocessing.py, the only caller in training and use, makes all images one size.
"""

import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import ImageError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
MOST_PIXELS = 100_000_000
MOST_SCANS = 500  # of a JPEG: each costs a pass over the image, and 40 kB of file can hold more than a thousand
_WIDTH, _HEIGHT, _BITS_PER_SAMPLE, _ORIENTATION = 256, 257, 258, 274  # TIFF's and EXIF's tags
_WIDE = ("I", "F")  # and I;16, I;16B …
_JPEG = ("JPEG", "MPO")  # the latter has further images behind the first, as many phones write
_TRANSPOSED = (5, 6, 7, 8)  # orientations that swap width and height

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its image: the format (PNG, JPEG, BMP, GIF, TIFF, WEBP) that it really has, Pillow's mode,
    height and width once it is upright, EXIF's orientation (1: upright as it is), whether it has further frames,
    transparency, and values of more than 8 bits."""

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


def open_image(path: str | os.PathLike[str], grey: bool, least: tuple[int, int] | None = None) -> Image.Image:
    """Return an image decoded and upright, as a Pillow image of mode "L" if grey, else "RGB".

    EXIF orientation is applied; transparency is laid on white; palettes, 1-bit, CMYK, YCbCr and LAB are converted.
    Values wider than 8 bits are scaled, not clipped: integers from 0..65535 (from 0..4095 in a 12-bit TIFF), floats
    from 0..1, and whatever lies outside these from its own smallest and largest value.
    A JPEG that is far larger than `least` (h, w) may come back reduced to twice that or more, which is faster.

    Raises ImageError, which names file and reason; nothing else, and no warning.
    """
    return _decoded(os.fspath(path), grey, least, None)[0]


def examine(path: str | os.PathLike[str], least: tuple[int, int] | None = None) -> tuple[Image.Image, Header]:
    """Return an image as ``open_image`` does, of mode "L" where the file's own mode is grey, else "RGB", and what its
    header says. Raises ImageError."""
    image, header = _decoded(os.fspath(path), None, least, _header)
    assert header is not None
    return image, header


def _decoded(path: str, grey: bool | None, least: tuple[int, int] | None,
             look: Callable[[Image.Image], Header] | None) -> tuple[Image.Image, Header | None]:
    """Return an image decoded and upright, and what `look` says of it before; grey None: as the file is."""
    try:
        with quiet(), _open(path) as file:
            _refuse_scans(path, file)
            with Image.open(file, formats=FORMATS) as image:
                _refuse_size(path, image.size)
                header = look(image) if look else None
                if least and image.format == "JPEG":
                    side = 2 * max(least)
                    image.draft(None, (side, side))
                wanted = _is_grey(image) if grey is None else grey
                image.load()
                return _upright(_plain(path, image, wanted), image), header
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(path, _reason(error)) from None


def _header(image: Image.Image) -> Header:
    form = "JPEG" if image.format in _JPEG else str(image.format)
    orientation = _orientation(image)
    return Header(
        form, image.mode, *_upright_size(image, orientation), orientation,
        frames=form != "JPEG" and bool(getattr(image, "is_animated", False)),  # an MPO's second image is no frame
        transparent=image.has_transparency_data,
        # Pillow's modes of several channels have 8 bits; how it reads the file tells that there were 16.
        wide=image.mode in _WIDE or image.mode.startswith("I;")
        or (form in ("PNG", "TIFF") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))),
    )


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
    try:
        with quiet(), _open(path) as file, Image.open(file, formats=FORMATS) as image:
            _refuse_size(path, image.size)
            return *_upright_size(image, _orientation(image)), _is_grey(image)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(path, _reason(error)) from None


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


def _reason(error: Exception) -> str:
    """Return in plain words why Pillow or the system refused."""
    if isinstance(error, UnidentifiedImageError):
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


def _plain(path: str, image: Image.Image, grey: bool) -> Image.Image:
    """Return a loaded image of any mode as one of mode "L" or "RGB"; itself where it is one."""
    if image.mode in _WIDE or image.mode.startswith("I;"):
        image = Image.fromarray(_narrow(path, image))
    elif image.has_transparency_data:
        image = _on_white(image)
    if image.mode not in ("1", "L", "RGB"):  # P, CMYK, YCbCr, LAB …: not all of them turn grey directly
        image = image.convert("RGB")
    wanted = "L" if grey else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _narrow(path: str, image: Image.Image) -> Array:
    """Scale a 16-bit, 32-bit or float image to uint8 (h, w)."""
    values = np.asarray(image)
    if values.dtype == np.uint16 or values.dtype == ">u2":
        return _scale(values.astype(np.float32), 0, _sixteen_bit_top(image))
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        raise ImageError(path, "none of its values is a finite number")
    low, high = float(values[finite].min()), float(values[finite].max())
    top = 1.0 if image.mode == "F" else 65535.0
    if low >= 0 and high <= top:
        low, high = 0.0, top
    return _scale(np.where(finite, values, low), low, high)


def _sixteen_bit_top(image: Image.Image) -> float:
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))
    bits = bits[0] if isinstance(bits, tuple) else bits
    return float(2**bits - 1) if 8 < bits <= 16 else 65535.0


def _scale(values: Array, low: float, high: float) -> Array:
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    return np.clip(np.floor((values - low) * 255 / (high - low) + 0.5), 0, 255).astype(np.uint8)


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


def _upright(plain: Image.Image, image: Image.Image) -> Image.Image:
    """Apply the orientation that the file's EXIF data asks for; 1, none or nonsense is none."""
    moves = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
             5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
             8: Image.Transpose.ROTATE_90}
    move = moves.get(_orientation(image))
    return plain.transpose(move) if move is not None else plain


def _is_grey(image: Image.Image) -> bool:
    """Whether the header shows that there is no colour: a grey mode, or a palette of greys."""
    if image.mode == "P":
        palette = np.asarray(image.getpalette() or [0, 0, 0]).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La", *_WIDE) or image.mode.startswith("I;")
