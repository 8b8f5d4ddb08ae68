"""Networks written by hand: a TOML file with one [[layers]] table per layer, in order. Options are those of the layer
classes; `inputs` names other layers (skip connections), and "classes" as a number means as many as the folder has.

    [[layers]]
    type = "Conv2d"
    name = "conv1"
    out_channels = 32
    kernel_size = 3
    padding = "same"
"""

import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

from ..errors import NetworkError, printable, reason_of
from ..network import LayerError, Network

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LARGEST = 2**20  # bytes; a network of a thousand layers takes a tenth


def from_toml(path: str | Path, input_shape: tuple[int, int, int], classes: int, seed: int | None = 0) -> Network:
    """Return the network that a TOML file describes, for images (h, w, c) and that many classes.

    Raises NetworkError with file, line and reason where the file cannot be read, a layer is wrong, or the network
    does not end in one number per class.
    """
    text = _read(Path(path))
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers and brackets beyond what Python takes
        raise NetworkError(f"{path} is not valid TOML ({error}); correct it.") from None
    layers = document.pop("layers", None)
    if not isinstance(layers, list) or not layers or not all(isinstance(layer, dict) for layer in layers):
        raise NetworkError(f"{path} describes no layers; write one [[layers]] table per layer.")
    if document:
        raise NetworkError(f"{path} has {next(iter(document))!r} beside [[layers]]; leave it out.")
    try:
        network = Network([_with_classes(layer, classes) for layer in layers], input_shape, seed)
    except LayerError as error:
        raise NetworkError(f"{path}, line {_line_of(text, error.index)}: {error}") from None
    except MemoryError as error:
        raise NetworkError(f"{path} needs more memory for its weights than there is ({error}); make its layers "
                           "smaller.") from None
    if network.output_shape != (classes,):
        shape = "x".join(map(str, network.output_shape))
        raise NetworkError(
            f"{path}, line {_line_of(text, len(layers) - 1)}: the last layer yields {shape}, not one number for each "
            f'of {classes} classes; end with a Linear of out_features = "classes".'
        )
    return network


def _read(path: Path) -> str:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            raise NetworkError(f"{printable(path)} is not a regular file; give a TOML file with [[layers]] tables.")
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(_LARGEST + 1)
    except UnicodeDecodeError:
        raise NetworkError(f"{path} is not UTF-8 text; give a TOML file with [[layers]] tables.") from None
    except OSError as error:
        raise NetworkError(f"{path} cannot be read ({reason_of(error)}); check its path and its permissions.") from None
    if len(text) > _LARGEST:
        raise NetworkError(f"{path} is larger than 1 MB; give a TOML file with [[layers]] tables.")
    return text


def _with_classes(layer: dict[str, Any], classes: int) -> dict[str, Any]:
    return {k: classes if v == "classes" and k in ("out_features", "out_channels") else v for k, v in layer.items()}


def _line_of(text: str, index: int) -> int:
    """Return the line of the index-th [[layers]] header, counted from 1."""
    headers = [m.start() for m in re.finditer(r"^[ \t]*\[\[[ \t]*layers[ \t]*\]\]", text, re.MULTILINE)]
    return text.count("\n", 0, headers[index]) + 1 if index < len(headers) else 1
