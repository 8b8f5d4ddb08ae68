"""trainer.py: a step is forward, loss, backward, update; the same bits on any number of threads; never an update from
something that is not finite."""

from typing import Any

import numpy as np
import pytest

from cnncli import kernels
from cnncli.architectures import architecture
from cnncli.errors import DataError, NetworkError, TrainingError, UsageError
from cnncli.layers import Flatten, Linear
from cnncli.loss import SquaredError
from cnncli.network import Network
from cnncli.optim import SGD, Adam, Schedule
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


@pytest.mark.parametrize("make", [lambda: SGD(lr=0.05, momentum=0.9, nesterov=True), lambda: Adam(lr=0.01)],
                         ids=["sgd", "adam"])
def test_it_learns(make, isa: str, rng: np.random.Generator) -> None:
    network = Network(LAYERS, (9, 9, 1), seed=0)
    trainer = Trainer(network, make())
    losses = [trainer.step(*batch(rng)) for _ in range(40)]
    images, labels = batch(rng, 60)
    assert np.mean(losses[-5:]) < 0.3 * losses[0]
    assert (network.forward(images).argmax(1) == labels).mean() > 0.95


@pytest.mark.slow
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
    with pytest.raises(TrainingError, match="images hold infinities or NaN"):
        trainer.step(images, labels)
    assert all(np.array_equal(before[k], v) for k, v in network.parameters().items())


def test_an_infinite_gradient_is_told_by_name(rng: np.random.Generator) -> None:
    network = Network(LAYERS, (9, 9, 1))
    trainer = Trainer(network, SGD(lr=0.01))
    images, labels = batch(rng)
    plan = network.plan(len(images), training=True)
    original = plan.backward

    def broken(done: Any = None) -> None:
        original(done)
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


# ---- schedules ----


def test_a_schedule_sets_the_rate_of_each_step(rng: np.random.Generator) -> None:
    images, labels = batch(rng)
    rates = []
    for schedule in (Schedule("cosine", total_steps=4, warmup_steps=1), Schedule("cosine", 0.1, 4, 1),
                     Schedule("cosine", 0.1, 4, 1).__call__, lambda step: max(Schedule("cosine", 0.1, 4, 1)(step), 0)):
        trainer = Trainer(Network(LAYERS, (9, 9, 1), seed=0), SGD(lr=0.1), schedule=schedule)
        rates.append([])
        for _ in range(5):
            trainer.step(images, labels)
            rates[-1].append(trainer.optimiser.lr)
    assert rates[0] == rates[1] == rates[2] == rates[3] == [Schedule("cosine", 0.1, 4, 1)(step) for step in range(5)]


def test_a_schedule_goes_on_where_the_training_was(rng: np.random.Generator) -> None:
    trainer = Trainer(Network(LAYERS, (9, 9, 1), seed=0), SGD(lr=0.1), schedule=lambda step: 1 / (step + 1))
    trainer.steps_done = 9
    trainer.step(*batch(rng))
    assert trainer.optimiser.lr == 0.1


# ---- what is refused ----


@pytest.mark.parametrize(("options", "words"), [
    ({"network": 3}, "of the class Network, not 3"), ({"optimiser": "sgd"}, "class Optimiser, not 'sgd'"),
    ({"loss": "cross-entropy"}, "class Loss"), ({"network": Network(LAYERS[:4], (9, 9, 1))}, "must return"),
    ({"schedule": "cosine"}, "must be a Schedule or a function, not 'cosine'"),
    ({"schedule": Schedule("cosine")}, "give its total_steps"),
    ({"clip_norm": 0}, "above 0"), ({"rates": {"nothing": 2.0}}, "no parameter")])
def test_what_makes_no_trainer_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Trainer(**{"network": Network(LAYERS, (9, 9, 1)), "optimiser": SGD(), **options})


X, Y = batch(np.random.default_rng(0), 4)


@pytest.mark.parametrize(("images", "labels", "words"), [
    (X[0], Y, "shape"), (X[:, :8], Y, r"\(n, 9, 9, 1\), n at least 1, not float32 of the shape \(4, 8, 9, 1\)"),
    (X[:0], Y[:0], "at least 1"), ((X * 99).astype(np.uint8), Y, "not uint8"), (X.astype(complex), Y, "complex"),
    (X[..., 0], Y, "shape"), (X, Y[:3], "each of 4 images"), (X, Y + 0.5, "not float64"), (X, Y[:, None], "shape"),
    (X, [0, 1, 2, 3], "image 3 of the batch has label 3, but the network has 3 outputs; labels go from 0 to 2"),
    (X, [0, -1, 2, 1], "image 1 .* label -1"), (X, ["a"] * 4, "whole number"), (X, None, "whole number"),
])
@pytest.mark.parametrize("loss", [None, SquaredError()], ids=["cross-entropy", "squared-error"])
def test_what_is_no_batch_is_refused_and_changes_nothing(images: Any, labels: Any, words: str, loss: Any) -> None:
    network = Network(LAYERS, (9, 9, 1), seed=0)
    trainer = Trainer(network, SGD(lr=0.1), loss)
    before = {name: array.copy() for name, array in {**network.parameters(), **network.buffers()}.items()}
    with pytest.raises(DataError, match=words):
        trainer.step(images, labels)
    assert trainer.steps_done == 0
    for name, array in {**network.parameters(), **network.buffers()}.items():
        np.testing.assert_array_equal(array, before[name])


def test_dropout_is_drawn_by_seed_and_step() -> None:
    def trained(seed: int, steps_done: int = 0) -> tuple[float, int]:
        trainer = Trainer(Network(LAYERS, (9, 9, 1), seed=0), SGD(lr=0.1), seed=seed)
        trainer.steps_done += steps_done
        return trainer.step(X, Y), trainer.steps_done

    assert trained(0) == (trained(0)[0], 1)
    assert len({trained(0)[0], trained(1)[0], trained(0, 1)[0]}) == 3
    assert trained(0, 1)[1] == 2
    assert trained(0)[0] == Trainer(Network(LAYERS, (9, 9, 1), seed=0), SGD(lr=0.1)).step(X, Y), "the usual one"


def test_images_of_one_size_share_what_is_prepared() -> None:
    trainer = Trainer(Network(LAYERS, (9, 9, 1), seed=0), SGD(lr=0.1))
    half = np.full(4, 0.5, np.float32)
    first = trainer._prepared(4, False)
    trainer.step(X, Y)
    trainer.step(X, Y, (Y, half))
    assert trainer._prepared(4, False) is first
    assert trainer._prepared(4, True) is not first
    assert trainer._prepared(3, False) is not first


def test_mixed_labels_and_shares_are_looked_at() -> None:
    trainer = Trainer(Network(LAYERS, (9, 9, 1), seed=0), SGD(lr=0.1))
    half = np.full(4, 0.5, np.float32)
    assert trainer.step(X, Y, (Y[::-1], half)) > 0
    for shares in (half * 0, half * 2, np.float32(0.5)):
        assert trainer.step(X, Y, (Y[::-1], shares)) > 0
    for mixed, words in (((Y + 3, half), "label"), ((Y, half * 4), "from 0 to 1"), ((Y, half[:3]), "from 0 to 1"),
                         ((Y[:3], half), "other labels must be one whole number"), ((Y, half * np.nan), "from 0 to 1"),
                         ((Y, np.ones(4, int)), "from 0 to 1"), ((Y, -half), "from 0 to 1")):
        with pytest.raises(DataError, match=words):
            trainer.step(X, Y, mixed)


def test_an_optimiser_and_a_layer_are_of_one_network(rng: np.random.Generator) -> None:
    """A second one would take them over, and the first would not learn any more."""
    optimiser, layer = SGD(lr=0.1), Linear(out_features=3)
    network = Network([Flatten(), layer], (9, 9, 1), seed=0)
    trainer = Trainer(network, optimiser)
    before = network.parameters()["linear1.weight"].copy()
    with pytest.raises(UsageError, match="give each trainer an optimiser of its own"):
        Trainer(Network(LAYERS, (9, 9, 1), seed=0), optimiser)
    with pytest.raises(NetworkError, match="this layer object is in another network already"):
        Network([Flatten(), layer], (9, 9, 1), seed=1)
    Trainer(network, optimiser)  # the same one again is no other
    trainer.step(*batch(rng))
    assert not np.array_equal(network.parameters()["linear1.weight"], before)
