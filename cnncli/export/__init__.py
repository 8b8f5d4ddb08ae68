"""A model in forms that others run: onnx.py and onnx_layers.py write ONNX files, csource.py, calls.py and runtime.c
one C file, torch_names.py state dicts for PyTorch; golden.py makes the picture by which each is checked before it is
written. ``export_model`` takes the form that a file's name asks for.

What may not be here: anything that our own commands need to run a model.
"""

import os
from dataclasses import dataclass
from typing import Any

from ..data.outputs import Kind, marked, write
from ..errors import UsageError, printable
from ..model import Model
from ..runs.opened import AnyModel, open_model
from .csource import to_c
from .onnx import to_onnx
from .torch_names import to_torch_names

# What each suffix stands for. ONNX begins with the version of its format and the name of its writer.
KINDS = {
    ".onnx": Kind("a model in ONNX", ".onnx", marked(rb"\A\x08.\x12\x03cnn")),
    ".c": Kind("a model in C", ".c", marked(rb"\A/\* [^\n]*: written by cnn [^\n]*\n")),
    ".safetensors": Kind("weights for PyTorch", ".safetensors",
                         marked(rb'\A.{8}\s*{"__metadata__":{[^}]*"writer":"cnn"[^}]*}')),
}
__all__ = ["Exported", "export_model", "to_c", "to_onnx", "to_torch_names"]


@dataclass(frozen=True)
class Exported:
    """A file that was written: its size, of how many classes and in which form, and a sentence about it."""

    path: str
    bytes: int
    classes: int
    raw: bool
    note: str

    def as_json(self) -> dict[str, Any]:
        """Return what `cnn export --json` prints."""
        return {"path": self.path, "bytes": self.bytes, "classes": self.classes, "raw": self.raw}


def export_model(model: AnyModel, path: str | os.PathLike[str], *, raw: bool = False, torch_names: bool = False,
                 force: bool = False) -> Exported:
    """Write a model, or that of a file, a run folder or a pretrained network's name, in the form that path ends in.

    ".onnx" needs the extra [onnx]; raw leaves out what is before and behind the network. ".c" is one C file.
    ".safetensors" with torch_names are weights by the names of torchvision's or timm's network. A file that is there is
    replaced where it is such an export, and any other with force. Raises UsageError where that is not so, or where
    suffix, options and model do not go together, SaveError where the file cannot be written or, as ONNX, does not
    answer as the model does.
    """
    file = os.fspath(path)
    suffix = os.path.splitext(file)[1].lower()
    if suffix not in ((".safetensors",) if torch_names else (".onnx", ".c")):
        raise UsageError(f"{printable(file)}: give a name that ends in .onnx or .c, or in .safetensors with "
                         "--torch-names.")
    if raw and suffix != ".onnx":
        raise UsageError("--raw is for .onnx files; the others have no two forms.")
    opened = open_model(model)
    with opened.claim({file: KINDS[suffix]}, force=force):
        data, said = _made(opened.model, suffix, raw, torch_names)
        write(file, data, KINDS[suffix])
    return Exported(file, len(data), len(opened.model.classes), raw, said)


def _made(model: Model, suffix: str, raw: bool, torch_names: bool) -> tuple[bytes, str]:
    """Return a file's bytes, and a sentence about it."""
    if suffix == ".c":
        return to_c(model).encode("ascii"), "Compile it with a C99 compiler and -lm; its first lines tell more."
    return to_torch_names(model) if torch_names else to_onnx(model, raw)
