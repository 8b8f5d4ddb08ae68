"""PNG files of 16 bits per value. Pillow keeps only the upper byte of colour ones, which leaves little of 12 bits in a
container of 16. Here both bytes are read. depth.py makes 8 bits of them.
"""

from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from .depth import Values, share_of

Array = np.ndarray[Any, np.dtype[Any]]


def is_deep(image: Image.Image) -> bool:
    """Whether a PNG that Pillow has opened, but not loaded, has 16 bits a value."""
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def bytes_a_pixel(image: Image.Image) -> tuple[int, bool]:
    """Return how many bytes a pixel of such a PNG has, and whether some of them are its transparency."""
    channels = {"LA": 2, "RGB": 3, "RGBA": 4}.get(str(image.tile[0][3]).split(";")[0], 1)  # type: ignore[attr-defined]
    return 2 * channels, channels in (2, 4) or "transparency" in image.info


def read(image: Image.Image, file: BinaryIO) -> Values:
    """Return the values of such a PNG, whose file is read once or twice more; `image` is not loaded."""
    raw = str(image.tile[0][3])  # type: ignore[attr-defined]  # of a file's image, not of any
    key = image.info.get("transparency")
    if raw == "LA;16B":  # 32 bits a pixel, as four channels of a byte have
        both = np.ascontiguousarray(_decoded(file, "RGBA")).view(">u2").astype(np.uint16)
        return Values(both[:, :, 0], 16, share_of(both[:, :, 1], 16))
    if raw in ("RGB;16B", "RGBA;16B"):  # ";16L" takes the second byte of each value for the upper one
        colours = _decoded(file, raw[:-1] + "B").astype(np.uint16)
        colours <<= 8
        colours |= _decoded(file, raw[:-1] + "L")
        if colours.shape[2] == 4:
            return Values(colours[:, :, :3], 16, share_of(colours[:, :, 3], 16))
        return Values(colours, 16, _keyed(colours, key))
    colours = _decoded(file, None).astype(np.uint16)
    return Values(colours, 16, _keyed(colours, key))


def _keyed(colours: Array, key: Any) -> Array | None:
    """Return the alpha that follows from the one transparent colour of an image, if it has one."""
    if not isinstance(key, int | tuple):
        return None
    same = colours == np.asarray(key, np.int64)
    alpha: Array = (~(same.all(axis=2) if colours.ndim == 3 else same)).astype(np.float32)
    return alpha


def _decoded(file: BinaryIO, raw: str | None) -> Array:
    file.seek(0)
    with Image.open(file, formats=("PNG",)) as image:
        if raw:
            image.tile = [(*tile[:3], raw) for tile in image.tile]
        return np.asarray(image)
