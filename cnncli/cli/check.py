"""``cnn check``: what is wrong with a folder of images, said before hours are spent on it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import printable, quoted
from .command import (
    Command,
    force_option,
    group_by_option,
    json_option,
    labels_option,
    open_and_say,
    threads_option,
)
from .output import console, emit, emit_json, note
from .progress import steps

if TYPE_CHECKING:
    from ..data.check import Finding, Report

FOUND = 1  # exit code: something was found that --fail-on names
SHOWN = 5  # findings of a kind that are listed one by one
NAMED = 4  # files of a finding that are named
EXAMPLES = (
    ("cnn check photos/", "what is wrong with them"),
    ("cnn check photos/ --sheet bad.png", "see the images that it is about"),
    ("cnn check photos/ --exclude-list out.txt", "list the useless and the double ones, and then"),
    ("cnn train photos/ --exclude out.txt", "train without them"),
    ("cnn check photos/ --model runs/latest", "which labels the model thinks are wrong"),
    ("cnn check photos/ --fail-on warning --json", "for CI: exit code 1 if there is anything to look at"),
)


def show_kinds(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """List the kinds of findings and stop, where --kinds is given."""
    if wanted and not ctx.resilient_parsing:
        from ..data.check import KINDS
        from ..report.tables import show

        show(console(), (("kind", "left"), ("level", "left"), ("meaning", "left")),
             [(name, kind.level, kind.about) for name, kind in KINDS.items()])
        ctx.exit()


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("folder", type=click.Path())
@click.option("--model", "models", type=click.Path(path_type=Path), multiple=True, metavar="RUN|FILE",
              help="Also ask a trained model which labels are probably wrong; several, such as those of the folds of a "
                   "cross-validation, judge the images that they were not trained on.")
@click.option("--seed", "--split-seed", "seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the split that a training would draw.")
@group_by_option
@labels_option
@click.option("--range", "range_", metavar="LOW:HIGH",
              help="What is black and what is white in images deeper than 8 bits, as 0:4095.  [default: found from the "
                   "training images]")
@click.option("--exclude", type=click.Path(), metavar="FILE", help="Pass over the images that this list names.")
@click.option("--exclude-list", type=click.Path(), metavar="FILE",
              help="Write a list of useless and double images, for cnn train --exclude.")
@click.option("--sheet", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw the images that were found.")
@click.option("--ignore", default="", metavar="KIND,…", help="Do not look for these.")
@click.option("--fail-on", default="error", show_default=True, metavar="error|warning|note|never|KIND,…",
              help="What makes the exit code 1: findings of that level and graver ones, or of these kinds.")
@click.option("--kinds", is_flag=True, is_eager=True, expose_value=False, callback=show_kinds,
              help="List what is looked for, and stop.")
@force_option
@json_option
@threads_option
def command(folder: str, models: tuple[Path, ...], seed: int, range_: str | None, exclude: str | None,
            exclude_list: str | None, sheet: Path | None, ignore: str, fail_on: str, force: bool, as_json: bool,
            group_by: str | None, labels: str | None) -> int:
    """Find out what is wrong with a folder of images before training on it.

    FOLDER is what 'cnn train' takes, and is read the same way. Looks for images that cannot be used or were named,
    turned or saved oddly, blank, dark and blurred ones, classes that are empty, hidden, nearly the same or unlike from
    split to split, and above all for copies: the same picture, exactly or nearly, in training and test images or in
    two classes. Images are only read, never changed.

    Exit code 0 where nothing was found that --fail-on names, else 1.
    """
    from ..data.check import LEVELS, NEVER, words
    from ..evaluation.check import check
    from ..report.offenders import claimed

    fails, ignored = words(fail_on, "--fail-on", (*LEVELS, NEVER)), words(ignore, "--ignore")
    read = [path for path in (exclude, labels, group_by) if path]
    opened = [open_and_say(model) for model in models]
    with claimed(folder, exclude_list, sheet, models=[each.path for each in opened], reads=read, force=force):
        with steps() as shown:
            report = check(folder, models=[each.model for each in opened], seed=seed, exclude=exclude or (),
                           ignore=ignored, progress=shown, group_by=group_by, labels=labels, range=range_)
        for sentence in report.notes:
            note(sentence)
        if as_json:
            emit_json(report.as_json())
        else:
            _print(report)
        again = {"--labels": labels, "--group-by": group_by, "--split-seed": seed or None, "--range": range_}
        options = [quoted(value, option) for option, value in again.items() if value is not None]
        _write(report, " ".join([quoted(folder), *options]), exclude_list, sheet)
    return FOUND if report.fails(fails) else 0


def _write(report: "Report", trained: str, exclude_list: str | None, sheet: Path | None) -> None:
    """Write the list and the sheet of what was found, where they are wanted; trained is what cnn train is given."""
    from ..data.exclude import write_list
    from ..report.offenders import draw

    if exclude_list:
        count = write_list(exclude_list, report.sections())
        good = f", {report.good():,} of them good ones, copies of others" if report.good() else ""
        without = f"cnn train {trained} {quoted(exclude_list, '--exclude')}"
        note(f"{printable(exclude_list)}: {count:,} image{'s' * (count != 1)}{good}; leave them out with: {without}"
             if count else f"{printable(exclude_list)}: there is no image to leave out.")
    if sheet is not None:
        note(f"{printable(draw(report, sheet))}: what was found, as pictures.")


def _print(report: "Report") -> None:
    """Say how many images there are, a line for each kind of finding, and the first findings of each kind."""
    from ..data.check import KINDS
    from ..report.tables import show

    images = report.images()
    parts = ", ".join(f"{images[split]:,} {split}{' (drawn)' if split in report.drawn else ''}" for split in images)
    emit(f"{sum(images.values()):,} images in {len(report.counts):,} classes: {parts}")
    found = list(report.kinds())
    if not found:
        emit("Nothing was found.")
        return
    emit()
    show(console(), (("level", "left"), ("kind", "left"), ("found", "right"), ("files", "right"), ("meaning", "left")),
         [(KINDS[kind].level, kind, f"{len(all_of)}", f"{sum(len(f.files) for f in all_of)}", KINDS[kind].about)
          for kind, all_of in found])
    for kind, all_of in found:
        emit()
        emit(f"{kind}:")
        for finding in all_of[:SHOWN]:
            emit(f"  {_sentence(finding)}")
        if len(all_of) > SHOWN:
            emit(f"  … and {len(all_of) - SHOWN:,} more (--json lists them all)")


def _sentence(finding: "Finding") -> str:
    return f"{_names(finding)}: {finding.text}" if finding.files else finding.text


def _names(finding: "Finding") -> str:
    names: Sequence[str] = [printable(_named(finding, i)) for i in range(min(NAMED, len(finding.files)))]
    more = len(finding.files) - len(names)
    return " = ".join(names) + (f" = … {more} more" if more else "") if "duplicate" in finding.kind else (
        ", ".join(names) + (f" and {more} more" if more else ""))


def _named(finding: "Finding", i: int) -> str:
    """A file's path; with its split where that is drawn and matters."""
    file = finding.files[i]
    drawn = "splits" in finding.kind and file.split and not file.relative.startswith(f"{file.split}/")
    return f"{file.relative} ({file.split})" if drawn else os.fspath(file.relative)
