"""What a Python user may hand to a model as images: a path, a folder, an array, or a list of these. Each becomes a name
for messages and something that Preprocessing.prepare takes. model.py asks here; what stands on a command line, with
patterns and lists of files, is predict.py's.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Any

from ..data.folder import scan_flat
from ..data.pixels import as_array, as_picture, as_pictures
from ..errors import UsageError
from ..kernels import Array

Path = str | os.PathLike[str]
Picture = Path | Array  # uint8 (h, w), (h, w, 1) or (h, w, 3), the same as floats from 0 to 1, or a file or folder
Images = Picture | Iterable[Picture]

_ONE = (1, 3)  # the channels that make three dimensions one image, and not several grey ones


def inputs(given: Images) -> Iterator[tuple[str, str | Array]]:
    """Yield (name, file's path or uint8 pixels) for each image that is meant, as it is asked for.

    A path names itself, and a folder stands for the images under it, sorted. An array is one image, (h, w) or (h, w, 1
    or 3), or several, (n, h, w) or (n, h, w, 1 or 3); the i-th is called "images[i]". Raises UsageError or DataError
    where something is no image; a file is not opened here.
    """
    if isinstance(given, str | os.PathLike):
        yield from _files(given)
    elif hasattr(given, "__array__"):
        yield from _arrays(given)
    elif isinstance(given, Iterable) and not isinstance(given, bytes | dict):
        for i, one in enumerate(given):
            if isinstance(one, str | os.PathLike):
                yield from _files(one)
            else:
                yield f"images[{i}]", as_picture(one, f"images[{i}]")
    else:
        raise UsageError(f"images are a path, a folder, an array or a list of these, not {type(given).__name__}.")


def _files(path: Path) -> Iterator[tuple[str, str]]:
    name = os.fspath(path)
    for file in scan_flat(name) if os.path.isdir(name) else [name]:
        yield file, file


def _arrays(given: Any) -> Iterator[tuple[str, str | Array]]:
    array = as_array(given, "images")
    if array.dtype.kind in "UO" and all(isinstance(one, str | os.PathLike) for one in array.reshape(-1)):
        for path in array.reshape(-1):
            yield from _files(path)
    elif array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _ONE):
        yield "images[0]", as_picture(array, "images[0]")
    elif len(array.shape) and not len(array):
        return
    else:
        for i, picture in enumerate(as_pictures(array, "images")):
            yield f"images[{i}]", picture
