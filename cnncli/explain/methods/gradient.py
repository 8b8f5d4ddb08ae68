"""The gradient: which pixels the logit follows when they change a little."""

import numpy as np

from ...kernels import Array
from .method import Asked, Found, method


@method("gradient", "Gradient", on="image", paper="Simonyan et al. 2014", passes="1 forward, 1 backward", signed=False,
        shows="what {} is sensitive to",
        says="How much the class's logit changes when a pixel changes a little, up or down. It shows what the "
             "network is sensitive to, not what it has seen, and it is noisy.")
def gradient(asked: Asked) -> Found:
    """Return the largest absolute gradient of each pixel's channels."""
    return Found(strongest(asked.look.by_image(asked.images, asked.weights)))


def strongest(gradients: Array) -> Array:
    """Return the largest absolute value of each pixel's channels, (n, rows, columns)."""
    found: Array = np.abs(gradients).max(axis=-1)
    return found
