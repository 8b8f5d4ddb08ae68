"""layers/norm.py: conformance of BatchNorm2d, its refusals, and its running statistics; what the kernels compute is
tested in kernels/test_norm.py."""

import numpy as np
import pytest

from cnncli.errors import NetworkError
from cnncli.layers import BatchNorm2d

from .conformance import check_layer


@pytest.mark.parametrize("shape", [(4, 5, 1), (3, 4, 6), (5, 3, 17), (12,)], ids=str)
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"scale": False}], ids=str)
def test_conformance(shape, options, isa):
    layer = BatchNorm2d(**options)
    check_layer(layer, shape, batch=4)
    assert set(layer.params) == {"weight", "bias"} - ({"weight"} if options else set()) - (
        {"bias"} if "affine" in options else set())


def test_running_statistics_follow_the_batches(isa, rng):
    layer = BatchNorm2d(momentum=0.25)
    mean, var = np.zeros(5), np.ones(5)
    for _ in range(3):
        x = rng.normal(3, 2, (4, 3, 2, 5)).astype(np.float32)
        layer.forward(x, training=True)
        flat = x.reshape(-1, 5).astype(np.float64)
        mean = 0.75 * mean + 0.25 * flat.mean(0)
        var = 0.75 * var + 0.25 * flat.var(0, ddof=1)
    np.testing.assert_allclose(layer.state["running_mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(layer.state["running_var"], var, rtol=1e-5)
    before = {name: array.copy() for name, array in layer.state.items()}
    layer.forward(x)
    assert all(np.array_equal(before[name], array) for name, array in layer.state.items())


def test_an_image_is_normalised_alike_in_any_batch(isa, rng):
    layer = BatchNorm2d()
    x = rng.standard_normal((7, 5, 3, 6)).astype(np.float32)
    layer.forward(x, training=True)
    together = layer.forward(x)
    alone = np.concatenate([layer.forward(x[i : i + 1]) for i in range(len(x))])
    assert np.array_equal(together, alone)


@pytest.mark.parametrize("shape", [(3, 4, 6), (12,)], ids=str)
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"scale": False}], ids=str)
def test_conformance_with_fixed_statistics(shape, options, isa):
    layer = BatchNorm2d(**options)
    layer.fixed = True
    check_layer(layer, shape, batch=4)
    assert (layer.state["running_mean"] == 0).all()


def test_fixed_statistics_are_used_and_kept_in_training(isa, rng):
    layer = BatchNorm2d()
    layer.forward(rng.normal(3, 2, (4, 3, 2, 5)).astype(np.float32), training=True)
    before = {name: array.copy() for name, array in layer.state.items()}
    layer.fixed, layer._alone = True, None
    x = rng.normal(-1, 3, (1, 1, 1, 5)).astype(np.float32)  # a single value per channel is enough
    assert np.array_equal(layer.forward(x, training=True), layer.forward(x))
    assert all(np.array_equal(before[name], array) for name, array in layer.state.items())


@pytest.mark.parametrize(("init", "first"), [("ones", 1), ("zeros", 0)])
def test_the_weight_begins_as_asked(init, first, rng):
    layer = BatchNorm2d(init=init)
    layer.bind((3, 2, 5))
    layer.initialise(rng)
    assert (layer.params["weight"] == first).all()
    assert (layer.state["running_var"] == 1).all()
    assert BatchNorm2d(**layer.config()).init == init


def test_one_value_per_channel_is_refused():
    with pytest.raises(NetworkError, match="one value per channel"):
        BatchNorm2d().forward(np.ones((1, 4), np.float32), training=True)
    BatchNorm2d().forward(np.ones((1, 4), np.float32))
    BatchNorm2d().forward(np.ones((1, 2, 1, 4), np.float32), training=True)


@pytest.mark.parametrize("options", [dict(num_features=0), dict(eps=-1), dict(momentum=2), dict(momentum=None),
                                     dict(init="two")])
def test_bad_options_are_refused(options):
    with pytest.raises(NetworkError):
        BatchNorm2d(**options)


def test_other_channels_than_promised_are_refused():
    with pytest.raises(NetworkError, match="8 channels"):
        BatchNorm2d(8).output_shape((4, 4, 6))
