"""``cnn export``: parse, have cnncli/export/ make the file, and write it."""

import os
from pathlib import Path

import click

from .common import Command, emit_json, json_option, note, printable

EXAMPLES = (
    ("cnn export runs/latest birds.onnx", "images in, probabilities out, for any runtime of ONNX"),
    ("cnn export runs/latest classifier.c", "one C file that needs nothing but libm"),
    ("cnn export runs/latest birds.onnx --raw", "the network alone: normalised numbers in, logits out"),
    ("cnn export runs/latest birds.safetensors --torch-names", "for torchvision's or timm's network of that name"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--raw", is_flag=True, help="Leave out what is done before and behind the network: float32 (n, c, h, w), "
              "normalised, to logits.")
@click.option("--torch-names", is_flag=True, help="With a .safetensors file: weights for PyTorch, by the names of "
              "torchvision's or timm's network.")
@json_option
def command(model: Path, file: Path, raw: bool, torch_names: bool, as_json: bool) -> int:
    """Write a model in a form that others run.

    MODEL is a model file, a run folder, or a pretrained network. An .onnx file (with the extra [onnx]) takes uint8
    images (n, height, width, channels) of the model's size and yields calibrated probabilities; class names,
    preprocessing and a picture with its probabilities are in its metadata. Where onnxruntime is installed it is run
    before it is written, and has to answer as cnn does.

    A .c file has the weights, the few functions that they need, and "int classify(const uint8_t *rgb, int h, int w,
    float *probabilities)", which takes images of any size.

    A .safetensors file with --torch-names holds the weights alone, for load_state_dict(…, strict=True).
    """
    from .. import load
    from ..atomic import write_atomically
    from ..errors import UsageError
    from ..export import to_c, to_onnx, to_torch_names

    suffix = file.suffix.lower()
    if suffix not in ((".safetensors",) if torch_names else (".onnx", ".c")):
        raise UsageError(f"{printable(file)}: give a name that ends in .onnx or .c, or in .safetensors with "
                         "--torch-names.")
    if raw and suffix != ".onnx":
        raise UsageError("--raw is for .onnx files; the others have no two forms.")
    if not file.parent.is_dir():
        raise UsageError(f"{printable(file)}: there is no folder {printable(file.parent)}; make it first.")
    loaded = load(model)
    if suffix == ".c":
        data, said = to_c(loaded).encode("ascii"), "Compile it with a C99 compiler and -lm; its first lines tell more."
    else:
        data, said = to_torch_names(loaded) if torch_names else to_onnx(loaded, raw)
    write_atomically(file, data)
    note(f"{printable(file)}: {len(data):,} bytes. {said}")
    if as_json:
        emit_json({"path": os.fspath(file), "bytes": len(data), "classes": len(loaded.classes), "raw": raw})
    return 0
