"""What the commands that look at a model share: which file and which run are meant, and where their results go."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError, printable
from .common import note

if TYPE_CHECKING:
    from ..model import Model
    from ..runs import Run


@dataclass(frozen=True)
class Opened:
    """A model, its file, and the run that it came from (None for a model file that lies in no run's folder)."""

    model: "Model"
    path: Path
    run: "Run | None"

    @property
    def name(self) -> str:
        """What to call it in a heading: the run's name, or the file's."""
        return self.run.name if self.run else self.path.name

    def folder(self, out: Path | None, kind: str, inside: str = "") -> Path:
        """Return where results go: out, else the run's folder (or `inside` it), else ./<model>-<kind>; made if need be.

        Raises UsageError where that is a file.
        """
        folder = out or (self.run.path / inside if self.run else Path(f"{self.path.stem}-{kind}"))
        return make_folder(folder)


def open_model(model: Path | None) -> Opened:
    """Load a model file, a run folder's model or a pretrained network; None is the latest run's. Raises ModelError."""
    from ..model import predict
    from ..model.checkpoint import load_model, model_path
    from ..runs import CONFIG, Run
    from ..weights.pretrained import is_pretrained, load

    if model is not None and is_pretrained(model):
        return Opened(load(model), model, None)
    path = model_path(model or predict.LATEST)
    folder, name = os.path.split(path)
    run = None
    if os.path.isfile(os.path.join(folder, CONFIG)):
        folder = _resolved(folder)
        run = Run(folder)
    return Opened(load_model(path), Path(folder, name), run)


def mirror(model: "Model") -> None:
    """Let a model judge each image together with its mirror image (--tta); say so where it has never seen one."""
    model.flips = True
    recipe = model.training.get("recipe")
    varied = recipe.get("augment") if isinstance(recipe, dict) else None
    if isinstance(varied, dict) and varied.get("flip"):
        return
    grey = "; grey ones are often digits or letters, which turn into others" if model.preprocessing.grey else ""
    note(f"--tta: the model was trained without mirror images{grey}. See whether they help with: cnn test --split val")


def _resolved(folder: str) -> str:
    """Return runs/resnet8-1 for runs/latest: the run's own name, still relative where the path was."""
    real = os.path.realpath(folder)
    try:
        relative = os.path.relpath(real)
    except ValueError:  # another drive
        return real
    return real if os.path.isabs(folder) or relative.startswith(os.pardir) else relative


def make_folder(folder: Path) -> Path:
    """Make a folder for results, where it is not there yet. Raises UsageError where a file stands in its place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{printable(folder)} is a file, or lies in one; give a folder with --out.") from None
    return folder
