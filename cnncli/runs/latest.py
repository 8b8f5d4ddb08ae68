"""Runs by name, by path or by their age: what runs/latest leads to, and which run is meant where none is named.

runs/latest is the newest run whose model one would use: one that was trained to its end, or stopped with a model. A run
that begins takes its place only where that leads to no model, and a fold of a cross-validation only where it leads to
no model but a fold's. To resume, the newest run of all is meant (newest_run).
"""

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from ..errors import UsageError, brief, did_you_mean, printable, quoted, told
from ..values import as_hinted
from .run import CONFIG, Run, check_no_sweep, runs_option

LATEST = "latest"


def point_latest(runs: str | os.PathLike[str], name: str) -> None:
    """Let runs/latest lead to a run: a symbolic link, or a text file with the name where links cannot be made.

    Replaced in one step. Something else of that name, a folder say, or a link or text that names no run, is left alone.
    """
    latest, fresh = Path(runs, LATEST), Path(runs, f".{LATEST}-{uuid4().hex}")
    if os.path.lexists(latest) and not _is_ours(latest):
        return
    try:
        try:
            os.symlink(name, fresh, target_is_directory=True)
        except (OSError, NotImplementedError):
            fresh.write_text(name + "\n", encoding="utf-8")
        os.replace(fresh, latest)
    finally:
        fresh.unlink(missing_ok=True)


def _is_ours(latest: Path) -> bool:
    """Whether it names a run beside it, or, as a link, one that has gone."""
    if latest.is_symlink():
        name = os.readlink(latest)
        return os.path.basename(name) == name and ((latest / CONFIG).is_file() or not latest.exists())
    led = latest_run(latest.parent) if latest.is_file() else None
    return led is not None and led.path.parent == latest.parent and (led.path / CONFIG).is_file()


def begin_latest(runs: str | os.PathLike[str], name: str) -> None:
    """Let runs/latest lead to a run that begins, where it does not lead to one that has a model."""
    before = latest_run(runs)
    if before is None or not before.has_model:
        point_latest(runs, name)


def end_latest(run: Run) -> None:
    """Let runs/latest lead to a run that has ended or was stopped, if it has a model. A fold, which has not learnt all
    images, takes the place of other folds only.
    """
    before = latest_run(run.path.parent)
    if run.has_model and not (_fold(run) and before and before.has_model and not _fold(before)):
        with suppress(OSError):
            point_latest(run.path.parent, run.name)


def latest_run(runs: str | os.PathLike[str]) -> Run | None:
    """Return the run that runs/latest leads to, None where that is none."""
    latest = Path(runs, LATEST)
    path = latest
    if latest.is_symlink():
        path = Path(runs, os.readlink(latest))
    elif latest.is_file():
        path = Path(runs, latest.read_text(encoding="utf-8", errors="replace").strip())
    return Run(path) if path.is_dir() else None


def all_runs(runs: str | os.PathLike[str]) -> list[Run]:
    """Return every run in a folder of runs."""
    names = sorted(os.listdir(runs)) if os.path.isdir(runs) else []
    return [Run(Path(runs, name)) for name in names
            if name != LATEST and not name.startswith(".") and Path(runs, name, CONFIG).is_file()]


def newest_run(runs: str | os.PathLike[str]) -> Run:
    """Return the run that was begun, or resumed, last, whatever has become of it; among runs of earlier versions, which
    do not say when that was, the one that runs/latest leads to. Raises UsageError where there is none."""
    dated = [(run.trained, run) for run in all_runs(runs)]
    newest = max((when for when, _ in dated if when), default=None)
    run = next((run for when, run in dated if when and when == newest), None) or latest_run(runs)
    if run is None:
        raise UsageError(f"there is no run in {printable(runs)}/ yet; make one with: cnn train DATA{runs_option(runs)}")
    return run


@as_hinted
def find_run(which: str | os.PathLike[str] | None = None, runs: str | os.PathLike[str] = "runs") -> Run:
    """Return a run.

    Args:
        which: The run's name, or the path of its folder. None or "latest": the run that was begun or resumed last,
            whatever has become of it. ``load`` takes the model of an earlier run if this one has none yet.
        runs: The folder that the runs are in.

    Raises:
        UsageError: There is no such run. The message has the nearest name.
    """
    for path in (which, runs):
        if path is not None and not isinstance(path, str | os.PathLike):
            raise UsageError(f"{brief(path)} is no run; give its name, or the path of its folder.")
    if which is None or os.fspath(which) == LATEST:
        return newest_run(runs)
    for path in (Path(runs, which), Path(which)):
        if (path / CONFIG).is_file():
            return Run(path.resolve() if path.is_symlink() else path)
        check_no_sweep(path)
    hint = did_you_mean(os.fspath(which), [run.name for run in all_runs(runs)])
    if Path(which).is_dir():
        hint = f" To continue the latest run on it write: cnn train {quoted(which)} --resume"
    raise UsageError(f"there is no run {printable(which)} in {printable(runs)}/.{hint}")




# ---- the run whose model is used where none is named ----


def run_to_use(runs: str | os.PathLike[str]) -> tuple[Run | None, list[str]]:
    """Return the run whose model is used, and sentences: on a fold, and on a newer run whose model is not used.

    It is that of runs/latest, unless this is being trained, has no model or has gone; then the newest other run that
    has one and is not being trained, a fold only if there is no other. Without any such it is what runs/latest leads
    to, None where that is nothing.
    """
    latest = latest_run(runs)
    run = latest
    if latest is None or not latest.has_model or latest.in_training:
        others = [run for run in all_runs(runs) if run.has_model and not run.in_training]
        run = max(others, key=lambda other: (_fold(other) is None, *_when(other)), default=latest)
    if run is None:
        return None, []
    fold = _fold(run)
    begun_later = [other for other in all_runs(runs) if _is_later(other, run) and (fold or not _fold(other))]
    newest = max(begun_later, key=_when, default=latest)
    if newest is None or newest.name == run.name or not (newest.path / CONFIG).is_file():  # no run, whatever it is
        return run, _of_fold(run)
    return run, [*_of_fold(run), _not_used(newest)]


def _of_fold(run: Run) -> list[str]:
    """Return a sentence on a run that is one fold of a cross-validation; none of another."""
    fold = _fold(run)
    return [told(f"{printable(run.path)} is fold {fold[0]} of {fold[1]} of a cross-validation, and has not learnt the "
                 "images of that fold. To get a model for use, train with the same options, without --folds."
                 )] if fold else []


def _fold(run: Run) -> tuple[int, int] | None:
    """Return which fold of how many a run is; None if it is a whole training, or damaged."""
    try:
        which, of = run.config["recipe"]["fold"]
    except (UsageError, LookupError, TypeError, ValueError):
        return None
    return which, of


def _is_later(other: Run, run: Run) -> bool:
    when, than = other.trained, run.trained
    return when is not None and than is not None and when > than


def _when(run: Run) -> tuple[bool, float]:
    """Return what orders runs by their age: those of earlier versions, which do not say it, by their files."""
    when = run.trained
    return when is not None, when.timestamp() if when else (run.path / CONFIG).stat().st_mtime


def _not_used(run: Run) -> str:
    """Return a sentence on a run that is newer than the one whose model is used."""
    shown = printable(run.path)
    takes = told(f"-m {quoted(run.path)} takes its model")
    if run.in_training:
        return f"{shown} is newer, but still being trained" + (f"; {takes} as it is by now." if run.has_model else ".")
    goes_on = f"cnn train --resume {quoted(run.path)} continues it"
    if not run.has_model:
        return f"{shown} is newer, but has no model, because it was stopped in its first epoch; {goes_on}."
    done = run.epochs_done
    return (f"{shown} is newer, but was stopped after {done}; {takes}, {goes_on}." if done
            else f"{shown} was begun later and is trained, too; {takes}.")
