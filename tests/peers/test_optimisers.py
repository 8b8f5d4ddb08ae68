"""Every optimiser against torch.optim for twenty steps, and clipping against clip_grad_norm_. PyTorch decays what it
is told to; ours spares biases and norms, so theirs gets two parameter groups."""

import numpy as np
import pytest
import torch

from cnncli.optim import SGD, Adam, AdamW, clip_scale, gradient_norm

from .mirror import assert_agrees

SHAPES = {"conv.weight": (8, 3, 3, 3), "conv.bias": (8,), "fc.weight": (10, 33)}
CASES = [
    (SGD, torch.optim.SGD, options) for options in [
        {}, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.3}, {"momentum": 0.9, "nesterov": True},
        {"weight_decay": 0.1}, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01}]
] + [
    (ours, theirs, options) for ours, theirs in [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)]
    for options in [{}, {"weight_decay": 0.1}, {"betas": (0.5, 0.9), "eps": 1e-3}]
]


def groups(parameters, weight_decay):
    """Two parameter groups: what is decayed, and what has fewer than two dimensions."""
    return [{"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0}]


@pytest.mark.parametrize("clip", [None, 1.0, 1e6])
@pytest.mark.parametrize(("ours", "theirs", "options"), CASES,
                         ids=lambda v: str(v) if isinstance(v, dict) else v.__module__.split(".")[0] + v.__name__)
def test_twenty_steps(ours, theirs, options, clip, isa, rng):
    weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    gradients = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    tensors = {name: torch.nn.Parameter(torch.from_numpy(w.copy())) for name, w in weights.items()}
    optimiser = ours(lr=0.01, **options)
    optimiser.bind(weights, gradients)
    norm = gradient_norm(gradients)
    peer = theirs(groups(list(tensors.values()), optimiser.weight_decay), lr=0.01,
                  **{k: v for k, v in options.items() if k != "weight_decay"})
    for step in range(20):
        for name, g in gradients.items():
            g[...] = rng.standard_normal(g.shape)
            tensors[name].grad = torch.from_numpy(g.copy())
        optimiser.lr = peer.param_groups[0]["lr"] = peer.param_groups[1]["lr"] = 0.01 * (1 + step % 3)
        theirs_norm = torch.nn.utils.clip_grad_norm_(tensors.values(), clip or 1e9)
        assert norm() == pytest.approx(theirs_norm.item(), rel=1e-5)
        optimiser.step(clip_scale(norm(), clip))
        peer.step()
        for name, w in weights.items():
            assert_agrees(w, tensors[name].detach().numpy(), f"{name} after step {step}")
