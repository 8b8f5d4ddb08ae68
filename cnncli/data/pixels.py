"""Images in memory, as arrays of whatever library: checked once, refused in plain words if they cannot be images, and
passed on as 8-bit pixels. memory.py makes samples of them, finding.py images to classify.
"""

from typing import Any

import numpy as np

from ..errors import DataError, brief
from ..kernels import Array
from .encoded import content, is_encoded

_COLOURS = (1, 3)
_TRANSPARENT = (2, 4)  # the channels of grey or colour with transparency


def as_array(given: Any, what: str) -> Array:
    """Return anything that NumPy takes for an array as one. Raises DataError for anything else."""
    try:
        array: Array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{what}: these values form no array ({str(error).split('. ')[0].rstrip('.')}); give numbers "
                        "of one shape.") from None
    if array.dtype.kind not in "biufUSO":
        raise DataError(f"{what}: the type is {array.dtype}; give an array of real numbers.")
    return array


def as_picture(given: Any, what: str) -> Array:
    """Return one image, (h, w), (h, w, 1) or (h, w, 3), as uint8. Raises DataError, naming it, where it is none."""
    if is_encoded(given):
        from .decode import pixels_in

        return pixels_in(what, content(given, what))
    array = as_array(given, what)
    if array.ndim == 0:
        raise DataError(f"{what}: {brief(given)} is no image; give an array, the bytes of a file or a Pillow image.")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in _COLOURS):
        raise DataError(f"{what}: the shape is {array.shape}, but an image is (h, w), (h, w, 1) or (h, w, 3)."
                        + _hint(array.shape))
    return _as_bytes(array, what)


def as_pictures(given: Any, what: str) -> list[Array]:
    """Return images, (n, h, w), (n, h, w, 1) or (n, h, w, 3), or a list of images of any size, as uint8 each.

    uint8 is taken as it is, and not copied; floats from 0 to 1, where 1 is white, are rounded to one of 256 levels.
    Raises DataError, naming what cannot be used and why.
    """
    if isinstance(given, list | tuple):
        return [as_picture(image, f"{what}[{i}]") for i, image in enumerate(given)]
    array = as_array(given, what)
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in _COLOURS):
        raise DataError(f"{what}: the shape is {array.shape}, but images are (n, h, w), (n, h, w, 1) or (n, h, w, 3)."
                        + _hint(array.shape[1:]))
    if array.dtype == np.uint8 and array.size:
        return list(array)
    return [_as_bytes(image, f"{what}[{i}]") for i, image in enumerate(array)]


def _as_bytes(array: Array, what: str) -> Array:
    if not array.size:
        raise DataError(f"{what}: the shape is {array.shape}, which has no pixels; give images of at least one pixel.")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        deeper = (". Divide by the value of white, which is 4095 for 12 bits and 65535 for 16"
                  if array.dtype.itemsize > 1 else "")
        raise DataError(f"{what}: the type is {array.dtype}; give uint8 from 0 to 255, or floats from 0 to 1{deeper}.")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):
        raise DataError(f"{what}: the floats go from {low:g} to {high:g}; give floats from 0 to 1, where 1 is white, "
                        "or uint8 from 0 to 255.")
    return np.rint(array.astype(np.float64) * 255).astype(np.uint8)


def refuse_transparency(array: Array, what: str) -> None:
    """Raise DataError for three dimensions that are one image with transparency rather than grey images: the last is 2
    or 4, and grey images of that width would be at least twice as high as wide."""
    if array.ndim == 3 and array.shape[2] in _TRANSPARENT and array.shape[1] >= 2 * array.shape[2]:
        raise DataError(f"{what}: the shape {array.shape} looks like an image with transparency; convert it to RGB. If "
                        f"these are {len(array):,} grey images, give them as (n, h, w, 1).")


def refuse_planes(shape: tuple[int, ...], what: str) -> None:
    """Raise DataError for three planes that are to be colour images: they are rather the channels of one image."""
    raise DataError(f"{what}: the shape {shape} looks like one image with the channels first; move them to the end "
                    f"with numpy.moveaxis({what}, 0, -1). If these are 3 grey images, give them as (n, h, w, 1).")


def _hint(shape: tuple[int, ...]) -> str:
    """Return what to do where the shape of an image looks like PyTorch's (c, h, w), or has transparency."""
    if len(shape) != 3:
        return ""
    if shape[0] in _COLOURS:
        return " Move the channels to the end with numpy.moveaxis(images, -3, -1)."
    return " It looks like an image with transparency; convert it to RGB." if shape[2] in _TRANSPARENT else ""
