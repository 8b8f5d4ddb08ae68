"""A model with where it comes from: its file, and the run whose folder that lies in. Whoever must know what a model was
trained on (samples.py says which images), or where results about it belong, has it opened here.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, printable
from ..model import Model
from ..model.checkpoint import load_model, model_path
from ..model.predict import LATEST
from ..weights.pretrained import is_pretrained, load
from .run import CONFIG, Run

AnyModel = Model | Run | str | os.PathLike[str] | None  # what open_model takes

@dataclass(frozen=True)
class Opened:
    """A model, its file, and the run that it came from (None for a model file that lies in no run's folder). For a
    model that was read from no file, path is what its network is called."""

    model: Model
    path: Path
    run: Run | None

    @property
    def name(self) -> str:
        """What to call it in a heading: the run's name, or the file's."""
        return self.run.name if self.run else self.path.name

    def folder(self, out: str | os.PathLike[str] | None, kind: str, inside: str = "") -> Path:
        """Return where results go: out, else the run's folder (or `inside` it), else ./<model>-<kind>; made if need be.

        Raises UsageError where that is a file.
        """
        return make_folder(out or (self.run.path / inside if self.run else f"{self.path.stem}-{kind}"))


def open_model(model: AnyModel = None) -> Opened:
    """Open a model file, a run's model, a pretrained network by its name, or a model that is in memory; None is the
    latest run's. Raises ModelError where there is none, or it cannot be trusted."""
    if isinstance(model, Model):
        if model.path is None:
            return Opened(model, Path(str(model.training.get("architecture") or "model")), None)
        return Opened(model, *_origin(model.path))
    if isinstance(model, Run):
        model = model.path
    if model is not None and is_pretrained(model):
        return Opened(load(model), Path(model), None)
    path = model_path(model or LATEST)
    return Opened(load_model(path), *_origin(path))


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


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Make a folder for results, where it is not there yet. Raises UsageError where a file stands in its place."""
    made = Path(folder)
    try:
        made.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{printable(made)} is a file, or lies in one; give a folder with --out.") from None
    return made
