"""Images in memory that are no arrays: the bytes of a file (an upload, say), a file that is open, and Pillow's images.
They are decoded as files are (decode.py), with the same limits and to the same pixels. finding.py and pixels.py take
them from here.
"""

import io
import sys
from typing import Any

from ..errors import ImageError, UsageError

_AS_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # which keep all they have in it
_AS_TIFF = ("I", "F", "LAB", "I;16L", "I;16B")
_FIRST = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}  # what other modes are converted to; else RGB, as in files
_ORIENTATION = 274  # EXIF's tag


def is_encoded(given: Any) -> bool:
    """Whether something is the bytes of a file, an open file, or an image of Pillow."""
    return isinstance(given, bytes | bytearray | memoryview) or hasattr(given, "read") or _is_pillow(given)


def content(given: Any, name: str) -> bytes:
    """Return what a file of an image has in it. An open file is read from its beginning, as Pillow does.

    Raises ImageError, naming it, where it cannot be read; UsageError where a file was opened as text.
    """
    if _is_pillow(given):
        return _packed(given, name)
    if not hasattr(given, "read"):
        return bytes(given)
    try:
        if given.seekable():
            given.seek(0)
        data = given.read()
    except (OSError, ValueError, AttributeError) as error:
        raise ImageError(name, f"it cannot be read ({str(error).rstrip('.') or type(error).__name__})",
                         "unreadable") from None
    if not isinstance(data, bytes | bytearray):
        raise UsageError(f"{name} is a file that was opened as text; open it with open(path, 'rb').")
    return bytes(data)


def _is_pillow(given: Any) -> bool:
    pillow = sys.modules.get("PIL.Image")  # which is imported where there is one of its images
    return pillow is not None and isinstance(given, pillow.Image)


def _packed(image: Any, name: str) -> bytes:
    """Return a file of an image of Pillow, without loss. The image is not changed."""
    from .bounds import refuse_size
    from .decode import quiet

    refuse_size(name, image.size)
    if 0 in image.size:
        raise ImageError(name, "it has no pixels", "empty")
    file = io.BytesIO()
    try:
        with quiet():
            image.load()
            exif = _orientation(image)
            if image.mode not in _AS_PNG + _AS_TIFF:
                image = image.convert(_FIRST.get(image.mode, "RGB"))
            if image.mode in _AS_TIFF:
                image.save(file, "TIFF", exif=exif)
            else:
                image.save(file, "PNG", compress_level=1, exif=exif)
    except Exception as error:
        raise ImageError(name, f"it is damaged or cut short ({str(error).rstrip('.')})") from None
    return file.getvalue()


def _orientation(image: Any) -> Any:
    """Return EXIF data that has an image's orientation, and nothing else: what else is in it may not be writable."""
    from PIL import Image

    exif = Image.Exif()
    try:
        turned = image.getexif().get(_ORIENTATION)
    except Exception:  # damaged; decode.py ignores it, too
        turned = None
    if isinstance(turned, int) and 2 <= turned <= 8:
        exif[_ORIENTATION] = turned
    return exif
