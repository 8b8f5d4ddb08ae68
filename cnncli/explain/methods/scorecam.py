"""Score-CAM: channels weighted by how sure the network is when it sees only what the channel lets through."""

import numpy as np

from ...kernels import Array
from ...model.calibration import softmax
from ...network.analysis import receptive_field
from ..geometry import Grid, on_prepared
from .method import Asked, Found, method, summed


@method("scorecam", "Score-CAM", on="layer", paper="Wang et al. 2020", signed=False,
        passes="1 forward, and 1 for each channel of the layer",
        says="The layer's channels, each weighted by the class's logit when the network sees only the part of the "
             "image that the channel covers. It needs no gradients, but hundreds of forward passes.")
def scorecam(asked: Asked) -> Found:
    """Return ReLU(sum of w A), w the softmax over channels of the class's logit for the image times the channel, which
    is laid on it by receptive fields and brought to 0..1. What is masked becomes the mean of all images (0)."""
    values = asked.look.values(asked.images)
    grid = Grid.of(receptive_field(asked.model.network)[asked.look.layer])
    weights = np.stack([_weights(asked, *each, grid) for each in zip(asked.images, values, asked.weights, strict=True)])
    return Found(np.maximum(summed(values * weights[:, None, None]), 0))


def _weights(asked: Asked, image: Array, values: Array, wanted: Array, grid: Grid) -> Array:
    """Return the weights of one image's channels, float64 (channels,)."""
    flat = values.reshape(-1, values.shape[-1])
    varied = np.flatnonzero(flat.max(axis=0) > flat.min(axis=0))
    # A channel that is the same everywhere covers nothing: such channels' masked images are all the same one.
    scores = np.full(values.shape[-1], asked.look.logits(np.zeros_like(image)[None])[0] @ wanted, np.float64)
    for start in range(0, len(varied), asked.look.at_once):
        some = varied[start : start + asked.look.at_once]
        masks = on_prepared(values[:, :, some], grid, (image.shape[0], image.shape[1]))
        masks -= masks.min(axis=(0, 1))
        masks /= np.maximum(masks.max(axis=(0, 1)), np.finfo(np.float32).tiny)
        scores[some] = asked.look.logits(masks.transpose(2, 0, 1)[..., None] * image) @ wanted
    shares: Array = softmax(scores[None], 1.0)[0]
    return shares
