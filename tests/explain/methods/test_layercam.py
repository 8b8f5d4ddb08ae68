"""LayerCAM by its definition."""

import numpy as np

from cnncli.explain.methods import METHODS
from cnncli.layers import Conv2d, Flatten, Linear
from cnncli.network import Network

from .conftest import Plain, asked_of, close, drawn_images, picks


def test_positions_times_their_positive_gradients(asked):
    of = asked()
    plain = Plain(of.model.network)
    values, gradients = plain.before(of.images), plain.by_layer(picks(of))
    wanted = np.zeros(values.shape[:3])
    for at in np.ndindex(values.shape):
        wanted[at[:3]] += max(gradients[at], 0) * values[at]
    close(METHODS["layercam"].compute(of).maps, wanted)


def test_what_adds_up_below_0_is_0():
    network = Network([Conv2d(None, 4, 3), Flatten(), Linear(None, 2)], (8, 7, 1), seed=1)
    of = asked_of(network, "conv1", drawn_images(network), [0, 1, 1])
    values, gradients = of.look.by_layer(of.images, of.weights)
    sums = (values * np.maximum(gradients, 0)).sum(axis=3)
    assert sums.min() < 0
    close(METHODS["layercam"].compute(of).maps, np.maximum(sums, 0))
