"""Finer-CAM: what speaks for the class rather than for those that it is most easily taken for."""

import numpy as np

from ...kernels import Array
from .method import Asked, Found, method, summed

COMPARED = 3  # classes at most


@method("finercam", "Finer-CAM", on="layer", paper="Zhang et al. 2025", passes="2 forward, part of a backward",
        says="What each position adds to the class's logit, less what it adds to the logits of the (up to three) "
             "classes nearest to it. What these classes have in common disappears; what tells them apart stays.")
def finercam(asked: Asked) -> Found:
    """Return HiResCAM of the class's logit less the mean of the nearest classes': the map adds up to that difference
    where HiResCAM adds up to the logit. The paper has Grad-CAM in its place."""
    values, gradients = asked.look.by_layer(asked.images, differences(asked))
    return Found(summed(values * gradients))


def differences(asked: Asked) -> Array:
    """Return the weights (n, classes) of each logit: 1 for the target, and together -1 for the classes whose logits are
    nearest to its own, the first ones where several are as near; or for the one that it is held against."""
    if asked.against is not None:
        return asked.weights
    logits = asked.look.logits(asked.images)
    every = np.arange(len(logits))
    far = np.abs(logits - logits[every, asked.targets][:, None])
    far[every, asked.targets] = np.inf
    weights = asked.weights
    nearest = far.argsort(axis=1, kind="stable")[:, : min(COMPARED, logits.shape[1] - 1)]
    if nearest.shape[1]:
        weights[every[:, None], nearest] = -1 / nearest.shape[1]
    return weights
