"""``cnn quantize``: parse, have cnncli/quantising/ quantise the model, write it and print what was lost."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UsageError, printable, quoted
from .command import Command, force_option, json_option, labels_option, open_and_say, threads_option
from .completing import model_names
from .output import emit, emit_json, note, report_skipped
from .progress import steps

if TYPE_CHECKING:
    from ..quantising.quantise import Quantised

EXAMPLES = (
    ("cnn quantize", "quantise the latest run's model, and say what is lost"),
    ("cnn test --precision int8", "then test the quantised model"),
    ("cnn quantize runs/resnet20-1 --fall-back", "leave layers in float32 until no more than half a point is lost"),
    ("cnn quantize efficientnet_lite0 photos/ -o small.safetensors", "quantise another model with images of a folder"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.argument("data", required=False, type=click.Path())
@click.option("-m", "--model", "named", type=click.Path(path_type=Path), metavar="MODEL", shell_complete=model_names,
              help="Another way to give MODEL, as in the other commands.")
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE.safetensors",
              help="The file to write.  [default: model-int8.safetensors in the run folder, or NAME-int8.safetensors]")
@click.option("--max-drop", type=float, default=0.5, show_default=True, metavar="POINTS",
              help="How many points of accuracy may be lost on held-out images. A single image is never too many.")
@click.option("--fall-back", is_flag=True,
              help="If more is lost, leave the layers that lose most in float32, instead of writing nothing.")
@labels_option
@force_option
@json_option
@threads_option
def command(model: Path | None, data: str | None, named: Path | None, out: Path | None, max_drop: float,
            fall_back: bool, labels: str | None, force: bool, as_json: bool) -> int:
    """Make a smaller model, of 8-bit numbers, of a trained one.

    Weights and activations become whole numbers of 8 bits, which is called quantising. The weights take a quarter
    of the room. On CPUs with AVX-512 VNNI the model answers faster, too. A few answers may change.

    MODEL is a model file, a run (its folder, or its name in runs/) or a pretrained network. Without it, the latest
    run's model is quantised. MODEL may also be given with -m.

    The run's validation images choose what the 8 bits stand for. Its test images show what is lost. With DATA,
    another folder with one sub-folder per class, every second image chooses and the others show what is lost.

    Prints accuracy, loss and calibration before and after. If more than --max-drop points of accuracy are lost,
    nothing is written, and the layers that lose most are named.
    """
    from ..model.model import INT8_FILE
    from ..quantising.quantise import quantise

    if model and named:
        if data:
            raise UsageError(f"two models are given, {printable(model)} and, with -m, {printable(named)}; give only "
                             "one.")
        model, data = None, str(model)  # beside -m only DATA is left
    click.get_current_context().meta["cnncli.model"] = model or named  # for the commands that messages advise
    opened = open_and_say(model or named)
    path = out or opened.int8_path
    if path.suffix != ".safetensors":
        raise UsageError(f"{printable(path)}: the name of a model file ends in .safetensors; give such a name with "
                         "--out.")
    with opened.claim({path: INT8_FILE}, data=data, force=force):
        with steps() as shown:
            found = quantise(opened, data, max_drop=max_drop, fall_back=fall_back, labels=labels,
                             progress=shown, note=note)
        found.model.save(path, force=force)
    size = path.stat().st_size
    if as_json:
        emit_json({**found.as_json(), "path": str(path), "bytes": size})
    else:
        _print(found)
    note(f"{printable(path)}: {size:,} bytes. Next: cnn test -m {quoted(str(path))}")
    return report_skipped(found.skipped)


def _print(found: "Quantised") -> None:
    from ..report.tables import show
    from .output import console

    emit(f"images    {found.images}")
    emit(f"layers    {found.layers} with int8 weights" +
         (f"; in float32: {', '.join(found.floats)}" if found.floats else ""))
    emit(f"ranges    {found.way}")
    emit()
    before, after = (found.as_json()[each] for each in ("before", "after"))
    show(console(), (("", "left"), ("before", "right"), ("int8", "right")), [
        ("accuracy", f"{before['accuracy']:.2%}", f"{after['accuracy']:.2%}"),
        ("loss", f"{before['loss']:.4f}", f"{after['loss']:.4f}"),
        ("calibration error", f"{before['calibration_error']:.2%}", f"{after['calibration_error']:.2%}"),
    ])
