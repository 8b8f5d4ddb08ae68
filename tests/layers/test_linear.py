"""layers/linear.py: conformance, the definition, and what is refused in words."""

import numpy as np
import pytest

from cnncli.errors import NetworkError
from cnncli.layers import Linear

from .conformance import check_layer


@pytest.mark.parametrize("layer", [Linear(None, 10), Linear(40, 33, bias=False), Linear(40, 1)], ids=repr)
def test_conformance(layer, isa):
    check_layer(layer, (40,))


@pytest.mark.parametrize("batch", [1, 2, 13, 64])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (7, 3), (84, 10), (3000, 65), (65, 3000)])
def test_definition(batch, inputs, outputs, isa, rng):
    layer = Linear(inputs, outputs, init="pytorch")
    layer.bind((inputs,))
    layer.initialise(rng)
    weight, bias = layer.params["weight"].astype(np.float64), layer.params["bias"]
    x = rng.standard_normal((batch, inputs)).astype(np.float32)
    dy = rng.standard_normal((batch, outputs)).astype(np.float32)
    np.testing.assert_allclose(layer.forward(x, training=True), x @ weight.T + bias, rtol=0, atol=1e-5)
    np.testing.assert_allclose(layer.backward(dy), dy @ weight, rtol=0, atol=3e-5)
    np.testing.assert_allclose(layer.grads["weight"], dy.T.astype(np.float64) @ x, rtol=0, atol=1e-4)
    np.testing.assert_allclose(layer.grads["bias"], dy.astype(np.float64).sum(0), rtol=0, atol=1e-4)


def test_refusals_name_the_sizes():
    with pytest.raises(NetworkError, match="out_features"):
        Linear(3)
    with pytest.raises(NetworkError, match="takes 3 features, but its input has 4"):
        Linear(3, 2).output_shape((4,))
    with pytest.raises(NetworkError, match="Flatten"):
        Linear(None, 2).output_shape((4, 4, 1))
