"""Checks of what layers and networks are given: numbers, shapes and the options of constructors. Each function returns
the value in the form that is meant, or raises an error that names the option.
"""

from typing import Any

import numpy as np

from ..errors import NetworkError, UsageError, brief
from ..kernels import Array
from ..values import plain


def floats(what: str, value: Any) -> Array:
    """Return numbers as a C-contiguous float32 array. Raises UsageError where they are none."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{what} must be an array of numbers, not {_described(value, array)}.")
    return np.ascontiguousarray(array, np.float32)


def _described(value: Any, array: Array) -> str:
    return f"an array of {array.dtype}" if isinstance(value, np.ndarray) else brief(value)


def image_shape(layer: object, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return shape as (h, w, c). Raises NetworkError where it is flat."""
    if len(shape) != 3:
        raise NetworkError(f"{type(layer).__name__} needs an image (h, w, c), not a flat vector of {shape[0]}; "
                           "move it before Flatten.")
    return shape[0], shape[1], shape[2]


def pair(name: str, value: Any, least: int = 1) -> tuple[int, int]:
    """Return a size given as one number or two as (rows, columns). Raises NetworkError where it is neither."""
    value = plain(value) if not isinstance(value, list | tuple) else [plain(each) for each in value]
    both = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, list | tuple) else ()
    if len(both) != 2 or not all(isinstance(v, int) and not isinstance(v, bool) and v >= least for v in both):
        raise NetworkError(f"{name} must be a whole number of at least {least}, or two of them, not {brief(value)}.")
    return both[0], both[1]


def whole(name: str, value: Any, least: int = 1) -> int:
    """Return a size that must be one whole number. Raises NetworkError where it is not."""
    value = plain(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise NetworkError(f"{name} must be a whole number of at least {least}, not {brief(value)}.")
    return value


def outputs(layer: object, name: str, value: Any, inputs: tuple[str, int | None]) -> int:
    """Return how many outputs a layer has. Raises NetworkError where that is no whole number, or was not given: a lone
    number is the size of the input, which comes first, where the outputs are mostly meant.
    """
    value, kind = plain(value), type(layer).__name__
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        what, size = inputs
        raise NetworkError(f"{kind} has no {name}; give a number, such as {name}=10." if size is None else
                           f"{kind} has {what}={size} but no {name}; give {name}={size} in its place, because {what} "
                           "is taken from the input.")
    return whole(name, value)


def truth(name: str, value: Any) -> bool:
    """Return a switch. Raises NetworkError for anything but true and false: "no" would count as true."""
    value = plain(value)
    if not isinstance(value, bool):
        raise NetworkError(f"{name} must be true or false, not {brief(value)}.")
    return value
