"""Judging each image together with its mirror image (--tta). It is asked for here and done by model.py. A sentence
warns if the model has never seen a mirror image.
"""

from collections.abc import Callable
from copy import copy

from ..errors import told
from .model import Model


def with_flips(model: Model, flips: bool | None, note: Callable[[str], None] | None = None) -> Model:
    """Return a model with the same network that judges each image with or without its mirror image; None leaves it as
    it is. note is called with a sentence if a model is asked that was trained without mirror images.
    """
    if flips is None:
        return model
    judge = copy(model)
    judge.flips = flips
    doubt = _doubt(model) if flips else ""
    if doubt and note:
        note(doubt)
    return judge


def _doubt(model: Model) -> str:
    recipe = model.training.get("recipe")
    varied = recipe.get("augment") if isinstance(recipe, dict) else None
    if isinstance(varied, dict) and varied.get("flip"):
        return ""
    grey = "; grey ones are often digits or letters, which turn into others" if model.preprocessing.grey else ""
    return told(f"--tta: the model was trained without mirror images{grey}. To see whether they help, test with and "
                "without --tta: cnn test --split val --tta")
