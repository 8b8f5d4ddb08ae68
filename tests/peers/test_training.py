"""Whole networks: the same weights in ours and in PyTorch, then ten steps of training side by side. After each step
the losses agree, at the end weights, running statistics and evaluation logits."""

import numpy as np
import pytest
import torch
from torch import nn

from cnncli.architectures import ARCHITECTURES, architecture
from cnncli.loss import CrossEntropy, SquaredError
from cnncli.network import Network
from cnncli.optim import SGD, Adam, AdamW
from cnncli.optim.schedule import Schedule
from cnncli.training.trainer import Trainer

from .mirror import OF_LARGEST_TRAINED, Mirror, assert_agrees, assert_arrays_agree, from_torch, to_torch
from .test_optimisers import groups

SKIP = [
    {"type": "Conv2d", "name": "stem", "out_channels": 8, "kernel_size": 3, "padding": 1, "bias": False},
    {"type": "BatchNorm2d", "name": "stem_bn"},
    {"type": "SiLU", "name": "stem_act"},
    {"type": "MaxPool2d", "name": "pool", "kernel_size": 3, "stride": 2, "padding": 1},
    {"type": "Conv2d", "name": "block.a", "out_channels": 8, "kernel_size": 3, "padding": "same", "bias": False},
    {"type": "BatchNorm2d", "name": "block.a_bn"},
    {"type": "LeakyReLU", "name": "block.act"},
    {"type": "Conv2d", "name": "block.b", "out_channels": 8, "kernel_size": 3, "padding": 1, "groups": 8},
    {"type": "Add", "name": "sum", "inputs": ["block.b", "pool"]},
    {"type": "Conv2d", "name": "side", "out_channels": 4, "kernel_size": 1, "inputs": ["stem_act"], "stride": 2},
    {"type": "Concat", "name": "both", "inputs": ["sum", "side"]},
    {"type": "AvgPool2d", "name": "shrink", "kernel_size": 2},
    {"type": "Flatten"},
    {"type": "Linear", "name": "hidden", "out_features": 20},
    {"type": "Tanh"},
    {"type": "Linear", "name": "head", "out_features": 5},
]
# The PyTorch counterpart of each of our losses.
LOSSES = {
    "cross-entropy": (CrossEntropy(0.1), lambda x, y: nn.functional.cross_entropy(x, y, label_smoothing=0.1)),
    "weighted": (CrossEntropy(class_weights=[1, 2, 0.5, 1, 3]), lambda x, y: nn.functional.cross_entropy(
        x, y, torch.tensor([1, 2, 0.5, 1, 3.0]))),
    "squared": (SquaredError(), lambda x, y: (nn.functional.one_hot(y, 5) - x).square().sum() / 2 / len(x)),
}
OPTIMISERS = {
    "sgd": (lambda: SGD(0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
            lambda model: torch.optim.SGD(groups(list(model.parameters()), 5e-4), 0.1, momentum=0.9, nesterov=True)),
    "adam": (lambda: Adam(1e-3, eps=1e-4),
             lambda model: torch.optim.Adam(model.parameters(), 1e-3, eps=1e-4)),
    "adamw": (lambda: AdamW(1e-3, eps=1e-4, weight_decay=0.05),
              lambda model: torch.optim.AdamW(groups(list(model.parameters()), 0.05), 1e-3, eps=1e-4)),
}

# Deep networks with batch norm. Five halvings of small images leave it so few pixels to take a variance of, and ten
# larger steps of training mix errors so much, that PyTorch in float32 is itself further than the tolerance from
# PyTorch in float64: hence larger images, or smaller steps.
DEEP = {"resnet18": (64, 0.01), "resnet34": (128, 0.001), "resnet50": (128, 0.01), "mobilenet_v2": (128, 0.003),
        "efficientnet_lite0": (128, 0.01), "efficientnet_lite1": (128, 0.003), "efficientnet_lite2": (128, 0.003)}
OTHERS = (32, 0.01)


def train_both(network, optimiser, loss, rng, clip_norm=None, steps=10, batch=12, lr=None):
    """Train ours and its mirror on the same batches; compare as it goes, and all that is left at the end."""
    ours_loss, theirs_loss = loss
    model = Mirror(network)
    make_ours, make_theirs = optimiser
    theirs, ours = make_theirs(model), make_ours()
    trainer = Trainer(network, ours, ours_loss, clip_norm=clip_norm)
    schedule = Schedule("one-cycle", lr or ours.lr, steps)
    classes = network.output_shape[0]
    for step in range(steps):
        images = rng.standard_normal((batch, *network.input_shape)).astype(np.float32)
        labels = rng.integers(0, classes, batch)
        ours.lr = schedule(step)
        for group in theirs.param_groups:
            group["lr"] = schedule(step)
        theirs.zero_grad()
        logits = model(to_torch(images))
        value = theirs_loss(logits, torch.from_numpy(labels))
        value.backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        theirs.step()
        assert trainer.step(images, labels) == pytest.approx(value.item(), rel=1e-4), f"loss of step {step}"
        assert_agrees(trainer.logits, from_torch(logits), f"logits of step {step}", OF_LARGEST_TRAINED)
    assert_arrays_agree(network, model, OF_LARGEST_TRAINED)
    model.eval()
    with torch.no_grad():
        assert_agrees(network.forward(images), from_torch(model(to_torch(images))), "logits in evaluation",
                      OF_LARGEST_TRAINED)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_small_network_with_everything(optimiser, loss, isa, rng):
    # At 0.1 the squared error grows to 50 before it falls, and two float32 trainings that blow up drift apart.
    lr = 0.02 if (loss, optimiser) == ("squared", "sgd") else None
    train_both(Network(SKIP, (12, 13, 3), seed=1), OPTIMISERS[optimiser], LOSSES[loss], rng, lr=lr)


def test_clipping(isa, rng):
    train_both(Network(SKIP, (12, 13, 3), seed=1), OPTIMISERS["sgd"], LOSSES["cross-entropy"], rng, clip_norm=0.5)


def built(name, smooth):
    """The architecture without dropout (the two draw differently); smooth: without kinks, for which see below."""
    size, _ = DEEP.get(name, OTHERS)
    config = architecture(name, (size, size, 3), 10).config()
    for layer in config["layers"]:
        if layer["type"] == "Dropout":
            layer["p"] = 0.0
        if smooth and layer["type"] in ("ReLU", "ReLU6"):
            layer["type"] = "SiLU"
        if smooth and layer["type"] == "MaxPool2d":
            layer["type"] = "AvgPool2d"
            del layer["dilation"]
    return Network.from_config(config, seed=1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_of_every_architecture(name, rng):
    network = built(name, smooth=False)
    model, images = Mirror(network), rng.standard_normal((8, *network.input_shape)).astype(np.float32)
    theirs = from_torch(model(to_torch(images)))
    assert_agrees(network.forward(images, training=True), theirs, "logits in training")
    assert_arrays_agree(network, model, buffers_only=True)
    with torch.no_grad():
        assert_agrees(network.forward(images), from_torch(model.eval()(to_torch(images))), "logits in evaluation")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_ten_steps_of_every_architecture(name, rng):
    # With SiLU for ReLU and means for maxima: in a million ReLUs some input is so near 0 that rounding decides on its
    # side, and from there on two correct trainings part (PyTorch's from its own in float64, too). test_layers.py
    # compares ReLU and MaxPool2d themselves.
    _, lr = DEEP.get(name, OTHERS)
    train_both(built(name, smooth=True), OPTIMISERS["sgd"], LOSSES["cross-entropy"], rng, batch=8, lr=lr)
