"""``cnn export``: parse, have cnncli/export/ write the file, and say so."""

from pathlib import Path

import click

from ..errors import UsageError, printable
from .command import Command, force_option, json_option, model_and_rest, model_option, open_and_say
from .output import emit_json, note

EXAMPLES = (
    ("cnn export birds.onnx", "the latest model: images in, probabilities out, for any runtime of ONNX"),
    ("cnn export runs/latest classifier.c", "one C file that needs nothing but libm"),
    ("cnn export runs/latest birds.onnx --raw", "the network alone: normalised numbers in, logits out"),
    ("cnn export runs/latest birds.safetensors --torch-names", "for torchvision's or timm's network of that name"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("file", nargs=-1, required=True, type=click.Path(), metavar="[MODEL] FILE")
@model_option
@click.option("--raw", is_flag=True, help="Leave out what is done before and behind the network: float32 (n, c, h, w), "
              "normalised, to logits.")
@click.option("--torch-names", is_flag=True, help="With a .safetensors file: weights for PyTorch, by the names of "
              "torchvision's or timm's network.")
@force_option
@json_option
def command(file: tuple[str, ...], model: Path | None, raw: bool, torch_names: bool, force: bool, as_json: bool
            ) -> int:
    """Write a model in a form that others run.

    MODEL is a model file, a run folder, or a pretrained network. Without it, the latest run's model is written.

    An .onnx file (with the extra [onnx]) takes uint8 images (n, height, width, channels) of the model's size and yields
    calibrated probabilities; class names, preprocessing and a picture with its probabilities are in its metadata. Where
    onnxruntime is installed it is run before it is written, and has to answer as cnn does.

    A .c file has the weights, the few functions that they need, and "int classify(const uint8_t *rgb, int h, int w,
    float *probabilities)", which takes images of any size.

    A .safetensors file with --torch-names holds the weights alone, for load_state_dict(…, strict=True).
    """
    from ..export import export_model

    named, files = model_and_rest(file, model, "FILE")
    if len(files) > 1:
        raise UsageError(f"one file is written at a time; leave out {printable(files[-1])}.")
    made = export_model(open_and_say(named), Path(files[0]), raw=raw, torch_names=torch_names, force=force)
    note(f"{printable(made.path)}: {made.bytes:,} bytes. {made.note}")
    if as_json:
        emit_json(made.as_json())
    return 0
