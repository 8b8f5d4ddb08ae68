"""Integrated gradients: the integral by many small steps, and by how much the sum misses what it should be."""

import numpy as np
import pytest

from cnncli.explain.methods import METHODS
from cnncli.explain.methods import integrated as module
from cnncli.layers import Flatten, Linear
from cnncli.network import Network

from .conftest import Plain, asked_of, close, picks


def wanted(asked):
    """What the maps add up to: how far the logit lies above the mean image's."""
    plain, every = Plain(asked.model.network), np.arange(len(asked.images))
    return (plain.logits(asked.images) - plain.logits(asked.images * 0))[every, asked.targets]


def sums(found):
    return found.maps.astype(np.float64).sum(axis=(1, 2))


def test_the_integral_along_the_way_from_the_mean_image(asked):
    of = asked()
    plain = Plain(of.model.network)
    total = np.zeros(of.images.shape)
    for part in (np.arange(200) + 0.5) / 200:
        plain.logits(of.images * part)
        total += plain.by_image(picks(of)) / 200
    found = METHODS["integrated"].compute(of)
    close(found.maps, (of.images * total).sum(axis=3), 0.02)
    np.testing.assert_allclose(sums(found), wanted(of), rtol=0.01)
    np.testing.assert_allclose(found.residual, np.abs(sums(found) / wanted(of) - 1), atol=1e-5)


def test_the_residual_is_what_is_missed_and_more_points_miss_less(asked, monkeypatch):
    of, met = asked(), {}
    for points in [(2,), (50,), (50, 200)]:
        monkeypatch.setattr(module, "POINTS", points)
        found = METHODS["integrated"].compute(of)
        np.testing.assert_allclose(found.residual, np.abs(sums(found) / wanted(of) - 1), atol=1e-5)
        met[points] = found
    assert met[2,].residual.min() > 0.01
    fewer, more = met[50,], met[50, 200]
    good = fewer.residual < 0.01
    assert good.any()
    assert not good.all()
    assert np.array_equal(more.maps[good], fewer.maps[good])  # only the others were looked at again
    assert (more.residual[~good] < fewer.residual[~good]).all()


def test_what_is_shared_out_though_there_is_no_difference_is_all_too_much():
    found = module._missed(np.array([0.0, 2, -2, 3]), np.array([0.0, 0, 0, 2]))
    assert found.tolist() == [0, 1, 1, 0.5]


@pytest.mark.parametrize("image", [0, 1])
def test_nothing_to_share_out_has_no_residual(image):
    """The image is the mean itself, or the class's logit never moves."""
    network = Network([Flatten(), Linear(None, 2)], (4, 4, 1), seed=1)
    network.parameters()["linear1.weight"][1] = 0
    images = np.full((1, 4, 4, 1), image, np.float32)
    found = METHODS["integrated"].compute(asked_of(network, "linear1", images, [image]))
    assert not found.maps.any()
    assert found.residual.tolist() == [0]
