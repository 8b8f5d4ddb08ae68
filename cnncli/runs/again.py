"""The command that trains as a run was trained: whole, so that it can be pasted. Messages that advise another training
of a run that is known ask here.
"""

import os
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..data.exclude import read_list
from ..data.splits import listed
from ..errors import DataError, UsageError, quoted
from .run import Run, runs_option
from .samples import data_now, excluded, groups_of

# What the recipe of a run of an earlier version, which does not say what was asked for, has of it.
_DECIDED = ("arch", "size", "grey", "epochs", "seed", "split_seed", "init", "probe")
_ELSEWHERE = {"exclude", "labels", "group_by", "fold", "time"}  # said by other entries, or not possible with folds


def folds_command(run: Run | None, folds: int) -> str | None:
    """Return the end of a sentence, ": cnn train …", with the command that cross-validates with the options of a run,
    after what must be filled in. None if there is no such command: without a run, for a fold, or for arrays."""
    return _command(run, f"--folds {folds}", "folds", frozenset())


def changed_command(run: Run | None, change: str) -> str:
    """Return the same for a training with a change, an option with its value, or, where there is no such command, that
    of a training of any images. Another architecture does without the weights to start from."""
    name = change.removeprefix("--").partition(" ")[0]
    without = frozenset({name, *(("init", "freeze", "probe") if name == "arch" else ())})
    return _command(run, change, "again", without) or f": cnn train DATA {change}"


def _command(run: Run | None, change: str, named: str, without: Set[str]) -> str | None:
    data = None
    with suppress(UsageError, DataError):
        data = data_now(run)
    config = run.config if run and data is not None else {}
    recipe = config.get("recipe")
    if run is None or data is None or not isinstance(recipe, dict) or recipe.get("fold"):
        return None
    words, missing = _of_images(run, config)
    options, others = _of_options(config, recipe, without)
    if others:
        missing.append(f"{listed(others)}, from Python, as there")
    fill_in = f" (give {' and '.join(missing)})" if missing else ""
    name = f"--name {quoted(_free_name(run, named))}"
    return f"{fill_in}: " + " ".join(["cnn train", quoted(data), *words, *options, change, name]) + (
        runs_option(run.path.parent))


def _of_images(run: Run, config: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the options that say which images are used and how they are divided, and what is not known of them."""
    words, missing = list[str](), list[str]()
    groups = groups_of(run)
    if groups is not None:
        words.append(_file("--group-by", groups.name, missing, "GROUPS.csv") if groups.pattern is None
                     else quoted(groups.pattern, "--group-by"))
    if isinstance(labels := config.get("labels"), dict):
        words.append(_file("--labels", str(labels.get("name")), missing, "LABELS.csv"))
    if names := excluded(config):
        words.append(_file("--exclude", _list_of(config, names), missing, "LIST.txt"))
    return words, missing


def _list_of(config: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the path of the file that lists the images that were left out, "" where it lists others by now, or is not
    known: runs of earlier versions do not say."""
    asked = config.get("asked")
    path = asked.get("exclude") if isinstance(asked, dict) else None
    with suppress(UsageError):
        if isinstance(path, str) and os.path.isfile(path) and read_list(path) == set(names):
            return path
    return ""


def _file(option: str, path: str, missing: list[str], stands_for: str) -> str:
    if os.path.isfile(path):
        return quoted(os.path.abspath(path), option)
    missing.append(f"for {stands_for} the file that the run was trained with")
    return f"{option}={stands_for}"


def _of_options(config: Mapping[str, Any], recipe: Mapping[str, Any], without: Set[str]) -> tuple[list[str], list[str]]:
    """Return the options that were asked for, but for some, and the names of those that cannot be typed."""
    asked = config.get("asked")
    if not isinstance(asked, dict):
        asked = {name: recipe[name] for name in _DECIDED if recipe.get(name) not in (None, False)
                 and not (name == "epochs" and recipe.get("probe"))}
        asked.setdefault("init", "none")
    if "time" in asked:
        asked = {**asked, "epochs": recipe.get("epochs")}
    words, others = [], []
    for name, value in asked.items():
        flag = f"--{name.replace('_', '-')}"
        if name in _ELSEWHERE or name in without:
            continue
        if name == "grey":
            words.append(f"--{'grey' if value else 'colour'}")
        elif isinstance(value, bool):
            words += ["--augment none"] * (not value) if name == "augment" else [flag] * value
        elif name == "size":
            height, width = value if isinstance(value, list | tuple) else (value, value)
            words.append(f"{flag} {width}x{height}" if width != height else f"{flag} {width}")
        elif name == "range" and isinstance(value, list | tuple):
            words.append(f"{flag} {value[0]:g}:{value[1]:g}")
        elif isinstance(value, str):
            words.append(f"{flag} {quoted(value)}" if not value.startswith("-") else quoted(value, flag))
        elif isinstance(value, int | float):
            words.append(f"{flag} {value}")
        else:
            others.append(name)
    return words, others


def _free_name(run: Run, named: str) -> str:
    """Return a name that no run and no fold has."""
    parent = Path(run.path).parent
    taken = os.listdir(parent) if parent.is_dir() else []
    base = name = f"{run.name}-{named}"
    number = 1
    while any(entry == name or entry.startswith(f"{name}-") for entry in taken):
        number += 1
        name = f"{base}{number}"
    return name
