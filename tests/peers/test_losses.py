"""Both losses against PyTorch: value and gradient, with label smoothing, class weights and large logits."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from cnncli.loss import CrossEntropy, SquaredError

from .mirror import assert_agrees


def ours(loss, logits, labels):
    losses, gradient = np.empty(len(logits)), np.empty_like(logits)
    for call in loss.calls(logits, labels, losses, gradient):
        call()
    return losses.sum(), gradient


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "classes", "size"), [(1, 2, 1), (32, 10, 3), (7, 1000, 5), (9, 3, 1e4)])
def test_cross_entropy(n, classes, size, weighted, smoothing, isa, rng):
    logits = (rng.standard_normal((n, classes)) * size).astype(np.float32)
    labels = rng.integers(0, classes, n)
    weights = (rng.random(classes) * 3 + 0.1).astype(np.float32) if weighted else None
    x = torch.from_numpy(logits.copy()).requires_grad_()
    theirs = functional.cross_entropy(x, torch.from_numpy(labels), label_smoothing=smoothing,
                                      weight=None if weights is None else torch.from_numpy(weights))
    theirs.backward()
    loss, gradient = ours(CrossEntropy(smoothing, weights), logits, labels)
    assert loss == pytest.approx(theirs.item(), rel=1e-4, abs=1e-6)
    assert_agrees(gradient, x.grad.numpy())


def test_squared_error(isa, rng):
    outputs, labels = rng.standard_normal((12, 7)).astype(np.float32), rng.integers(0, 7, 12)
    x = torch.from_numpy(outputs.copy()).requires_grad_()
    target = functional.one_hot(torch.from_numpy(labels), 7).float()
    theirs = functional.mse_loss(x, target, reduction="sum") / 2 / 12
    theirs.backward()
    loss, gradient = ours(SquaredError(), outputs, labels)
    assert loss == pytest.approx(theirs.item(), rel=1e-4)
    assert_agrees(gradient, x.grad.numpy())
