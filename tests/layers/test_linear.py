"""layers/linear.py: conformance, the definition, and what is refused in words."""

import numpy as np
import pytest

from cnncli.errors import NetworkError
from cnncli.layers import Conv2d, Linear

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
    with pytest.raises(NetworkError, match="takes 3 features, but its input has 4"):
        Linear(3, 2).output_shape((4,))
    with pytest.raises(NetworkError, match="Flatten"):
        Linear(None, 2).output_shape((4, 4, 1))


@pytest.mark.parametrize(("make", "sentence"), [
    (lambda: Linear(3), "Linear has in_features=3 but no out_features; give out_features=3 in its place, because "
                        "in_features is taken from the input."),
    (lambda: Conv2d(np.int64(16)), "Conv2d has in_channels=16 but no out_channels; give out_channels=16 in its place, "
                                   "because in_channels is taken from the input."),
    (Conv2d, "Conv2d has no out_channels; give a number, such as out_channels=10."),
    (lambda: Linear(3, -1), "out_features must be a whole number of at least 1, not -1."),
    (lambda: Linear(3, False), "out_features must be a whole number of at least 1, not False.")])
def test_outputs_that_were_not_given(make, sentence):
    """What is taken for a number of outputs, because they are what must be given, is the size of the input."""
    with pytest.raises(NetworkError) as refused:
        make()
    assert str(refused.value) == sentence
