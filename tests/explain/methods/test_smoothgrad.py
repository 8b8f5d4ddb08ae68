"""SmoothGrad: the mean of 25 gradients of noisy copies."""

import numpy as np

from cnncli.explain.methods import METHODS

from .conftest import Plain, close, picks


def test_the_mean_gradient_of_noisy_copies(asked):
    of = asked(seed=7)
    plain = Plain(of.model.network)
    total = np.zeros(of.images.shape)
    for copy in range(25):
        noise = np.random.default_rng([7, copy]).standard_normal(of.images.shape[1:], np.float32)
        noisy = [image + 0.15 * (image.max() - image.min()) * noise for image in of.images]
        plain.logits(np.stack(noisy))
        total += plain.by_image(picks(of))
    close(METHODS["smoothgrad"].compute(of).maps, np.abs(total / 25).max(axis=3))
