"""Grad-CAM++ by equations 7 and 19 of the paper, position by position."""

import numpy as np

from cnncli.explain.look import one_hot
from cnncli.explain.methods import METHODS
from cnncli.layers import Conv2d, Flatten, Linear
from cnncli.network import Network

from .conftest import Plain, asked_of, close, drawn_images, picks

METHOD = METHODS["gradcamplusplus"]


def by_the_paper(values, gradients):
    wanted = np.zeros(values.shape[:3])
    for image, (a, g) in enumerate(zip(values, gradients, strict=True)):
        for k in range(a.shape[2]):
            weight = 0
            for i, j in np.ndindex(a.shape[:2]):
                if g[i, j, k]:
                    alpha = g[i, j, k] ** 2 / (2 * g[i, j, k] ** 2 + a[:, :, k].sum() * g[i, j, k] ** 3)
                    weight += alpha * max(g[i, j, k], 0)
            wanted[image] += weight * a[:, :, k]
    return np.maximum(wanted, 0)


def test_channels_times_their_weighted_positive_gradients(asked):
    of = asked()
    plain = Plain(of.model.network)
    close(METHOD.compute(of).maps, by_the_paper(plain.before(of.images), plain.by_layer(picks(of))))


def test_tiny_gradients_are_gradients():
    """Squares and cubes of them would be 0 in float32."""
    network = Network([Conv2d(None, 3, 3), Flatten(), Linear(None, 2)], (5, 5, 1), seed=1)
    network.parameters()["conv1.bias"][...] = 10
    images = drawn_images(network)
    of = asked_of(network, "conv1", images, [0, 1, 1])
    once = METHOD.compute(of).maps
    network.parameters()["linear1.weight"][...] *= 1e-20
    tiny = METHOD.compute(asked_of(network, "conv1", images, [0, 1, 1])).maps
    values, gradients = asked_of(network, "conv1", images, [0, 1, 1]).look.by_layer(images, one_hot([0, 1, 1], 2))
    close(tiny * np.float32(1e20), np.maximum((values * np.maximum(gradients.astype(np.float64), 0).sum(
        axis=(1, 2), keepdims=True) / 2).sum(axis=3), 0) * 1e20)
    assert once.max() > 0


def test_values_below_0_have_no_pole():
    """g^2 / (2 g^2 + g^3 sum(A)) is without bounds where g sum(A) is near -2."""
    network = Network([Conv2d(None, 1, 1, bias=False), Flatten(), Linear(None, 2, bias=False)], (2, 1, 1), seed=1)
    network.parameters()["conv1.weight"][...] = 1
    network.parameters()["linear1.weight"][...] = [[1, 1], [0, 0]]
    images = np.array([-3, 1.0], np.float32).reshape(1, 2, 1, 1)  # their sum is -2, each gradient 1
    found = METHOD.compute(asked_of(network, "conv1", images, [0])).maps
    np.testing.assert_allclose(found.reshape(-1), [0, 1], rtol=1e-6)  # the weight is 1/2 + 1/2
