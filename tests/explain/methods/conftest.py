"""A tiny network with numbers drawn, `asked(...)` of images by it, and `Plain`, the same network in float64 and plain
NumPy, which knows the rules of going back that the definitions of methods are written in."""

from collections.abc import Callable

import numpy as np
import pytest

from cnncli import Model, Network
from cnncli.data.preprocessing import Preprocessing
from cnncli.explain.look import Look
from cnncli.explain.methods import Asked
from cnncli.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU

SIZE, CLASSES, LAYER = (12, 10), 5, "relu2"


def tiny(channels: int = 3) -> Network:
    """Its last positions are 4 x 3, two pixels apart, of eight channels, one of them never on."""
    network = Network([Conv2d(None, 6, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(None, 8, 3), ReLU(), Flatten(),
                       Linear(None, CLASSES)], (*SIZE, channels), seed=4)
    numbers = network.parameters()
    numbers["conv2.bias"][...] = np.linspace(-0.2, 0.2, 8)
    numbers["conv2.bias"][5] = -100
    numbers["linear1.bias"][...] = np.linspace(-0.3, 0.3, CLASSES)
    return network


def model_of(network: Network) -> Model:
    h, w, c = network.input_shape
    return Model(network, [f"class {i}" for i in range(network.output_shape[0])], Preprocessing((h, w), grey=c == 1))


def asked_of(network: Network, layer: str, images: np.ndarray, targets: list[int], seed: int = 0) -> Asked:
    return Asked(model_of(network), Look(network, layer), images, np.array(targets), seed)


def drawn_images(network: Network, n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, *network.input_shape)).astype(np.float32)


@pytest.fixture
def asked() -> Callable[..., Asked]:
    """`asked(targets=(1, 4, 2), seed=0, channels=3)`"""
    def make(targets: tuple[int, ...] = (1, 4, 2), seed: int = 0, channels: int = 3) -> Asked:
        network = tiny(channels)
        return asked_of(network, LAYER, drawn_images(network, len(targets)), list(targets), seed)
    return make


class Plain:
    """The tiny network by its definition. rule takes (gradient, input) of a ReLU to the gradient that goes on."""

    def __init__(self, network: Network) -> None:
        self.numbers = {name: array.astype(np.float64) for name, array in network.parameters().items()}

    def before(self, images: np.ndarray) -> np.ndarray:
        """Return what relu2 yields, and keep what going back needs."""
        self._sums = [self._conv("conv1", np.pad(images.astype(np.float64), [(0, 0), (1, 1), (1, 1), (0, 0)]))]
        n, h, w, c = self._sums[0].shape
        blocks = np.maximum(self._sums[0], 0).reshape(n, h // 2, 2, w // 2, 2, c)
        pooled = blocks.max(axis=(2, 4))
        first = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // 2, w // 2, 4, c).argmax(axis=3)
        self._switches = np.eye(4)[first].transpose(0, 1, 2, 4, 3)  # n, y, x, which of the four, channel
        self._sums.append(self._conv("conv2", pooled))
        return np.maximum(self._sums[1], 0)

    def logits(self, images: np.ndarray) -> np.ndarray:
        flat = self.before(images).transpose(0, 3, 1, 2).reshape(len(images), -1)
        return flat @ self.numbers["linear1.weight"].T + self.numbers["linear1.bias"]

    def by_layer(self, weights: np.ndarray) -> np.ndarray:
        n, h, w, c = self._sums[1].shape
        return (weights @ self.numbers["linear1.weight"]).reshape(n, c, h, w).transpose(0, 2, 3, 1)

    def by_image(self, weights: np.ndarray, rule=lambda gradient, x: gradient * (x > 0)) -> np.ndarray:
        gradient = self._conv_back("conv2", rule(self.by_layer(weights), self._sums[1]))
        n, h, w, c = gradient.shape
        each = (gradient[:, :, :, None] * self._switches).reshape(n, h, w, 2, 2, c)
        unpooled = each.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, c)
        return self._conv_back("conv1", rule(unpooled, self._sums[0]))[:, 1:-1, 1:-1]

    def _conv(self, name: str, x: np.ndarray) -> np.ndarray:
        _, h, w, _ = x.shape
        kernel = self.numbers[f"{name}.weight"]
        return self.numbers[f"{name}.bias"] + sum(x[:, i : h - 2 + i, j : w - 2 + j] @ kernel[:, :, i, j].T
                                                 for i in range(3) for j in range(3))

    def _conv_back(self, name: str, gradient: np.ndarray) -> np.ndarray:
        n, h, w, _ = gradient.shape
        kernel = self.numbers[f"{name}.weight"]
        found = np.zeros((n, h + 2, w + 2, kernel.shape[1]))
        for i in range(3):
            for j in range(3):
                found[:, i : h + i, j : w + j] += gradient @ kernel[:, :, i, j]
        return found


def picks(asked: Asked) -> np.ndarray:
    return np.eye(CLASSES)[asked.targets]


def close(found: np.ndarray, wanted: np.ndarray, part: float = 1e-5) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=0, atol=part * np.abs(wanted).max())
