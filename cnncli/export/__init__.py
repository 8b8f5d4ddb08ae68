"""A model in forms that others run: onnx.py and onnx_layers.py write ONNX files, csource.py, calls.py and runtime.c
one C file, torch_names.py state dicts for PyTorch; golden.py makes the picture by which each is checked before it is
written. ``export_model`` takes the form that a file's name asks for.

What may not be here: anything that our own commands need to run a model.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.outputs import Kind, checked_path, marked, write
from ..errors import UsageError, printable
from ..model import Model
from ..plain import in_plain_json
from ..runs.opened import AnyModel, open_model
from ..values import as_hinted
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
    """A model that was exported.

    Attributes:
        path: The file.
        bytes: Its size in bytes.
        classes: How many classes it tells apart.
        raw: Whether it is only the network, without preprocessing and softmax.
        note: A sentence about the file.
    """

    path: Path
    bytes: int
    classes: int
    raw: bool
    note: str

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn export --json` prints."""
        return {"path": self.path, "bytes": self.bytes, "classes": self.classes, "raw": self.raw}


@as_hinted
def export_model(model: AnyModel, path: str | os.PathLike[str], *, raw: bool = False, torch_names: bool = False,
                 force: bool = False) -> Exported:
    """Write a model in a form that other programs run. The file's ending says which.

    ".onnx" is ONNX; it needs the packages of the extra onnx, and is run before it is written if onnxruntime is
    installed. ".c" is one C file. ".safetensors" with torch_names is weights with the names of torchvision's or timm's
    network.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        path: The file. An older export of this kind is replaced.
        raw: For ".onnx": True writes only the network: normalised numbers in, logits out.
        torch_names: For ".safetensors": True, which this ending needs.
        force: True replaces any file of this name.

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
    opened = open_model(model)
    with opened.claim({file: KINDS[suffix]}, force=force):
        data, said = _made(opened.model, suffix, raw, torch_names)
        write(file, data, KINDS[suffix])
    return Exported(Path(file), len(data), len(opened.model.classes), raw, said)


def _made(model: Model, suffix: str, raw: bool, torch_names: bool) -> tuple[bytes, str]:
    """Return a file's bytes, and a sentence about it."""
    if suffix == ".c":
        return to_c(model).encode("ascii"), "Compile it with a C99 compiler and -lm; its first lines show how."
    return to_torch_names(model) if torch_names else to_onnx(model, raw)
