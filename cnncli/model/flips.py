"""Judging each image together with its mirror image (--tta): switched on here, done by model.py, and a word of doubt
where the model has never seen a mirror image.
"""

from .model import Model


def mirror(model: Model) -> str:
    """Let a model judge each image together with its mirror image; return a sentence where it was trained without
    them, "" where it was not."""
    model.flips = True
    recipe = model.training.get("recipe")
    varied = recipe.get("augment") if isinstance(recipe, dict) else None
    if isinstance(varied, dict) and varied.get("flip"):
        return ""
    grey = "; grey ones are often digits or letters, which turn into others" if model.preprocessing.grey else ""
    return f"--tta: the model was trained without mirror images{grey}. See whether they help with: cnn test --split val"
