"""blocks.py and Network.split: blocks are those of the papers, networks come apart behind each, and the two parts
together compute and learn what the whole does."""

import numpy as np
import pytest

from cnncli.architectures import ARCHITECTURES, architecture
from cnncli.errors import NetworkError
from cnncli.network import Network
from cnncli.network.blocks import blocks
from cnncli.optim import SGD
from cnncli.training.trainer import Trainer


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_layer_is_in_one_block_and_networks_come_apart_between_them(name):
    network = architecture(name, (64, 64, 3), 5, seed=None)
    found = blocks(network)
    assert [layer for block in found for layer in block.layers] == [node.name for node in network.nodes]
    assert all(network.is_cut(block.last) for block in found[:-1])
    weighing = [block for block in found if any(network.node(layer).layer.params for layer in block.layers)]
    assert weighing == found
    head = [network.node(layer) for layer in found[-1].layers]
    assert sum(bool(node.layer.params) for node in head) == 1


@pytest.mark.parametrize(("name", "count", "third", "head"), [
    ("lenet5", 5, ("fc1", "relu3"), ("fc3",)),
    ("resnet18", 10, ("layer1.1.conv1", "layer1.1.relu"), ("fc",)),
    ("efficientnet_lite0", 19, ("blocks.1.0.conv_pw", "blocks.1.0.bn3"), ("classifier",)),
    ("mobilenet_v2", 20, ("features.2.conv.0.0", "features.2.conv.3"), ("classifier.1",)),
    ("squeezenet1_1", 10, ("features.4.squeeze", "features.5"), ("classifier.1", "classifier.2", "classifier.3")),
])
def test_blocks_are_those_of_the_papers(name, count, third, head):
    found = blocks(architecture(name, (64, 64, 3), 5, seed=None))
    assert len(found) == count
    assert (found[2].layers[0], found[2].last) == third
    assert found[-1].layers == head


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "resnet8", "squeezenet1_1", "efficientnet_lite0"])
def test_two_parts_compute_what_the_whole_does(name, rng):
    network = architecture(name, (32, 32, 3), 5, seed=3)
    images = rng.standard_normal((3, 32, 32, 3)).astype(np.float32)
    expected = network.forward(images)
    for block in blocks(network)[:-1]:
        before, behind = network.split(block.last)
        assert behind.input_shape == network.shape_of(block.last)
        np.testing.assert_allclose(behind.forward(before.forward(images)), expected, rtol=1e-5, atol=1e-5)


def test_what_a_part_learns_the_whole_knows(rng):
    network = architecture("resnet8", (16, 16, 3), 4, seed=3)
    images = rng.standard_normal((8, 16, 16, 3)).astype(np.float32)
    before, behind = network.split(blocks(network)[-2].last)
    frozen = {name: array.copy() for name, array in {**before.parameters(), **before.buffers()}.items()}
    first = network.forward(images)
    trainer = Trainer(behind, SGD(lr=0.1))
    losses = [trainer.step(before.forward(images), np.arange(8) % 4) for _ in range(5)]
    assert losses[-1] < losses[0]
    assert not np.array_equal(network.forward(images), first)
    now = {**network.parameters(), **network.buffers()}
    assert all(np.array_equal(now[name], array) for name, array in frozen.items())


def test_where_nothing_can_be_split_it_is_said():
    network = architecture("resnet8", (16, 16, 3), 4, seed=None)
    for name in ("layer1.0.relu1", "fc"):
        with pytest.raises(NetworkError, match=f"cannot be split behind '{name}', because other layers go past it"):
            network.split(name)
    with pytest.raises(NetworkError, match="no layer 'nothing'"):
        network.split("nothing")


def test_a_network_without_weights_is_one_block():
    assert len(blocks(Network([{"type": "AvgPool2d", "kernel_size": 2}, {"type": "Flatten"}], (4, 4, 1)))) == 1
