"""Runs beside each other: what each reached, how long it took, and in which settings they differ."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import UsageError, did_you_mean, printable
from .kept import Row
from .latest import LATEST
from .run import CONFIG, SWEEP, Run, check_no_sweep

_UNSAID = ("classes", "fingerprint")
Settings = dict[str, Any]


@dataclass(frozen=True)
class Listed:
    """A run: its settings by name ("augment.shift"), what differs from the most of those beside it, and its epochs.

    state is "done", "in training", "stopped" or "damaged"; then trouble says why. kept is the row of the epoch whose
    model the run keeps, None if no epoch has ended.
    """

    run: Run
    state: str
    settings: Settings
    history: list[Row]
    differs: Settings = field(default_factory=dict)
    trouble: str | None = None
    kept: Row | None = None

    @property
    def accuracy(self) -> float | None:
        """The share of right validation images that the run's model reached. None without validation images."""
        return self.kept["val_accuracy"] if self.kept else None

    @property
    def seconds(self) -> float:
        """What all epochs took together."""
        return float(sum(row["seconds"] or 0 for row in self.history))

    def as_json(self) -> dict[str, Any]:
        """Return what ``cnn runs --json`` prints of it."""
        return {"run": self.run.name, "path": self.run.path, "state": self.state, "trained": _when(self.run),
                "epochs": len(self.history), "accuracy": self.accuracy,
                "epoch": self.kept["epoch"] if self.kept else None, "seconds": self.seconds,
                "settings": self.settings, "differs": self.differs, "trouble": self.trouble}


def runs_in(folder: str | os.PathLike[str] = "runs") -> list[Listed]:
    """Return the runs in a folder, the oldest first. Raises UsageError where there is no such folder or no run."""
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {printable(folder)}; train a model first: cnn train DATA")
    paths = [path for path in sorted(Path(folder).iterdir()) if path.name != LATEST and (path / CONFIG).is_file()]
    if not paths:
        for path in sweeps_in(folder)[-1:]:
            check_no_sweep(path)
        raise UsageError(f"{printable(folder)} holds no run; train a model first: cnn train DATA")
    return compared([Run(path) for path in sorted(paths, key=lambda path: (path / CONFIG).stat().st_mtime)])


def sweeps_in(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the folders of the sweeps in a folder of runs, the oldest first."""
    plans = [path for path in Path(folder).glob(f"*/{SWEEP}") if path.parent.name != LATEST]
    return [path.parent for path in sorted(plans, key=lambda path: path.stat().st_mtime)]


def named(name: str, folder: str | os.PathLike[str] = "runs") -> Run:
    """Return a run by its path, or its name in the folder of runs. Raises UsageError where there is none."""
    for path in (Path(folder, name), Path(name)):
        if (path / CONFIG).is_file():
            return Run(path.resolve() if path.name == LATEST else path)
        check_no_sweep(path)
    near = [path.parent.name for path in Path(folder).glob(f"*/{CONFIG}")]
    raise UsageError(f"there is no run {printable(name)}.{did_you_mean(name, near)} To list the runs: cnn runs")


def compared(runs: Sequence[Run]) -> list[Listed]:
    """Return runs with what differs: each setting that is not what most of them have; of two, all that they have
    otherwise."""
    listed = [_read(run) for run in runs]
    known = [each.settings for each in listed if each.trouble is None]
    common = dict[str, str | None]()
    for name in dict.fromkeys(name for settings in known for name in settings):
        counts = Counter(repr(settings.get(name)) for settings in known)
        if len(counts) > 1:
            value, times = counts.most_common(1)[0]
            common[name] = value if times > 1 else None
    return [replace(each, differs=_other(each.settings, common) if each.trouble is None else {}) for each in listed]


def _other(settings: Settings, common: Mapping[str, str | None]) -> Settings:
    """Return the settings that are not the common ones; of a group that a run has not at all, the group is none."""
    return {(name if name in settings else name.split(".")[0]): settings.get(name) for name, most in common.items()
            if repr(settings.get(name)) != most}


def _read(run: Run) -> Listed:
    try:
        config, history, kept = run.config, run.history, run.kept
    except UsageError as error:
        return Listed(run, "damaged", {}, [], trouble=str(error))
    settings = dict(flat({"data": config.get("data"), "images": config.get("images"), **_recipe(config)}))
    state = "in training" if run.in_training else "stopped" if run.epochs_done else "done"
    return Listed(run, state, settings, history, kept=kept)


def _recipe(config: Mapping[str, Any]) -> Mapping[str, Any]:
    recipe = config.get("recipe")
    return recipe if isinstance(recipe, dict) else {}


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield settings by name, those inside others as "outer.inner"."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}.")
        elif name not in _UNSAID:
            yield before + name, value


def _when(run: Run) -> str | None:
    when = run.trained
    return when.isoformat(timespec="seconds") if when else None
