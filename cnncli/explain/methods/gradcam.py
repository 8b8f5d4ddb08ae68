"""Grad-CAM: channels weighted by their mean gradient."""

import numpy as np

from .method import Asked, Found, method, summed


@method("gradcam", "Grad-CAM", on="layer", paper="Selvaraju et al. 2017", passes="1 forward, part of a backward",
        says="The layer's channels, each weighted by its mean gradient. Where the gradients of positions differ, the "
             "map can mark positions that add nothing to the logit. HiResCAM does not.")
def gradcam(asked: Asked) -> Found:
    """Return the weighted sum over channels, without the paper's ReLU: what is below 0 speaks against the class."""
    values, gradients = asked.look.by_layer(asked.images, asked.weights)
    weights = gradients.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    return Found(summed(values * weights))
