"""Occlusion: the drop of the probability under each square, by loops."""

import numpy as np
import pytest

from cnncli.explain.methods import METHODS
from cnncli.explain.methods.occlusion import drops

from .conftest import Plain


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def by_hand(plain: Plain, image: np.ndarray, target: int, step: int) -> np.ndarray:
    before = softmax(plain.logits(image[None]))[0, target]
    height, width = image.shape[:2]
    found = [[[] for _ in range(width)] for _ in range(height)]
    top = 0
    while True:
        left = 0
        while True:
            hidden = image.copy()
            hidden[top : top + 2 * step, left : left + 2 * step] = 0
            drop = before - softmax(plain.logits(hidden[None]))[0, target]
            for y in range(top, min(top + 2 * step, height)):
                for x in range(left, min(left + 2 * step, width)):
                    found[y][x].append(drop)
            if left + 2 * step >= width:
                break
            left += step
        if top + 2 * step >= height:
            break
        top += step
    return np.array([[np.mean(each) for each in row] for row in found])


@pytest.mark.parametrize("step", [1, 2, 3, 4, 9])
def test_the_mean_drop_of_the_squares_over_a_pixel(step, asked):
    of = asked()
    of.look.at_once = 2
    plain = Plain(of.model.network)
    before = of.scores(of.images[:1])[0, 1]
    np.testing.assert_allclose(drops(of, of.images[0], of.weights[0], before, step),
                               by_hand(plain, of.images[0], 1, step), atol=1e-6)


@pytest.mark.slow
def test_two_sizes(asked):
    """A quarter and an eighth of 10 pixels, half of it at a time: steps of 1.25 and 0.625, as pixels go."""
    of = asked()
    plain = Plain(of.model.network)
    found = METHODS["occlusion"].compute(of).maps
    for i, target in enumerate(of.targets):
        np.testing.assert_allclose(found[i], by_hand(plain, of.images[i], target, 1), atol=1e-6)
    assert found.min() < 0 < found.max()
