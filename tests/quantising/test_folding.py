"""A network without its batch norms has the answers that it had with them."""

import numpy as np
import pytest

from cnncli.architectures import architecture
from cnncli.network import Network
from cnncli.quantising.folding import folded


@pytest.mark.parametrize("name", ["resnet8", "squeezenet1_1", "mobilenet_v2", "lenet5"])
def test_the_answers_stay_and_the_norms_go(name: str) -> None:
    network = architecture(name, (33, 32, 3), 4, seed=2)
    rng = np.random.default_rng(1)
    for each, array in network.buffers().items():
        array[...] = rng.uniform(0.5, 1.5, array.shape) if each.endswith("var") else rng.normal(0, 0.3, array.shape)
    x = rng.standard_normal((3, 33, 32, 3)).astype(np.float32)
    result = folded(network)
    wanted = network.forward(x)
    np.testing.assert_allclose(result.forward(x), wanted, atol=2e-5 * np.abs(wanted).max())
    assert not any(node.layer.normalises for node in result.nodes)
    assert result.output_shape == network.output_shape


def test_a_norm_that_follows_nothing_with_weights_stays() -> None:
    network = Network([{"type": "BatchNorm2d"}, {"type": "Conv2d", "out_channels": 2, "name": "twice"},
                       {"type": "BatchNorm2d", "name": "one"},
                       {"type": "Concat", "inputs": ["twice", "one"]}, {"type": "GlobalAvgPool2d"}], (5, 5, 3))
    assert [node.name for node in folded(network).nodes] == [node.name for node in network.nodes]
