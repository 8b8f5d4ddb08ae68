"""``cnn test``: parse, have cnncli/evaluation/ judge the model and report/ write about it, and print the figures."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import printable, quoted
from .command import (
    Command,
    exact_option,
    force_option,
    json_option,
    labels_option,
    model_option,
    open_and_say,
    strict_option,
    threads_option,
    tta_option,
)
from .output import console, emit, emit_json, note, report_skipped
from .progress import steps

if TYPE_CHECKING:
    from ..data.splits import Split
    from ..evaluation.evaluate import ModelTest

EXAMPLES = (
    ("cnn test", "the latest model, on the images held out of its training"),
    ("cnn test -m runs/resnet8-1 --split val", "another one, on its validation images"),
    ("cnn test new-photos/ --out report/", "on other images, in folders named like the classes"),
    ("cnn test --json", "all numbers, for other programs"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("data", required=False, type=click.Path())
@model_option
@click.option("--split", type=click.Choice(["test", "val", "train"]),
              help="Which images of the folder that the model was trained on.  [default: test]")
@labels_option
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder for pictures and test.json.  [default: the run's]")
@force_option
@json_option
@click.option("--why/--no-why", default=True, show_default=True,
              help="Show in the report what each of its mistakes comes from. How long that takes is said.")
@strict_option
@exact_option
@tta_option
@threads_option
def command(data: str | None, model: Path | None, split: "Split | None", labels: str | None, out: Path | None,
            force: bool, as_json: bool, why: bool, strict: bool, exact: bool | None, tta: bool) -> int:
    """Tell how good a model is on images that it was not trained on.

    DATA is a folder of images; without it, the folder that the model was trained on, of which the held-out images are
    used. Of another folder its test/ is used, if it has one, else all its class folders. Class folders must have the
    names of the model's classes; some may be missing.

    Prints accuracy, loss and what is found of each class, and writes report.html (a page with all of it and the images
    themselves, for any browser), confusion.png, confusion.csv, mistakes.png (the worst mistakes) and test.json.
    """
    from ..evaluation.evaluate import evaluate
    from ..report.files import WRITTEN, claimed, write

    opened = open_and_say(model)
    with claimed(opened, out, data, force) as folder:
        with steps() as shown:
            found = evaluate(opened, data, split=split, labels=labels, tta=tta, exact=bool(exact), strict=strict,
                             progress=shown, note=note)
        write(found, folder, why=why, note=note)
    if as_json:
        emit_json(found.as_json())
    else:
        _print(found)
    note(f"{printable(folder)}: {', '.join(WRITTEN)}.")
    if not as_json and (mistake := found.surest_mistake) and opened.model.has_positions:
        note(f"Why it is wrong where it is surest: cnn explain {quoted(mistake.path)}")
    return report_skipped(found.skipped)


def _print(found: "ModelTest") -> None:
    from ..report.tables import show

    right = int(found.confusion_matrix.diagonal().sum())
    low, high = found.interval
    emit(f"accuracy  {found.accuracy:.2%}  ({right:,} of {found.images:,} images)")
    emit(f"          {low:.2%} to {high:.2%} with 95 % confidence")
    if found.trained_on and found.accuracy_unseen is not None:
        emit(f"          {found.accuracy_unseen:.2%} of the {found.images - found.trained_on:,} images that it was not "
             "trained on")
    for name, baseline in found.baselines.items():
        emit(f"          {baseline.accuracy:.2%} {name} ({baseline.how})")
    if found.top5 is not None:
        emit(f"top-5     {found.top5:.2%}")
    emit(f"loss      {found.loss:.4f}")
    emit()
    columns = (("class", "left"), ("precision", "right"), ("recall", "right"), ("F1", "right"), ("images", "right"))
    show(console(), columns, [
        (c.name, f"{c.precision:.1%}", f"{c.recall:.1%}" if c.support else "-", f"{c.f1:.3f}", f"{c.support:,}")
        for c in found.classes
    ])
