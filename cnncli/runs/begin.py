"""A run that begins: the name of its folder, which is never taken twice, and the folder itself, which appears with its
configuration in it, locked, or not at all.
"""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..errors import TrainingError, UsageError, brief, printable
from .latest import LATEST, begin_latest
from .run import Run, RunLock

_UNBORN = re.compile(r"\.(new|latest)-[0-9a-f]{32}")  # while a run is made, and runs/latest pointed at it
_BIRTH = 60.0  # seconds, far more than that takes


def check_name(runs: str | os.PathLike[str], name: str) -> None:
    """Raise UsageError where a new run cannot have that name, because it is no name or is taken."""
    if not re.fullmatch(r"[^/\\.\s-][^/\\]*", name) or name == LATEST or not name.isprintable() or len(name) > 100:
        raise UsageError(f"{brief(name)} cannot be the name of a run; give one word without slashes, other than "
                         f"{LATEST}.")
    path = Path(runs, name)
    if os.path.lexists(path):
        raise UsageError(f"there is a run {printable(path)} already; give another --name, or continue it with "
                         f"--resume {printable(name)}.")


def new_run(runs: str | os.PathLike[str], name: str | None, arch: str, config: Mapping[str, Any],
            images: bytes = b"") -> "RunLock":
    """Make a run's folder with config.json, and with images.csv where its content is given, lock it, and point
    runs/latest at it where that leads to no model.

    The folder is called name, or arch and the next number: "resnet8-1". It appears with these files in it, or
    not at all. Raises UsageError where the name is taken, OSError where the disk refuses.
    """
    try:
        os.makedirs(runs, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError):  # a file is in the way; /proc takes no folders
        raise UsageError(f"no folder can be made at {printable(runs)}; give another place with --runs.") from None
    fresh = Path(runs, f".new-{uuid4().hex}")
    fresh.mkdir()
    _remove_unborn(Path(runs), fresh)
    try:
        lock = RunLock(Run(fresh))
        try:
            Run(fresh).write_config(config)
            if images:
                Run(fresh).write_images(images)
            lock.run = Run(_give_name(fresh, Path(runs), name, arch))
        except BaseException:
            lock.release()
            raise
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    begin_latest(runs, lock.run.name)
    return lock


def _remove_unborn(runs: Path, fresh: Path) -> None:
    """Remove what trainings left in runs that were killed while they made a run's folder or pointed runs/latest at it.
    Making them takes moments, so what is new in comparison with a folder made now may be a living one's."""
    now = fresh.stat().st_mtime
    for entry in filter(_UNBORN.fullmatch, os.listdir(runs)):
        path = runs / entry
        with contextlib.suppress(OSError, TrainingError):
            if now - path.lstat().st_mtime < _BIRTH:
                continue
            if path.is_symlink() or not path.is_dir():
                path.unlink()
                continue
            with RunLock(Run(path)):
                shutil.rmtree(path)


def _give_name(fresh: Path, runs: Path, name: str | None, arch: str) -> Path:
    """Rename a new folder to its final name; somebody else may take the same one at the same time."""
    stem = re.sub(r"[^\w.-]+", "-", arch).strip("-.") or "run"
    while True:
        path = runs / (name or f"{stem}-{_next_number(runs, stem)}")
        if name:
            check_name(runs, name)
        with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
            try:
                os.rename(fresh, path)
                return path
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise


def _next_number(runs: Path, stem: str) -> int:
    taken = (re.fullmatch(re.escape(stem) + r"-(\d+)", entry) for entry in os.listdir(runs))
    return 1 + max((int(match[1]) for match in taken if match), default=0)
