"""What a sweep varies: ``lr=0.01,0.03`` or ``lr=0.01..0.3`` is a ``Setting``. Every combination of the settings is
trained, or random draws of them. Each is a ``Point``: the options of one run. sweep.py trains them.
"""

import itertools
import math
import os
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.sizes import parse as parse_size
from ..errors import UsageError, brief, no_such, printable
from .options import Options

WHOLE = ("epochs", "batch_size", "seed", "patience", "shards")
NUMBERS = ("lr", "warmup", "weight_decay", "label_smoothing", "ema")
WORDS = ("arch", "init", "recipe", "time", "optimizer", "schedule", "loss", "class_weights", "sampling", "augment",
         "fit", "range", "precision")
SWITCHES = ("grey", "exact", "probe")
SETTINGS = (*WHOLE, *NUMBERS, *WORDS, *SWITCHES, "size", "freeze")
# What decides which images are validated on: the same ones for all runs, or their accuracies would not compare.
OF_THE_SPLIT = ("split_seed", "group_by", "labels", "exclude")
LOGARITHMIC = ("lr", "weight_decay", "batch_size")  # whose ranges are drawn from by factors
DIGITS = 3  # of a number that is drawn, so that it can be read and typed
_TRIES = 100  # draws of a point that is not there yet
_LONGEST_NAME = 80
Point = dict[str, Any]  # options of one run: {"lr": 0.1, "arch": "resnet8"}
_SWITCHED = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


@dataclass(frozen=True)
class Setting:
    """One option with the values to try: these, or if there are none, those from low to high."""

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0

    @property
    def whole(self) -> bool:
        """Whether a range holds whole numbers only."""
        return self.name in WHOLE or self.name == "size"

    @property
    def by_factors(self) -> bool:
        """Whether draws from a range are log-uniform, as is usual for this option."""
        return self.name in LOGARITHMIC and self.low > 0

    @property
    def tried(self) -> tuple[Any, ...]:
        """The values to check before anything is trained: all, or the ends of a range."""
        return self.values or (self.low, self.high)

    def draw(self, chance: float) -> Any:
        """Return the value that a number from 0 to 1 stands for."""
        if self.values:
            return self.values[int(chance * len(self.values))]
        if self.by_factors:
            return self.rounded(math.exp(math.log(self.low) + chance * (math.log(self.high) - math.log(self.low))))
        ends = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        return self.rounded(ends[0] + chance * (ends[1] - ends[0]))

    def rounded(self, value: float) -> float | int:
        """Return a number of the range as it is tried: whole, or with three digits."""
        near = round(value) if self.whole else float(f"{value:.{DIGITS}g}")
        return min(max(near, self.low), self.high)

    def config(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"name": self.name, "values": list(self.values)} if self.values else {
            "name": self.name, "low": self.low, "high": self.high}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Setting":
        """Read what ``config`` returned."""
        return cls(**{**config, "values": tuple(map(as_option, config.get("values", ())))})


def settings_of(given: Mapping[str, Any] | Sequence[str]) -> list[Setting]:
    """Return the settings of {"lr": [0.01, 0.03], "arch": "resnet8,resnet20"} or ["lr=0.01..0.3", …]. Raises UsageError
    if one is no setting, or is there twice.
    """
    pairs: list[tuple[str, Any]] = list(given.items()) if isinstance(given, Mapping) else []
    for word in [] if isinstance(given, Mapping) else given:
        if "=" not in word:
            raise UsageError(f"{brief(word)} is no setting; give a name and values, like lr=0.01,0.03.")
        name, _, values = word.partition("=")
        pairs.append((name, values))
    found: dict[str, Setting] = {}
    for shown, values in pairs:
        setting = _setting(shown, values)
        if setting.name in found:
            raise UsageError(f"{printable(shown)} is there twice; give all of its values at once: "
                             f"{typed_name(setting.name)}=A,B")
        found[setting.name] = setting
    if not found:
        raise UsageError("there is nothing to vary; give at least one setting with its values, like lr=0.01,0.03.")
    return list(found.values())


def is_setting(word: object) -> bool:
    """Return whether a word is a setting, and no folder of that name."""
    return isinstance(word, str) and re.match(r"[\w-]+=", word) is not None and not os.path.exists(word)


def _setting(shown: str, given: Any) -> Setting:
    name = shown.strip().removeprefix("--").replace("-", "_")
    if name in OF_THE_SPLIT:
        raise UsageError(f"{typed_name(name)} cannot be varied, because all runs of a sweep have the same training and "
                         f"validation images; give --{typed_name(name)} once.")
    if name in ("fold", "folds"):
        raise UsageError("folds cannot be varied, because all runs of a sweep are validated on the same images; "
                         "cross-validate the best run: cnn train DATA --folds 5")
    if name not in SETTINGS:
        raise UsageError(no_such("setting to vary", shown, sorted(map(typed_name, SETTINGS))))
    if hasattr(given, "tolist"):  # NumPy's arrays and scalars
        given = given.tolist()
    if isinstance(given, str):
        given = given.strip()
        ends = re.fullmatch(r"([^,;]+?)\.\.([^,;]+)", given) if name in (*WHOLE, *NUMBERS, "size") else None
        if ends:
            return _range(name, ends[1], ends[2])
        given = given.split(";" if ";" in given else ",")
    elif isinstance(given, bytes) or not isinstance(given, Sequence):
        given = [given]
    values = [_value(name, each) for each in given]
    if not values:
        raise UsageError(f"{printable(shown)} has no values; give some, like {typed_name(name)}=A,B")
    return Setting(name, tuple(value for i, value in enumerate(values) if value not in values[:i]))


def _range(name: str, low: str, high: str) -> Setting:
    ends = _value(name, low), _value(name, high)
    if not all(isinstance(end, int | float) for end in ends):
        raise UsageError(f"{typed_name(name)}={low}..{high}: the ends of a range must be numbers.")
    if not ends[0] < ends[1]:
        raise UsageError(f"{typed_name(name)}={low}..{high}: the first end of a range must be smaller than the second.")
    for end in ends:
        alone({name: end})
    return Setting(name, (), *ends)


def _value(name: str, given: Any) -> Any:
    """Return a value as the option takes it. Raises UsageError where it is none."""
    if isinstance(given, os.PathLike):
        given = os.fspath(given)
    if hasattr(given, "tolist"):
        given = given.tolist()
    value = _parsed(name, given.strip()) if isinstance(given, str) else as_option(given)
    if not isinstance(value, str | int | float | tuple | None):
        raise UsageError(f"{typed_name(name)}: the values of a setting must be words or numbers, not {brief(given)}.")
    if value == "":
        raise UsageError(f"{typed_name(name)} has an empty value; give some, like {typed_name(name)}=A,B")
    alone({name: value})
    return value


def _parsed(name: str, text: str) -> Any:
    wrong = f"{typed_name(name)}={printable(text)}: "
    try:
        if name in WHOLE:
            return int(text)
        if name in NUMBERS:
            return float(text)
    except ValueError:
        kind = "a whole number" if name in WHOLE else "a number"
        raise UsageError(f"{wrong}the value must be {kind}.") from None
    if name in SWITCHES:
        if text.lower() not in _SWITCHED:
            raise UsageError(f"{wrong}the value must be yes or no.")
        return _SWITCHED[text.lower()]
    if name == "size":
        size = parse_size(text)
        if size is None:
            raise UsageError(f"{wrong}the size must be pixels, like 64 or 64x48 (width x height).")
        return int(text) if text.isdecimal() else size
    if name == "freeze" and re.fullmatch(r"\d{1,9}", text):
        return int(text)
    return None if name == "class_weights" and text == "none" else text


def alone(point: Point, beside: Mapping[str, Any] | None = None) -> Options:
    """Return the options of a point, without those that all runs share. Raises UsageError, naming the point, if they
    make no sense.
    """
    try:
        return Options(**{**(beside or {}), **point})
    except UsageError as error:
        raise UsageError(f"{in_words(point)}: {error}") from None


def as_option(value: Any) -> Any:
    """Return a value of JSON as an option takes it: a size is a pair."""
    return tuple(value) if isinstance(value, list) else value


# ---- points ----


def grid(settings: Sequence[Setting]) -> list[Point]:
    """Return every combination; the last setting changes fastest. Raises UsageError if a setting is a range."""
    for setting in settings:
        if not setting.values:
            raise UsageError(f"{typed_name(setting.name)}={setting.low:g}..{setting.high:g} is a range, from which "
                             "values are drawn; give the number of runs with --random N or --optuna N.")
    names = [setting.name for setting in settings]
    return [dict(zip(names, values, strict=True)) for values in
            itertools.product(*(setting.values for setting in settings))]


def draws(settings: Sequence[Setting], count: int, seed: int) -> list[Point]:
    """Return this many different random points. More draws begin with the same points. Raises UsageError if there are
    not so many.
    """
    source, found = random.Random(seed), list[Point]()
    while len(found) < count:
        for _ in range(_TRIES):
            point = {setting.name: setting.draw(source.random()) for setting in settings}
            if point not in found:
                break
        else:
            raise UsageError(f"there are not {count} different runs in these settings, hardly more than {len(found)}; "
                             "give more values, or a smaller --random.")
        found.append(point)
    return found


def corners(settings: Sequence[Setting]) -> list[Point]:
    """Return points that together have every value, and both ends of every range, at least once."""
    most = max(len(setting.tried) for setting in settings)
    return [{setting.name: setting.tried[min(i, len(setting.tried) - 1)] for setting in settings} for i in range(most)]


# ---- words ----


def typed_name(name: str) -> str:
    """Return an option's name as it is typed."""
    return name.replace("_", "-")


def shown(name: str, value: Any) -> str:
    """Return a value of a setting as it is typed. None is what is chosen to suit the images, but of class weights."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return "x".join(map(str, reversed(value)))
    return ("none" if name == "class_weights" else "auto") if value is None else printable(value)


def in_words(point: Point) -> str:
    """Return a point as it is typed: lr=0.1,arch=resnet8."""
    return ",".join(f"{typed_name(name)}={shown(name, value)}" for name, value in point.items())


def name_of(point: Point, taken: Sequence[str]) -> str:
    """Return the name of a point's run: the point itself, without what a name cannot hold; with a number if that is
    another run's name, or too long.
    """
    parts = []
    for name, value in point.items():
        text = shown(name, value)
        if name in ("arch", "init") and ("/" in text or text.endswith(".toml")):
            text = Path(text).name.removesuffix(".toml")
        parts.append(f"{typed_name(name)}={re.sub(r'[^A-Za-z0-9_.+=-]+', '-', text)}")
    full = ",".join(parts)
    if len(full) <= _LONGEST_NAME and full not in taken:
        return full
    return f"{full[:_LONGEST_NAME].rstrip('-,.=')}-{len(taken) + 1}"
