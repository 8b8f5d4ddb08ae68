"""The run folder: where a training puts what it makes. Names, the resolved configuration, history.csv, the lock that
keeps two trainings apart, and runs/latest. What is inside the model files is checkpoint.py's business; training/
fills the folder, and every command that is not told a model looks for the latest run here.

    runs/resnet8-1/config.json            what was trained on what, resolved
                   images.csv             a row per image, by which it is known again (marks.py)
                   history.csv            a row per epoch
                   model.safetensors      the best model
                   last.safetensors       the state to resume from, and
                   previous.safetensors   the one before
                   curves.png, and augmented.png where --preview was given
                   lock                   held, with its process number, by the training at work
    runs/latest -> resnet8-1
"""

import contextlib
import csv
import errno
import io
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ..atomic import write_atomically
from ..errors import TrainingError, UsageError, did_you_mean, printable

if TYPE_CHECKING:
    from ..model import Model

try:
    import fcntl
except ImportError:  # no POSIX: trainings are not kept apart
    fcntl = None  # type: ignore[assignment]

LATEST = "latest"
COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "images_per_second",
           "seconds")
CONFIG, HISTORY, CURVES, LOCK = "config.json", "history.csv", "curves.png", "lock"
AUGMENTED, IMAGES = "augmented.png", "images.csv"
_UNBORN = re.compile(r"\.(new|latest)-[0-9a-f]{32}")  # while a run is made, and runs/latest pointed at it
_BIRTH = 60.0  # seconds, far more than that takes
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
Row = dict[str, Any]


class Run:
    """One run's folder. Nothing is read before it is asked for. skipped holds the (path, reason) of each image that
    the training which returned this run could not use."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.skipped: list[tuple[str, str]] = []

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration, as it stands in config.json. Raises UsageError where there is none."""
        try:
            config = json.loads((self.path / CONFIG).read_bytes())
        except FileNotFoundError:
            raise UsageError(f"{printable(self.path)} is no run: it has no {CONFIG}.") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{printable(self.path / CONFIG)} cannot be used ({error}); train anew.") from None
        if not isinstance(config, dict):
            raise UsageError(f"{printable(self.path / CONFIG)} is no configuration of a run; train anew.")
        return config

    @property
    def history(self) -> list[Row]:
        """What history.csv holds, a dict per epoch; None where a number is missing (no validation images). Raises
        UsageError where it is damaged."""
        try:
            return _rows((self.path / HISTORY).read_bytes().decode())
        except FileNotFoundError:
            return []
        except (OSError, ValueError, csv.Error) as error:
            raise UsageError(f"{printable(self.path / HISTORY)} cannot be used ({printable(error)}); to have it "
                             f"written anew: cnn train --resume {printable(self.name)}") from None

    @property
    def model(self) -> "Model":
        """The best model. Raises ModelError where there is none yet."""
        from ..model.checkpoint import load_model

        return load_model(self.path)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Replace config.json. Raises SaveError where the disk refuses."""
        write_atomically(self.path / CONFIG, _json(config))

    def write_images(self, table: bytes) -> None:
        """Replace images.csv. Raises SaveError where the disk refuses."""
        write_atomically(self.path / IMAGES, table)

    def write_history(self, rows: Sequence[Row]) -> None:
        """Replace history.csv, so that it holds exactly these rows. Raises SaveError where the disk refuses."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([_cell(row[column]) for column in COLUMNS] for row in rows)
        write_atomically(self.path / HISTORY, text.getvalue().encode())

    def as_json(self) -> dict[str, Any]:
        """Return what `cnn train --json` prints. Raises ModelError where there is no model yet."""
        config, best = self.config, self.model.training
        return {
            "run": self.name,
            "path": self.path,
            "model": self.path / "model.safetensors",
            "architecture": best.get("architecture"),
            "classes": config["classes"],
            "images": config["images"],
            "recipe": config["recipe"],
            "best_epoch": best.get("epoch"),
            "val_accuracy": best.get("val_accuracy"),
            "val_loss": best.get("val_loss"),
            "history": self.history,
            "skipped": [{"path": path, "error": reason} for path, reason in self.skipped],
        }

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode()


def _cell(value: float | int | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.7g}"


def _rows(text: str) -> list[Row]:
    """Read what write_history wrote. Raises ValueError or csv.Error where it is not that, or only the head of it."""
    table = csv.DictReader(io.StringIO(text, newline=""), restval="nothing", strict=True)
    if not set(COLUMNS) <= set(table.fieldnames or ()):
        raise ValueError(f"its first line is not {','.join(COLUMNS)}")
    if not text.endswith("\n"):
        raise ValueError("its last line is cut off")
    rows = [{column: _number(column, row[column]) for column in COLUMNS} for row in table]
    if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
        raise ValueError("its epochs are not 1, 2, 3 …")
    return rows


def _number(column: str, text: str | None) -> float | int | None:
    if not text:
        return None
    return int(text) if column == "epoch" else float(text)


# ---- names ----


def check_name(runs: str | os.PathLike[str], name: str) -> None:
    """Raise UsageError where a new run cannot have that name, because it is no name or is taken."""
    if not re.fullmatch(r"[^/\\.\s-][^/\\]*", name) or name == LATEST or not name.isprintable() or len(name) > 100:
        raise UsageError(f"{printable(name)!r} cannot be a run's name: give one word without slashes, not {LATEST!r}.")
    path = Path(runs, name)
    if os.path.lexists(path):
        raise UsageError(f"there is a run {printable(path)} already; give another --name, or continue it with "
                         f"--resume {printable(name)}.")


def new_run(runs: str | os.PathLike[str], name: str | None, arch: str, config: Mapping[str, Any],
            images: bytes = b"") -> "RunLock":
    """Make a run's folder with config.json, and with images.csv where its content is given, lock it, and point
    runs/latest at it.

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
    point_latest(runs, lock.run.name)
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


# ---- finding runs ----


def point_latest(runs: str | os.PathLike[str], name: str) -> None:
    """Let runs/latest lead to a run: a symbolic link, or a text file with the name where links cannot be made.

    Replaced in one step. Something else of that name, a folder say, is left alone.
    """
    latest, fresh = Path(runs, LATEST), Path(runs, f".{LATEST}-{uuid4().hex}")
    if latest.is_dir() and not latest.is_symlink():
        return
    try:
        try:
            os.symlink(name, fresh, target_is_directory=True)
        except (OSError, NotImplementedError):
            fresh.write_text(name + "\n", encoding="utf-8")
        os.replace(fresh, latest)
    finally:
        fresh.unlink(missing_ok=True)


def latest_run(runs: str | os.PathLike[str]) -> Run:
    """Return the run that runs/latest leads to. Raises UsageError where there is none."""
    latest = Path(runs, LATEST)
    path = latest
    if latest.is_symlink():
        path = Path(runs, os.readlink(latest))
    elif latest.is_file():
        path = Path(runs, latest.read_text(encoding="utf-8", errors="replace").strip())
    if not path.is_dir():
        raise UsageError(f"there is no run in {printable(runs)}/ yet; make one with: cnn train DATA")
    return Run(path)


def find_run(runs: str | os.PathLike[str], which: str | os.PathLike[str] | None = None) -> Run:
    """Return a run by name ("resnet8-1"), by path, or, for None or "latest", the newest.

    Raises UsageError where it is not there, with the nearest name.
    """
    if which is None or os.fspath(which) in ("", LATEST):
        return latest_run(runs)
    for path in (Path(runs, which), Path(which)):
        if (path / CONFIG).is_file():
            return Run(path.resolve() if path.is_symlink() else path)
    names = sorted(e for e in os.listdir(runs) if Path(runs, e, CONFIG).is_file()) if os.path.isdir(runs) else []
    hint = did_you_mean(os.fspath(which), names)
    if Path(which).is_dir():
        hint = f" To continue the latest run on it write: cnn train {printable(which)} --resume"
    raise UsageError(f"there is no run {printable(which)} in {printable(runs)}/.{hint}")


# ---- one training at a time ----


class RunLock:
    """Keeps other trainings out of a run's folder for as long as this process lives, or until ``release``.

    The system drops the lock when the process ends, however it ends, so that no lock is ever stale. Raises
    TrainingError, naming the process, where another one trains the run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._file: int | None = os.open(run.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            self._take(self._file)
        except BaseException:
            self.release()
            raise

    def _take(self, file: int) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:  # a file system without locks
                return
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            pid = os.pread(file, 32, 0).decode("ascii", "replace").strip()
            raise TrainingError(f"{printable(self.run.path)} is being trained by process {pid or '?'}; wait for it, "
                                "or end it first.") from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others in. Safe to call twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> "RunLock":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.release()
