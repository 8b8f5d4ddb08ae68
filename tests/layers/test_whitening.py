"""layers/whitening.py: conformance but for the weights, which have no gradient; that fitted patches do not correlate;
that training leaves the filters as they are; the layer's config."""

import numpy as np
import pytest

from cnncli.layers import Whitening
from cnncli.network import Network
from cnncli.optim import SGD
from cnncli.training.trainer import Trainer

from .conformance import check_layer


def images(rng, n=60, channels=3):
    """Noise whose pixels correlate with their neighbours and from channel to channel."""
    noise = rng.standard_normal((n, 13, 12, channels))
    noise = noise[:, 1:] + noise[:, :-1]
    return (noise @ rng.standard_normal((channels, channels)) * 2 + 0.1).astype(np.float32)


@pytest.mark.parametrize("shape", [(5, 6, 3), (4, 4, 1)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_conformance(shape, bias, isa):
    layer = Whitening(bias=bias)
    check_layer(layer, shape, batch=4)
    assert layer.grads.keys() == ({"bias"} if bias else set())
    assert layer.output_shape(shape) == (shape[0] - 1, shape[1] - 1, 8 * shape[2])
    assert Whitening(padding="same").output_shape(shape) == (*shape[:2], 8 * shape[2])


@pytest.mark.parametrize("channels", [1, 3])
def test_patches_of_the_images_it_was_fitted_to_do_not_correlate(channels, rng):
    x = images(rng, channels=channels)
    layer = Whitening(kernel_size=(2, 2))
    layer.bind(x.shape[1:])
    layer.fit(x)
    size = 4 * channels
    y = layer.forward(x).reshape(-1, 2 * size).astype(np.float64)
    products = y.T @ y / len(y)
    np.testing.assert_allclose(products[:size, :size], np.eye(size), atol=5e-3)
    np.testing.assert_allclose(y[:, size:], -y[:, :size], atol=1e-5)


def test_filters_do_not_depend_on_the_signs_that_eigenvectors_happen_to_have(rng, monkeypatch):
    x, filters, eigh = images(rng), [], np.linalg.eigh
    for sign in (1, -1):
        monkeypatch.setattr(np.linalg, "eigh", lambda a, sign=sign: (eigh(a)[0], sign * eigh(a)[1]))
        layer = Whitening()
        layer.bind(x.shape[1:])
        layer.fit(x)
        filters.append(layer.params["weight"].copy())
    assert np.array_equal(*filters)


def test_a_constant_image_gives_finite_filters():
    layer = Whitening()
    layer.bind((4, 4, 1))
    layer.fit(np.zeros((3, 4, 4, 1), np.float32))
    assert np.isfinite(layer.params["weight"]).all()


@pytest.mark.parametrize("bias", [True, False])
def test_training_leaves_the_filters_alone(bias, rng):
    network = Network([{"type": "Whitening", "name": "whiten", "bias": bias}, {"type": "ReLU"},
                       {"type": "GlobalAvgPool2d"}, {"type": "Linear", "out_features": 3, "name": "fc"}], (6, 5, 3))
    before = {name: array.copy() for name, array in network.parameters().items()}
    assert network.gradients().keys() == before.keys() - {"whiten.weight"}
    trainer = Trainer(network, SGD(0.1, momentum=0.9, weight_decay=0.1))
    for _ in range(3):
        trainer.step(rng.standard_normal((8, 6, 5, 3)).astype(np.float32), np.arange(8) % 3)
    changed = {name for name, array in network.parameters().items() if not np.array_equal(array, before[name])}
    assert changed == before.keys() - {"whiten.weight"}


def test_the_first_filters_are_at_right_angles(rng):
    network = Network([{"type": "Whitening"}, {"type": "Flatten"}, {"type": "Linear", "out_features": 2}], (4, 4, 3))
    filters = network.nodes[0].layer.params["weight"].reshape(24, 12)
    np.testing.assert_allclose(filters[:12] @ filters[:12].T, np.eye(12), atol=1e-6)
    assert Network.from_config(network.config()).config() == network.config()
