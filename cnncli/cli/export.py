"""``cnn export``: parse, have cnncli/export/ write the file, and say so."""

from pathlib import Path

import click

from ..errors import UsageError, printable
from .command import Command, force_option, json_option, model_and_rest, model_option, open_and_say, precise
from .output import emit_json, note

EXAMPLES = (
    ("cnn export birds.onnx", "write the latest model for any ONNX runtime"),
    ("cnn export runs/latest classifier.c", "write one C file; it needs only a compiler and libm"),
    ("cnn export runs/latest small.c --int8", "write C without floats of the quantised model, for small devices"),
    ("cnn export runs/latest birds.onnx --raw", "write only the network, without preprocessing"),
    ("cnn export runs/latest birds.safetensors --torch-names", "write weights for torchvision or timm"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("file", nargs=-1, required=True, type=click.Path(), metavar="[MODEL] FILE")
@model_option
@click.option("--raw", is_flag=True, help="With .onnx: leave out preprocessing and probabilities. The file then takes "
              "normalised float32 images (n, channels, height, width) and returns logits.")
@click.option("--torch-names", is_flag=True, help="With .safetensors: name the weights as torchvision or timm "
              "does. Only for networks that these have, like resnet18 and efficientnet_lite0.")
@click.option("--int8", is_flag=True, help="With .c: write C without floats for small devices. It computes a quantised "
              "model in whole numbers, in memory whose size is printed.")
@force_option
@json_option
def command(file: tuple[str, ...], model: Path | None, raw: bool, torch_names: bool, int8: bool, force: bool,
            as_json: bool) -> int:
    """Write a model as an ONNX file, a C file or weights for PyTorch.

    FILE is written; its name decides the form. MODEL is a model file, a run folder or a pretrained network. Without it,
    the latest run's model is written. MODEL may also be given with -m.

    FILE.onnx takes images of the model's size as bytes, uint8 (n, height, width, channels), and returns calibrated
    probabilities. Its metadata has the class names, the preprocessing, and a picture with its probabilities. Writing
    it needs the package onnx. If onnxruntime is installed, too, the file is run before it is written, and must
    answer as cnn does.

    FILE.c holds the weights and everything that runs them. Its function "int classify(const uint8_t *rgb, int h, int w,
    float *probabilities)" takes an image of any size.

    A quantised model becomes an ONNX file with int8 weights. A C file of it computes in float32, but with --int8: then
    it needs no floating point and no library. --int8 takes the model that cnn quantize made. Its function "int
    classify(const uint8_t *pixels)" takes an image of exactly the model's size.

    FILE.safetensors, with --torch-names, holds only the weights, for load_state_dict(…, strict=True) in PyTorch.
    """
    from ..export import export_model

    named, files = model_and_rest(file, model, "FILE")
    if len(files) > 1:
        raise UsageError(f"cnn export writes one file at a time; leave {printable(files[-1])} out.")
    opened = open_and_say(precise(named, "int8") if int8 and files[0].lower().endswith(".c") else named)
    made = export_model(opened, Path(files[0]), raw=raw, torch_names=torch_names, int8=int8, force=force, note=note)
    note(f"{printable(made.path)}: {made.bytes:,} bytes. {made.note}")
    if as_json:
        emit_json(made.as_json())
    return 0
