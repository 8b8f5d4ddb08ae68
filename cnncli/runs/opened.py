"""A model with where it comes from: its file, and the run whose folder that lies in. Whoever must know what a model was
trained on (samples.py says which images), or where results about it belong, has it opened here.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from ..data.outputs import Kind, checked_path, claim
from ..errors import ModelError, UsageError, brief, did_you_mean, printable, quoted
from ..model import Model
from ..model.checkpoint import load_model, model_path
from ..model.int8_file import mark_of
from ..model.precision import AUTO, decide, forward_speeds, wanted
from ..model.predict import LATEST
from ..ranks.current import world
from ..weights.pretrained import installed, is_pretrained, pretrained
from . import latest
from .latest import run_to_use
from .run import CONFIG, MODEL, Run, check_no_sweep

_RUNS = os.path.dirname(LATEST)
WHEN = "%Y-%m-%d %H:%M"  # how a time is written, in the user's own zone


@dataclass(frozen=True)
class Opened:
    """A model with its file and the run that it came from.

    Attributes:
        model: The model.
        path: The model's file. For a model that was read from no file: the name of its network.
        run: The run whose folder the file lies in. None if it lies in no run's folder.
        notes: Sentences that say why this model was taken if none was named.
    """

    model: Model
    path: Path
    run: Run | None
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name for a heading: the run's name, or the file's."""
        return self.run.name if self.run else self.path.name

    @property
    def trained(self) -> datetime | None:
        """When the model was trained: when its run began or was last resumed, or else when its file was written.

        None for a model that was read from no file, or whose file has gone.
        """
        if self.model.path is None:
            return None
        with suppress(FileNotFoundError, NotADirectoryError):
            written = datetime.fromtimestamp(os.stat(self.model.path).st_mtime, timezone.utc)
            return (self.run.trained if self.run else None) or written
        return None

    @property
    def description(self) -> str | None:
        """A sentence that says which model it is and when it was trained.

        None for a model that was read from no file.
        """
        if self.trained is None:
            return None
        run, when = self.run, self.trained.astimezone().strftime(WHEN)
        named = printable(self.named)
        if run is None:
            return f"Model: {named}, a file of {when}."
        done = run.epochs_done
        if run.in_training:
            return f"Model: {named}, still being trained since {when}" + (f", after {done}." if done else ".")
        return f"Model: {named}, trained {when}" + (f", stopped after {done}." if done else ".")

    @property
    def named(self) -> Path:
        """What a command is given to mean this model: the run's folder, or the model file."""
        return self.run.path if self.run and self.path.name == MODEL else self.path

    @property
    def int8_path(self) -> Path:
        """The file for the model that is quantised of this one.

        It is model-int8.safetensors in the run's folder, or NAME-int8.safetensors in the current one.
        """
        name = f"{self.path.stem}-int8.safetensors"
        return self.run.path / name if self.run else Path(name)

    def called(self, what: str) -> str:
        """Return the name in the run's folder of what is made of this model.

        Args:
            what: Its name if the model is the run's own. Of another model file in the folder, such as an int8 one, the
                file's name is added: page-model-int8.
        """
        return what if self.path.name == MODEL else f"{what}-{self.path.stem}"

    def place(self, out: str | os.PathLike[str] | None, kind: str, inside: str = "") -> Path:
        """Return the folder for results about this model.

        Args:
            out: The folder that the user named. None: the run's folder, or else ./<model>-<kind>.
            kind: What the results are, for that name: "test", say.
            inside: A sub-folder of the run's folder. "": the run's folder itself.
        """
        return Path(checked_path(out) if out else (self.run.path / inside if self.run else f"{self.path.stem}-{kind}"))

    def claim(self, files: Mapping[str | os.PathLike[str], Kind], *, data: object = None,
              reads: Iterable[str | os.PathLike[str]] = (), force: bool = False, make: bool = False,
              ) -> AbstractContextManager[None]:
        """Reserve files that are to be written about this model, as ``outputs.claim`` does.

        The folders that the model has learnt from and that are read now are protected: nothing is written into them.

        Args:
            files: The files' paths, with their kinds.
            data: The folder of images that is read now. None, and anything else that is no folder, needs no protection.
            reads: Other files that are read and must not be overwritten.
            force: True replaces a file that is of another kind.
            make: True makes the folders of the files.

        Returns:
            A context manager; the files are held inside its with statement.
        """
        from .samples import data_folder  # which takes a while to import

        learnt = None
        with suppress(UsageError):  # a damaged config.json takes nothing from a model that is whole
            learnt = data_folder(self.run)
        folders = [each for each in (learnt, data) if isinstance(each, str | os.PathLike)]
        return claim(files, models=[self.path], reads=reads, data=folders, force=force, make=make)


AnyModel = Model | Run | Opened | str | os.PathLike[str] | None  # what open_model takes


def quantised(model: AnyModel) -> Opened:
    """Open the model that was quantised of a model. Raises UsageError if there is none, or the model has been trained
    further since; else as ``open_model``."""
    opened = open_model(model)
    if opened.model.network.quantisation:
        return opened
    remedy = f"cnn quantize {'' if opened.run else 'DATA '}-m {quoted(str(opened.named))}"
    if not opened.int8_path.is_file():
        raise UsageError(f"{printable(opened.path)} has no quantised model beside it; make one with: {remedy}")
    found = replace(open_model(opened.int8_path), notes=opened.notes)
    if not _was_made_of(found.model, opened.model):
        raise UsageError(f"{printable(found.path)} was not made of {printable(opened.path)} as it is now, but of "
                         f"another state of its training; make it again with: {remedy}")
    return found


def _was_made_of(made: Model, model: Model) -> bool:
    """Return whether a quantised model was made of a model, by what they say of their training, and by its numbers."""
    said = made.training.get("quantised")
    mark = said.get("made_of") if isinstance(said, dict) else None
    return ({**made.training, "quantised": None} == {**model.training, "quantised": None}
            and mark in (None, mark_of(model.network)))


def in_precision(model: AnyModel, precision: str | None, note: Callable[[str], None]) -> Opened:
    """Open a model that computes in the precision that is asked for; None: in what CNN_PRECISION says, else as it is.
    note is told what was measured. Raises UsageError if there is no such precision, or if the model is quantised; else
    as ``open_model``."""
    asked = wanted(precision)
    opened = open_model(model)
    network = opened.model.network
    if network.quantisation:
        if precision in (None, AUTO):
            return opened
        raise UsageError(f"{printable(opened.path)} is quantised and computes in int8; leave --precision out, or name "
                         "the model that it was made of.")
    if asked is None:
        return opened
    chosen = world().agreed(lambda: decide(asked, lambda: forward_speeds(network)))
    network.precision = chosen.precision
    if asked == AUTO:
        note(chosen.sentence)
    return opened


def open_model(model: AnyModel = None) -> Opened:
    """Open a model file, a run's model by its folder or name, a pretrained network by its name, or a model that is in
    memory; None is the latest run's. Raises ModelError where there is none, or it cannot be trusted; UsageError for
    anything else."""
    if isinstance(model, Opened):
        return model
    if isinstance(model, Model):
        if model.path is None:
            return Opened(model, Path(str(model.training.get("architecture") or "model")), None)
        return Opened(model, *_origin(model.path))
    if isinstance(model, Run):
        model = model.path
    if isinstance(model, str) and not model:
        raise UsageError("the path of the model is empty; name a model file or the folder of a run.")
    if model is not None and not isinstance(model, str | os.PathLike):
        raise UsageError(f"{brief(model)} is no model; give a Model, such as cnncli.load returns, the path of a model "
                         "file or of a run's folder, or the name of a pretrained network.")
    if model is not None and is_pretrained(model):
        return Opened(pretrained(os.fspath(model)), Path(model), None)
    given = _in_runs(os.fspath(model or LATEST))
    run, notes = run_to_use(os.path.dirname(given)) if os.path.basename(given) == latest.LATEST else (None, [])
    check_no_sweep(given)
    try:
        path = model_path(run.path if run else given)
    except ModelError as error:
        if os.path.lexists(given) or given == LATEST:
            raise
        names = [each.name for each in latest.all_runs(_RUNS)]
        raise ModelError(f"{error}{did_you_mean(os.path.basename(given), names)}") from None
    return Opened(load_model(path), *_origin(path), notes)


def _in_runs(given: str) -> str:
    """Return the folder of the run that a name means which leads nowhere by itself; else what was given."""
    inside = os.path.join(_RUNS, given)
    named = os.path.basename(given) == given and not os.path.lexists(given)
    return inside if named and os.path.isfile(os.path.join(inside, CONFIG)) else given


def is_untrained(name: str) -> bool:
    """Whether a name is that of an architecture or a TOML file, and of no model: not of a pretrained network that is
    installed, nor of a file or folder."""
    from ..architectures import is_described

    return is_described(name) and not (is_pretrained(name) and installed(name))


def is_model(name: str) -> bool:
    """Whether a name leads to a model: its file, a run's folder or name, or a pretrained network."""
    return is_pretrained(name) or os.path.isfile(os.path.join(_in_runs(name), MODEL)) or (
        name.endswith(os.path.splitext(MODEL)[1]) and os.path.isfile(name))


def load(path: str | os.PathLike[str]) -> Model:
    """Return a model from its file.

    Args:
        path: A model file, a run's folder, "runs/latest" (the newest run with a usable model), or, unless a file has
            that name, the name of a pretrained network like "efficientnet_lite0" or of a run in runs/.

    Raises:
        ModelError: There is no such model, or its file cannot be trusted.
        UsageError: What is given is no path.

    Example::

        cnncli.load("runs/latest").predict("new.png")
    """
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"cnncli.load takes the path of a model file or of a run's folder, like 'runs/latest', or the "
                         f"name of a pretrained network, not {brief(path)}.")
    return open_model(path).model


def _origin(path: str) -> tuple[Path, Run | None]:
    """Return a model file's path, through the run's own name, and the run whose folder it lies in."""
    folder, name = os.path.split(path)
    if not os.path.isfile(os.path.join(folder, CONFIG)):
        return Path(folder, name), None
    folder = _resolved(folder)
    return Path(folder, name), Run(folder)


def _resolved(folder: str) -> str:
    """Return runs/resnet8-1 for runs/latest: the run's own name, still relative where the path was."""
    real = os.path.realpath(folder)
    try:
        relative = os.path.relpath(real)
    except ValueError:  # another drive
        return real
    return real if os.path.isabs(folder) or relative.startswith(os.pardir) else relative
