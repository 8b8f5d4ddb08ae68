"""RISE: what the probability is where a pixel is seen, less what it is on average."""

import numpy as np
import pytest

from cnncli.explain.methods import METHODS
from cnncli.explain.methods import rise as module
from cnncli.explain.methods.rise import SEEN

from .conftest import Plain
from .test_occlusion import softmax


def test_weighted_by_what_the_masks_let_through(asked, monkeypatch):
    monkeypatch.setattr(module, "MASKS", 20)
    of = asked(seed=3)
    of.look.at_once = 7
    plain = Plain(of.model.network)
    masks = np.concatenate(list(module._masks(3, (12, 10), 20))).astype(np.float64)
    found = METHODS["rise"].compute(of).maps
    for i, target in enumerate(of.targets):
        chances = np.array([softmax(plain.logits((of.images[i] * mask[:, :, None])[None]))[0, target]
                            for mask in masks])
        for y, x in np.ndindex(12, 10):
            seen = masks[:, y, x]
            wanted = (chances * seen).sum() / seen.sum() - chances.mean()
            assert found[i, y, x] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.slow
def test_masks():
    """Linear between corners that are drawn, a cell's side apart; the same however many at once."""
    masks = np.concatenate(list(module._masks(1, (16, 10), 64)))
    assert masks.shape == (1000, 16, 10)
    assert masks.min() == 0
    assert masks.max() == 1
    assert np.array_equal(masks, np.concatenate(list(module._masks(1, (16, 10), 3))))
    assert not np.array_equal(masks, np.concatenate(list(module._masks(2, (16, 10), 64))))
    np.testing.assert_allclose(masks.mean(axis=0), SEEN, atol=0.06)
    assert abs(masks.mean() - SEEN) < 0.01
    steps = np.abs(np.diff(masks, axis=1))
    assert steps.max() == pytest.approx(1 / 2)
    assert np.abs(np.diff(masks, axis=2)).max() == pytest.approx(1 / 2)


def test_a_mask_is_linear_between_its_corners():
    """Cells of 2 x 3 pixels, moved by 1 and 2."""
    corners = np.random.default_rng(0).integers(0, 2, (10, 10)).astype(np.float32)
    found = module._laid(corners, np.array([1, 2]), [2, 3], (16, 24))
    down, across = ([[max(0, 1 - abs((at + by) / side - corner)) for corner in range(10)] for at in range(n)]
                    for n, by, side in ((16, 1, 2), (24, 2, 3)))
    np.testing.assert_allclose(found, np.array(down) @ corners @ np.array(across).T, atol=1e-6)


def test_masks_are_drawn_from_the_seed_alone(monkeypatch):
    """Half of the corners let through; by fewer pixels than a cell each mask is moved."""
    monkeypatch.setattr(module, "MASKS", 30)
    masks = np.concatenate(list(module._masks(5, (16, 10), 7)))
    rng = np.random.default_rng(5)
    corners = (rng.random((30, 10, 10)) < 0.5).astype(np.float32)
    moved = rng.integers(0, [2, 2], (30, 2))
    assert np.array_equal(masks, np.stack([module._laid(*each, [2, 2], (16, 10))
                                           for each in zip(corners, moved, strict=True)]))
    assert [len(each) for each in module._masks(5, (16, 10), 7)] == [7, 7, 7, 7, 2]
    assert (METHODS["rise"].signed, METHODS["rise"].passes) == (True, "1000 forward")
