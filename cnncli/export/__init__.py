"""A model in forms that others run: onnx.py and onnx_*.py write ONNX files, csource.py, calls.py and runtime.c
one C file, csource_int8.py, calls_int8.py, memory_int8.py and runtime_int8.c one without floats, torch_names.py state
dicts for PyTorch; golden.py makes the picture by which each is checked before it is written. ``export_model`` takes the
form that a file's name asks for.

What may not be here: anything that our own commands need to run a model.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.outputs import Kind, checked_path, marked, write
from ..errors import UsageError, printable
from ..model import Model
from ..plain import in_plain_json
from ..runs.opened import AnyModel, open_model, quantised
from ..values import as_hinted
from .csource import IN_FLOATS, to_c
from .csource_int8 import to_integer_c
from .onnx import to_onnx
from .torch_names import to_torch_names

# What each suffix stands for. ONNX begins with the version of its format and the name of its writer.
KINDS = {
    ".onnx": Kind("a model in ONNX", ".onnx", marked(rb"\A\x08.\x12\x03cnn")),
    ".c": Kind("a model in C", ".c", marked(rb"\A/\* [^\n]*: written by cnn [^\n]*\n")),
    ".safetensors": Kind("weights for PyTorch", ".safetensors",
                         marked(rb'\A.{8}\s*{"__metadata__":{[^}]*"writer":"cnn"[^}]*}')),
}
__all__ = ["Exported", "export_model", "to_c", "to_integer_c", "to_onnx", "to_torch_names"]


@dataclass(frozen=True)
class Exported:
    """A model that was exported.

    Attributes:
        path: The file.
        bytes: Its size in bytes.
        classes: How many classes it tells apart.
        raw: Whether it is only the network, without preprocessing and softmax.
        note: A sentence about the file.
        ram: With int8: the bytes of memory that the C file needs beside the stack, else None.
        flash: With int8: the bytes of the C file's constants, where pointers have 4, else None.
    """

    path: Path
    bytes: int
    classes: int
    raw: bool
    note: str
    ram: int | None = None
    flash: int | None = None

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn export --json` prints."""
        sizes = {} if self.ram is None else {"ram": self.ram, "flash": self.flash}
        return {"path": self.path, "bytes": self.bytes, "classes": self.classes, "raw": self.raw, **sizes}


@as_hinted
def export_model(model: AnyModel, path: str | os.PathLike[str], *, raw: bool = False, torch_names: bool = False,
                 int8: bool = False, force: bool = False, note: Callable[[str], None] | None = None) -> Exported:
    """Write a model in a form that other programs run. The file's ending says which.

    ".onnx" is ONNX; it needs the packages of the extra onnx, and is run before it is written if onnxruntime is
    installed. A quantised model has int8 weights there. ".c" is one C file, which computes in float32. Both judge each
    image without its mirror image, whatever the model does. ".safetensors" with torch_names is weights with the names
    of torchvision's or timm's network.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        path: The file. An older export of this kind is replaced.
        raw: For ".onnx": True writes only the network: normalised numbers in, logits out.
        torch_names: For ".safetensors": True, which this ending needs.
        int8: For ".c": True writes C without floats, in fixed memory, for small devices. It takes the quantised model,
            or the one that was quantised of this model.
        force: True replaces any file of this name.
        note: Is called with a sentence about the memory that the C file with int8 needs, before it is written. None:
            nobody is told.

    Returns:
        The file, its size, and a sentence about it.

    Raises:
        UsageError: The ending, the options and the model do not fit together, another file has this name, or its
            folder is not there.
        SaveError: The file could not be written, or did not answer as the model does.
        ModelError: There is no model.
    """
    file = os.fspath(checked_path(path))
    suffix = os.path.splitext(file)[1].lower()
    if suffix not in ((".safetensors",) if torch_names else (".onnx", ".c")):
        page = " (cnn page writes a web page)" if suffix == ".html" else ""
        raise UsageError(f"{printable(file)} cannot be the name of an export{page}; give one that ends in .onnx or .c, "
                         "or in .safetensors with --torch-names.")
    if raw and suffix != ".onnx":
        raise UsageError("--raw is only for .onnx files; leave it out.")
    if int8 and suffix != ".c":
        raise UsageError("--int8 is only for .c files; leave it out.")
    opened = quantised(model) if int8 else open_model(model)
    sizes: dict[str, int] = {}
    with opened.claim({file: KINDS[suffix]}, force=force):
        if int8:
            made = to_integer_c(opened.model)
            sizes = {"ram": made.ram, "flash": made.flash}
            if note:
                note(str(made))
            data, said = made.source.encode("ascii"), "Compile it with a C99 compiler; its first lines show how."
        else:
            data, said = _made(opened.model, suffix, raw, torch_names)
        write(file, data, KINDS[suffix])
    return Exported(Path(file), len(data), len(opened.model.classes), raw, said, **sizes)


def _made(model: Model, suffix: str, raw: bool, torch_names: bool) -> tuple[bytes, str]:
    """Return a file's bytes, and a sentence about it."""
    if suffix == ".c":
        floats = f" {IN_FLOATS}" if model.network.quantisation else ""
        return to_c(model).encode("ascii"), f"Compile it with a C99 compiler and -lm; its first lines show how.{floats}"
    return to_torch_names(model) if torch_names else to_onnx(model, raw)
