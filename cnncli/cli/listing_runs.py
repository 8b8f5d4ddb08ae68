"""``cnn runs``: the runs in a folder, or some of them beside each other."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError, printable, quoted
from .command import Command, json_option, runs_option
from .completing import run_names
from .output import console, emit, emit_json, note

if TYPE_CHECKING:
    from ..evaluation.listing import ListedRun

MOST_ROWS = 40  # of epochs beside each other; of more epochs, some are shown
COMPARE = "compare"
_FINGERPRINT, _OF_A_FINGERPRINT = re.compile("[0-9a-f]{64}"), 8  # of a list or a table; how much of it is shown
EXAMPLES = (
    ("cnn runs", "list every run in runs/"),
    ("cnn runs compare resnet8-1 resnet8-2", "compare two runs: their settings and their epochs"),
)


@click.command(cls=Command, examples=EXAMPLES, kernels=False)
@click.argument("names", nargs=-1, metavar="[compare RUN RUN…]", shell_complete=run_names)
@runs_option
@json_option
def command(names: tuple[str, ...], runs: Path, as_json: bool) -> None:
    """List the runs, or compare some of them.

    The list has a line for each run, the oldest first: the best epoch's accuracy on the validation images, how long the
    epochs took, and the settings in which it differs from most other runs. The runs of a cross-validation are one line,
    with the mean accuracy of their last epochs.

    compare shows the settings in which the RUNs differ, and their accuracy on the validation images, epoch by epoch.
    RUN is the name or the path of a run.
    """
    from ..evaluation.listing import compare_runs, list_runs, sweeps_in

    if names and (names[0] != COMPARE or len(names) < 3):
        raise UsageError("'cnn runs' takes no names, except to compare at least two runs: cnn runs compare RUN RUN")
    listed = compare_runs(names[1:], runs) if names else list_runs(runs)
    if as_json:
        emit_json({"runs": [{**each.as_json(), **({"history": each.history} if names else {})} for each in listed]})
    elif names:
        _compare(listed)
    else:
        _list(listed)
        for sweep in sweeps_in(runs):
            note(f"{printable(sweep)} is a sweep; to list its runs: cnn runs --runs {quoted(sweep)}")


def _list(listed: Sequence["ListedRun"]) -> None:
    from ..evaluation.listing import folds_together
    from ..report.tables import show

    columns = (("run", "left"), ("state", "left"), ("val accuracy", "right"), ("epochs", "right"), ("time", "right"),
               ("different settings", "left"))
    show(console(), columns, [
        (printable(each.name), each.state, _accuracy(each.accuracy), f"{each.epochs}", _time(each.seconds),
         ", ".join(f"{name} {_value(value)}" for name, value in each.differs.items()))
        for each in folds_together(listed)])
    for each in listed:
        if each.trouble:
            emit(printable(each.trouble))


def _compare(listed: Sequence["ListedRun"]) -> None:
    from ..evaluation.grounds import grounds, unlike
    from ..evaluation.listing import differing
    from ..report.tables import show

    names = [(printable(each.run.name), "right") for each in listed]
    rows: list[Sequence[str]] = []
    for name, values in differing(listed).items():
        of_run = iter(values)
        rows.append((name, *("-" if each.trouble else _value(next(of_run)) for each in listed)))
    kept = [each.kept for each in listed]
    rows.append(("val accuracy", *(_accuracy(each["val_accuracy"] if each else None) for each in kept)))
    rows.append(("train accuracy", *(_accuracy(each["train_accuracy"] if each else None) for each in kept)))
    rows.append(("val loss", *(_loss(each["val_loss"] if each else None) for each in kept)))
    rows.append(("train loss", *(_loss(each["train_loss"] if each else None) for each in kept)))
    rows.append(("time", *(_time(each.seconds) for each in listed)))
    show(console(), (("", "left"), *names), rows)
    if sentence := unlike((each.name, grounds(each.run)) for each in listed if each.trouble is None):
        note(sentence)
    if epochs := _epochs(listed):
        emit()
        show(console(), (("epoch", "right"), *names),
             [(str(epoch), *(_of_epoch(each, epoch) for each in listed)) for epoch in epochs])
        longest = max(len(each.history) for each in listed)
        some = f"; {len(epochs)} of {longest} epochs, --json has all" if len(epochs) < longest else ""
        note(f"accuracy on the validation images; * is the epoch whose model is kept{some}")
    for each in listed:
        if each.trouble:
            emit(printable(each.trouble))


def _epochs(listed: Sequence["ListedRun"]) -> list[int]:
    """Return the epochs to show: all, or of many some at even distances, and those whose models are kept."""
    longest = max(len(each.history) for each in listed)
    count = min(MOST_ROWS, longest)
    even = {round(1 + i * (longest - 1) / max(count - 1, 1)) for i in range(count)}
    return sorted(even | {each.kept["epoch"] for each in listed if each.kept})


def _of_epoch(each: "ListedRun", epoch: int) -> str:
    """Return a run's accuracy after an epoch, with a star if its model is kept."""
    if epoch > len(each.history):
        return ""
    star = " *" if each.kept and each.kept["epoch"] == epoch else "  "
    return _accuracy(each.history[epoch - 1]["val_accuracy"]) + star


def _accuracy(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return f"{value[:_OF_A_FINGERPRINT]}…" if _FINGERPRINT.fullmatch(value) else printable(value)
    if isinstance(value, list):
        return " x ".join(map(str, value))
    return "none" if value is None else str(value).lower()
