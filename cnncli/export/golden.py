"""An image that goes with an exported model, and what the model says of it: by them whoever runs the model elsewhere,
we first of all, can tell whether it still says the same. The picture is computed, so that no image of anybody's is
given away.
"""

import base64
import io
from copy import copy
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..kernels import Array
from ..model import Model

TOLERANCE = 1e-5  # of a probability


@dataclass(frozen=True)
class Golden:
    """image: uint8 (h, w, c) of the model's size; probabilities: float64 (classes,), as `cnn predict` has them."""

    image: Array
    probabilities: Array

    def png(self) -> str:
        """Return the image as a PNG file in base64."""
        file = io.BytesIO()
        Image.fromarray(self.image[:, :, 0] if self.image.shape[2] == 1 else self.image).save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()


def elsewhere(model: Model) -> Model:
    """Return a model as it computes where it is exported to: each image without its mirror image, and in float32 unless
    it is quantised."""
    result = copy(model if model.network.quantisation else model.in_floats())
    result.flips = False
    return result


def golden(model: Model) -> Golden:
    """Return the model's picture: waves of several directions and lengths, every channel others, in all tones."""
    h, w, c = model.preprocessing.shape
    rows, columns = np.mgrid[0:h, 0:w].astype(np.float64)
    waves = [np.sin(rows * (1 + k) / h * 9 + k) + np.sin(columns * (2 + k) / w * 7 - k)
             + np.sin(np.hypot(rows - h / 3, columns - w / (2 + k)) * 40 / (h + w)) for k in range(c)]
    image = np.rint((np.stack(waves, axis=2) / 3 + 1) * 127.5).astype(np.uint8)
    return Golden(image, model.probabilities(image[None])[0])


def shifted(image: Array) -> Array:
    """Return a picture, and others that are it, moved by quarters of its height and width: uint8 (16, h, w, c)."""
    h, w, _ = image.shape
    return np.stack([np.roll(image, (h * i // 4, w * j // 4), (0, 1)) for i in range(4) for j in range(4)])
