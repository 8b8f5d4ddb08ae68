"""Grad-CAM++: channels weighted by their positive gradients, those of small objects as much as those of large ones."""

import numpy as np

from .method import Asked, Found, method, summed


@method("gradcamplusplus", "Grad-CAM++", on="layer", paper="Chattopadhay et al. 2018", signed=False,
        passes="1 forward, part of a backward",
        says="The layer's channels, each weighted by its positive gradients. Several or small objects of the class "
             "count as much as one large object. Like Grad-CAM, the map can mark positions that add nothing to the "
             "logit.")
def gradcamplusplus(asked: Asked) -> Found:
    """Return ReLU(sum of w A), w = sum over positions of ReLU(g) g^2 / (2 g^2 + g^3 sum(A)), without the paper's factor
    exp(logit), which is one for the whole map. The fraction is 1 / (2 + g sum(A)). It was derived for values that are
    not below 0, as behind a ReLU: a channel whose sum is, counts as 0, where the fraction had a pole."""
    values, gradients = asked.look.by_layer(asked.images, asked.weights)
    rising = np.maximum(gradients, 0, dtype=np.float64)
    totals = np.maximum(values.sum(axis=(1, 2), keepdims=True, dtype=np.float64), 0)
    weights = (rising / (2 + rising * totals)).sum(axis=(1, 2), keepdims=True)
    return Found(np.maximum(summed(values * weights), 0))
