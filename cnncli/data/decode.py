"""From one image file to pixels: PNG, JPEG, BMP, GIF (first frame), TIFF (first page) and WebP, in any mode, through
Pillow. Values of more than 8 bits are read by tiff.py and deep_png.py and scaled by depth.py. Nothing is decoded that
is too large or made to be slow (bounds.py). Damage that costs no pixel is ignored (forgiving.py), transparency is laid
on white (transparency.py), and whatever goes wrong becomes an ImageError. preprocessing.py, the only caller in training
and use, makes all images one size.
"""

import io
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import Cause, ImageError
from . import deep_png, files, kinds, tiff, tiff_colours
from .bounds import MOST_PIXELS, refuse_bytes, refuse_deep, refuse_size
from .depth import NoNumbers, Scales, Seen, Values, narrow
from .forgiving import Sound, forgive
from .transparency import colour_key, in_strips, key_on_white, on_white, uncovered, white_around

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274  # TIFF's and EXIF's tags
_WIDE = ("I", "F")  # and I;16, I;16B …
_MODES = {0: "L", 1: "L", 3: "P", 5: "CMYK", 6: "YCbCr", 8: "LAB", 9: "LAB"}  # of TIFF's meanings of values
_EIGHT_BITS = Scales()
FIRST = "the first of its"  # frames or pages: how a note begins that says so
DEEP_PNG = "unsigned numbers of 16 bits"
_JPEG = ("JPEG", "MPO")  # the latter has further images behind the first, as many phones write
_SLIGHT = 2  # levels between the colours of a grey picture that lossy WebP leaves, packed more than once
_TRANSPOSED = (5, 6, 7, 8)  # orientations that swap width and height

Array = np.ndarray[Any, np.dtype[Any]]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about its image: the format that it really has (PNG, JPEG, BMP, GIF, TIFF, WEBP); Pillow's mode,
    or the kind of its values if they have more than 8 bits (wide); height and width once it is upright; EXIF's
    orientation (1: upright as it is); how many frames or pages there are (0: several, number unknown); and
    transparency. forgiven: what is damaged in it although no pixel is missing.
    """

    format: str
    mode: str
    height: int
    width: int
    orientation: int
    frames: int
    transparent: bool
    wide: bool
    forgiven: tuple[str, ...] = ()


def decode(path: str | os.PathLike[str], grey: bool) -> Array:
    """Return an image as uint8 (h, w, 1) if grey, else (h, w, 3). Raises ImageError, which names file and reason."""
    pixels = np.asarray(open_image(path, grey))
    return pixels.reshape(*pixels.shape[:2], 1 if grey else 3)


def pixels_in(name: str, data: bytes) -> Array:
    """Return the image in the content of a file: uint8 (h, w) if it is grey, else (h, w, 3). Raises ImageError."""
    return np.asarray(_decoded(name, None, None, _EIGHT_BITS, None, look=False, data=data)[0])


def open_image(path: str | os.PathLike[str], grey: bool, least: tuple[int, int] | None = None,
               scales: Scales = _EIGHT_BITS, seen: Seen | None = None, forgiven: list[str] | None = None,
               data: bytes | None = None) -> Image.Image:
    """Return an image decoded and upright, as a Pillow image of mode "L" if grey, else "RGB".

    EXIF orientation is applied. Transparency is laid on white. Palettes, 1-bit, CMYK, YCbCr and LAB are converted.
    Values of more than 8 bits are scaled as `scales` says and noted in `seen`. Without scales, integers are scaled from
    the range of their type (unsigned ones of 32 bits from 0..65535 if none is larger; signed ones with negative values
    from their own smallest and largest), floats from 0..1, or from their own limits if one lies outside. A JPEG that is
    far larger than `least` (h, w) may come back reduced to twice that or more, which is faster. `forgiven` gets a
    sentence for everything that is damaged although no pixel is missing, and one that begins with FIRST if there are
    more frames or pages than the one that is taken. data is the content of the file, if it was read already.

    Raises ImageError, which names file and reason; nothing else, and no warning.
    """
    image, _, notes = _decoded(os.fspath(path), grey, least, scales, seen, look=False, data=data)
    if forgiven is not None:
        forgiven += notes
    return image


def examine(path: str | os.PathLike[str], least: tuple[int, int] | None = None, scales: Scales = _EIGHT_BITS,
            seen: Seen | None = None) -> tuple[Image.Image, Header]:
    """Return an image as ``open_image`` does, of mode "L" if the file's own mode is grey, else "RGB", and its header.
    Raises ImageError.
    """
    image, header, notes = _decoded(os.fspath(path), None, least, scales, seen, look=True)
    assert header is not None
    return image, replace(header, forgiven=tuple(note for note in notes if not note.startswith(FIRST)))


def _decoded(path: str, grey: bool | None, least: tuple[int, int] | None, scales: Scales, seen: Seen | None, look: bool,
             data: bytes | None = None) -> tuple[Image.Image, Header | None, list[str]]:
    """Return an image decoded and upright, its header if it is wanted, and what was ignored. grey None: as the file is.
    """
    page: tiff.Page | None = None
    try:
        with quiet(), _open(path, data) as file:
            page = tiff.first_page(file)
            if page is not None and (page.deep or page.raw or tiff_colours.is_ours(page)):
                _refuse_page(path, page)
                said, is_grey = _header_of(page)
                values, scales, seen = _values_of(page, file, scales, seen)
                shown = _shown(values, is_grey if grey is None else grey, said.orientation, scales, seen)
                return shown, said, _first_of(page.pages, "pages")
            sound = forgive(path, file)
            image, header, frames = _of_sound(
                sound, lambda: _pixels(path, page, sound, grey, least, scales, seen, look))
            return image, header, [*sound.notes, *_first_of(frames, "frames" if page is None else "pages")]
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(path, *_reason(path, error, page, data)) from None


def _of_sound(sound: Sound, read: Callable[[], Result]) -> Result:
    """Return what `read` makes of a file or, if that fails, of the file without the parts that hold no pixels."""
    try:
        return read()
    except (ImageError, MemoryError):
        raise
    except Exception:
        if not sound.bare():
            raise
        return read()


def _pixels(path: str, page: tiff.Page | None, sound: Sound, grey: bool | None, least: tuple[int, int] | None,
            scales: Scales, seen: Seen | None, look: bool) -> tuple[Image.Image, Header | None, int]:
    """Return what Pillow opens, decoded and upright, its header, and how many frames there are."""
    with _opened(path, sound) as image:
        deep = image.format == "PNG" and deep_png.is_deep(image)
        frames = _frames(image) if page is None else page.pages
        header, orientation = _header(image, deep, frames) if look else None, _orientation(image)
        key, box = colour_key(image), uncovered(image)
        if least and image.format == "JPEG":
            side = 2 * max(least)
            image.draft(None, (side, side))
        to_grey = _is_grey(image) if grey is None else grey
        if deep:
            refuse_deep(path, image.size, *deep_png.bytes_a_pixel(image), copies=2)
            return _shown(deep_png.read(image, sound.file), to_grey, orientation, scales, seen), header, frames
        wanted = "L" if to_grey else "RGB"
        refuse_bytes(path, image, wanted, orientation != 1, sound.jpeg)
        image.load()
        plain = key_on_white(image, key, wanted) if key else _plain(image, wanted)
        return _upright(white_around(plain, box) if box else plain, _orientation(image)), header, frames


def _opened(path: str, sound: Sound) -> Image.Image:
    """Open what is to be decoded; the size is not refused, and EXIF data is there wherever it lies in the file."""
    sound.file.seek(0)
    image = Image.open(sound.file, formats=FORMATS)
    refuse_size(path, image.size)
    if sound.late_exif:
        image.info.setdefault("exif", sound.late_exif)
    return image


def _values_of(page: tiff.Page, file: BinaryIO, scales: Scales, seen: Seen | None
               ) -> tuple[Values, Scales, Seen | None]:
    """Return the values of a page of a TIFF that Pillow does not read, what they are scaled by and where they are
    noted: only those of deep pages belong to a set's."""
    return (page.values(file), scales, seen) if page.deep else (*tiff_colours.values(page, file), None)


def _refuse_page(path: str, page: tiff.Page) -> None:
    if reason := page.refusal():
        raise ImageError(path, reason, "kind")
    refuse_deep(path, page.size, page.channels * -(-page.bits // 8), page.alpha is not None, copies=3)


def _shown(values: Values, grey: bool, orientation: int, scales: Scales, seen: Seen | None) -> Image.Image:
    """Return deep values as an upright image of 8 bits."""
    if seen is not None:
        seen.look(values)
    image = Image.fromarray(narrow(values, scales))
    wanted = "L" if grey else "RGB"
    return _upright(image if image.mode == wanted else image.convert(wanted), orientation)


def _header(image: Image.Image, wide: bool, frames: int) -> Header:
    form = "JPEG" if image.format in _JPEG else str(image.format)
    orientation = _orientation(image)
    return Header(
        form, DEEP_PNG if wide else image.mode, *_upright_size(image, orientation), orientation, frames,
        transparent=image.has_transparency_data or uncovered(image) is not None,
        wide=wide or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())),  # inks and L*a*b* of 16 bits
    )


def _frames(image: Image.Image) -> int:
    """Return how many frames an image has that is no TIFF; 0 where there are several, but the next is damaged."""
    if image.format in _JPEG:
        return 1  # an MPO's second image is no frame
    try:
        return int(image.n_frames) if getattr(image, "is_animated", False) else 1  # type: ignore[attr-defined]
    except Exception:
        return 0


def _first_of(frames: int, what: str) -> list[str]:
    """Return what is said of an image of several frames."""
    return [] if frames == 1 else [f"{FIRST} {f'{frames:,} {what}' if frames else f'several {what}'} is taken"]


def _header_of(page: tiff.Page) -> tuple[Header, bool]:
    """Return what a page of a TIFF says that Pillow does not read, and whether it is grey."""
    turned = page.number(_ORIENTATION, 1)
    turned = turned if 1 <= turned <= 8 else 1
    w, h = page.size
    h, w = (w, h) if turned in _TRANSPOSED else (h, w)
    mode = page.kind if page.deep else _MODES.get(page.photometric, "RGB")
    header = Header("TIFF", mode, h, w, turned, page.pages, page.alpha is not None, wide=page.deep or page.bits > 8)
    return header, tiff_colours.is_grey(page)


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
            if page is not None and (page.deep or page.raw or tiff_colours.is_ours(page)):
                _refuse_page(path, page)
                header, is_grey = _header_of(page)
                return header.height, header.width, is_grey
            sound = forgive(path, file, header_only=True)
            return _of_sound(sound, lambda: _size_and_grey(path, sound))
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(path, *_reason(path, error, page)) from None


def _size_and_grey(path: str, sound: Sound) -> tuple[int, int, bool]:
    with _opened(path, sound) as image:
        return *_upright_size(image, _orientation(image)), _is_grey(image)


# ---- opening, and what is said where that fails ----


def _open(path: str, data: bytes | None = None) -> BinaryIO:
    """Open a regular file, one in an archive, or its content. Without waiting: a FIFO is refused."""
    archived = io.BytesIO(data) if data is not None else files.opened(path)
    if archived is not None:
        if not archived.seek(0, os.SEEK_END):
            raise ImageError(path, "it is empty", "empty")
        archived.seek(0)
        return archived
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        os.close(descriptor)
        why: tuple[str, Cause] = ("it is empty", "empty") if stat.S_ISREG(status.st_mode) else (
            "it is not a regular file", "kind")
        raise ImageError(path, *why)
    return os.fdopen(descriptor, "rb")


def _reason(path: str, error: Exception, page: tiff.Page | None, data: bytes | None = None) -> tuple[str, Cause]:
    """Return in plain words why Pillow or the system refused, and the cause."""
    if isinstance(error, UnidentifiedImageError):
        if page is not None and not page.cut:
            return page.refusal() or f"it is a TIFF of {page.kind} in a layout that is not read; save it anew", "kind"
        start = _start(path, data)
        other = kinds.reason(start)
        if other is None and kinds.is_read(start):
            return "it is damaged or cut short", "damaged"
        return other or "its content is not PNG, JPEG, BMP, GIF, TIFF or WebP", "kind"
    if isinstance(error, Image.DecompressionBombError) and page is not None and page.deep:
        return "it is stored in strips or tiles that are too large; save it with smaller ones", "too large"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {MOST_PIXELS // 1_000_000} megapixels", "too large"
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is", "too large"
    if isinstance(error, FileNotFoundError):
        return "it is not there", "missing"
    if isinstance(error, NoNumbers):
        return str(error), "damaged"
    words = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    if getattr(error, "errno", None):
        return words, "permission" if isinstance(error, PermissionError) else "unreadable"
    known = kinds.reason(_start(path, data)) if page is None else None  # opened, but of no use
    return (known, "kind") if known else (f"it is damaged or cut short ({words.rstrip('.')})", "damaged")


def _start(path: str, data: bytes | None) -> bytes:
    try:
        with _open(path, data) as file:
            return file.read(kinds.LOOKED_AT)
    except (OSError, ValueError, ImageError):
        return b""


_quiet_lock = threading.Lock()
_quiet_depth = 0
_quiet_filters: Any = None


@contextmanager
def quiet() -> Iterator[None]:
    """Hide Pillow's warnings: what they announce is either refused or handled here. Every function here does so. Code
    that decodes many images does so around all of them, too, which saves setting it up each time.

    The filters of Python's warnings belong to the process, not to a thread. So the first thread that enters sets one,
    for Pillow's modules only, and the last one that leaves removes it.
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


def _plain(image: Image.Image, wanted: str) -> Image.Image:
    """Return a loaded image of any mode of 8 bits as one of the wanted mode, "L" or "RGB"; itself where it is one."""
    if image.has_transparency_data:
        return on_white(image, wanted)
    if image.mode not in ("1", "L", "RGB"):  # P, CMYK, YCbCr, LAB …: not all of them turn grey directly
        return in_strips(image, wanted, lambda strip: strip.convert("RGB"))
    return image if image.mode == wanted else image.convert(wanted)


def _orientation(image: Image.Image) -> int:
    """Return the orientation in the EXIF data, 1 to 8. EXIF data that cannot be read is ignored; that is no reason to
    refuse the pixels.
    """
    try:
        # PNG's own way would decode the image first, to see whether EXIF data follows; forgiving.py has looked.
        exif = Image.Image.getexif(image) if image.format == "PNG" else image.getexif()
        value = exif.get(_ORIENTATION, 1)
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
    """Return whether the header shows that there is no colour: a grey mode, or a palette of greys."""
    if image.mode == "P":
        palette = np.asarray(image.getpalette() or [0, 0, 0]).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La", *_WIDE) or image.mode.startswith("I;")


def is_grey_picture(pixels: Array) -> bool:
    """Return whether red, green and blue of uint8 (h, w, 3) are the same everywhere, except for errors of lossy
    compression.
    """
    # A look at a few rows settles it for nearly every photograph.
    for part in (pixels[:: max(1, len(pixels) // 8)], pixels):
        red, green, blue = (part[:, :, c].astype(np.int16) for c in range(3))
        if max(abs(red - green).max(), abs(red - blue).max(), abs(green - blue).max()) > _SLIGHT:
            return False
    return True
