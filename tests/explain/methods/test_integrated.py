"""Integrated gradients: the integral by many small steps, and by how much the sum misses what it should be."""

import numpy as np
import pytest

from cnncli.explain.methods import METHODS
from cnncli.explain.methods import integrated as module
from cnncli.layers import Flatten, Linear, ReLU
from cnncli.network import Network

from .conftest import Plain, asked_of, close, picks


def wanted(asked):
    """What the maps add up to: how far the logit lies above the mean image's."""
    plain, every = Plain(asked.model.network), np.arange(len(asked.images))
    return (plain.logits(asked.images) - plain.logits(asked.images * 0))[every, asked.targets]


def sums(found):
    return found.maps.astype(np.float64).sum(axis=(1, 2))


@pytest.mark.slow
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


def test_the_residual_is_what_is_missed_and_pieces_miss_less(asked, monkeypatch):
    of, met = asked(), {}
    for points, enough in [(2, 2.0), (50, 2.0), (50, 0.01), (50, 0.0001)]:
        monkeypatch.setattr(module, "POINTS", points)
        monkeypatch.setattr(module, "ENOUGH", enough)
        found = METHODS["integrated"].compute(of)
        np.testing.assert_allclose(found.residual, np.abs(sums(found) / wanted(of) - 1), atol=1e-5)
        met[points, enough] = found
    assert met[2, 2.0].residual.min() > 0.01
    plain, some, more = met[50, 2.0], met[50, 0.01], met[50, 0.0001]
    good = plain.residual < 0.01
    assert good.any()
    assert not good.all()
    assert np.array_equal(some.maps[good], plain.maps[good])  # only the others were looked at again
    assert some.residual.max() <= 0.01
    assert more.residual.max() <= 0.0002


def test_pieces_are_those_of_the_integral_and_are_halved_where_they_miss(asked, monkeypatch):
    """A kink at 0.3 of the way: halving comes near to it, and leaves alone what misses nothing."""
    monkeypatch.setattr(module, "PIECES", 4)
    monkeypatch.setattr(module, "HALVED", 1)
    network = Network([Flatten(), Linear(None, 1), ReLU(), Linear(None, 1)], (1, 1, 1), seed=0)
    numbers = {"linear1.weight": 10, "linear1.bias": -3, "linear2.weight": 1, "linear2.bias": 0}
    for name, value in numbers.items():
        network.parameters()[name][...] = value
    way = module._Way(asked_of(network, "linear1", np.ones((1, 1, 1, 1), np.float32), [0]), 0)
    assert way.difference == pytest.approx(7)
    assert way.in_pieces().sum() == pytest.approx(7, rel=0.01)
    places = sorted(way._logits)
    assert {0, 0.25, 0.5, 0.75, 1} < set(places)
    assert all(0.25 < place < 0.5 for place in set(places) - {0, 0.25, 0.5, 0.75, 1})


def test_at_some_time_enough_was_asked_for(asked, monkeypatch):
    monkeypatch.setattr(module, "ENOUGH", 0)
    monkeypatch.setattr(module, "MOST", 96)
    way = module._Way(asked(), 0)
    way.in_pieces()
    assert len(way._logits) == 1 + module.PIECES + 2 * module.HALVED


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


def test_gradients_at_gauss_and_legendres_points(asked, monkeypatch):
    """Three of them, at 1/2 and sqrt(3/20) on either side, of shares 8/18 and 5/18."""
    monkeypatch.setattr(module, "POINTS", 3)
    of = asked()
    plain, wanted = Plain(of.model.network), 0
    for place, share in ((0.5 - 0.15**0.5, 5 / 18), (0.5, 8 / 18), (0.5 + 0.15**0.5, 5 / 18)):
        plain.logits(of.images * np.float32(place))
        wanted = wanted + share * plain.by_image(picks(of))
    np.testing.assert_allclose(module._mean_gradients(of), wanted, atol=1e-5 * np.abs(wanted).max())
    monkeypatch.setattr(module, "ENOUGH", 1e9)
    close(METHODS["integrated"].compute(of).maps, (of.images * wanted).sum(axis=3))


def test_pieces_add_up_to_what_is_between_them(asked):
    """Each by the gradient in its middle, times how long it is; how much it misses is known."""
    of = asked()
    plain, way = Plain(of.model.network), module._Way(of, 1)
    for piece, (start, stop) in zip(way._pieces([0.0, 0.25, 0.75], [0.25, 0.75, 1.0]),
                                    [(0, 0.25), (0.25, 0.75), (0.75, 1)], strict=True):
        assert (piece.start, piece.stop) == (start, stop)
        plain.logits(of.images * np.float32((start + stop) / 2))
        wanted = (of.images * plain.by_image(picks(of)))[1].sum(axis=2) * (stop - start)
        np.testing.assert_allclose(piece.map, wanted, atol=1e-5 * np.abs(wanted).max())
        rise = [plain.logits(of.images * np.float32(end))[1, of.targets[1]] for end in (start, stop)]
        assert piece.missed == pytest.approx(rise[1] - rise[0] - wanted.sum(), abs=1e-5)
