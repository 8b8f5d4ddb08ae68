"""model/bounds.py: the tail of the binomial distribution against adding it up, and what follows for few images."""

from math import comb

import numpy as np
import pytest

from cnncli.model.bounds import as_many, needed, shows


@pytest.mark.parametrize("images", [1, 2, 7, 28, 90])
def test_tails_against_adding_them_up(images):
    right = np.arange(images + 1)
    for share in (0.001, 0.3, 0.5, 0.9, 0.95, 0.999):
        chances = np.array([comb(images, k) * share**k * (1 - share) ** (images - k) for k in right])
        found = as_many(right, np.full(images + 1, images), np.full(images + 1, share))
        np.testing.assert_allclose(found, chances[::-1].cumsum()[::-1], rtol=1e-9, atol=1e-14)


def test_many_images():
    found = as_many(np.array([90_000, 50_000]), np.full(2, 100_000), np.array([0.9, 0.5]))
    np.testing.assert_allclose(found, 0.5, atol=0.004)  # half of the distribution and a part of the middle itself


def test_known_bounds():
    """The tables of Clopper and Pearson: 27 of 28 right shows 84 %, 58 of 60 shows 89.9 %."""
    for right, images, level in ((27, 28, 0.8416), (58, 60, 0.8994), (59, 59, 0.9504), (28, 28, 0.8985)):
        below, above = (shows(np.array([right]), np.array([images]), np.array([level + by]))[0] for by in (-2e-3, 2e-3))
        assert (below, above) == (True, False), (right, images)


def test_how_many_it_takes():
    assert [needed(level) for level in (0.5, 0.9, 0.95, 0.99)] == [5, 29, 59, 299]
    for level in (0.5, 0.9, 0.95, 0.99):
        count = np.array([needed(level), needed(level) - 1])
        assert shows(count, count, np.full(2, level)).tolist() == [True, False]
