"""Computes the first layer of a network that whitens (layers/whitening.py) from training images, once, before the first
step. prepare.py calls it.
"""

import numpy as np

from ..data import Images, Preprocessing
from ..network import INPUT, Network

IMAGES = 5_000  # some 5 million patches of 32 x 32 pixels


def fit_whitening(network: Network, images: Images, preprocessing: Preprocessing) -> bool:
    """Fit the whitening layers that see the images themselves; return whether there are any."""
    layers = [node.layer for node in network.nodes if node.layer.fits_images and node.inputs == (INPUT,)]
    if not layers:
        return False
    count = min(IMAGES, len(images))
    pixels = images.pixels(np.linspace(0, len(images) - 1, count).astype(np.int64))
    for layer in layers:
        layer.fit(preprocessing.normalise(pixels))
    network.changed()
    return True
