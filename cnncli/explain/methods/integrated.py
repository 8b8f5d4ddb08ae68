"""Integrated gradients: the logit's difference from that of a grey image, shared out among the pixels."""

import numpy as np

from ...kernels import Array
from .method import Asked, Found, method, summed

POINTS = 50


@method("integrated", "Integrated gradients", on="image", paper="Sundararajan et al. 2017",
        passes=f"{POINTS + 2} forward, {POINTS} backward",
        says="By how much each pixel raises the class's logit above that of a plain grey image, the mean of those that "
             "the model was made for. It adds up to the difference of the two logits, but for the residual given; "
             "pixels as grey as that get nothing, whatever they show.")
def integrated(asked: Asked) -> Found:
    """Return the image times its mean gradient on the straight way to it from 0, the mean that the preprocessing
    subtracts, by Gauss and Legendre's points."""
    places, shares = np.polynomial.legendre.leggauss(POINTS)
    total = np.zeros(asked.images.shape)
    for place, share in zip((places + 1) / 2, shares / 2, strict=True):
        total += share * asked.look.by_image(asked.images * np.float32(place), asked.weights)
    each = total * asked.images
    return Found(summed(each), _missed(asked, each.sum(axis=(1, 2, 3))))


def _missed(asked: Asked, sums: Array) -> Array:
    """Return by what part of the difference of logits the sums (n,) miss it."""
    every = np.arange(len(sums))
    ends = [asked.look.logits(images).astype(np.float64) for images in (asked.images, np.zeros_like(asked.images[:1]))]
    differences = ends[0][every, asked.targets] - ends[1][0, asked.targets]
    # Where both logits are the same, whatever was found is all too much.
    parts = np.where(differences != 0, differences, sums)
    missed: Array = np.abs(sums - differences) / np.maximum(np.abs(parts), np.finfo(np.float64).tiny)
    return missed
