"""``--folds K``: cross-validation. It makes K trainings one after the other, each a run of its own, NAME-fold1 to
NAME-foldK. Each is validated on another K-th of the images (data/folds.py deals them out; the test images are left
out), and the accuracies are put together. A stopped cross-validation continues with the runs that are there.
"""

import json
import os
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import write_atomically
from ..data import Data, check_fold
from ..data.placed import Placed
from ..data.splits import listed
from ..data.table import table_of
from ..errors import UsageError, printable
from ..evaluation import grouped
from ..evaluation.grouped import GroupScore
from ..evaluation.intervals import of_folds
from ..evaluation.scores import ClassScore, class_scores, confusion_matrix
from ..evaluation.validated import COLUMNS, VALIDATED, Validated, groups_of, read
from ..model.precision import AUTO, FLOAT32, wanted
from ..plain import in_plain_json
from ..ranks.current import world as found_world
from ..runs import CONFIG, Run, check_name, newest_run, runs_option
from ..values import as_hinted
from .keywords import FoldsOptions, checked
from .observer import Observer
from .options import Options
from .together import by_turns
from .train import train

if TYPE_CHECKING:
    from typing_extensions import Unpack  # which type checkers bring along

_Path = str | os.PathLike[str]
FOLDS, ANSWERS = "folds.json", "folds.csv"  # in the last fold's folder
_FOLD = re.compile(r"(.+)-fold(\d+)")


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation: its run, and what that reached on the images held out.

    Attributes:
        fold: Which fold it is, from 1.
        run: The fold's run.
        image_count: How many images the run was validated on.
        epoch: The best epoch, which the run kept.
        val_loss: The validation loss of that epoch.
        val_accuracy: The validation accuracy of that epoch, 0 to 1.
        last_accuracy: The validation accuracy of the last epoch, 0 to 1.
        answers: What the last epoch's model said of each image held out. Empty if the run does not say it.
    """

    fold: int
    run: Run
    image_count: int
    epoch: int
    val_loss: float
    val_accuracy: float
    last_accuracy: float
    answers: list[Validated] = field(default_factory=list)

    @property
    def groups(self) -> list[GroupScore]:
        """The scores of each group of the images held out, by name; an image that is in none is one by itself."""
        return groups_of(self.answers)


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation found.

    Attributes:
        name: The name of its runs, without "-fold1".
        folds: The folds, in order.
        skipped: (path, reason) of each image that could not be used.
        class_names: The names of the classes.
    """

    name: str
    folds: list[Fold]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    class_names: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The file with these numbers, in the last fold's folder."""
        return self.folds[-1].run.path / FOLDS

    @property
    def mean(self) -> float:
        """The mean over the folds of the best epoch's accuracy, 0 to 1.

        The best epoch is chosen on the same images that it is measured on, so this is a little too high. last_mean is
        not.
        """
        return statistics.fmean(fold.val_accuracy for fold in self.folds)

    @property
    def deviation(self) -> float:
        """The standard deviation of the folds' accuracies (that of a sample: divided by K - 1)."""
        return statistics.stdev(fold.val_accuracy for fold in self.folds)

    @property
    def last_mean(self) -> float:
        """The mean over the folds of the last epoch's accuracy, 0 to 1."""
        return statistics.fmean(fold.last_accuracy for fold in self.folds)

    @property
    def last_deviation(self) -> float:
        """The standard deviation of the last epochs' accuracies (that of a sample: divided by K - 1)."""
        return statistics.stdev(fold.last_accuracy for fold in self.folds)

    @property
    def last_interval(self) -> tuple[float, float]:
        """The interval that holds the mean of the last epochs' accuracies with 95 % confidence: (low, high).

        It is wider than that of independent measurements, because folds share training images (Nadeau and Bengio 2003).
        """
        return of_folds([fold.last_accuracy for fold in self.folds])

    @property
    def image_count(self) -> int:
        """How many images were validated, each in one fold."""
        return sum(fold.image_count for fold in self.folds)

    @property
    def last_right(self) -> int:
        """How many of these images the last epochs' models classified right."""
        return sum(round(fold.last_accuracy * fold.image_count) for fold in self.folds)

    @property
    def confusion_matrix(self) -> NDArray[np.int64] | None:
        """How many images of each true class (row) got each answer (column), int64 (classes, classes).

        Each image is judged by the fold that did not learn it, after its last epoch. None if a run does not say it.
        """
        number = {name: i for i, name in enumerate(self.class_names)}
        pairs = [(number.get(row.label, -1), number.get(row.answer, -1)) for fold in self.folds for row in fold.answers]
        if self._lost() or any(min(pair) < 0 for pair in pairs):
            return None
        labels, guesses = np.array(pairs, np.int64).T
        return confusion_matrix(labels, guesses, len(number))

    @property
    def classes(self) -> list[ClassScore]:
        """The scores of each class, as those of a test, by the same answers. Empty if a run does not say them."""
        matrix = self.confusion_matrix
        return [] if matrix is None else class_scores(matrix, self.class_names)

    @property
    def groups(self) -> list[GroupScore]:
        """The scores of each group that the images are kept together in, by name, after the last epochs.

        Each group is judged by the fold that did not learn it. Empty if the images are in no groups, or if a run has
        lost its scores.
        """
        alone = all(row.group == row.path for fold in self.folds for row in fold.answers)
        if self._lost() or alone:
            return []
        return sorted((score for fold in self.folds for score in fold.groups), key=lambda score: score.name)

    @property
    def group_interval(self) -> tuple[float, float] | None:
        """The interval that holds the accuracy for images of new groups with 95 % confidence: (low, high).

        It is that of ``ModelTest.group_interval``, with the groups of all folds. None if there are fewer than two.
        """
        return grouped.interval(self.groups)

    @property
    def warning(self) -> str | None:
        """The sentence that warns of few groups, or of scores that are lost.

        None if there are enough groups, or none.
        """
        lost = self._lost()
        if lost and len(lost) < len(self.folds):  # runs of earlier versions say nothing
            return (f"Classes and groups are not scored, because {VALIDATED} of {listed(lost)} is missing or damaged. "
                    "A training of more epochs writes it again.")
        return grouped.warning(self.groups)

    def _lost(self) -> list[str]:
        """Return the names of the runs that do not say the answers for all their validation images."""
        return [fold.run.name for fold in self.folds if len(fold.answers) != fold.image_count]

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn train --folds K --json` prints."""
        groups = [{**score.as_json(), "fold": fold.fold}
                  for fold in (self.folds if self.groups else []) for score in fold.groups]
        interval, matrix = self.group_interval, self.confusion_matrix
        return {
            "name": self.name,
            "mean": self.mean,
            "deviation": self.deviation,
            "last_mean": self.last_mean,
            "last_deviation": self.last_deviation,
            "last_interval": list(self.last_interval),
            "images": self.image_count,
            "last_right": self.last_right,
            "classes": [score.as_json() for score in self.classes],
            "confusion_matrix": None if matrix is None else matrix.tolist(),
            "groups": sorted(groups, key=lambda score: score["name"]) or None,
            "group_interval": list(interval) if interval else None,
            "folds": [{"fold": f.fold, "run": f.run.name, "path": f.run.path, "images": f.image_count,
                       "best_epoch": f.epoch, "val_loss": f.val_loss, "val_accuracy": f.val_accuracy,
                       "last_accuracy": f.last_accuracy}
                      for f in self.folds],
            "skipped": [{"path": path, "error": reason} for path, reason in self.skipped],
        }


@as_hinted
def cross_validate(data: Data | None, folds: int, *, name: str | None = None, resume: bool | _Path = False,
                   runs: _Path = "runs", **given: "Unpack[FoldsOptions]") -> CrossValidation:
    """Train once for each fold, and return what the folds reached.

    The images that are not for the test are dealt into folds. Each run is validated on one of them and learns from the
    others. The runs are NAME-fold1, NAME-fold2, …. What they reached together is written to folds.json in the last one,
    and what they said of each image to folds.csv beside it.

    Args:
        data: The images, as ``train`` takes them. May be None with resume, unless they were arrays.
        folds: How many folds there are, at least 2.
        name: The name of the runs, without "-fold1". None: the architecture and a number.
        resume: Continue a cross-validation: True for the latest, its name, or one of its runs. Finished runs are kept.
            The run that was stopped continues to the same bits as if it had never been stopped. Missing runs use the
            options given at first; other options may be given only where ``train`` takes them with resume. False:
            begin one.
        runs: The folder in which the runs' folders are made.
        **given: Options of ``train``, where each is described; all but fold and time.

    Returns:
        The folds with their runs, and the mean and the standard deviation of their accuracies.

    Raises:
        UsageError: An option makes no sense, or there is no such cross-validation to resume.
        DataError: The images cannot be used or cannot be dealt into this many folds.
        CnnError: Whatever else ``train`` raises.
    """
    check_fold(1, folds)
    world = found_world()
    options = checked(given, FoldsOptions, "time")
    if options.get("time") is not None:
        raise UsageError("--folds and --time cannot be given together, because all folds are trained for the same "
                         "number of epochs; give --epochs instead of --time.")
    if resume is False:
        if data is None:
            raise UsageError("there are no images; give a folder with one sub-folder per class.")
        if precision := wanted(options.get("precision")):
            options["precision"] = precision
        name = name or world.agreed(lambda: _free_name(runs, options.get("arch")))
        for fold in range(1, folds + 1):
            check_name(runs, f"{name}-fold{fold}")
    else:
        if name is not None:
            raise UsageError("a cross-validation that is resumed keeps its name; leave --name out.")
        if not isinstance(resume, bool) and (Path(resume) / CONFIG).is_file():
            runs = Path(resume).parent  # one of its runs, wherever that lies
        name, first = _existing(runs, resume, folds)
        for what in ("epochs", "patience"):  # the first fold may have been made longer, and the next ones not yet
            if options.get(what) is None and first["options"].get(what) is not None:
                options[what] = first["options"][what]
        begun = Options(**first["options"]).given()
        if begun.get("precision") or wanted():  # what CNN_PRECISION says now is for others
            begun["precision"] = _precision(first)
        if options.get("precision") == AUTO:  # it is decided already
            del options["precision"]
        stored = {**begun, **{key: value for key, value in options.items() if value is not None}}
        stored.pop("fold", None)
        data = first["data"] if data is None else data
    world.gathered(None)  # all have seen which runs are there
    observer, place = options.get("observer"), Placed(runs)
    folder = Placed(data) if isinstance(data, str | os.PathLike) else None

    def trained(fold: int) -> Run:
        where, run = place.text, f"{name}-fold{fold}"
        images = folder.text if folder else data
        if observer:
            observer.note(f"Fold {fold} of {folds}: {printable(Path(where, run))}")
        if resume is not False and (Path(where, run) / CONFIG).is_file():
            return train(images, resume=run, runs=where, **options)
        done = train(images, name=run, runs=where, fold=(fold, folds), **(options if resume is False else stored))
        if options.get("precision") is not None:  # auto is decided once, for all folds
            options["precision"] = _precision(done.config)
        return done

    runs_of_folds = by_turns(world, folds, trained, observer, options.get("precision"))
    return world.agreed(lambda: _put_together(str(name), runs_of_folds, observer))


def _put_together(name: str, runs: list[Run], observer: Observer | None) -> CrossValidation:
    """Return what the runs of all folds reached, and write it into the last one."""
    skipped = {path: why for run in runs for path, why in run.skipped}
    found = [_found(fold, run) for fold, run in enumerate(runs, 1)]
    result = CrossValidation(name, found, sorted(skipped.items()), runs[0].config.get("classes", []))
    if result.warning and observer:
        observer.note(f"Warning: {result.warning}")
    rows = [(*row.row(), each.fold) for each in result.folds for row in each.answers]
    write_atomically(result.path.with_name(ANSWERS), table_of((*COLUMNS, "fold"), rows))
    write_atomically(result.path, (json.dumps(result.as_json(), indent=2) + "\n").encode())
    return result


def _precision(config: Mapping[str, Any]) -> Any:
    """Return the precision that a run was trained in."""
    return config["recipe"].get("precision", FLOAT32)


def _found(fold: int, run: Run) -> Fold:
    best, images = run.model.training, run.config["images"]["val"]
    last = round(run.history[-1]["val_accuracy"] * images) / images  # without the rounding of history.csv
    answers = read(run.path / VALIDATED)
    return Fold(fold, run, images, best["epoch"], best["val_loss"], best["val_accuracy"], last, answers=answers)


def _free_name(runs: _Path, arch: str | None) -> str:
    """Return the first of resnet8-1, resnet8-2, … ("folds-1" for an automatic architecture) that no run begins with."""
    stem = re.sub(r"[^\w.-]+", "-", Path(arch).name.removesuffix(".toml")).strip("-.") if arch else ""
    if stem in ("", "auto"):
        stem = "folds"
    taken = os.listdir(runs) if os.path.isdir(runs) else []
    number = 1
    while any(entry == f"{stem}-{number}" or entry.startswith(f"{stem}-{number}-") for entry in taken):
        number += 1
    return f"{stem}-{number}"


def _existing(runs: _Path, which: bool | _Path, folds: int) -> tuple[str, dict[str, Any]]:
    """Return the name of a cross-validation, and the configuration of one of its runs."""
    if isinstance(which, bool) or os.fspath(which) == "latest":
        found = _FOLD.fullmatch(newest_run(runs).name)
        if not found:
            raise UsageError(f"the latest run of {printable(runs)}/ is no fold; name the cross-validation to continue: "
                             f"--folds {folds} --resume NAME")
        name = found[1]
    else:
        name = Path(which).name
        inside = _FOLD.fullmatch(name)
        name = inside[1] if inside else name
    for fold in range(1, folds + 1):
        path = Path(runs, f"{name}-fold{fold}")
        if (path / CONFIG).is_file():
            config = Run(path).config
            of = config.get("recipe", {}).get("fold")
            if not isinstance(of, list) or "options" not in config:
                raise UsageError(f"{printable(path)} is no fold of a cross-validation; begin one under another --name.")
            if of[1] != folds:
                raise UsageError(f"{printable(name)} has {of[1]} folds; resume it with --folds {of[1]}.")
            return name, config
    raise UsageError(f"there is no cross-validation {printable(name)} in {printable(runs)}/; begin one with: "
                     f"cnn train DATA --folds {folds}{runs_option(runs)}")
