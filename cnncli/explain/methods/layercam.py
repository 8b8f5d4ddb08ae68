"""LayerCAM: each position weighted by its own positive gradient, so that layers far from the end give fine maps."""

import numpy as np

from .method import Asked, Found, method, summed


@method("layercam", "LayerCAM", on="layer", paper="Jiang et al. 2021", signed=False,
        passes="1 forward, part of a backward",
        says="What each position of the layer holds, times its gradient where that is positive. The map stays sharp "
             "at layers far from the end, which have more positions. What speaks against the class is left out.")
def layercam(asked: Asked) -> Found:
    """Return ReLU(sum over channels of ReLU(gradient) times value)."""
    values, gradients = asked.look.by_layer(asked.images, asked.weights)
    return Found(np.maximum(summed(np.maximum(gradients, 0) * values), 0))
