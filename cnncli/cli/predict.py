"""``cnn predict``: parse, call cnncli/model/predict.py, and print a table or JSON as the answers come."""

import errno
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import brief, printable, quoted
from .command import (
    Command,
    Whole,
    exact_option,
    follows,
    force_option,
    json_option,
    listed_on_stdin,
    model_option,
    open_and_say,
    precise,
    precision_option,
    strict_option,
    threads_option,
    tta_option,
)
from .output import emit, is_terminal, note, report_skipped
from .progress import Progress, progress

if TYPE_CHECKING:
    from ..data.finding import Found
    from ..model import Prediction
    from ..report.parts import JsonList, Part
    from ..report.predictions import Table
    from ..runs.opened import Opened

ALL = "all"
WIDEST_PATH = 80
FEW = 200  # images that are judged before anyone asks how far it has got
EXAMPLES = (
    ("cnn predict a.png b.jpg", "label two images with the latest model"),
    ("cnn predict photos/ --csv labels.csv", "label all images of a folder; write a table"),
    ("cnn predict photos/ --csv all.csv --top all", "... with the probabilities of all classes"),
    ("cnn predict 'photos/**/*.png' --top 3", "show the three likeliest labels of each image"),
    ("cnn predict a.png -m runs/resnet8-1 --json", "use another run's model; print JSON"),
    ("cnn predict photos/ --reject 0.95", "print unknown for images that the model is not sure of"),
    ("cnn predict photo.jpg -m efficientnet_lite0", "use ImageNet's thousand classes, without training"),
    ("find . -name '*.png' -print0 | cnn predict -", "read the paths of the images from standard input"),
    ("cnn predict photos/ --shard 3/8 --json > part-3.json", "judge the third of eight parts, for cnn merge"),
)


class Top(Whole):
    """How many labels: a number, or "all", which stays as it is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == ALL:
            return ALL
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{brief(value)} is no number of labels; give 1 or more, or {ALL}.", param, ctx)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE…")
@model_option
@precision_option
@click.option("--top", type=Top(1), metavar="K|all",
              help="How many of the likeliest labels to show for each image: 1 or more, or all for every class.  "
                   "[default: 1; with --json 5]")
@click.option("--csv", "table", type=click.Path(), metavar="FILE",
              help="Write a CSV table to FILE instead of printing one; - writes it to standard output. Its columns are "
                   "path, label, probability, error and model. With --top 2 or more, label_2, probability_2 and so on "
                   "follow, the likeliest first. With --reject, withheld says why a label is unknown.")
@click.option("--reject", type=float, metavar="ACCURACY",
              help="Print unknown for images that the model is not sure of. The threshold is chosen on the validation "
              "images, so that this share of the other answers is right, like 0.95.")
@click.option("--shard", metavar="K/N",
              help="Judge only part K of N of the images, as 3/8, so that several machines share the work: the images "
              "K, K+N and so on of the list. With --json or --csv, cnn merge joins the parts.")
@json_option
@tta_option
@strict_option
@exact_option
@force_option
@threads_option
def command(images: tuple[str, ...], model: Path | None, precision: str | None, top: int | str | None,
            table: str | None, reject: float | None, shard: str | None, force: bool, as_json: bool, strict: bool,
            exact: bool | None, tta: bool) -> int:
    """Print the label of each image, and how probable it is.

    IMAGE is a file, a folder with images, a pattern like 'photos/*.png', or - for a list of paths on standard input.
    Images that cannot be read are skipped and listed at the end. Nothing is written unless --csv is given.

    The probabilities are calibrated on the validation images of the training, if there were any. JSON is a list with an
    entry for each image; its "model" is the model's file. With --reject, JSON
    has two more entries for each image: "rejected" is true if the answer is withheld, and "withheld" says why. "unsure"
    means that the probability is too low, "strange" that the image looks like none of the classes. "top" still has the
    likeliest labels. With --shard, JSON is an object with such a list as its "predictions", and a table has one column
    more.
    """
    from ..data.dealing import shard_of
    from ..data.finding import find_images
    from ..errors import DataError, UsageError
    from ..model.predict import check_reject, predict
    from ..report.parts import JsonList
    from ..report.predictions import TABLE, Table, as_item

    if reject is not None:
        check_reject(reject)
    if table == "-" and as_json:
        raise UsageError("--csv - and --json both write to standard output; give a file with --csv.")
    own = shard_of(shard) if shard else None
    opened = open_and_say(precise(model, precision))
    loaded = opened.model
    loaded.network.exact = bool(exact)
    found = find_images(images, listed_on_stdin(images), note)
    if not found:
        raise DataError("the list on standard input is empty; give at least one image.")
    shown = _count(top, as_json, len(loaded.classes))
    chosen, part = _dealt(found, own, images, opened, top=shown, reject=reject, tta=tta)
    if follows(lambda: predict(loaded, chosen, top=shown, reject=reject, tta=tta)):
        return 0
    rows = Table(shown, shown=table == "-" and sys.stdout is not None and sys.stdout.isatty(),
                 rejecting=reject is not None, model=str(opened.path), part=part) if table else None
    failed: list[tuple[str, str]] = []
    forgiven: list[tuple[str, str]] = []
    watched = not is_terminal(sys.stdout) or (rows is not None and not as_json)
    read = [item for item in found if isinstance(item, str)]
    with (opened.claim({table: TABLE} if table and table != "-" else {}, reads=read, force=force),
          progress("judging", len(chosen)) if watched and len(chosen) > FEW else nullcontext() as bar):
        judged = predict(loaded, chosen, top=shown, reject=reject, tta=tta, note=note)
        answers = _watched(judged, failed, forgiven, strict, rows, bar)
        if as_json:
            _print_json((as_item(answer, reject is not None, str(opened.path)) for answer in answers), JsonList(part))
        elif rows:
            for _ in answers:
                pass
        else:
            _print_table(answers, chosen, loaded.classes, shown, loaded.has_positions)
        if strict and failed:
            raise DataError(failed[0][1])
        if rows and table:
            _write(rows, table)
    return _end(failed, forgiven, len(chosen))


def _dealt(found: "list[Found]", shard: tuple[int, int] | None, given: Sequence[str], opened: "Opened", *, top: int,
           reject: float | None, tta: bool) -> "tuple[list[Found], Part | None]":
    """Return the images to judge, and the part of all that they are, if it is one; say how many they are."""
    from ..data.dealing import dealt
    from ..report.parts import part_of

    if shard is None:
        return found, None
    part = part_of(shard, found, given, opened, top=top, reject=reject, tta=tta)
    note(f"Part {part.part} of {part.of}: {part.size:,} of {len(found):,} image{'s' * (len(found) > 1)}.")
    return [*dealt(found, shard)], part


def _end(failed: list[tuple[str, str]], forgiven: list[tuple[str, str]], images: int) -> int:
    """Say which images could not be used, or are damaged; return the exit code."""
    from ..data.images import forgiven_in_words

    for sentence in forgiven_in_words(forgiven):
        note(sentence)
    code = report_skipped(failed, images - len(failed))
    return 1 if failed and len(failed) == images else code


def _count(top: int | str | None, as_json: bool, classes: int) -> int:
    """Return how many labels are shown for each image."""
    from ..report.parts import LISTED_IN_JSON

    if isinstance(top, str):
        return classes
    return min(top or (LISTED_IN_JSON if as_json else 1), classes)


def _watched(answers: "Iterator[Prediction]", failed: list[tuple[str, str]], forgiven: list[tuple[str, str]],
             strict: bool, rows: "Table | None", bar: "Progress | None") -> "Iterator[Prediction]":
    """Pass answers on, collecting failures, what was forgiven, and table rows; strict ends after the first failure."""
    for answer in answers:
        if bar:
            bar.advance()
        if rows:
            rows.add(answer)
        if answer.error is not None:
            failed.append((answer.path, answer.error))
        if answer.note is not None:
            forgiven.append((answer.path, answer.note))
        yield answer
        if strict and failed:
            return


def _write(rows: "Table", table: str) -> None:
    """Write a table to a file, or "-", standard output."""
    if table == "-":
        if sys.stdout is None:
            raise OSError(errno.EBADF, "standard output is closed")
        sys.stdout.buffer.write(rows.encoded())
    else:
        rows.write(table)
        note(f"{table}: {rows.rows:,} row{'s' * (rows.rows != 1)}.")


def _print_json(items: Iterable[dict[str, Any]], form: "JsonList") -> None:
    """Print a list, an item a line, as the items come; it is closed also where they end in an error."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    sys.stdout.write(form.opening())
    sys.stdout.flush()  # what a process leaves that is killed says which part it was
    try:
        for item in items:
            sys.stdout.write(form.item(item))
    finally:
        emit(form.closing())


def _print_table(answers: "Iterable[Prediction]", images: "Sequence[Found]", classes: Sequence[str], top: int,
                 explained: bool = True) -> None:
    """Print a line for each image as the answers come: path, then label and probability, top times. Where answers can
    be explained, say what shows why the first is as it is."""
    from ..report.predictions import labelled, why

    paths = [item if isinstance(item, str) else item.path for item in images]
    path_width = min(WIDEST_PATH, max(len(printable(path)) for path in [*paths, "image"]))
    label_width = max(len(printable(name)) for name in [*classes, "unknown"])
    emit(f"{'image':{path_width}}" + f"  {'label':{label_width}}  probability" * top)
    first = None
    for answer in answers:
        first = first or (answer.path if answer.error is None else None)
        cells = [f"  {printable(label):{label_width}}  {probability:11.4f}" for label, probability in labelled(answer)]
        cells += [f"  {why(answer)}"] * bool(answer.withheld)
        emit(f"{printable(answer.path):{path_width}}" + ("".join(cells) or f"  {'-':{label_width}}  {'-':>11}"))
    if first is not None and explained:
        note(f"To see why: cnn explain {quoted(first)}")
