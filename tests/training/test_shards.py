"""shards.py: a step in parts is the mean of the parts' own steps, in an order that their number alone decides; batch
norm and dropout are of a part; a step that fails leaves nothing behind."""

from typing import Any

import numpy as np
import pytest

from cnncli import kernels
from cnncli.errors import TrainingError, UsageError
from cnncli.loss import CrossEntropy
from cnncli.network import Network
from cnncli.optim import SGD
from cnncli.training.shards import cuts
from cnncli.training.trainer import Trainer

LAYERS: list[dict[str, Any]] = [
    {"type": "Conv2d", "out_channels": 6, "kernel_size": 3, "padding": 1},
    {"type": "BatchNorm2d"},
    {"type": "ReLU"},
    {"type": "Flatten"},
    {"type": "Linear", "out_features": 3},
]
DROPOUT = [*LAYERS[:3], {"type": "Dropout", "p": 0.5}, *LAYERS[3:]]


def network(layers: list[dict[str, Any]] = LAYERS) -> Network:
    return Network(layers, (6, 6, 2), seed=1)


def batch(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((size, 6, 6, 2)).astype(np.float32), rng.integers(0, 3, size)


def state(net: Network) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in {**net.parameters(), **net.buffers()}.items()}


def gradients(net: Network) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in net.gradients().items()}


def test_parts_are_as_equal_as_they_can_be() -> None:
    assert list(cuts(8, 4)) == [(0, 2), (2, 4), (4, 6), (6, 8)]
    assert list(cuts(7, 3)) == [(0, 2), (2, 4), (4, 7)]
    assert list(cuts(5, 4)) == [(0, 2), (2, 5)]  # of at least two images
    assert list(cuts(1, 4)) == [(0, 1)]


@pytest.mark.parametrize("size", [12, 13])
@pytest.mark.parametrize("shards", [2, 3, 4])
def test_a_step_is_the_mean_of_its_parts(shards: int, size: int, rng: np.random.Generator) -> None:
    images, labels = batch(rng, size)
    whole = network()
    trainer = Trainer(whole, SGD(lr=1e-30), shards=shards)
    loss = trainer.step(images, labels)
    losses, found, statistics, logits = 0.0, {}, {}, []
    for first, end in cuts(size, shards):
        part = network()
        alone = Trainer(part, SGD(lr=1e-30))
        share = (end - first) / size
        losses += share * alone.step(images[first:end], labels[first:end])
        logits.append(alone.logits.copy())
        for name, array in gradients(part).items():
            found[name] = found.get(name, 0) + share * array.astype(np.float64)
        for name, array in part.buffers().items():
            statistics[name] = statistics.get(name, 0) + share * array.astype(np.float64)
    assert loss == pytest.approx(losses, rel=1e-12)
    np.testing.assert_array_equal(trainer.logits, np.concatenate(logits))
    for name, array in whole.gradients().items():
        np.testing.assert_allclose(array, found[name], rtol=1e-5, atol=1e-7, err_msg=name)
    for name, array in whole.buffers().items():
        np.testing.assert_allclose(array, statistics[name], rtol=1e-6, err_msg=name)
    assert trainer.steps_done == 1


def test_same_bits_in_every_order_of_batches_that_were_seen(rng: np.random.Generator) -> None:
    """What earlier batches of other sizes left in memory does not matter."""
    images, labels = batch(rng, 8)
    fresh, used = network(DROPOUT), network(DROPOUT)
    one, other = Trainer(fresh, SGD(lr=0.1), shards=4), Trainer(used, SGD(lr=0.1), shards=4)
    before = state(used)
    other.step(*batch(rng, 11))
    for name, array in {**used.parameters(), **used.buffers()}.items():
        np.copyto(array, before[name])
    used.changed()
    other.steps_done = 0
    assert one.step(images, labels) == other.step(images, labels)
    for name, array in state(fresh).items():
        np.testing.assert_array_equal(array, state(used)[name], err_msg=name)


def test_mixed_images_and_rare_classes_are_divided_with_their_images(rng: np.random.Generator) -> None:
    images, labels = batch(rng, 6)
    others, shares = rng.integers(0, 3, 6), rng.random(6).astype(np.float32)
    loss = CrossEntropy(label_smoothing=0.1, class_weights=[1, 2, 3])
    whole = Trainer(network(), SGD(lr=1e-30), loss, shards=2).step(images, labels, (others, shares))
    parts = [Trainer(network(), SGD(lr=1e-30), loss).step(images[at], labels[at], (others[at], shares[at]))
             for at in (slice(0, 3), slice(3, 6))]
    assert whole == pytest.approx(sum(parts) / 2, rel=1e-12)


def test_dropout_drops_others_in_each_part(rng: np.random.Generator) -> None:
    images, labels = batch(rng, 2)
    images[1], labels[1] = images[0], labels[0]
    net = Network([*DROPOUT[:1], *DROPOUT[3:]], (6, 6, 2), seed=1)
    trainer = Trainer(net, SGD(lr=0.1), shards=2, seed=7)
    trainer.step(images, labels)
    assert (trainer.logits[0] != trainer.logits[1]).any()
    assert net.clock[0] == 7


def test_few_images_are_fewer_parts(rng: np.random.Generator) -> None:
    layers = [{"type": "Flatten"}, {"type": "BatchNorm2d"}, {"type": "Linear", "out_features": 3}]  # needs two images
    for images, parts in ((1, 0), (4, 2), (5, 2)):
        given = batch(rng, images)
        net = network() if images == 1 else network(layers)
        same = network() if images == 1 else network(layers)
        found = Trainer(net, SGD(lr=0.1), shards=4).step(*given)
        assert found == Trainer(same, SGD(lr=0.1), shards=max(1, parts)).step(*given)


def test_same_bits_on_any_threads(rng: np.random.Generator) -> None:
    images, labels = batch(rng, 9)
    found, before = [], kernels.threads()
    try:
        for threads in (1, 3):
            net = network(DROPOUT)
            Trainer(net, SGD(lr=0.1), threads=threads, shards=4).step(images, labels)
            found.append(state(net))
    finally:
        kernels.set_threads(before)
    for name, array in found[0].items():
        np.testing.assert_array_equal(array, found[1][name], err_msg=name)


def test_a_step_that_fails_leaves_nothing_behind(rng: np.random.Generator) -> None:
    images, labels = batch(rng, 8)
    net, other = network(), network()
    trainer, undisturbed = Trainer(net, SGD(lr=0.1), shards=4), Trainer(other, SGD(lr=0.1), shards=4)
    before = state(net)
    broken = images.copy()
    broken[5] = np.nan
    with pytest.raises(TrainingError, match="images hold infinities or NaN"):
        trainer.step(broken, labels)
    for name, array in state(net).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    trainer.steps_done = 0
    assert trainer.step(images, labels) == undisturbed.step(images, labels)
    for name, array in state(net).items():
        np.testing.assert_array_equal(array, state(other)[name], err_msg=name)


@pytest.mark.parametrize("shards", [0, -1, True])
def test_what_is_no_number_of_parts(shards: Any) -> None:
    with pytest.raises(UsageError, match=r"parts|whole number"):
        Trainer(network(), SGD(lr=0.1), shards=shards)
