"""``cnn sweep``: a training for each of several settings, and a table of what they reached. Takes the options of ``cnn
train``, calls cnncli.training and renders; train_view.py shows what happens meanwhile."""

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..errors import printable, quoted
from .command import Command, Option, json_option
from .output import console, emit, emit_json, note, report_skipped
from .train import command as train
from .train import complete, watched
from .train_options import LATEST

if TYPE_CHECKING:
    from ..training.sweep import Sweep

# Of the options of ``cnn train`` those that have another meaning here, or none.
OTHERWISE = ("data", "resume", "folds", "find_lr", "name", "runs", "as_json")
EXAMPLES = (
    ("cnn sweep photos/ lr=0.01,0.03,0.1", "three runs, in runs/sweep-1/; which rate does best?"),
    ("cnn sweep photos/ lr=0.01,0.1 arch=resnet8,resnet20", "every combination: four runs"),
    ("cnn sweep photos/ lr=0.01..0.3 batch-size=16..128 --random 12", "twelve random draws"),
    ("cnn sweep photos/ lr=0.01..0.3 --optuna 20 --time 5m", "Optuna proposes; five minutes a run"),
    ("cnn sweep photos/ 'augment=none;shift=4,flip;photo'", "values that hold commas: semicolons"),
    ("cnn sweep --resume", "go on with the latest sweep"),
    ("cnn runs --runs runs/sweep-1", "its runs again"),
)

_sweep = partial(click.option, cls=Option, heading="Sweep")


@click.command(cls=Command, examples=EXAMPLES, grouped=True)
@click.argument("data", type=click.Path(), required=False)
@click.argument("settings", nargs=-1, metavar="SETTING=VALUE,VALUE…")
@_sweep("--random", type=int, metavar="N", help="N random draws in place of every combination; a setting may be "
                                                      "a range then, as lr=0.01..0.3. --seed draws others.")
@_sweep("--optuna", type=int, metavar="N", help="N trials that Optuna's TPE proposes, by what the runs before "
                                                      "reached; needs optuna.")
@_sweep("--name", help="The sweep's name.  [default: sweep-1, sweep-2, …]")
@_sweep("--resume", is_flag=False, flag_value=LATEST, metavar="[SWEEP]",
              help="Go on with a sweep: the latest, or by name. Finished runs are not trained again.")
@_sweep("--runs", type=click.Path(), default="runs", show_default=True, help="The folder that sweeps go to.")
@json_option
def command(data: str | None, settings: tuple[str, ...], resume: str | None, as_json: bool, **options: Any) -> int:
    """Train with each of several settings, and tell which does best.

    DATA is what cnn train takes; a SETTING is one of its options without the dashes: lr, arch, schedule, optimizer,
    augment, init, batch-size, epochs, size, label-smoothing, weight-decay, seed and the like. Each combination of their
    values is a run of its own in runs/NAME/, called after them, with all other options as cnn train takes them. All are
    validated on the same images, and these alone choose; test images are not looked at.

    A run that fails is said, and the others go on. Ctrl-C stops after the step, saved. An epoch's line and the table at
    the end go to stdout (with --json lines to stderr, and one object at the end to stdout), everything else to stderr.
    """
    from ..training.sweep import sweep

    complete(options)
    with watched(data, as_json, options) as observer:
        found = sweep(data, settings, resume=False if resume is None else resume, observer=observer, **options)
    if as_json:
        emit_json(found.as_json())
    else:
        _show(found)
    if found.best is None:
        note("No run has come to its end, so that there is nothing to choose from.")
        return 1
    _say_which(found)
    return report_skipped(found.skipped)


command.params += [each for each in train.params if each.name not in OTHERWISE]
command.params.append(click.Option(["--folds"], type=int, hidden=True))  # refused in words of its own


def _show(found: "Sweep") -> None:
    """Print the runs, the best one first, and why others failed."""
    from ..report.tables import show
    from .train_view import clock

    columns = (("run", "left"), ("val accuracy", "right"), ("val loss", "right"), ("best epoch", "right"),
               ("epochs", "right"), ("time", "right"))
    emit()
    show(console(), columns, [
        (each.name, *(("failed", "", "", "", "") if each.failed else
                      (f"{each.val_accuracy:.2%}", f"{each.val_loss:.4f}", str(each.epoch), str(each.epochs),
                       clock(each.seconds)))) for each in found.runs])
    for each in found.runs:
        if each.failed:
            emit(printable(f"{each.name}: {each.failed}"))


def _say_which(found: "Sweep") -> None:
    """Say what the best run is worth, and what to do with it."""
    best = found.best
    assert best is not None
    assert best.run is not None
    alike = sum(not each.failed and each.val_accuracy >= best.val_accuracy - found.error for each in found.runs) - 1
    others = f" {alike} other{'s' * (alike > 1)} cannot be told from it by so few." if alike else ""
    note(f"Best: {best.name}, {best.val_accuracy:.2%} of {found.images:,} validation images right, which alone chose "
         f"it.{others} The best of several flatters: test images tell what it is worth.")
    note(f"Next: cnn test -m {quoted(best.run.path)}")
