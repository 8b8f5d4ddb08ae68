"""An evaluation with images to look at, for the tests of the page: drawn at random, with whatever classes."""

from dataclasses import replace

import numpy as np

from cnncli.evaluation.baselines import Baseline
from cnncli.evaluation.scores import Evaluation, score
from cnncli.model.calibration import calibrate

HOSTILE = ["</script><script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "new\nline",
           "caf\udce9 & {{ 7 * 7 }}", "\u202etxt.exe", "'; alert(3); '"]


def evaluation(classes: list[str], images: int, sure: float = 2.5) -> Evaluation:
    """Return what a model that is right in most cases says of images of these classes."""
    rng = np.random.default_rng(0)
    count = len(classes)
    labels = rng.integers(0, count, 2 * images)
    logits = rng.standard_normal((2 * images, count)).astype(np.float32)
    logits[np.arange(2 * images), labels] += sure
    fitted = calibrate(2 * logits[images:], labels[images:])
    found = score(2 * logits[:images], labels[:images], classes, model="runs/a", calibration=fitted)
    return replace(found, baselines={"majority class": Baseline(images // count, images, "always the first")})


def pixels(found: Evaluation, size: int = 12, channels: int = 3):
    """Return what gives the pixels of indices: an image's first two values are its number."""

    def give(indices: np.ndarray) -> np.ndarray:
        made = np.zeros((len(indices), size, size, channels), np.uint8)
        made[:] = (20 * found.labels[indices]).astype(np.uint8)[:, None, None, None]
        made[:, 0, 0, 0], made[:, 0, 1, 0] = indices // 256, indices % 256
        return made

    return give


def names(found: Evaluation) -> list[str]:
    """Return a file name for each image."""
    return [f"{found.class_names[label]}/{number}.png" for number, label in enumerate(found.labels)]
