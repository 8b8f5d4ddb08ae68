"""What inference may round: convolutions that evaluation computes by larger tiles of Winograd's than training does
(csrc/winograd_wide.c). Logits stay within 1e-4 of the largest of those that `exact` gives, and every way of asking for
them gives the same bits."""

import numpy as np
import pytest

from cnncli.architectures import architecture
from cnncli.kernels import FORWARD
from cnncli.layers import Conv2d
from cnncli.network import Network

CONV = {"type": "Conv2d", "out_channels": 32, "kernel_size": 3, "padding": 1}
SMALL = [CONV, {"type": "BatchNorm2d"}, {"type": "ReLU"}, CONV, {"type": "ReLU"},
         {"type": "MaxPool2d", "kernel_size": 2}, {**CONV, "out_channels": 40}, {"type": "ReLU"}, {"type": "Flatten"},
         {"type": "Linear", "out_features": 3}]


def wider(network: Network) -> list[str]:
    """The convolutions whose weights evaluation packs otherwise than training."""
    found = []
    for node in network.nodes:
        if isinstance(node.layer, Conv2d):
            shape = network.shape_of(node.inputs[0])
            sizes = {node.layer.packed(shape, training=training)[FORWARD] for training in (False, True)}
            found += [node.name] * (len(sizes) - 1)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side", "many"), [("resnet18", 224, 13), ("resnet18", 112, 10), ("resnet8", 28, 2),
                                                    ("efficientnet_lite0", 224, 0)])
def test_logits_are_those_of_exact(name: str, side: int, many: int, rng: np.random.Generator) -> None:
    channels = 1 if side == 28 else 3
    network = architecture(name, (side, side, channels), 10)
    images = rng.standard_normal((2, side, side, channels), dtype=np.float32)
    for _ in range(25):  # until batch norms know these images
        network.forward(images, training=True)
    assert len(wider(network)) == many
    quick = network.forward(images)
    network.exact = True
    exact = network.forward(images)
    assert np.abs(quick - exact).max() <= 1e-4 * np.abs(exact).max()
    assert wider(network) == []


def test_an_image_has_the_same_logits_alone_in_a_batch_and_in_parts(rng: np.random.Generator) -> None:
    network = Network(SMALL, (28, 28, 16), seed=3)
    assert wider(network) == ["conv2", "conv3"]
    images = rng.standard_normal((5, 28, 28, 16), dtype=np.float32)
    logits = network.forward(images)
    for i in range(5):
        assert np.array_equal(network.forward(images[i : i + 1])[0], logits[i])
    kept = network.activations(images, [network.nodes[2].name, network.nodes[-1].name])
    assert np.array_equal(kept[network.nodes[-1].name], logits)


def test_training_keeps_to_its_tiles(rng: np.random.Generator) -> None:
    """A layer's forward in training has other bits than in evaluation, and few more errors than `exact`."""
    layer = Conv2d(out_channels=32, kernel_size=3, padding=1)
    x = rng.standard_normal((2, 14, 14, 32), dtype=np.float32)
    layer.bind(x.shape[1:])
    layer.initialise(rng)
    trained, inferred = layer.forward(x, training=True), layer.forward(x)
    layer.exact = True
    exact = layer.forward(x)
    largest = np.abs(exact).max()
    assert np.abs(trained - exact).max() < 4e-6 * largest
    assert 4e-6 * largest < np.abs(inferred - exact).max() < 1e-4 * largest
