"""The recipe fast and what benchmarks/ measures it against are the same training: from the same weights, on the same
batches, ours and workers/torch_fast.py go the same way, with their whitening layer, schedule, rates and Lookahead."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks.workers import torch_fast
from cnncli import kernels
from cnncli.architectures import architecture
from cnncli.loss import CrossEntropy
from cnncli.optim import SGD
from cnncli.optim.lookahead import Lookahead
from cnncli.optim.schedule import Schedule
from cnncli.training import fast
from cnncli.training.trainer import Trainer

from .mirror import from_torch, to_torch

# At the full learning rate seven steps of so few images take rounding errors a long way, at a ReLU's kink and between
# two maxima; so both go at a part of it, without Winograd.
STEPS, BATCH, PART = 7, 64, 0.02
LOSS_TOLERANCE, WEIGHT_TOLERANCE = 2e-4, 0.1  # of each array's norm; the first biases are sums that nearly cancel


def ours_by_name(model):
    """Return their parameters under our names."""
    named = {"whiten.weight": model.whiten.weight, "whiten.bias": model.whiten.bias, "fc.weight": model.fc.weight}
    for stage in (1, 2, 3):
        for place in (1, 2):
            named[f"stage{stage}.conv{place}.weight"] = getattr(model, f"conv{stage}_{place}").weight
            named[f"stage{stage}.bn{place}.bias"] = getattr(model, f"norm{stage}_{place}").bias
    return named


@pytest.fixture
def images(rng):
    coarse = rng.standard_normal((200, 8, 8, 3)).repeat(4, 1).repeat(4, 2)
    return (coarse + 0.3 * rng.standard_normal((200, 32, 32, 3))).astype(np.float32)


def test_whitening_is_the_same(images):
    network, model = architecture("resnet9", (32, 32, 3), 10), torch_fast.Net(10)
    network.nodes[0].layer.fit(images)
    network.changed()
    model.fit_whitening(to_torch(images))
    ours = network.activations(images[:5], ["whiten"])["whiten"]
    theirs = from_torch(model.whiten(functional.pad(to_torch(images[:5]), (0, 1, 0, 1))))
    # Eigenvectors have no sign: each of ours is one of theirs or its negative, which stands among the filters, too.
    for channel in range(12):
        errors = [np.abs(ours[..., channel] - theirs[..., other]).max() for other in (channel, channel + 12)]
        assert min(errors) < 1e-3


def test_steps_are_the_same(images, rng):
    network, model = architecture("resnet9", (32, 32, 3), 10, seed=3), torch_fast.Net(10)
    network.exact = True
    network.nodes[0].layer.fit(images)
    network.changed()
    names = ours_by_name(model)
    assert names.keys() == network.parameters().keys()
    with torch.no_grad():
        for name, array in network.parameters().items():
            names[name].copy_(torch.from_numpy(array))
    tuning = fast.TUNING
    optimiser = SGD(tuning.lr, tuning.momentum, nesterov=True, weight_decay=tuning.weight_decay)
    rates = fast.rates(network, tuning.norm_biases)
    trainer = Trainer(network, optimiser, CrossEntropy(fast.LABEL_SMOOTHING), rates=rates)
    schedule = Schedule(fast.DEFAULTS.schedule, tuning.lr, STEPS)
    slow = Lookahead({**network.parameters(), **network.buffers()}, STEPS)
    theirs = torch.optim.SGD(model.groups(), torch_fast.LR, momentum=torch_fast.MOMENTUM, nesterov=True)
    peaks, their_slow = [group["lr"] for group in theirs.param_groups], torch_fast.Lookahead(model)
    for step in range(STEPS):
        rows = rng.integers(0, len(images), BATCH)
        labels = rows % 10
        optimiser.lr = PART * schedule(step)
        loss = trainer.step(images[rows], labels)
        if slow.after(step + 1):
            network.changed()
        for group, peak in zip(theirs.param_groups, peaks, strict=True):
            group["lr"] = PART * peak * torch_fast.rate(step, STEPS)
        theirs.zero_grad()
        value = functional.cross_entropy(model(to_torch(images[rows])), torch.from_numpy(labels),
                                         label_smoothing=torch_fast.SMOOTHING)
        value.backward()
        theirs.step()
        their_slow.after(step + 1, STEPS)
        assert loss == pytest.approx(value.item(), rel=LOSS_TOLERANCE), f"step {step} on {kernels.active_isa()}"
    for name, array in network.parameters().items():
        other = names[name].detach().numpy()
        assert np.linalg.norm(array - other) <= WEIGHT_TOLERANCE * np.linalg.norm(other), name
