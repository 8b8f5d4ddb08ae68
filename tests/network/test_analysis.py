"""Receptive fields against what really happens when a row or column of pixels changes; parameters and cost by hand."""

import numpy as np
import pytest

from cnncli.architectures import architecture
from cnncli.network import Network
from cnncli.network.analysis import Field, receptive_field, summarise

SIDE = 48


def conv(kernel, **options):
    return {"type": "Conv2d", "out_channels": 1, "kernel_size": kernel, **options}


def seen(network, name):
    """How many rows and columns of the image change the middle position of a layer's output."""
    base = np.zeros((1, *network.input_shape), np.float32)
    shape = network.shape_of(name)
    middle = (shape[0] // 2, shape[1] // 2)
    extents = []
    for axis in (1, 2):
        images = np.repeat(base, network.input_shape[axis - 1], axis=0)
        for i in range(len(images)):
            np.moveaxis(images, axis, 1)[i, i] = 1.0
        outputs = network.activations(np.concatenate([base, images]), [name])[name][:, middle[0], middle[1]]
        changed = np.flatnonzero((outputs[1:] != outputs[0]).any(axis=1))
        extents.append(int(changed[-1] - changed[0] + 1))
    return tuple(extents)


NETWORKS = {
    "plain": [conv(3), conv([5, 3])],
    "strides": [conv(3, stride=2), conv(3, stride=[1, 2]), conv(3)],
    "dilation": [conv(3, dilation=2), conv([3, 2], stride=2, dilation=[3, 1]), conv(3)],
    "padding": [conv(5, padding=2), {"type": "AvgPool2d", "kernel_size": 2}, conv(3, padding="same")],
    "pools": [{"type": "AvgPool2d", "kernel_size": 3, "stride": 2}, conv(3), {"type": "AvgPool2d", "kernel_size": 2},
              {"type": "AvgPool2d", "kernel_size": 2, "stride": 1}],
    "shared out": [conv(3), {"type": "AdaptiveAvgPool2d", "output_size": 7}],
    "skip": [conv(3, padding=1, name="a"), conv(3, padding=1, name="b"), conv(5, padding=2, name="c"),
             {"type": "Add", "inputs": ["a", "c"], "name": "sum"}, conv(3)],
}


@pytest.mark.slow
@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS.keys())
def test_receptive_field_is_what_a_position_sees(layers):
    network = Network([*layers, {"type": "GlobalAvgPool2d"}], (SIDE, SIDE, 1))
    for name, array in network.parameters().items():
        array[...] = 1.0 + len(name)  # positive, so that nothing cancels
    fields = receptive_field(network)
    assert fields["input"] == Field(grid=(SIDE, SIDE))
    for node in network.nodes[:-1]:
        assert fields[node.name].size == seen(network, node.name), node.name
        assert not fields[node.name].whole
    last = fields[network.nodes[-1].name]
    assert last.whole
    assert last.grid == (1, 1)


def test_whatever_follows_a_linear_layer_sees_the_whole_image():
    network = Network([conv(5), {"type": "ReLU"}, {"type": "Flatten"}, {"type": "Linear", "out_features": 3},
                       {"type": "ReLU"}], (9, 11, 1))
    sizes = [(f.size, f.whole) for f in receptive_field(network).values()]
    assert sizes == [((1, 1), False), ((5, 5), False), ((5, 5), False), ((5, 5), False), ((9, 11), True),
                     ((9, 11), True)]


def test_parameters_and_cost_of_lenet_by_hand():
    layers = {layer.name: layer for layer in summarise(architecture("lenet5", (28, 28, 1), 10))}
    first, last = layers["conv1"], list(layers.values())[-1]
    assert (first.type, first.output_shape) == ("Conv2d", (28, 28, 6))
    assert first.parameters == 6 * 25 + 6
    assert first.multiply_adds == 28 * 28 * 6 * 25
    assert first.flops == 2 * first.multiply_adds
    assert last.parameters == 84 * 10 + 10
    assert last.multiply_adds == 840
    assert sum(layer.parameters for layer in layers.values()) == 61_706  # LeCun's net with 10 outputs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "classic", "nin", "vgg-small", "resnet8", "resnet20", "vgg11",
                                  "squeezenet1_1", "efficientnet_lite0"])
def test_every_architecture_can_be_summarised(name):
    network = architecture(name, (32, 32, 3), 10)
    layers = summarise(network)
    assert [layer.name for layer in layers] == [node.name for node in network.nodes]
    assert sum(layer.parameters for layer in layers) == sum(a.size for a in network.parameters().values())
    assert layers[-1].field.whole


def test_a_whitening_layer_moves_by_single_pixels() -> None:
    network = Network([{"type": "Whitening"}, {"type": "Conv2d", "out_channels": 2, "kernel_size": 3}], (8, 8, 1))
    assert [field.size for field in list(receptive_field(network).values())[1:]] == [(2, 2), (4, 4)]
