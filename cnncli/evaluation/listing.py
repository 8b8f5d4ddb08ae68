"""Runs beside each other: what each reached and how certain that is, how long it took, and in which settings they
differ. `cnn runs` shows it.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import UsageError, brief, did_you_mean, printable
from ..plain import in_plain_json
from ..runs.kept import Row
from ..runs.latest import LATEST
from ..runs.run import CONFIG, SWEEP, Run, check_no_sweep
from ..values import as_hinted
from .intervals import wilson

_UNSAID = ("classes", "fingerprint")
_USUAL = "float32"  # which a recipe does not say
Settings = dict[str, Any]


@dataclass(frozen=True)
class ListedRun:
    """A run in a list: what was trained, how far it came, and what it reached.

    Attributes:
        run: The run; ``run.model`` is its model.
        state: "done", "in training", "stopped" or "damaged".
        settings: Its settings by name; those inside others are called like "augment.shift". Empty if it is damaged.
        history: A dict for each epoch: the rows of ``Run.history``.
        differs: The settings that most of the runs in the list have otherwise.
        trouble: The sentence that says what is damaged. None if nothing is.
        kept: The row of the epoch whose model the run keeps. None if no epoch has ended.
    """

    run: Run
    state: str
    settings: Settings = field(repr=False)
    history: list[Row] = field(repr=False)
    differs: Settings = field(default_factory=dict)
    trouble: str | None = None
    kept: Row | None = None

    @property
    def name(self) -> str:
        """The name of the run: that of its folder."""
        return self.run.name

    @property
    def architecture(self) -> str | None:
        """The name of the network, or the path of the TOML file that describes it. None if it is not known."""
        name = self.settings.get("arch")
        return name if isinstance(name, str) else None

    @property
    def image_counts(self) -> dict[str, int]:
        """How many images the run was trained on ("train") and validated on ("val"), as far as it says."""
        counts = {split: self.settings.get(f"images.{split}") for split in ("train", "val")}
        return {split: count for split, count in counts.items() if isinstance(count, int)}

    @property
    def trained(self) -> datetime | None:
        """When the training began or was last resumed. None if that is not known."""
        return self.run.trained

    @property
    def seconds(self) -> float:
        """How long all epochs took together, in seconds."""
        return float(sum(row["seconds"] or 0 for row in self.history))

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return len(self.history)

    @property
    def epoch(self) -> int | None:
        """The epoch whose model the run keeps, from 1. None if no epoch has ended."""
        return int(self.kept["epoch"] or 0) if self.kept else None

    @property
    def accuracy(self) -> float | None:
        """The share of the validation images that the run's model has right, 0 to 1. None without validation images.

        These images chose the epoch, so this is a little too high. ``evaluate`` tests a model on other images.
        """
        return self.kept["val_accuracy"] if self.kept else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval that holds the accuracy with 95 % confidence, by Wilson's formula: (low, high).

        None without an accuracy.
        """
        images = self.image_counts.get("val")
        return None if self.accuracy is None or not images else wilson(round(self.accuracy * images), images)

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what ``cnn runs --json`` prints of it."""
        return {"run": self.name, "path": self.run.path, "state": self.state, "architecture": self.architecture,
                "trained": self.trained.isoformat(timespec="seconds") if self.trained else None,
                "epochs": self.epochs, "accuracy": self.accuracy,
                "interval": list(self.interval) if self.interval else None, "epoch": self.epoch,
                "seconds": self.seconds, "settings": self.settings, "differs": self.differs, "trouble": self.trouble}


@dataclass(frozen=True)
class ListedFolds:
    """The runs of one cross-validation, as one entry of a list.

    Attributes:
        stem: The name of its runs, without "-fold1".
        folds: The runs that are there.
        of: How many folds it has.
    """

    stem: str
    folds: list[ListedRun]
    of: int

    @property
    def name(self) -> str:
        """What the entry is called."""
        return f"{self.stem}-fold1 … {self.of}"

    @property
    def state(self) -> str:
        """That of its runs, or how many of them are done."""
        done = sum(each.state == "done" for each in self.folds)
        return "done" if done == self.of else f"{done} of {self.of} done"

    @property
    def accuracy(self) -> float | None:
        """The mean of the last epochs' accuracies on the images held out. None if a run has none.

        No image chose the last epoch, so this is what a cross-validation reports.
        """
        last = [each.history[-1]["val_accuracy"] if each.history else None for each in self.folds]
        known = [accuracy for accuracy in last if accuracy is not None]
        return sum(known) / len(known) if known and len(known) == len(last) else None

    @property
    def seconds(self) -> float:
        """How long all epochs took together, in seconds."""
        return sum(each.seconds for each in self.folds)

    @property
    def epochs(self) -> int:
        """How many epochs are done, by the longest of its runs."""
        return max(each.epochs for each in self.folds)

    @property
    def differs(self) -> Settings:
        """The settings that all of its runs have, and that most of the other runs have otherwise."""
        first, *others = (each.differs for each in self.folds)
        return {name: value for name, value in first.items()
                if name != "fold" and all(name in other and other[name] == value for other in others)}


def folds_together(listed: Sequence[ListedRun]) -> list[ListedRun | ListedFolds]:
    """Return a list in which the runs of a cross-validation are one entry, in the place of the first of them."""
    found: dict[tuple[str, int] | str, ListedRun | ListedFolds] = {}
    for each in listed:
        which, of = each.settings.get("fold") or (0, 0)
        stem = each.name.removesuffix(f"-fold{which}")
        if stem == each.name:
            found[each.name] = each
            continue
        entry = found.setdefault((stem, of), ListedFolds(stem, [], of))
        if isinstance(entry, ListedFolds):
            entry.folds.append(each)
    return list(found.values())


@as_hinted
def list_runs(runs: str | os.PathLike[str] = "runs") -> list[ListedRun]:
    """Return the runs in a folder, the oldest first.

    Args:
        runs: The folder that the runs are in.

    Returns:
        A record for each run. A damaged run is listed, too, with what is damaged as its trouble.

    Raises:
        UsageError: There is no such folder, or no run in it.

    Example::

        best = max(cnncli.list_runs(), key=lambda each: each.accuracy or 0)
        print(best.name, best.accuracy, best.interval)
    """
    _check_path(runs)
    if not os.path.isdir(runs):
        raise UsageError(f"there is no folder {printable(runs)}; train a model first: cnn train DATA")
    paths = [path for path in sorted(Path(runs).iterdir()) if path.name != LATEST and (path / CONFIG).is_file()]
    if not paths:
        for path in sweeps_in(runs)[-1:]:
            check_no_sweep(path)
        raise UsageError(f"{printable(runs)} holds no run; train a model first: cnn train DATA")
    return _beside([Run(path) for path in sorted(paths, key=lambda path: (path / CONFIG).stat().st_mtime)])


@as_hinted
def compare_runs(which: Sequence[str | os.PathLike[str] | Run], runs: str | os.PathLike[str] = "runs"
                 ) -> list[ListedRun]:
    """Return some runs beside each other, in the order given.

    Args:
        which: Two runs or more: their names, their paths, or what ``train`` returned.
        runs: The folder that the named runs are in.

    Returns:
        A record for each run. Of two runs, ``differs`` has every setting that is not the same.

    Raises:
        UsageError: There are fewer than two, or there is no such run.
    """
    _check_path(runs)
    several = list(which) if isinstance(which, Iterable) and not isinstance(which, str) else []
    if len(several) < 2:
        raise UsageError("there must be at least two runs to compare; give a list of their names.")
    return _beside([each if isinstance(each, Run) else named(each, runs) for each in several])


def _check_path(runs: Any) -> None:
    if not isinstance(runs, str | os.PathLike):
        raise UsageError(f"the folder of the runs must be a path, not {brief(runs)}.")


def sweeps_in(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the folders of the sweeps in a folder of runs, the oldest first."""
    plans = [path for path in Path(folder).glob(f"*/{SWEEP}") if path.parent.name != LATEST]
    return [path.parent for path in sorted(plans, key=lambda path: path.stat().st_mtime)]


def named(name: str | os.PathLike[str], folder: str | os.PathLike[str] = "runs") -> Run:
    """Return a run by its path, or its name in the folder of runs. Raises UsageError where there is none."""
    if not isinstance(name, str | os.PathLike):
        raise UsageError(f"{brief(name)} is no run; give its name, or the path of its folder.")
    for path in (Path(folder, name), Path(name)):
        if (path / CONFIG).is_file():
            return Run(path.resolve() if path.name == LATEST else path)
        check_no_sweep(path)
    near = [path.parent.name for path in Path(folder).glob(f"*/{CONFIG}")]
    hint = did_you_mean(os.fspath(name), near)
    raise UsageError(f"there is no run {printable(name)}.{hint} To list the runs: cnn runs")


def _beside(runs: Sequence[Run]) -> list[ListedRun]:
    """Return runs with what differs: each setting that is not what most of them have; of two, all that they have
    otherwise."""
    listed = [_read(run) for run in runs]
    differs: list[Settings] = [{} for each in listed if each.trouble is None]
    known = [each.settings for each in listed if each.trouble is None]
    for name, values in differing(listed).items():
        told = list(map(repr, values))
        most, times = Counter(told).most_common(1)[0]
        group = name.split(".")[0]
        for settings, found, value in zip(known, differs, told, strict=True):
            if times == 1 or value != most:
                key = group if group in settings else name  # a run without augmentation has no augment.shift
                found[key] = settings.get(key)
    rest = iter(differs)
    return [replace(each, differs=next(rest)) if each.trouble is None else each for each in listed]


def differing(listed: Sequence[ListedRun]) -> dict[str, list[Any]]:
    """Return the settings that differ between runs, with a value for each run that is not damaged. None stands for a
    setting that a run has not; one that does nothing (0, False) is then None, too."""
    known = [each.settings for each in listed if each.trouble is None]
    names = dict.fromkeys(name for settings in known for name in settings)
    groups = {name.split(".")[0] for name in names if "." in name}
    values = {name: _values(name, known) for name in names if name not in groups}
    return {name: row for name, row in values.items() if len(set(map(repr, row))) > 1}


def _values(name: str, known: Sequence[Settings]) -> list[Any]:
    """Return what each of some runs has as a setting."""
    values = [settings.get(name, settings.get(name.removesuffix(".kind"))) for settings in known]
    if all(name in settings for settings in known):
        return values
    return [None if isinstance(value, int | float) and not value else value for value in values]


def _read(run: Run) -> ListedRun:
    try:
        config, history, kept = run.config, run.history, run.kept
    except UsageError as error:
        return ListedRun(run, "damaged", {}, [], trouble=str(error))
    settings = dict(flat({"data": config.get("data"), "images": config.get("images"), **_recipe(config),
                          "precision": _precision(config)}))
    if not settings.get("augment.randaugment"):
        settings.pop("augment.magnitude", None)  # of operations that are not drawn
    state = "in training" if run.in_training else "stopped" if run.epochs_done else "done"
    return ListedRun(run, state, settings, history, kept=kept)


def _recipe(config: Mapping[str, Any]) -> Mapping[str, Any]:
    recipe = config.get("recipe")
    return recipe if isinstance(recipe, dict) else {}


def _precision(config: Mapping[str, Any]) -> Any:
    """Return what a training computed in: of one that was continued in another precision, both."""
    now, entry = _recipe(config).get("precision", _USUAL), config.get("precision")
    later = entry.get("continued") if isinstance(entry, dict) else None
    return f"{entry.get('chosen')} then {now}" if later and isinstance(entry, dict) else now


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield settings by name, those inside others as "outer.inner"."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}.")
        elif name not in _UNSAID:
            yield before + name, value
