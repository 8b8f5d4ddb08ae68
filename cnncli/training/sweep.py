"""``cnncli.sweep``: a training for each combination of some settings, or for random draws of them, one after the other.
Each is a run of its own in the sweep's folder (sweep_plan.py). Images are decoded once for all runs. All runs are
validated on the same images, which alone decide which run is best. sweep_settings.py has what is varied,
sweep_optuna.py Optuna's trials.
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import kernels
from ..data import Data
from ..data.images import Cache
from ..data.outputs import check_runs
from ..data.placed import Placed
from ..data.sources import within
from ..errors import (
    CnnError,
    DataError,
    Interrupted,
    ModelError,
    NetworkError,
    SaveError,
    TrainingError,
    UsageError,
    brief,
    printable,
)
from ..model.precision import FLOAT32, wanted
from ..plain import in_plain_json
from ..runs import CONFIG, Run, RunLock, check_name
from ..runs.samples import place, scan_fold
from ..values import as_hinted
from . import sweep_picture, sweep_plan
from .choose import Facts, choose
from .decoded import Decoded
from .keywords import SweepOptions, checked
from .observer import Observer, Observers
from .options import Options
from .prepare import Setting as Circumstances
from .prepare import begin
from .resume import resume as resumed
from .start import begin as begin_with
from .sweep_plan import GRID, OPTUNA, RANDOM, Plan, Planned
from .sweep_settings import Point, Setting, corners, draws, grid, in_words, is_setting, settings_of, typed_name
from .train import carry_out

if TYPE_CHECKING:
    from typing_extensions import Unpack  # which type checkers bring along

# What a training is like that makes steps; --probe makes none.
_OF_STEPS = ("lr", "optimizer", "schedule", "warmup", "weight_decay", "ema", "batch_size", "sampling", "shards")
_Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Swept:
    """One run of a sweep: its settings, and what its best epoch reached on the validation images.

    Attributes:
        name: The run's name.
        settings: The options of this run that are varied, by name.
        run: The run. None if it failed before it had a folder.
        failed: Why the run failed, in a sentence. None if it did not; the figures below are 0 if it did.
        epoch: The best epoch, which the run kept.
        epochs: How many epochs were trained.
        seconds: How long they took, in seconds.
        val_accuracy: The validation accuracy of the best epoch, 0 to 1.
        val_loss: The validation loss of the best epoch.
    """

    name: str
    settings: Point
    run: Run | None = None
    failed: str | None = None
    epoch: int = 0
    epochs: int = 0
    seconds: float = 0.0
    val_accuracy: float = 0.0
    val_loss: float = 0.0

    @property
    def reached(self) -> float | None:
        """The validation accuracy, by which runs are compared. None if the run failed."""
        return None if self.failed else self.val_accuracy

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn sweep --json` prints of it."""
        head = {"run": self.name, "path": self.run and self.run.path, "settings": self.settings, "failed": self.failed}
        return head if self.failed else {
            **head, "val_accuracy": self.val_accuracy, "val_loss": self.val_loss, "best_epoch": self.epoch,
            "epochs": self.epochs, "seconds": self.seconds}


@dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    Attributes:
        name: The sweep's name.
        path: The folder that holds its runs.
        runs: The runs, the highest validation accuracy first, those that failed last.
        image_count: How many validation images the accuracies are measured on.
        skipped: (path, reason) of each image that could not be used.
        picture: The file of the picture that compares the runs. None if all failed, or it could not be drawn.
    """

    name: str
    path: Path
    runs: list[Swept]
    image_count: int
    skipped: list[tuple[str, str]] = field(default_factory=list)
    picture: Path | None = None

    @property
    def best(self) -> Swept | None:
        """The run with the highest validation accuracy, of equal ones that with the lowest loss; None if all failed."""
        return next((each for each in self.runs if not each.failed), None)

    @property
    def error(self) -> float:
        """The standard error of the best accuracy, as this many images tell it."""
        share = self.best.val_accuracy if self.best else 0.0
        return float((share * (1 - share) / max(self.image_count, 1)) ** 0.5)

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn sweep --json` prints."""
        return {"name": self.name, "path": self.path, "best": self.best and self.best.name,
                "validation_images": self.image_count, "standard_error": self.error,
                "picture": self.picture, "runs": [each.as_json() for each in self.runs],
                "skipped": [{"path": path, "error": reason} for path, reason in self.skipped]}


@as_hinted
def sweep(data: Data | None = None, settings: Mapping[str, Any] | Sequence[str] = (), *, random: int | None = None,
          optuna: int | None = None, name: str | None = None, resume: bool | _Path = False, runs: _Path = "runs",
          threads: int | None = None, cache: Cache = "auto", strict: bool = False, preview: bool = False,
          observer: Observer | None = None, **given: "Unpack[SweepOptions]") -> Sweep:
    """Train once for each combination of settings, and return what each run reached on the validation images.

    All runs have the same split. A run that fails is told to the observer; the others go on.

    Args:
        data: The images, as ``train`` takes them. May be None with resume, unless they were arrays.
        settings: Options of ``train`` with the values to try: {"lr": [0.01, 0.03], "arch": "resnet8,resnet20"}, or the
            words of the command line, like "lr=0.01,0.03".
        random: How many random draws to train, instead of every combination. A setting may then be a range:
            "0.01..0.3". The draws depend on the option seed. None: every combination.
        optuna: How many trials Optuna proposes (its TPE sampler), each by what the earlier ones reached. None: no
            trials.
        name: The name of the sweep, whose folder holds the runs. None: sweep-1, sweep-2, ….
        resume: Continue a sweep: True for the latest, its name, or one of its runs. Finished runs are kept. The run
            that was stopped continues to the same bits as if it had never been stopped. random or optuna may be larger
            than before. False: begin one.
        runs: The folder in which the sweep's folder is made.
        threads: How many threads to use, in the whole process. None: one for each CPU, or what was set before.
        cache: "auto", "ram", "disk" or "none", as in ``train``.
        strict: True raises ImageError for the first image that cannot be used. False: such images are skipped.
        preview: True draws augmented.png into the folder of each run.
        observer: An ``Observer`` that is told of each run. None: nobody is told.
        **given: Options of ``train`` that are the same for all runs; ``train`` describes each. All but fold.

    Returns:
        The runs, best first, with their settings and accuracies.

    Raises:
        UsageError: An option makes no sense. This, DataError and NetworkError come before the first training if the
            mistake can be seen then.
        DataError: The images cannot be used.
        NetworkError: The layers of an architecture do not fit together.
        SaveError: A file could not be written.
        Interrupted: Ctrl-C or SIGTERM stopped the sweep after a step. Everything is saved.
    """
    options = checked(given, SweepOptions, "fold", "folds")
    if is_setting(data):  # the words of the command line, in whatever order
        words = [str(data), *settings]
        data = next((word for word in words if "=" not in word), None)
        settings = [word for word in words if word != data]
    circumstances = Circumstances(threads, cache, strict, observer or Observer(), Decoded())
    if threads is not None:
        kernels.set_threads(threads)
    if resume is not False:
        plan = _resumed(runs, resume, random, optuna, name, settings, options)
    else:
        if data is None:
            raise UsageError("there are no images; give a folder with one sub-folder per class.")
        plan = _planned(data, settings, random, optuna, Path(runs, name or sweep_plan.free_name(runs)), options)
    data = plan.data(data)
    if resume is False:
        check_runs(runs, data)
        check_name(runs, plan.path.name)
        _check(plan, data)
        plan.path.mkdir(parents=True)
        plan.save()
    with RunLock(Run(plan.path)):
        return _Sweeping(plan, data, replace(
            circumstances, observer=_Once(circumstances.observer), goes_on=plan.goes_on), preview).run()


def _planned(data: Data, settings: Mapping[str, Any] | Sequence[str], random: int | None, optuna: int | None,
             path: Path, options: dict[str, Any]) -> Plan:
    """Return a new sweep, with all of its runs, unless Optuna proposes them."""
    varied = settings_of(settings)
    how, count = _how_many(random, optuna)
    if options.pop("folds", None) is not None or options.get("fold") is not None:
        raise UsageError("--folds cannot be given to a sweep, because all of its runs are validated on the same "
                         "images; leave --folds out, and cross-validate the best run: cnn train DATA --folds 5")
    if options.get("init") is not None:
        options["init"] = os.fspath(options["init"])
    common = Options(**options)
    for name in (setting.name for setting in varied):
        if name in common.given():
            flag = name.replace("_", "-")
            raise UsageError(f"{flag} is varied, and given as --{flag}; leave one of them out.")
    if "precision" not in (setting.name for setting in varied):
        common = replace(common, precision=wanted(common.precision))  # that of later runs, too, when it is resumed
    if common.probe:
        _check_probed(varied)
    if common.split_seed is None and "seed" in (setting.name for setting in varied):
        common = replace(common, split_seed=0)
    plan = Plan(path, how, count, varied, common, place(data, path))
    if how != OPTUNA:
        for point in grid(varied) if how == GRID else draws(varied, count, common.seed or 0):
            plan.add(point)
    else:
        from .sweep_optuna import library

        library()
    return plan


def _check_probed(varied: Sequence[Setting]) -> None:
    """Raise UsageError if a setting is varied that has no effect because only the last layer is fitted."""
    idle = [typed_name(setting.name) for setting in varied if setting.name in _OF_STEPS]
    if idle:
        raise UsageError(f"--probe fits the last layer without making steps, and {idle[0]} changes nothing; vary "
                         "something else, like init or size, or leave --probe out.")


def _how_many(random: int | None, optuna: int | None) -> tuple[str, int]:
    if random is not None and optuna is not None:
        raise UsageError("--random and --optuna cannot be given together; leave one of them out.")
    for flag, count in (("random", random), ("optuna", optuna)):
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise UsageError(f"--{flag} must be a whole number of at least 1, not {brief(count)}.")
    return (RANDOM, random) if random is not None else (OPTUNA, optuna) if optuna is not None else (GRID, 0)


def _resumed(runs: _Path, which: bool | _Path, random: int | None, optuna: int | None, name: str | None,
             settings: Mapping[str, Any] | Sequence[str], options: Mapping[str, Any]) -> Plan:
    """Return an earlier sweep, with more draws or trials if they are asked for."""
    if name is not None:
        raise UsageError("a sweep that is resumed keeps its name; leave --name out.")
    given = [f"--{each.replace('_', '-')}" for each, value in options.items() if value not in (None, False)]
    if given or settings:
        raise UsageError(f"a sweep that is resumed keeps its settings; leave {', '.join(given) or 'the settings'} out, "
                         "or begin another sweep.")
    plan = sweep_plan.find(runs, which)
    how, count = _how_many(random, optuna)
    if how != GRID:
        if how != plan.how or count < plan.count:
            began = f"with --{plan.how} {plan.count}" if plan.count else "with every combination"
            raise UsageError(f"{printable(plan.path)} began {began}; resume it without --{how} {count}"
                             + (", or with a larger number." if how == plan.how else "."))
        plan.count = count
    if plan.options.precision is None and wanted():  # what CNN_PRECISION says now is for other sweeps
        plan.options = replace(plan.options, precision=FLOAT32)
    if plan.how == RANDOM:
        for point in draws(plan.settings, plan.count, plan.options.seed or 0)[len(plan.runs):]:
            plan.add(point)
    return plan


def _check(plan: Plan, data: Data) -> None:
    """Raise what a training would raise before its first step, for each point, as far as this is known without decoding
    images. Also refuse settings that would change which images are for validation.
    """
    scanned: dict[tuple[int, str | None], Any] = {}
    validated: set[tuple[str, ...]] = set()
    for point in [each.point for each in plan.runs] or corners(plan.settings):
        options = plan.options_of(point)
        key = options.drawn_by, options.recipe
        if key not in scanned:
            labels, groups = within(data, options.labels, options.group_by)
            scanned[key] = scan_fold(data, key[0], None, options.exclude or (), key[1], labels, groups)
        splits = scanned[key]
        if not splits.val:
            raise UsageError("no images are held out for validation, and nothing could choose among the runs; put a "
                             "folder val/ beside train/" + (", or leave the recipe fast out." if key[1] else "."))
        validated.add(tuple(sample.relative for sample in splits.val))
        try:
            choose(options, Facts.of(splits), begin_with(options, splits))
        except (UsageError, NetworkError, ModelError) as error:
            raise type(error)(f"{in_words(point)}: {error}") from None
    if len(validated) > 1:
        raise UsageError("these recipes do not hold out the same images for validation, and their accuracies could not "
                         "be compared; put a folder val/ beside train/.")


class _Once(Observers):
    """Passes on everything, but each sentence only once: what is chosen, and why, is much the same for each run."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(observer)
        self._told = set[str]()

    def note(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            super().note(sentence)


class _Sweeping:
    """A sweep that runs."""

    def __init__(self, plan: Plan, data: Data, circumstances: Circumstances, preview: bool) -> None:
        self._plan, self._circumstances, self._preview = plan, circumstances, preview
        self._data = Placed(data) if isinstance(data, str | os.PathLike) else data
        self._place = Placed(plan.path)
        self._skipped: dict[str, str] = {}
        self._images = 0

    def run(self) -> Sweep:
        """Train what is not trained yet."""
        plan = self._plan
        plan.save()
        try:
            found = self._proposed() if plan.how == OPTUNA else [self._one(planned) for planned in plan.runs]
        except KeyboardInterrupt:  # while no step was made: images were being decoded, say
            raise Interrupted(f"stopped by Ctrl-C, all saved; continue with: {plan.goes_on}", signal.SIGINT) from None
        found.sort(key=lambda each: (each.failed is not None, -each.val_accuracy, each.val_loss))
        done = Sweep(plan.path.name, plan.path, found, self._images, sorted(self._skipped.items()))
        drawn = [(each.settings, each.run, each.reached, each.epoch) for each in found]
        return replace(done, picture=sweep_picture.draw(
            plan.path, drawn, self._images, done.error, self._circumstances.observer))

    def _proposed(self) -> list[Swept]:
        """Train what Optuna proposes. If it proposes the same again, the earlier run is used: it would be the same."""
        from .sweep_optuna import Study

        plan, study, found = self._plan, Study(self._plan), dict[str, Swept]()
        for planned in plan.runs:
            found[planned.name] = self._one(planned)
            study.tell(planned.trial or 0, found[planned.name].reached)
        while study.asked < plan.count:
            trial, point = study.ask()
            planned = next((each for each in plan.runs if each.point == point), None) or plan.add(point, trial)
            plan.save()
            if planned.name not in found:
                found[planned.name] = self._one(planned)
            study.tell(trial, found[planned.name].reached)
        return list(found.values())

    def _one(self, planned: Planned) -> Swept:
        """Train one run or continue it. A run that has failed before would fail again, and is left."""
        plan, observer = self._plan, self._circumstances.observer
        plan.path = self._place.path
        run, number = Run(plan.path / planned.name), plan.runs.index(planned) + 1
        of, failed = f" of {max(plan.count, len(plan.runs))}", planned.failed
        if failed is None:
            observer.note(f"Run {number}{of}: {printable(run.path)}")
            try:
                run = self._trained(planned)
            except (CnnError, MemoryError) as error:
                begun = (run.path / CONFIG).is_file()
                if isinstance(error, Interrupted | SaveError) or (isinstance(error, DataError) and begun):
                    raise  # no disk, or no images any more: the others would fail, too
                failed, plan.path = str(error) or "there is not enough memory.", self._place.path
                if isinstance(error, TrainingError) and not run.in_training:
                    planned.failed = failed  # once more, it would to the bit
                    plan.save()
        if failed is not None:
            observer.note(f"Run {number}{of} failed: {failed}")
            return Swept(planned.name, planned.point, run if (run.path / CONFIG).is_file() else None, failed)
        return self._found(planned, run)

    def _trained(self, planned: Planned) -> Run:
        plan, circumstances = self._plan, replace(self._circumstances, began=time.monotonic())
        data = self._data.text if isinstance(self._data, Placed) else self._data
        if (plan.path / planned.name / CONFIG).is_file():
            prepared = resumed(data, Options(), planned.name, os.fspath(plan.path), circumstances)
            if prepared.fit is None:  # nobody need be told how to go on with it
                prepared.why = f"{printable(prepared.lock.run.path)} is finished already."
        else:
            prepared = begin(data, plan.options_of(planned.point), planned.name, os.fspath(plan.path),
                             circumstances)
        return carry_out(prepared, circumstances.observer, self._preview)

    def _found(self, planned: Planned, run: Run) -> Swept:
        best, rows = run.model.training, run.history
        self._images = run.config["images"]["val"]
        self._skipped.update(run.skipped)
        return Swept(planned.name, planned.point, run, None, best["epoch"], len(rows),
                     float(sum(row["seconds"] for row in rows)), best["val_accuracy"], best["val_loss"])
