"""The run folder: where a training puts what it makes. Names, the resolved configuration, history.csv, the lock that
keeps two trainings apart, and runs/latest. What is inside the model files is checkpoint.py's business; training/
fills the folder, and every command that is not told a model looks for the latest run here.

    runs/resnet8-1/config.json            what was trained on what, resolved
                   images.csv             a row per image, by which it is known again (marks.py)
                   history.csv            a row per epoch
                   validated.csv          a row per validation image, with --group-by and --folds
                   model.safetensors      the best model
                   model-int8.safetensors the same quantised, where `cnn quantize` was asked for it
                   last.safetensors       the state to resume from, and
                   previous.safetensors   the one before
                   curves.png, and augmented.png where --preview was given
                   watched.jsonl          what it told, where --live was given (watching/lines.py)
                   lock                   held, with its process number, by the training at work
    runs/latest -> resnet8-1
"""

import contextlib
import csv
import errno
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from ..atomic import write_atomically
from ..data.placed import Placed
from ..errors import TrainingError, UsageError, printable, quoted
from ..plain import in_plain_json
from ..values import as_hinted
from .kept import Row, highest, kept_row

if TYPE_CHECKING:
    from ..model import Model

try:
    import fcntl
except ImportError:  # no POSIX: trainings are not kept apart
    fcntl = None  # type: ignore[assignment]

COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "images_per_second",
           "seconds")
MODEL, CONFIG, HISTORY, CURVES, LOCK = "model.safetensors", "config.json", "history.csv", "curves.png", "lock"
AUGMENTED, IMAGES = "augmented.png", "images.csv"
SWEEP = "sweep.json"  # in a folder of runs that are one sweep's (training/sweep_plan.py)
_LOOKS = 5  # that may be in the way of a lock, one after the other
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


def runs_option(runs: str | os.PathLike[str]) -> str:
    """Return what tells a command of the folder that runs are in: nothing for the usual one."""
    return "" if Path(runs) == Path("runs") else f" --runs {quoted(runs)}"


def resuming(run: "Run", fold: Sequence[int] | None) -> str:
    """Return the command that continues a run. fold is what its recipe says: for one of a cross-validation it is the
    command that continues all of that."""
    if fold and run.name.endswith(f"-fold{fold[0]}"):
        return f"cnn train --folds {fold[1]} --resume {run.as_option(run.name.removesuffix(f'-fold{fold[0]}'))}"
    return f"cnn train --resume {run.as_option()}"


class Run:
    """A run: the folder that a training has written. Nothing is read before it is asked for.

    Args:
        path: The run's folder.

    Attributes:
        skipped: (absolute path, reason) of each image that the training which returned this run could not use.
    """

    @as_hinted
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._place = Placed(path)
        self.skipped: list[tuple[str, str]] = []

    @property
    def path(self) -> Path:
        """The run's folder: as it was given, absolute if the current folder has changed since."""
        return self._place.path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    @as_hinted
    def as_option(self, name: str | None = None) -> str:
        """Return what names this run on a command line after --resume, with --runs if the folder is not the usual one.

        Args:
            name: Another run beside it. None: this run.
        """
        return quoted(name or self.name) + runs_option(self.path.parent)

    @property
    def config(self) -> dict[str, Any]:
        """The content of config.json: every setting of the training.

        Raises:
            UsageError: The file is missing or damaged.
        """
        try:
            config = json.loads((self.path / CONFIG).read_bytes(), object_pairs_hook=_once_each,
                                parse_constant=_refuse_constant)
        except FileNotFoundError:
            raise UsageError(f"{printable(self.path)} is no run, because it has no {CONFIG}; give the folder of a "
                             "run.") from None
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"{printable(self.path / CONFIG)} cannot be used ({printable(error)}); put it back as it "
                             "was, or train again.") from None
        if not isinstance(config, dict):
            raise UsageError(f"{printable(self.path / CONFIG)} cannot be used (it is no configuration of a run); put "
                             "it back as it was, or train again.")
        return config

    @property
    def history(self) -> list[Row]:
        """The content of history.csv: one dict per epoch. A number that is missing (no validation images) is None.

        Raises:
            UsageError: The file is damaged.
        """
        try:
            return _rows((self.path / HISTORY).read_bytes().decode())
        except FileNotFoundError:
            return []
        except (OSError, ValueError, csv.Error) as error:
            raise UsageError(f"{printable(self.path / HISTORY)} cannot be used ({printable(error)}); write it again "
                             f"with: cnn train --resume {self.as_option()}") from None

    @property
    def kept(self) -> Row | None:
        """The row of ``history`` of the epoch whose model the run keeps. None if no epoch has ended.

        Raises:
            UsageError: The history or the configuration is damaged.
        """
        images = self.config.get("images")
        count = images.get("val") if isinstance(images, dict) else None
        return kept_row(self.history, count if isinstance(count, int) and count > 0 else 1)

    @property
    def has_model(self) -> bool:
        """Whether an epoch has ended, so that there is a model."""
        return (self.path / MODEL).is_file()

    @property
    def trained(self) -> datetime | None:
        """When the training began or was last resumed. None for runs of versions that did not write it down."""
        try:
            config = self.config
            when = datetime.fromisoformat(config.get("resumed") or config["began"])
        except (UsageError, KeyError, TypeError, ValueError):
            return None
        return when if when.tzinfo else when.replace(tzinfo=timezone.utc)

    @property
    def epochs_done(self) -> str | None:
        """How far an unfinished training has come, in words: "3 of 15 epochs". None if it is finished, or not known."""
        try:
            rows, recipe = self.history, self.config["recipe"]
            done, epochs, patience = len(rows), recipe["epochs"], recipe.get("patience")
            top = highest(rows) if rows else {"epoch": 0}
            stopped_early = patience is not None and done - top["epoch"] >= patience
            return None if done >= epochs or stopped_early else f"{done} of {epochs} epochs"
        except (UsageError, LookupError, TypeError, ValueError, AttributeError):
            return None

    @property
    def in_training(self) -> bool:
        """Whether a process trains this run now."""
        if fcntl is None:
            return False
        with contextlib.suppress(OSError), io.FileIO(self.path / LOCK) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
        return False

    @property
    def model(self) -> "Model":
        """The model of the best epoch. Its file is read each time; keep the model for several calls.

        Raises:
            ModelError: There is none yet, or its file cannot be used.
        """
        from ..model.checkpoint import load_model

        return load_model(self.path)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Replace config.json.

        Args:
            config: The new content, JSON values.

        Raises:
            SaveError: The file could not be written.
        """
        write_atomically(self.path / CONFIG, _json(config))

    def write_images(self, table: bytes) -> None:
        """Replace images.csv.

        Args:
            table: The new content.

        Raises:
            SaveError: The file could not be written.
        """
        write_atomically(self.path / IMAGES, table)

    def write_history(self, rows: Sequence[Row]) -> None:
        """Replace history.csv.

        Args:
            rows: The rows that it holds then, one per epoch.

        Raises:
            SaveError: The file could not be written.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([_cell(row[column]) for column in COLUMNS] for row in cast("Sequence[dict[str, Any]]", rows))
        write_atomically(self.path / HISTORY, text.getvalue().encode())

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn train --json` prints.

        Raises:
            ModelError: There is no model yet.
        """
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


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. Raises ValueError where a name is there twice, so that it is not clear what it is."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"it has {next(name for i, (name, _) in enumerate(pairs) if name in dict(pairs[:i]))!r} twice")
    return found


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode()


def _cell(value: float | int | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.7g}"


def as_written(row: Row) -> Row:
    """Return a row as ``history`` has it, after history.csv has rounded its numbers."""
    cells = cast("dict[str, Any]", row)
    return cast(Row, {column: _number(column, _cell(cells[column])) for column in COLUMNS})


def _rows(text: str) -> list[Row]:
    """Read what write_history wrote. Raises ValueError or csv.Error where it is not that, or only the head of it."""
    table = csv.DictReader(io.StringIO(text, newline=""), restval="nothing", strict=True)
    if not set(COLUMNS) <= set(table.fieldnames or ()):
        raise ValueError(f"its first line is not {','.join(COLUMNS)}")
    if not text.endswith("\n"):
        raise ValueError("its last line is cut off")
    rows = [cast(Row, {column: _number(column, row[column]) for column in COLUMNS}) for row in table]
    if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
        raise ValueError("its epochs are not 1, 2, 3 …")
    return rows


def _number(column: str, text: str | None) -> float | int | None:
    if not text:
        return None
    return int(text) if column == "epoch" else float(text)


# ---- one training at a time ----


def check_no_sweep(folder: str | os.PathLike[str]) -> None:
    """Raise UsageError where a folder that is to be a run is a sweep."""
    if (Path(folder) / SWEEP).is_file() and not (Path(folder) / CONFIG).is_file():
        raise UsageError(f"{printable(folder)} is a sweep of several runs, not a run. To list its runs: cnn runs "
                         "--runs "
                         f"{quoted(folder)}")


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
            self._lock(file)
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

    def _lock(self, file: int) -> None:
        """Lock the file; whoever only looks whether somebody does holds it for a moment."""
        for _ in range(_LOOKS):
            with contextlib.suppress(BlockingIOError):
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            time.sleep(0.01)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

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
