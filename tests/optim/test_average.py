"""average.py: the average is what its formula says, and whoever looks through it finds the network as it was."""

from types import SimpleNamespace

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.network import Network
from cnncli.optim.average import WeightAverage

LAYERS = [{"type": "Conv2d", "out_channels": 4, "kernel_size": 3}, {"type": "BatchNorm2d"}, {"type": "Flatten"},
          {"type": "Linear", "out_features": 3}]


def everything(network: Network) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in {**network.parameters(), **network.buffers()}.items()}


def stir(network: Network, rng: np.random.Generator) -> dict[str, np.ndarray]:
    for array in {**network.parameters(), **network.buffers()}.values():
        array += rng.standard_normal(array.shape).astype(np.float32)
    network.changed()
    return everything(network)


def test_the_average_is_the_formula(rng: np.random.Generator) -> None:
    network = Network(LAYERS, (6, 6, 1))
    expected = {name: array.astype(np.float64) for name, array in everything(network).items()}
    average = WeightAverage(network, 0.25)
    for _ in range(5):
        for name, array in stir(network, rng).items():
            expected[name] += 0.25 * (array - expected[name])
        average.update()
    with average.in_place():
        for name, array in everything(network).items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_network_judges_with_the_average_and_has_its_own_weights_again(rng: np.random.Generator) -> None:
    network, images = Network(LAYERS, (6, 6, 1)), rng.standard_normal((2, 6, 6, 1)).astype(np.float32)
    average, before = WeightAverage(network, 0.5), network.forward(images)
    own, after = stir(network, rng), network.forward(images)
    with average.in_place():
        np.testing.assert_array_equal(network.forward(images), before)
    np.testing.assert_array_equal(network.forward(images), after)
    for name, array in everything(network).items():
        np.testing.assert_array_equal(array, own[name])


def test_the_network_is_told_each_time_that_its_weights_are_others() -> None:
    weight, told = np.ones(1, np.float32), []
    network = SimpleNamespace(parameters=lambda: {"weight": weight}, buffers=dict,
                              changed=lambda: told.append(weight[0]))
    average = WeightAverage(network, 0.5)
    weight[0] = 3
    with average.in_place():
        assert told == [1]
    assert told == [1, 3]


def test_a_saved_average_goes_on_to_the_same_bits(rng: np.random.Generator) -> None:
    network = Network(LAYERS, (6, 6, 1))
    one = WeightAverage(network, 0.3)
    stir(network, rng)
    one.update()
    other = WeightAverage(network, 0.3)
    other.load_state({name: array.copy() for name, array in one.state().items()})
    stir(network, rng)
    for average in (one, other):
        average.update()
    for name, array in one.state().items():
        np.testing.assert_array_equal(array, other.state()[name])
    with pytest.raises(ModelError, match="of another network"):
        other.load_state({})
    with pytest.raises(ModelError, match=r"the saved average of linear1\.bias"):
        other.load_state({**one.state(), "linear1.bias": np.zeros(7, np.float32)})
