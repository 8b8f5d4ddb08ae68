"""``cnn sweep``: a training for each of several settings, and a table of what they reached. Takes the options of ``cnn
train``, calls cnncli.training and renders; train_view.py shows what happens meanwhile."""

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..errors import printable, quoted
from .command import Command, Option
from .completing import setting_values, sweep_names
from .output import console, emit, emit_json, note, report_skipped
from .train import command as train
from .train import complete, watched
from .train_options import LATEST

if TYPE_CHECKING:
    from ..training.sweep import Sweep

# Of the options of ``cnn train`` those that have another meaning here, or none.
MOST_BESIDE = 4  # runs that are named to be seen beside each other
OTHERWISE = ("data", "resume", "folds", "find_lr", "name", "runs")
EXAMPLES = (
    ("cnn sweep photos/ lr=0.01,0.03,0.1", "train three runs, one for each learning rate"),
    ("cnn sweep photos/ lr=0.01,0.1 arch=resnet8,resnet20", "train four runs, one for each combination"),
    ("cnn sweep photos/ lr=0.01..0.3 batch-size=16..128 --random 12", "train twelve runs with random values"),
    ("cnn sweep photos/ lr=0.01..0.3 --optuna 20 --time 5m", "train twenty runs; Optuna chooses their values"),
    ("cnn sweep photos/ 'augment=none;shift=4,flip;photo'", "separate values that contain commas by semicolons"),
    ("cnn sweep --resume", "continue the latest sweep"),
    ("cnn runs --runs runs/sweep-1", "list the runs of a sweep"),
)

_sweep = partial(click.option, cls=Option, heading="Sweep")


@click.command(cls=Command, examples=EXAMPLES, grouped=True)
@click.argument("data", type=click.Path(), required=False)
@click.argument("settings", nargs=-1, metavar="SETTING=VALUE,VALUE…", shell_complete=setting_values)
@_sweep("--random", type=int, metavar="N",
        help="Train N runs with random values instead of every combination. A setting may then be a range, "
             "like lr=0.01..0.3. Another --seed draws other values.")
@_sweep("--optuna", type=int, metavar="N",
        help="Train N runs. Optuna's TPE chooses the values of each from the results of those before it. Needs "
             "the package optuna.")
@_sweep("--name", metavar="NAME", help="The name of the sweep.  [default: sweep-1, sweep-2, …]")
@_sweep("--resume", is_flag=False, flag_value=LATEST, metavar="[SWEEP]", shell_complete=sweep_names,
        help="Continue a sweep that was stopped: the latest, or by name. Finished runs are not trained again.")
@_sweep("--runs", type=click.Path(), metavar="DIR", default="runs", show_default=True,
        help="The folder that sweeps are written to.")
def command(data: str | None, settings: tuple[str, ...], resume: str | None, as_json: bool, **options: Any) -> int:
    """Train once for each of several settings, and show which does best.

    DATA is a folder of images as cnn train takes it. A SETTING is an option of cnn train without its dashes: lr, arch,
    schedule, optimizer, augment, init, batch-size, epochs, size, label-smoothing, weight-decay, seed and the like. All
    other options are the same as those of cnn train, and hold for every run.

    Each combination of values is a run, written to runs/NAME/ and named after its values. All runs are validated on the
    same images, and only these decide which run is best. The test images are not used. If a run fails, the sweep
    says why and goes on with the next one. Ctrl-C stops after the current step and saves everything.

    One line for each epoch and a table of the runs at the end go to standard output. All other messages go to standard
    error. With --json the lines go to standard error, too, and one JSON object goes to standard output at the end.
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
        note("No run has finished, so there is none to choose.")
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
    others = f" {alike} other run{'s are' if alike > 1 else ' is'} not clearly worse." if alike else ""
    note(f"Best: {best.name}, with {best.val_accuracy:.2%} of {found.image_count:,} validation images right.{others} "
         "These images chose it, so this is likely more than its true accuracy. The test images tell that.")
    if found.picture:
        note(f"The runs beside each other, and what each setting reached: {printable(found.picture)}")
    done = [quoted(each.name) for each in found.runs if not each.failed][:MOST_BESIDE]
    where = f" --runs {quoted(best.run.path.parent)}"
    if len(done) > 1:
        first = "" if len(done) == sum(not each.failed for each in found.runs) else "the first "
        note(f"To see {first}{len(done)} beside each other: cnn watch {' '.join(done)}{where}")
        note(f"To compare them epoch by epoch: cnn runs compare {' '.join(done)}{where}")
    note(f"Next: cnn test -m {quoted(best.run.path)}")
