"""Every layer against its PyTorch module: forward in training and in evaluation, both gradients, running statistics,
on every instruction set."""

import numpy as np
import pytest
import torch

from cnncli.layers import LAYERS
from tests.layers.cases import CASES, IMAGE

from .compare import compare
from .mirror import PEERS, mirror


def describe(value):
    return value if isinstance(value, str) else "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(
        value, dict) else "x".join(map(str, value[0])) + (f"x{len(value)}" if len(value) > 1 else "")


@pytest.mark.parametrize(("name", "options", "shapes"), CASES, ids=describe)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_layer(name, options, shapes, isa, rng):
    layer = LAYERS[name](**options)
    layer.bind(*shapes)
    layer.initialise(rng)
    for array in layer.params.values():
        array[...] = rng.standard_normal(array.shape)
    for array in layer.state.values():
        array[...] = rng.random(array.shape) + 0.5
    module = mirror(layer, shapes[0])
    x = [(2 * rng.standard_normal((5, *shape))).astype(np.float32) for shape in shapes]
    compare(layer, module, x, rng)


@pytest.mark.parametrize("name", ["ReLU", "ReLU6", "LeakyReLU", "SiLU", "Sigmoid", "Tanh", "Softmax"])
def test_extreme_values(name, isa):
    x = np.array([[0, 1e-30, -1e-30, 5.9, 6.1, 20, -20, 88, -88, 1e4, -1e4, 3e38, -3e38]], np.float32)
    ours, theirs = LAYERS[name]().forward(x), PEERS[name]({} if name != "LeakyReLU" else {"negative_slope": 0.01},
                                                          x.shape[1:])(torch.from_numpy(x)).numpy()
    # Denormals are flushed to zero in our threads.
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-37)


def test_dropout_in_evaluation_changes_nothing(rng):
    x = rng.standard_normal((2, *IMAGE)).astype(np.float32)
    assert np.array_equal(LAYERS["Dropout"](0.5).forward(x), x)
