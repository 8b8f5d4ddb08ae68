"""network.py: what a description may say, how mistakes in it are told, and that evaluation of an image does not depend
on its neighbours."""

import json
import re

import numpy as np
import pytest

from cnncli.architectures import architecture
from cnncli.errors import NetworkError, UsageError
from cnncli.layers import BatchNorm2d, Linear, ReLU
from cnncli.network import Network

CONV = {"type": "Conv2d", "name": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}
END = [{"type": "Flatten"}, {"type": "Linear", "out_features": 3}]


def test_config_builds_the_same_network() -> None:
    network = Network([CONV, {"type": "ReLU"}, {"type": "Add", "inputs": ["relu1", "conv"]}, *END], (6, 5, 2))
    config = json.loads(json.dumps(network.config()))
    again = Network.from_config(config)
    assert again.config() == config
    assert [n.name for n in again.nodes] == ["conv", "relu1", "add1", "flatten1", "linear1"]
    assert again.output_shape == (3,)
    assert {k: v.shape for k, v in again.parameters().items()} == {
        "conv.weight": (4, 2, 3, 3), "conv.bias": (4,), "linear1.weight": (3, 120), "linear1.bias": (3,)}
    assert all(not v.any() for v in again.parameters().values())


def test_seed_decides_the_weights() -> None:
    first, same, other = (Network([CONV, *END], (6, 5, 2), seed=s).parameters() for s in (1, 1, 2))
    assert all(np.array_equal(first[k], same[k]) for k in first)
    assert not np.array_equal(first["conv.weight"], other["conv.weight"])


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ([], "has no layers; give it at least one"),
        ([{"type": "Conv3d"}], "layer 1 (Conv3d): there is no layer type 'Conv3d'; import the module"),
        ([{"name": "x"}], "layer 1 (no type 'x'): it has no type; give it one"),
        ([{**CONV, "kernal_size": 3}], "layer 1 (Conv2d 'conv'): it has no option 'kernal_size'; give one of "),
        ([CONV, CONV], "layer 2 (Conv2d 'conv'): its name 'conv' is taken; give"),
        ([{**CONV, "name": "input"}], "its name 'input' is taken"),
        ([{**CONV, "name": "a b"}], "its name must be made of letters"),
        ([CONV, {"type": "Add", "inputs": ["conv", "cone"]}], "its input 'cone' is no layer before it; name one"),
        ([CONV, {"type": "Add"}], "it takes two or more inputs, not 1"),
        ([CONV, {"type": "ReLU", "inputs": ["conv", "input"]}], "it takes 1 input, not 2"),
        ([CONV, {"type": "Add", "inputs": ["conv", "input"]}], "layer 2 (Add)"),
        ([CONV, {**CONV, "name": "b", "inputs": ["input"]}], "layer 1 ('conv') is the input of no other layer"),
        ([{"type": "Flatten"}, CONV], "layer 2 (Conv2d 'conv')"),
        ([{"type": "MaxPool2d", "kernel_size": 9}], "layer 1 (MaxPool2d)"),
        ([{"type": "Conv2d", "kernel_size": 3}], "layer 1 (Conv2d)"),
        (["Conv2d"], "layer 1 (not a table)"),
        ([{**CONV, "out_channels": "many"}], "layer 1 (Conv2d 'conv')"),
    ],
)
def test_mistakes_are_told_with_the_layer(layers: list, sentence: str) -> None:
    with pytest.raises(NetworkError) as caught:
        Network(layers, (6, 5, 2))
    assert sentence in str(caught.value)
    assert str(caught.value).endswith((".", "?"))


@pytest.mark.parametrize("shape", [(), (6, 5), (6, 5, 0), (6, 5, -1), (6, 5, 2.0), "abc", (2**30, 5, 1)])
def test_input_shape_is_checked(shape) -> None:
    with pytest.raises(NetworkError, match="input_shape"):
        Network([CONV, *END], shape)


def test_one_layer_object_cannot_stand_twice() -> None:
    relu = ReLU()
    with pytest.raises(NetworkError, match="second one"):
        Network([relu, relu, *END], (6, 5, 2))


def test_an_image_is_evaluated_alike_in_any_batch(isa: str, rng: np.random.Generator) -> None:
    layers = [CONV, {"type": "BatchNorm2d"}, {"type": "ReLU"}, {"type": "GlobalAvgPool2d"}, Linear(None, 3)]
    network = Network(layers, (9, 7, 2))
    images = rng.standard_normal((37, 9, 7, 2)).astype(np.float32)
    network.forward(images, training=True)  # running statistics that are not those of the start
    together = network.forward(images)
    for start, size in ((0, 1), (5, 1), (36, 1), (3, 20)):
        np.testing.assert_array_equal(network.forward(images[start : start + size]), together[start : start + size])


def test_large_images_are_evaluated_a_few_at_a_time(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnncli.network.network.threads", lambda: 1)
    conv = {"type": "Conv2d", "out_channels": 6, "kernel_size": 3}
    network = Network([conv, {"type": "GlobalAvgPool2d"}, Linear(None, 3)], (128, 128, 2))
    images = rng.standard_normal((11, 128, 128, 2)).astype(np.float32)
    together = network.forward(images)
    assert {batch for batch, _ in network._plans} == {4, 3}  # what leaves a layer's data in cache, shared out evenly
    for i, image in enumerate(images):
        np.testing.assert_array_equal(network.forward(image[None])[0], together[i])


def test_images_too_large_for_the_room_are_evaluated_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnncli.network.network._FLOATS_AT_ONCE", 1)
    network = Network([CONV, *END], (6, 5, 2))
    network.forward(np.zeros((3, 6, 5, 2), np.float32))
    assert {batch for batch, _ in network._plans} == {1}


def test_every_training_step_drops_others() -> None:
    network = Network([CONV, {"type": "Dropout"}, *END], (6, 5, 2), seed=1)
    images = np.ones((2, 6, 5, 2), np.float32)
    first, second = (network.forward(images, training=True).copy() for _ in range(2))
    assert not np.array_equal(first, second)
    assert network.clock[1] == 2
    assert np.array_equal(network.forward(images), network.forward(images))
    assert network.clock[1] == 2


def test_the_plans_used_last_are_kept() -> None:
    network = Network([CONV, *END], (6, 5, 2))
    plans = {batch: network.plan(batch, True) for batch in range(1, 7)}
    assert network.plan(1, True) is plans[1]
    network.plan(7, True)
    assert list(network._plans) == [(batch, True) for batch in (3, 4, 5, 6, 1, 7)]
    assert network.plan(1, True) is plans[1]
    assert network.plan(1, False) is not plans[1]


def test_a_name_that_is_taken_is_not_given_again() -> None:
    network = Network([CONV, {"type": "ReLU", "name": "relu2"}, {"type": "ReLU"}, {"type": "ReLU"}, *END], (6, 5, 2))
    assert [node.name for node in network.nodes] == ["conv", "relu2", "relu3", "relu4", "flatten1", "linear1"]


def test_activations_are_those_of_forward(rng: np.random.Generator) -> None:
    network = Network([CONV, {"type": "ReLU", "name": "relu"}, *END], (6, 5, 2))
    images = rng.standard_normal((3, 6, 5, 2)).astype(np.float32)
    seen = network.activations(images, ["conv", "relu", "linear1"])
    np.testing.assert_array_equal(seen["relu"], np.maximum(seen["conv"], 0))
    np.testing.assert_array_equal(seen["linear1"], network.forward(images))
    with pytest.raises(NetworkError, match="Did you mean 'relu'"):
        network.activations(images, ["rely"])


def test_images_of_another_shape_are_refused() -> None:
    network = Network([CONV, *END], (6, 5, 2))
    for shape, words in (((1, 5, 6, 2), "not (1, 5, 6, 2)."), ((0, 6, 5, 2), "n at least 1"), ((60,), "not (60,)"),
                         ((6, 5, 2), "a single image is images[None]"), ((4, 2, 6, 5), "put the channels last")):
        with pytest.raises(NetworkError, match=re.escape("images must have shape (n, 6, 5, 2)")) as refused:
            network.forward(np.zeros(shape, np.float32))
        assert words in str(refused.value)
    for wrong in (["a.png"], None, np.zeros((1, 6, 5, 2), complex), [[1, 2], [3]]):
        with pytest.raises(UsageError, match="images must be an array of numbers"):
            network.activations(wrong, ["conv"])
    with pytest.raises(NetworkError, match="out must be a float32 array of shape"):
        network.forward(np.zeros((2, 6, 5, 2), np.float32), out=np.zeros((2, 4), np.float32))
    with pytest.raises(NetworkError, match="Did you mean 'conv'"):
        network.shape_of("con")


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "one"])
def test_seeds_that_are_none_are_refused(seed) -> None:
    with pytest.raises(UsageError, match="a seed must be a whole number"):
        Network([CONV, *END], (6, 5, 2), seed)


def test_what_is_no_list_of_layers_is_refused() -> None:
    with pytest.raises(NetworkError, match="the layers of a network must be a list, not 3"):
        Network(3, (6, 5, 2))
    with pytest.raises(NetworkError, match="it has no option 3"):
        Network([{**CONV, 3: 4}, *END], (6, 5, 2))


def test_exact_rules_winograd_out(rng: np.random.Generator) -> None:
    layers = [{"type": "Conv2d", "out_channels": 32, "kernel_size": 3, "padding": 1},
              {"type": "Conv2d", "out_channels": 32, "kernel_size": 3, "padding": 1}, {"type": "Flatten"},
              {"type": "Linear", "out_features": 2}]
    network = Network(layers, (32, 32, 3))
    images = rng.standard_normal((2, 32, 32, 3)).astype(np.float32)
    quick = network.forward(images)
    network.exact = True
    exact = network.forward(images)
    assert not np.array_equal(quick, exact)
    np.testing.assert_allclose(quick, exact, rtol=1e-4, atol=1e-4)
    network.exact = False
    assert np.array_equal(network.forward(images), quick)


def test_fixed_statistics_are_those_of_evaluation_and_stay(rng):
    network = architecture("resnet8", (16, 16, 3), 4, seed=3)
    images = rng.standard_normal((6, 16, 16, 3)).astype(np.float32)
    network.forward(images, training=True)
    before = {name: array.copy() for name, array in network.buffers().items()}
    network.fixed_statistics = True
    np.testing.assert_allclose(network.forward(images, training=True), network.forward(images), rtol=1e-5, atol=1e-5)
    assert all(np.array_equal(before[name], array) for name, array in network.buffers().items())
    assert all(node.layer.fixed for node in network.nodes if isinstance(node.layer, BatchNorm2d))
    assert network.split("layer1.0.relu")[1].fixed_statistics
    network.fixed_statistics = False
    assert not np.allclose(network.forward(images, training=True), network.forward(images), rtol=1e-3)


JUNK = [None, "x", b"x", -1, 0, 1.5, float("nan"), [], {}, [1], [[1], [2]], True, object(), np.ones(2), (1, "a"),
        "input", ["input"], np.zeros((2, 6, 5, 2))]


def uses(junk):
    """Whatever takes something from a user, given junk in its place."""
    for option in ("type", "name", "inputs", "bogus", "in_channels"):
        yield lambda option=option: Network([{**CONV, option: junk}, *END], (6, 5, 2))
    yield lambda: Network(junk, (6, 5, 2))
    yield lambda: Network([junk], (6, 5, 2))
    yield lambda: Network([CONV, *END], junk)
    yield lambda: Network([CONV, *END], (6, 5, junk))
    yield lambda: Network([CONV, *END], (6, 5, 2), junk)
    yield lambda: Network.from_config(junk)
    yield lambda: Network.from_config({"layers": [CONV, *END], "input_shape": junk})
    network, images = Network([CONV, *END], (6, 5, 2)), np.zeros((1, 6, 5, 2), np.float32)
    yield lambda: network.forward(junk)
    yield lambda: network.forward(images, out=junk)
    yield lambda: network.activations(junk, ["conv"])
    yield lambda: network.activations(images, junk)
    yield lambda: network.activations(images, [junk])
    for method in (network.split, network.node, network.shape_of, network.is_cut):
        yield lambda method=method: method(junk)
    yield lambda: architecture(junk, (28, 28, 1), 3)
    yield lambda: architecture("lenet5", junk, 3)
    yield lambda: architecture("lenet5", (28, 28, 1), junk)


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: type(junk).__name__)
def test_junk_is_refused_in_a_sentence_or_taken(junk) -> None:
    for use in uses(junk):
        try:
            use()
        except (NetworkError, UsageError) as error:
            refused = error
        else:
            continue
        assert str(refused).endswith((".", "?"))
