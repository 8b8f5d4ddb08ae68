"""packing.py: a batch norm folded into weights changes nothing but roundings, and no forward ever reads weights that
were packed before the last change."""

import numpy as np
import pytest

from cnncli import Trainer, architecture, kernels
from cnncli.network import Network
from cnncli.optim import SGD

NETWORK = [
    {"type": "Conv2d", "name": "conv", "out_channels": 9, "kernel_size": 3, "padding": 1},
    {"type": "BatchNorm2d", "name": "norm"},
    {"type": "ReLU", "name": "relu"},
    {"type": "Conv2d", "name": "depthwise", "out_channels": 9, "kernel_size": 3, "groups": 9, "bias": False},
    {"type": "BatchNorm2d", "name": "norm2", "affine": False},
    {"type": "Conv2d", "name": "again", "out_channels": 9, "kernel_size": 1, "bias": False},
    {"type": "BatchNorm2d", "name": "norm3", "eps": 1e-3, "scale": False},
    {"type": "Add", "name": "sum", "inputs": ["norm3", "norm2"]},
    {"type": "ReLU6", "name": "relu6"},
    {"type": "Flatten", "name": "flat"},
    {"type": "Linear", "name": "fc", "out_features": 7},
    {"type": "BatchNorm2d", "name": "norm4"},
]


def trained(rng: np.random.Generator, layers=NETWORK) -> Network:
    """With statistics and weights that are far from their start."""
    network = Network(layers, (6, 5, 3))
    for name, array in {**network.parameters(), **network.buffers()}.items():
        low, high = (0.2, 3) if name.endswith("running_var") else (-1, 1)
        array[...] = rng.uniform(low, high, array.shape)
    return network


def layer_by_layer(network: Network, images: np.ndarray) -> np.ndarray:
    values = {"input": images}
    for node in network.nodes:
        values[node.name] = node.layer.forward(*(values[i] for i in node.inputs))
    return values[network.nodes[-1].name]


def test_folding_changes_nothing_but_roundings(isa: str, rng: np.random.Generator) -> None:
    network, images = trained(rng), rng.standard_normal((3, 6, 5, 3)).astype(np.float32)
    expected = layer_by_layer(network, images)
    np.testing.assert_allclose(network.forward(images), expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


def test_kept_activations_are_those_of_the_layers(rng: np.random.Generator) -> None:
    network, images = trained(rng), rng.standard_normal((3, 6, 5, 3)).astype(np.float32)
    names = [node.name for node in network.nodes]
    kept = network.activations(images, names)
    values = {"input": images}
    for node in network.nodes:
        values[node.name] = node.layer.forward(*(values[i] for i in node.inputs))
        np.testing.assert_array_equal(kept[node.name], values[node.name])


@pytest.mark.parametrize("what", ["parameters", "buffers"])
def test_changes_are_seen(what: str, rng: np.random.Generator) -> None:
    network, images = trained(rng), rng.standard_normal((3, 6, 5, 3)).astype(np.float32)
    network.forward(images)
    for array in getattr(network, what)().values():
        array *= 1.5
    expected = layer_by_layer(network, images)
    np.testing.assert_allclose(network.forward(images), expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


def test_arrays_held_on_to_are_seen_after_changed(rng: np.random.Generator) -> None:
    network, images = trained(rng), rng.standard_normal((3, 6, 5, 3)).astype(np.float32)
    weight = network.parameters()["conv.weight"]
    before = network.forward(images)
    weight *= -1
    network.changed()
    assert not np.allclose(network.forward(images), before)


def test_an_update_reaches_every_plan(rng: np.random.Generator) -> None:
    network = architecture("resnet8", (8, 8, 3), 4)
    images, labels = rng.standard_normal((6, 8, 8, 3)).astype(np.float32), np.arange(6) % 4
    trainer = Trainer(network, SGD(lr=0.1))
    for _ in range(3):
        trainer.step(images, labels)
        expected = layer_by_layer(network, images)
        np.testing.assert_allclose(network.forward(images), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_another_instruction_set_gets_its_own_weights(rng: np.random.Generator) -> None:
    network, images = trained(rng), rng.standard_normal((3, 6, 5, 3)).astype(np.float32)
    expected = network.forward(images)
    for isa in kernels.isas():
        with kernels.use_isa(isa):
            got = network.forward(images)
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(network.forward(images), expected)


def test_weights_are_packed_once_after_a_change(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = trained(rng), rng.standard_normal((3, 6, 5, 3)).astype(np.float32)
    plan = network.plan(3, training=False)
    np.copyto(plan.input, images)
    plan.forward()
    packed = []
    for each in plan._packed_weights:
        monkeypatch.setattr(each, "calls", [lambda: packed.append(1)])
    plan.forward()
    assert packed == []
    network.changed()
    plan.forward()
    plan.forward()
    assert len(packed) == len(plan._packed_weights) == 4


def test_training_keeps_no_packed_weights(rng: np.random.Generator) -> None:
    network = architecture("resnet8", (8, 8, 3), 4)
    images, labels = rng.standard_normal((6, 8, 8, 3)).astype(np.float32), np.arange(6) % 4
    Trainer(network, SGD(lr=0.1)).step(images, labels)
    assert network._packing._packed == {}
    network.forward(images)
    assert network._packing._packed.keys() >= {("fc", "", kernels.FORWARD)}
