"""A tiny network with numbers drawn, `asked(...)` of three images by it, and what autograd would be: slopes taken one
value at a time, in float64, by a network in plain NumPy."""

from collections.abc import Callable

import numpy as np
import pytest

from cnncli import Model, Network, Preprocessing
from cnncli.explain.look import Look
from cnncli.explain.methods import Asked
from cnncli.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU

SIZE, CLASSES, LAYER = (12, 10), 5, "relu2"


def tiny(channels: int = 3, seed: int = 4) -> Network:
    """Its last positions are 4 x 3, two pixels apart, of eight channels, one of them never on."""
    network = Network([Conv2d(None, 6, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(None, 8, 3), ReLU(), Flatten(),
                       Linear(None, CLASSES)], (*SIZE, channels), seed=seed)
    biases = network.parameters()
    biases["conv2.bias"][...] = np.linspace(-0.2, 0.2, 8)
    biases["conv2.bias"][5] = -100
    biases["linear1.bias"][...] = np.linspace(-0.3, 0.3, CLASSES)
    return network


def model_of(network: Network) -> Model:
    shape = network.input_shape
    return Model(network, [f"class {i}" for i in range(network.output_shape[0])],
                 Preprocessing((shape[0], shape[1]), grey=shape[2] == 1))


def asked_of(network: Network, layer: str, images: np.ndarray, targets: list[int], seed: int = 0) -> Asked:
    return Asked(model_of(network), Look(network, layer), images, np.array(targets), seed)


def images_for(network: Network, n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, *network.input_shape)).astype(np.float32)


@pytest.fixture
def asked() -> Callable[..., Asked]:
    """`asked(n=3, targets=[1, 4, 2], seed=0, channels=3)`"""
    def make(n: int = 3, targets: tuple[int, ...] = (1, 4, 2), seed: int = 0, channels: int = 3) -> Asked:
        network = tiny(channels)
        return asked_of(network, LAYER, images_for(network, n), list(targets), seed)
    return make


# ---- the network behind the layer, by hand: one Linear over what lies at the positions ----


def by_hand(asked: Asked, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return what the layer yields and its gradient, from the Linear's weights alone: float64 (n, rows, columns, k)."""
    values = asked.model.network.activations(asked.images, [LAYER])[LAYER].astype(np.float64)
    matrix = asked.model.network.parameters()["linear1.weight"].astype(np.float64)
    weights = np.eye(CLASSES)[asked.targets] if weights is None else weights
    return values, (weights @ matrix).reshape(values.shape)


def logits_of(asked: Asked, images: np.ndarray) -> np.ndarray:
    return asked.model.network.forward(np.ascontiguousarray(images, np.float32)).astype(np.float64)
