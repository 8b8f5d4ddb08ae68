"""SmoothGrad: the gradient, averaged over noisy copies of the image."""

import numpy as np

from .gradient import strongest
from .method import Asked, Found, method

COPIES, NOISE = 25, 0.15  # the noise's standard deviation is this part of what the image's values span


@method("smoothgrad", "SmoothGrad", on="image", paper="Smilkov et al. 2017", signed=False,
        passes=f"{COPIES} forward, {COPIES} backward", shows="what {} is sensitive to",
        says="The mean gradient over 25 copies of the image with noise added: what is random in a single gradient "
             "averages out. It shows what the network is sensitive to, not what it has seen.")
def smoothgrad(asked: Asked) -> Found:
    """Return the largest absolute mean gradient of each pixel's channels. The noise is the same for every image, but
    for its deviation."""
    spans = asked.images.max(axis=(1, 2, 3), keepdims=True) - asked.images.min(axis=(1, 2, 3), keepdims=True)
    total = np.zeros(asked.images.shape)
    for copy in range(COPIES):
        noise = np.random.default_rng([asked.seed, copy]).standard_normal(asked.images.shape[1:], np.float32)
        total += asked.look.by_image(asked.images + np.float32(NOISE) * spans * noise, asked.weights)
    return Found(strongest(total / COPIES).astype(np.float32))
