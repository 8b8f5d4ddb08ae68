"""trainer.py: a step is forward, loss, backward, update; the same bits on any number of threads; never an update from
something that is not finite."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli.architectures import architecture
from cnncli.errors import TrainingError
from cnncli.network import Network
from cnncli.optim import SGD, Adam
from cnncli.training.trainer import Trainer

LAYERS = [
    {"type": "Conv2d", "out_channels": 6, "kernel_size": 3, "padding": 1},
    {"type": "BatchNorm2d"},
    {"type": "ReLU"},
    {"type": "Dropout", "p": 0.2},
    {"type": "Flatten"},
    {"type": "Linear", "out_features": 3},
]


def batch(rng: np.random.Generator, size: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Images whose class is which third of the rows is bright."""
    labels = rng.integers(0, 3, size)
    images = rng.standard_normal((size, 9, 9, 1)).astype(np.float32) * 0.3
    for image, label in zip(images, labels, strict=True):
        image[3 * label : 3 * label + 3] += 1
    return images, labels


def test_logits_are_still_there_after_the_step(isa: str, rng: np.random.Generator) -> None:
    network = Network(LAYERS[:3] + LAYERS[4:], (9, 9, 1), seed=0)
    images, labels = batch(rng)
    trainer = Trainer(network, SGD(lr=1e-12))
    trainer.step(images, labels)
    again = Network(LAYERS[:3] + LAYERS[4:], (9, 9, 1), seed=0).forward(images, training=True)
    np.testing.assert_array_equal(trainer.logits, again)


@pytest.mark.parametrize("optimiser", [SGD(lr=0.05, momentum=0.9, nesterov=True), Adam(lr=0.01)], ids=["sgd", "adam"])
def test_it_learns(optimiser, isa: str, rng: np.random.Generator) -> None:
    network = Network(LAYERS, (9, 9, 1), seed=0)
    trainer = Trainer(network, optimiser)
    losses = [trainer.step(*batch(rng)) for _ in range(40)]
    images, labels = batch(rng, 60)
    assert np.mean(losses[-5:]) < 0.3 * losses[0]
    assert (network.forward(images).argmax(1) == labels).mean() > 0.95


def test_same_bits_on_any_threads() -> None:
    weights = []
    before = kernels.threads()
    for count in (1, 2, 4):
        rng = np.random.default_rng(5)
        trainer = Trainer(architecture("resnet8", (20, 20, 3), 3, seed=1), SGD(lr=0.05, momentum=0.9), threads=count)
        for _ in range(3):
            images = rng.standard_normal((17, 20, 20, 3)).astype(np.float32)
            trainer.step(images, rng.integers(0, 3, 17))
        weights.append({k: v.copy() for k, v in trainer.network.parameters().items()})
    kernels.set_threads(before)
    for other in weights[1:]:
        assert all(np.array_equal(weights[0][k], other[k]) for k in other)


def test_the_last_smaller_batch_has_a_plan_of_its_own(rng: np.random.Generator) -> None:
    trainer = Trainer(Network(LAYERS, (9, 9, 1)), SGD(lr=0.01))
    for size in (24, 7, 24, 7):
        trainer.step(*batch(rng, size))
        assert trainer.logits.shape == (size, 3)
    assert trainer.steps_done == 4


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nothing_is_updated_from_what_is_not_finite(bad: float, rng: np.random.Generator) -> None:
    network = Network(LAYERS, (9, 9, 1))
    trainer = Trainer(network, SGD(lr=0.01))
    trainer.step(*batch(rng))
    before = {k: v.copy() for k, v in network.parameters().items()}
    images, labels = batch(rng)
    images[0, 0, 0, 0] = bad
    with pytest.raises(TrainingError, match="lower learning rate"):
        trainer.step(images, labels)
    assert all(np.array_equal(before[k], v) for k, v in network.parameters().items())


def test_an_infinite_gradient_is_told_by_name(rng: np.random.Generator) -> None:
    network = Network(LAYERS, (9, 9, 1))
    trainer = Trainer(network, SGD(lr=0.01))
    images, labels = batch(rng)
    plan = network.plan(len(images), training=True)
    original = plan.backward

    def broken() -> None:
        original()
        network.gradients()["linear1.weight"][0, 0] = np.inf

    plan.backward = broken  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"linear1\.weight"):
        trainer.step(images, labels)


def test_clipping_bounds_the_update(rng: np.random.Generator) -> None:
    images, labels = batch(rng)
    moved = []
    for clip in (None, 1e-3):
        network = Network(LAYERS, (9, 9, 1), seed=2)
        before = {k: v.copy() for k, v in network.parameters().items()}
        Trainer(network, SGD(lr=1.0), clip_norm=clip).step(images, labels)
        moved.append(np.sqrt(sum(((v - before[k]) ** 2).sum() for k, v in network.parameters().items())))
    assert moved[1] == pytest.approx(1e-3, rel=1e-3)
    assert moved[0] > 0.01


def test_a_batch_of_mixed_images_has_two_labels(isa: str, rng: np.random.Generator) -> None:
    """One layer without bias: its gradient is that of the two labels, each by its share."""
    layers = [{"type": "Flatten"}, {"type": "Linear", "out_features": 3, "bias": False}]
    images, labels = batch(rng, 10)
    others, shares = rng.integers(0, 3, 10), rng.random(10).astype(np.float32)
    start = Network(layers, (9, 9, 1), seed=1).parameters()["linear1.weight"].copy()
    moved = {}
    for name, arguments in (("both", (labels, (others, shares))), ("label", (labels,)), ("other", (others,))):
        network = Network(layers, (9, 9, 1), seed=1)
        trainer = Trainer(network, SGD(lr=1.0))
        trainer.step(images, *arguments)
        moved[name] = network.parameters()["linear1.weight"] - start
    logits = images.reshape(10, -1).astype(float) @ start.T
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    target = shares[:, None] * np.eye(3)[labels] + (1 - shares)[:, None] * np.eye(3)[others]
    expected = -((chances - target).T @ images.reshape(10, -1)) / 10
    np.testing.assert_allclose(moved["both"], expected, atol=1e-5)
    assert not np.allclose(moved["both"], moved["label"], atol=1e-3)
    assert not np.allclose(moved["both"], moved["other"], atol=1e-3)
