"""A sweep's folder, runs/NAME: ``sweep.json`` says what is varied and which runs there are; each has a folder of its
own beside it. Everything that resuming a sweep needs stands there and in the runs. sweep.py does what is planned.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .._version import __version__
from ..atomic import write_atomically
from ..data import Data
from ..data.files import is_folder
from ..errors import DataError, UsageError, did_you_mean, printable
from ..runs import CONFIG, SWEEP, Run, runs_option
from .options import Options
from .sweep_settings import Point, Setting, alone, as_option, name_of

FORMAT = 1
GRID, RANDOM, OPTUNA = "grid", "random", "optuna"
_Path = str | os.PathLike[str]


@dataclass
class Planned:
    """One run of a sweep: its folder's name, its point, and why it failed, if it did. trial is its number in Optuna's
    study.
    """

    name: str
    point: Point
    failed: str | None = None
    trial: int | None = None


@dataclass
class Plan:
    """What a sweep is: how its points are found (count of them, if they are drawn), the settings that are varied, the
    options that all runs share, and the runs so far.
    """

    path: Path
    how: str
    count: int
    settings: list[Setting]
    options: Options
    place: dict[str, str | None]
    runs: list[Planned] = field(default_factory=list)

    @property
    def goes_on(self) -> str:
        """The command that continues it."""
        return f"cnn sweep --resume {Run(self.path).as_option()}"

    def add(self, point: Point, trial: int | None = None) -> Planned:
        """Add a run for a point; ``save`` writes it down."""
        planned = Planned(name_of(point, [each.name for each in self.runs]), point, trial=trial)
        self.runs.append(planned)
        return planned

    def options_of(self, point: Point) -> Options:
        """Return all options of a point's run."""
        return alone(point, self.options.given())

    def save(self) -> None:
        """Write sweep.json. Raises SaveError where the disk refuses."""
        config = {"format": FORMAT, "cnn": __version__, "how": self.how, "count": self.count, **self.place,
                  "settings": [setting.config() for setting in self.settings], "options": self.options.config(),
                  "runs": [asdict(each) for each in self.runs]}
        write_atomically(self.path / SWEEP, (json.dumps(config, indent=2) + "\n").encode())

    def data(self, given: Data | None) -> Data:
        """Return the given data, or else the folder of images that the sweep began with, where it lies now."""
        if given is not None:
            return given
        beside = self.place["data_from_runs"]
        for folder in (self.place["data"], beside and os.path.normpath(self.path / beside)):
            if folder is not None and is_folder(folder):
                return folder
        if self.place["data"] is None:
            raise UsageError(f"{printable(self.path)} was trained on arrays in memory; give them again, from Python: "
                             "cnncli.sweep(arrays, resume=...).")
        raise DataError(f"the images of {printable(self.path)} are no longer in {printable(self.place['data'])}; say "
                        f"where they are: cnn sweep DATA --resume {Run(self.path).as_option()}")


def load(path: Path) -> Plan:
    """Read what ``save`` wrote. Raises UsageError where it is not that."""
    try:
        config = json.loads((path / SWEEP).read_bytes())
        if config["format"] != FORMAT:
            raise ValueError("another version of cnn wrote it")
        runs = [Planned(**{**each, "point": {name: as_option(value) for name, value in each["point"].items()}})
                for each in config["runs"]]
        return Plan(path, config["how"], config["count"], list(map(Setting.from_config, config["settings"])),
                    Options(**{name: as_option(value) for name, value in config["options"].items()}),
                    {name: config[name] for name in ("data", "data_from_runs")}, runs)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, UsageError) as error:
        raise UsageError(f"{printable(path / SWEEP)} cannot be used ({printable(error)}); put it back as it was, or "
                         "begin another sweep.") from None


def find(runs: _Path, which: bool | _Path) -> Plan:
    """Return the sweep of this name or path in the folder of runs; without a name, the one that was written last.
    Raises UsageError if there is none.
    """
    there = [Path(runs, name) for name in (sorted(os.listdir(runs)) if os.path.isdir(runs) else [])
             if Path(runs, name, SWEEP).is_file()]
    if isinstance(which, bool) or os.fspath(which) == "latest":
        if there:
            return load(max(there, key=lambda path: (path / SWEEP).stat().st_mtime))
        raise UsageError(f"there is no sweep in {printable(runs)}/; begin one with: cnn sweep DATA lr=0.01,0.03"
                         f"{runs_option(runs)}")
    for path in (Path(runs, which), Path(which)):
        for folder in (path, path.parent):
            if (folder / SWEEP).is_file():
                return load(folder)
        if (path / CONFIG).is_file():
            raise UsageError(f"{printable(path)} is a run and no sweep; continue it with: cnn train --resume "
                             f"{Run(path).as_option()}")
    near = did_you_mean(os.fspath(which), [path.name for path in there])
    raise UsageError(f"there is no sweep {printable(which)} in {printable(runs)}/.{near}")


def free_name(runs: _Path) -> str:
    """Return the first of sweep-1, sweep-2, … that is free."""
    number = 1
    while os.path.lexists(Path(runs, f"sweep-{number}")):
        number += 1
    return f"sweep-{number}"
