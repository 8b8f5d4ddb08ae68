"""Occlusion: the drop of the probability under each square, by loops."""

from dataclasses import replace

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


def test_squares_of_a_quarter_and_an_eighth_of_the_shorter_side(asked, monkeypatch):
    """Half of a quarter of 24 pixels is 3, half of an eighth 1.5, which is rounded to even; a pixel at least."""
    steps = []
    monkeypatch.setattr("cnncli.explain.methods.occlusion.drops", lambda of, image, weights, before, step: (
        steps.append((step, before)), np.full((2, 2), step))[1])
    of = asked()
    scores = of.scores(of.images)
    monkeypatch.setattr(type(of), "scores", lambda self, images: scores[: len(images)])
    for size, wanted in (((24, 40), [3, 2]), ((64, 50), [6, 3]), ((3, 9), [1, 1])):
        steps.clear()
        found = METHODS["occlusion"].compute(replace(of, images=np.zeros((3, *size, 3), np.float32)))
        assert [step for step, _ in steps] == wanted * 3
        said = [scores[0, 1], scores[1, 4], scores[2, 2]]
        assert [before for _, before in steps] == pytest.approx(np.repeat(said, 2))
        assert (found.maps == np.mean(wanted)).all()
        assert found.maps.dtype == np.float32
