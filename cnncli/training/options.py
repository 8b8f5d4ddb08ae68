"""What the user wants of a training: ``Options``. Each of them is None if choose.py is to choose. All are checked here,
before an image is looked at.
"""

import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Literal, get_args

from ..data import SAMPLINGS, Augmentation, Preprocessing, check_fold, naming
from ..data.depth import parse as parse_range
from ..data.exclude import Names, names_of
from ..data.groups import Groups, groups_of
from ..data.labels import Labels, labels_of
from ..data.order import Sampling
from ..data.preprocessing import RESIZES, Resize
from ..errors import UsageError, brief, no_such
from ..loss import LossName, loss_by_name
from ..model.precision import WANTED, Wanted
from ..optim import OptimiserName, optimiser_by_name
from ..optim.schedule import DEFAULT_SCHEDULE, Kind, Schedule
from ..values import check_fields, plain

ALL, NONE = "all", "none"  # for --freeze (Freeze); "none" for --init, too
RecipeName = Literal["auto", "fast"]
Freeze = Literal["all", "none"]
NAMED: tuple[RecipeName, ...] = get_args(RecipeName)
AUTO, FAST = NAMED
LARGEST_SIZE, LARGEST_SEED = 4096, 2**63 - 1
LONGEST = 1000 * 24 * 3600.0
_OF_IMAGES = ("exclude", "labels", "group_by", "fold")
_UNITS = {"h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked for; None means "choose for me". ``cnncli.train`` describes each."""

    arch: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    optimizer: OptimiserName | None = None
    schedule: Kind | Schedule | None = None
    warmup: float | None = None
    weight_decay: float | None = None
    loss: LossName | None = None
    label_smoothing: float | None = None
    class_weights: Literal["balanced"] | Sequence[float] | Mapping[str, float] | None = None
    augment: str | bool | Augmentation | None = None
    size: int | tuple[int, int] | None = None
    grey: bool | None = None
    seed: int | None = None
    split_seed: int | None = None
    patience: int | None = None
    ema: float | None = None
    exact: bool | None = None
    sampling: Sampling | None = None
    time: str | float | None = None  # instead of epochs
    fold: tuple[int, int] | None = None  # which of how many, from 1
    exclude: Collection[str] | None = None  # names, or the file that lists them, which becomes its names
    labels: Labels | None = None  # or the CSV file that has them
    group_by: Groups | None = None  # or what data/groups.py makes them of
    recipe: RecipeName | None = None
    init: str | None = None  # what to begin with: a pretrained network, a file or run; "none" for fresh weights
    freeze: Freeze | int | None = None  # blocks that do not learn, or "all" or "none"
    probe: bool | None = None
    fit: Resize | None = None  # how images become the network's shape
    precision: Wanted | None = None
    shards: int | None = None  # parts of a batch
    range: str | Sequence[float] | None = None  # what is black and white of images deeper than 8 bits, as "0:4095"

    def __post_init__(self) -> None:
        if isinstance(self.augment, dict):  # as config.json has it
            object.__setattr__(self, "augment", Augmentation.from_config(self.augment))
        object.__setattr__(self, "labels", labels_of(self.labels))
        object.__setattr__(self, "group_by", groups_of(self.group_by))
        if self.exclude is not None:
            object.__setattr__(self, "exclude", names_of(self.exclude))
        if self.time is not None:
            object.__setattr__(self, "time", seconds_of(self.time))
        for name in ("arch", "init"):
            if isinstance(getattr(self, name), os.PathLike):
                object.__setattr__(self, name, os.fspath(getattr(self, name)))
        check_fields(self)
        if self.arch == "auto":
            object.__setattr__(self, "arch", None)
        if isinstance(self.augment, str):
            naming.parse(self.augment, Preprocessing((LARGEST_SIZE, LARGEST_SIZE)))  # refuses unknown words
            if self.augment == "auto":
                object.__setattr__(self, "augment", None)
        if self.fit not in (None, *RESIZES):
            raise UsageError(no_such("way to fit images", self.fit, RESIZES))
        if self.recipe not in (None, *NAMED):
            raise UsageError(no_such("recipe", self.recipe, NAMED))
        if self.precision not in (None, *WANTED):
            raise UsageError(no_such("precision", self.precision, WANTED))
        _check_whole("epochs", self.epochs, 1)
        _check_whole("batch size", self.batch_size, 1)
        _check_whole("patience", self.patience, 1)
        _check_whole("number of parts of a batch", self.shards, 1)
        _check_whole("seed", self.seed, 0, LARGEST_SEED)
        _check_whole("split seed", self.split_seed, 0, LARGEST_SEED)
        for side in self.size if isinstance(self.size, tuple | list) else [self.size]:
            _check_whole("size", side, 1, LARGEST_SIZE)
        if self.range is not None:
            object.__setattr__(self, "range", parse_range(self.range))
        _check_number("learning rate", self.lr, 0, above=True)
        _check_number("warm-up", self.warmup, 0)
        _check_number("averaged part", self.ema, 0, most=1)
        self._check_sampling()
        object.__setattr__(self, "probe", self.probe or None)
        if self.freeze == NONE:
            object.__setattr__(self, "freeze", 0)
        _check_fine_tuning(self)
        if self.init not in (None, NONE) and self.recipe == FAST:
            raise UsageError("--init and the recipe fast cannot be given together, because the recipe begins with "
                             "random weights; leave one of them out.")
        if self.time is not None and self.epochs is not None:
            raise UsageError("--time and --epochs cannot be given together, because the time sets the number of "
                             "epochs; leave one of them out.")
        if self.fold is not None:
            check_fold(*self.fold)
        self._check_class_weights()
        # These refuse unknown names and numbers that make no sense.
        optimiser_by_name(self.optimizer or "sgd", weight_decay=self.weight_decay)
        loss_by_name(self.loss or "cross-entropy", label_smoothing=self.label_smoothing)
        self._check_schedule()

    def _check_schedule(self) -> None:
        """Refuse what is no schedule. If the schedule has a learning rate, take it for the option lr."""
        schedule = self.schedule
        if isinstance(schedule, dict):  # as config.json has it
            schedule = Schedule(**schedule)
            object.__setattr__(self, "schedule", schedule)
        if not isinstance(schedule, Schedule):
            if callable(schedule):
                raise UsageError("the schedule cannot be a function, because a run that is resumed would not have it; "
                                 "give a cnncli.optim.Schedule, or use a cnncli.Trainer in a loop of your own.")
            Schedule(schedule or DEFAULT_SCHEDULE, 1.0, 1)
            return
        given = schedule.config()
        if "warmup_steps" in given and self.warmup is not None:
            raise UsageError("the schedule has warm-up steps of its own; leave the warm-up out.")
        if "lr" in given:
            if self.lr not in (None, given["lr"]):
                raise UsageError(f"the schedule has the learning rate {given['lr']:g}, and {self.lr:g} is given, too; "
                                 "leave one of them out.")
            _check_number("learning rate", given["lr"], 0, above=True)
            object.__setattr__(self, "lr", given["lr"])

    def _check_class_weights(self) -> None:
        """Refuse what are no weights. Those by the names of classes become a plain dict, as JSON has it."""
        weights = self.class_weights
        if isinstance(weights, Mapping):
            weights = {str(plain(name)): plain(weight) for name, weight in weights.items()}
            object.__setattr__(self, "class_weights", weights)
        values = list(weights.values()) if isinstance(weights, dict) else weights
        numbers = isinstance(values, Sequence) and all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        if weights not in (None, "balanced") and not (numbers and values):
            raise UsageError("the class weights must be balanced, a number for each class in the order of the classes, "
                             f"or a mapping of names of classes to numbers, not {brief(self.class_weights)}.")

    def _check_sampling(self) -> None:
        if self.sampling not in (None, *SAMPLINGS):
            raise UsageError(no_such("sampling", self.sampling, SAMPLINGS))
        if self.sampling == "balanced" and self.class_weights is not None:
            raise UsageError("balanced sampling and class weights cannot be given together, because rare classes would "
                             "count twice; leave one of them out.")

    def given(self) -> dict[str, Any]:
        """Return the options that are not None."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    @property
    def drawn_by(self) -> int:
        """The seed of the split."""
        return (self.seed or 0) if self.split_seed is None else self.split_seed

    def asked(self) -> dict[str, Any]:
        """Return the same as JSON values, without what a run's config.json says elsewhere: which images are used, and
        how they are divided. Of images that a file lists to be left out, it has the file's path."""
        asked = {name: value for name, value in self.config().items() if name not in _OF_IMAGES}
        file = self.exclude.file if isinstance(self.exclude, Names) else None
        return asked if file is None else {**asked, "exclude": file}

    def config(self) -> dict[str, Any]:
        """Return the same as JSON values: Options takes them back."""
        return {name: value.config() if isinstance(value, Augmentation | Schedule | Labels | Groups | Names) else value
                for name, value in self.given().items()}


def _check_fine_tuning(options: Options) -> None:
    """Raise UsageError if options of fine-tuning make no sense, by themselves or beside the others."""
    freeze = options.freeze
    whole = isinstance(freeze, int) and not isinstance(freeze, bool) and freeze >= 0
    if not (freeze in (None, ALL) or whole):
        raise UsageError(f"--freeze must be a number of blocks, {ALL} or {NONE}, not {brief(freeze)}.")
    if options.probe:
        for what, value in (("--epochs", options.epochs), ("--time", options.time), ("--freeze", freeze),
                            ("--augment", options.augment), ("--patience", options.patience),
                            ("--shards", options.shards)):
            if value is not None:
                raise UsageError(f"--probe and {what} cannot be given together, because --probe only fits the last "
                                 "layer, to features that are computed once; leave one of them out.")


def seconds_of(given: Any) -> float:
    """Return the seconds that "90s", "10m", "1h30m", a number or a timedelta means. Raises UsageError for others."""
    given, seconds = plain(given), math.nan
    if isinstance(given, timedelta):
        seconds = given.total_seconds()
    elif isinstance(given, str):
        text = given.strip().lower().replace(" ", "")
        if re.fullmatch(r"(\d{1,9}(\.\d{0,9})?(h|min|m|s))+", text):
            parts = re.findall(r"([\d.]+)(h|min|m|s)", text)
            if len({_UNITS[unit] for _, unit in parts}) == len(parts):  # no unit twice
                seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    elif isinstance(given, int | float) and not isinstance(given, bool):
        seconds = float(given)
    if not 0 < seconds <= LONGEST:
        raise UsageError("the time to train must be hours, minutes and seconds like 10m, 90s or 1h30m, or a number of "
                         f"seconds, not {brief(given)}.")
    return seconds


def _check_whole(what: str, value: Any, least: int, most: int | None = None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise UsageError(f"the {what} must be a whole number {limits}, not {brief(value)}.")


def _check_number(what: str, value: Any, least: float, above: bool = False, most: float = math.inf) -> None:
    if value is None:
        return
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < least or (above and value == least) or value > most:
        limit = f" and of at most {most:g}" if math.isfinite(most) else ""
        raise UsageError(f"the {what} must be a finite number {'above' if above else 'of at least'} {least:g}{limit}, "
                         f"not {brief(value)}.")
