"""layers/activation.py: conformance of every activation; what each computes is tested in kernels/test_pointwise.py."""

import pytest

from cnncli.errors import NetworkError
from cnncli.layers import LeakyReLU, ReLU, ReLU6, Sigmoid, SiLU, Tanh

from .conformance import check_layer


@pytest.mark.parametrize("layer", [SiLU(), Sigmoid(), Tanh()], ids=repr)
def test_smooth(layer, isa):
    check_layer(layer, (5, 6, 3))


@pytest.mark.parametrize("layer", [ReLU(), ReLU6(), LeakyReLU(0.2)], ids=repr)
def test_kinked(layer, isa):
    # A step across the kink spoils the numeric gradient; test_pointwise.py checks the slopes away from it.
    check_layer(layer, (5, 6, 3), gradients=False)


@pytest.mark.parametrize("slope", [-0.1, float("nan"), "steep", True])
def test_a_bad_slope_is_refused(slope):
    with pytest.raises(NetworkError, match="negative_slope"):
        LeakyReLU(slope)
