"""Finer-CAM: HiResCAM of the logit less the mean of those nearest to it."""

import numpy as np
import pytest

from cnncli.explain.methods import METHODS
from cnncli.explain.methods.finercam import differences
from cnncli.layers import Flatten, Linear
from cnncli.network import Network

from .conftest import Plain, asked_of, close


def test_less_the_mean_of_the_three_nearest(asked):
    of = asked()
    plain = Plain(of.model.network)
    logits, values = plain.logits(of.images), plain.before(of.images)
    weights = np.zeros((3, 5))
    for i, target in enumerate(of.targets):
        others = sorted(set(range(5)) - {target}, key=lambda k: abs(logits[i, k] - logits[i, target]))[:3]
        weights[i, target] = 1
        for other in others:
            weights[i, other] = -1 / 3
    found = METHODS["finercam"].compute(of)
    close(found.maps, (values * plain.by_layer(weights)).sum(axis=3))
    bias = weights @ plain.numbers["linear1.bias"]
    np.testing.assert_allclose(found.maps.sum(axis=(1, 2)), (weights * logits).sum(axis=1) - bias, rtol=1e-4)


@pytest.mark.parametrize(("biases", "target", "wanted"), [
    ([0, 5, 1, 9, 2], 0, [1, -1 / 3, -1 / 3, 0, -1 / 3]),
    ([0, 5, 1, 9, 2], 3, [0, -1 / 3, -1 / 3, 1, -1 / 3]),
    ([0, 5, 1, 9, 2], 2, [-1 / 3, -1 / 3, 1, 0, -1 / 3]),
    ([1, 1, 1, 1, 1], 4, [-1 / 3, -1 / 3, -1 / 3, 0, 1]),
    ([3, 4, 9], 1, [-1 / 2, 1, -1 / 2]),
    ([3, 4], 1, [-1, 1]),
    ([3], 0, [1]),
])
def test_which_are_nearest(biases, target, wanted):
    """By what the logits are; as many as there are; the first ones where several are as near."""
    network = Network([Flatten(), Linear(None, len(biases))], (2, 2, 1), seed=None)
    network.parameters()["linear1.bias"][...] = biases
    of = asked_of(network, "linear1", np.zeros((1, 2, 2, 1), np.float32), [target])
    np.testing.assert_allclose(differences(of), [wanted], rtol=1e-6)
