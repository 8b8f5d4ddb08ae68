"""``cnn check``: what is wrong with a folder of images, said before hours are spent on it."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import printable, quoted
from .command import (
    Command,
    Option,
    Whole,
    exclude_option,
    follows,
    force_option,
    group_by_option,
    json_option,
    labels_option,
    open_and_say,
    range_option,
    threads_option,
)
from .completing import model_names
from .output import console, emit, emit_json, note
from .progress import steps

if TYPE_CHECKING:
    from ..data.check import Finding, Report

FOUND = 1  # exit code: something was found that --fail-on names
SHOWN = 5  # findings of a kind that are listed one by one
NAMED = 4  # files of a finding that are named
EXAMPLES = (
    ("cnn check photos/", "print what is wrong with the images"),
    ("cnn check photos/ --sheet bad.png", "and draw the images in question"),
    ("cnn check photos/ --exclude-list out.txt", "and list useless and double images ..."),
    ("cnn train photos/ --exclude out.txt", "... and train without them"),
    ("cnn check photos/ --model runs/latest", "also find labels that the model takes for wrong"),
    ("cnn check photos/ --fail-on warning --json", "for automatic checks: exit code 1 for any warning"),
)


def show_kinds(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """List the kinds of findings and stop, where --kinds is given."""
    if wanted and not ctx.resilient_parsing:
        from ..data.check import KINDS
        from ..report.tables import show

        show(console(), (("kind", "left"), ("level", "left"), ("meaning", "left")),
             [(name, kind.level, kind.about) for name, kind in KINDS.items()])
        ctx.exit()


_findings, _images = (partial(click.option, cls=Option, heading=heading) for heading in ("Findings", "Images"))


@click.command(cls=Command, examples=EXAMPLES, grouped=True)
@click.argument("folder", type=click.Path())
@_findings("--sheet", type=click.Path(path_type=Path), metavar="FILE.png",
           help="Draw the images in question, copies side by side.")
@_findings("--exclude-list", type=click.Path(), metavar="FILE",
           help="Write a list of useless images and of copies, for cnn train --exclude.")
@_findings("--model", "models", type=click.Path(path_type=Path), multiple=True, metavar="RUN|FILE",
           shell_complete=model_names,
           help="Also find labels that a trained model takes for wrong. Repeat the option for the models of a "
                "cross-validation: each judges the images that it was not trained on.")
@_findings("--fail-on", default="error", show_default=True, metavar="error|warning|note|never|KIND,…",
           help="Which findings make the exit code 1: those of this level and the graver ones, or those of these "
                "kinds.")
@_findings("--ignore", default="", metavar="KIND,…", help="Do not look for these kinds of findings.")
@_findings("--kinds", is_flag=True, is_eager=True, expose_value=False, callback=show_kinds,
           help="List the kinds of findings, and stop.")
@labels_option
@group_by_option
@exclude_option
@_images("--split-seed", "--seed", "seed", type=Whole(0), metavar="N", default=0, show_default=True,
         help="Check the split that cnn train makes with this --split-seed. Folders with train/, val/ and test/ have "
              "their own.")
@range_option
@force_option
@json_option
@threads_option
def command(folder: str, models: tuple[Path, ...], seed: int, range: str | None, exclude: str | None,
            exclude_list: str | None, sheet: Path | None, ignore: str, fail_on: str, force: bool, as_json: bool,
            group_by: str | None, labels: str | None) -> int:
    """Look for problems in a folder of images before you train on it.

    FOLDER is read exactly as cnn train reads it. No image is changed, moved or deleted.

    Finds files that cannot be used, files with a wrong name or format, blank, dark and blurred images, problems of
    classes (empty, small, hidden, named alike, or told apart by brightness or size alone), and copies: the same
    picture, exactly or nearly, in two parts of the split or in two classes.

    The exit code is 1 if something was found that --fail-on names, else 0.
    """
    from ..data.check import LEVELS, NEVER, words
    from ..evaluation.check import check
    from ..report.offenders import claimed

    fails, ignored = words(fail_on, "--fail-on", (*LEVELS, NEVER)), words(ignore, "--ignore")
    read = [path for path in (exclude, labels, group_by) if path]
    opened = [open_and_say(model) for model in models]
    if follows(lambda: check(folder, seed=seed, exclude=exclude or (), ignore=ignored, group_by=group_by, labels=labels,
                             range=range)):
        return 0
    with claimed(folder, exclude_list, sheet, models=[each.path for each in opened], reads=read, force=force):
        with steps() as shown:
            report = check(folder, models=[each.model for each in opened], seed=seed, exclude=exclude or (),
                           ignore=ignored, progress=shown, group_by=group_by, labels=labels, range=range)
        for sentence in report.notes:
            note(sentence)
        if as_json:
            emit_json(report.as_json())
        else:
            _print(report)
            if not models:
                note("To find labels that are probably wrong, too, train a model, and give it: cnn check "
                     f"{quoted(folder)} --model RUN")
        again = {"--labels": labels, "--group-by": group_by, "--split-seed": seed or None, "--range": range}
        options = [quoted(value, option) for option, value in again.items() if value is not None]
        _write(report, " ".join([quoted(folder), *options]), exclude_list, sheet)
    return FOUND if report.fails(fails) else 0


def _write(report: "Report", trained: str, exclude_list: str | None, sheet: Path | None) -> None:
    """Write the list and the sheet of what was found, where they are wanted; trained is what cnn train is given."""
    from ..data.exclude import write_list
    from ..report.offenders import draw

    if exclude_list:
        count = write_list(exclude_list, report.sections())
        good = f", {_good(report.good())}" if report.good() else ""
        without = f"cnn train {trained} {quoted(exclude_list, '--exclude')}"
        note(f"{printable(exclude_list)}: {count:,} image{'s' * (count != 1)}{good}; to train without them: {without}"
             if count else f"{printable(exclude_list)}: there is no image to leave out.")
    if sheet is not None:
        note(f"{printable(draw(report, sheet))}: pictures of what was found.")


def _good(count: int) -> str:
    return "1 of them a good image that is a copy of another" if count == 1 else (
        f"{count:,} of them good images that are copies of others")


def _print(report: "Report") -> None:
    """Say how many images there are, a line for each kind of finding, and the first findings of each kind."""
    from ..data.check import KINDS
    from ..report.tables import show

    images = report.image_counts()
    parts = ", ".join(f"{images[split]:,} {split}{' (held out)' if split in report.drawn else ''}" for split in images)
    unused = f"; {report.unusable:,} of them cannot be used" if report.unusable else ""
    emit(f"{sum(images.values()):,} images in {len(report.counts):,} classes: {parts}{unused}")
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
            emit(f"  … and {len(all_of) - SHOWN:,} more")
    if any(len(all_of) > SHOWN or any(len(each.files) > NAMED for each in all_of) for _, all_of in found):
        emit()
        emit("--json lists every finding and every file.")
    if any(kind == "label-error" for kind, _ in found):
        emit("The surest of the label-error findings come first. Look at them from the top, and stop where most labels "
             "are right: no list to exclude has them.")


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
