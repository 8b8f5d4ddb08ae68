"""Grad-CAM by its definition, channel by channel."""

import numpy as np

from cnncli.explain.methods import METHODS

from .conftest import Plain, close, picks


def test_channels_times_their_mean_gradients(asked):
    of = asked()
    plain = Plain(of.model.network)
    values, gradients = plain.before(of.images), plain.by_layer(picks(of))
    wanted = np.zeros(values.shape[:3])
    for image in range(3):
        for channel in range(8):
            wanted[image] += gradients[image, :, :, channel].sum() / 12 * values[image, :, :, channel]
    found = METHODS["gradcam"].compute(of)
    close(found.maps, wanted)
    assert found.maps.min() < 0 < found.maps.max()
