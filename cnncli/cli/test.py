"""``cnn test``: parse, have cnncli/evaluation/ judge the model and report/ write about it, and print the figures."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import printable, quoted
from .command import (
    Command,
    exact_option,
    follows,
    force_option,
    json_option,
    labels_option,
    model_option,
    open_and_say,
    out_option,
    precise,
    precision_option,
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
    ("cnn test", "test the latest model on its test images"),
    ("cnn test -m runs/resnet8-1 --split val", "test another model on its validation images"),
    ("cnn test new-photos/ --out report/", "test it on other images, in folders named like classes"),
    ("cnn test --json", "print all figures as JSON"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("data", required=False, type=click.Path())
@model_option
@precision_option
@click.option("--split", type=click.Choice(["test", "val", "train"]),
              help="The part of the split to test on, in the folder that the model was trained on.  [default: test]")
@out_option("the run folder, or for other images than its test images a folder in it, such as test-val/; NAME-test/ "
            "for a model in no run")
@json_option
@tta_option
@labels_option
@click.option("--why/--no-why", default=True, show_default=True,
              help="Show in the report which parts of the image led to each mistake. How long this takes is printed.")
@strict_option
@exact_option
@force_option
@threads_option
def command(data: str | None, model: Path | None, precision: str | None, split: "Split | None", labels: str | None,
            out: Path | None, force: bool, as_json: bool, why: bool, strict: bool, exact: bool | None, tta: bool
            ) -> int:
    """Test a model on images that it was not trained on.

    Without DATA, the test images of the folder that the model was trained on are used. DATA is another folder of
    images: its test/ is used if it has one, else all its class folders. Class folders must have the names of the
    model's classes; some may be missing.

    Prints the accuracy, the loss and the figures of each class. Writes into the run folder: report.html (a page for any
    browser, with all figures and the images themselves), confusion.png and confusion.csv (the confusion matrix),
    mistakes.png (the surest mistakes) and test.json (all figures, for other programs). These files are always about the
    test images of the run. A test of other images writes them into a folder of its own in the run folder, such as
    test-val/ or test-new-photos/.
    """
    from ..evaluation.evaluate import evaluate
    from ..report.files import WRITTEN, claimed, write

    opened = open_and_say(precise(model, precision))
    if follows(lambda: evaluate(opened, data, split=split, labels=labels, tta=tta, exact=bool(exact), strict=strict)):
        return 0
    with claimed(opened, out, data, split=split, labels=labels, force=force) as folder:
        with steps() as shown:
            found = evaluate(opened, data, split=split, labels=labels, tta=tta, exact=bool(exact), strict=strict,
                             progress=shown, note=note)
        write(found, folder, why=why, note=note)
    if as_json:
        emit_json(found.as_json())
    else:
        _print(found)
    note(f"Written to {printable(folder)}: {', '.join(WRITTEN)}.")
    if not as_json and (mistake := found.surest_mistake) and opened.model.has_positions:
        note(f"To see why its surest mistake is wrong: cnn explain {quoted(mistake.path)}")
    return report_skipped(found.skipped, found.image_count)


def _print(found: "ModelTest") -> None:
    from ..report.tables import show

    top = found.headline
    emit(f"tested    {found.subject.describe(found.image_count, len(found.skipped))}")
    which = " that the model was not trained on" if top.unseen else ""
    emit(f"accuracy  {top.accuracy:.2%}  ({top.right:,} of {top.image_count:,} images{which})")
    if top.interval is None:
        emit(f"          {top.warning}")
    else:
        _interval(top.interval, f"with 95 % confidence {top.means}")
    if top.second:
        _interval(*top.second)
    if top.unseen:
        emit(f"          {found.accuracy:.2%} of all {found.image_count:,} images, with {found.trained_on:,} that it "
             "was trained on")
    for name, baseline in found.baselines.items():
        emit(f"          {baseline.accuracy:.2%} {name} ({baseline.how})")
    if found.verdict:
        emit(f"          {found.verdict}")
    if found.top5 is not None:
        emit(f"top-5     {found.top5:.2%}")
    emit(f"loss      {found.loss:.4f}")
    emit()
    columns = (("class", "left"), ("precision", "right"), ("95 %", "right"), ("recall", "right"), ("95 %", "right"),
               ("F1", "right"), ("images", "right"))
    show(console(), columns, [
        (c.name, f"{c.precision:.1%}", _range(c.precision_interval, top.interval and c.guessed),
         f"{c.recall:.1%}" if c.support else "-", _range(c.recall_interval, top.interval and c.support), f"{c.f1:.3f}",
         f"{c.support:,}")
        for c in found.classes
    ])


def _interval(interval: tuple[float, float], means: str) -> None:
    emit(f"          {interval[0]:.2%} to {interval[1]:.2%} {means}")


def _range(interval: tuple[float, float], known: object) -> str:
    return f"{interval[0]:.0%} to {interval[1]:.0%}" if known else "-"
