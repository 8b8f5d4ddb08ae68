"""Networks that are looked into: `network(name)` with every number drawn, batch norms' statistics too; and ``home``, a
small trained run in a folder of its own."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from cnncli.architectures import architecture
from cnncli.network import Network

from ..trained import home, trained
from ..words import words

__all__ = ["home", "network", "trained", "words"]
SHAPES = {"lenet5": (28, 28, 1), "resnet18": (64, 64, 3), "efficientnet_lite0": (64, 64, 3)}


@cache
def drawn(name: str) -> Network:
    """An architecture for five classes with numbers that a training might have come to."""
    network = architecture(name, SHAPES.get(name, (32, 32, 3)), 5, seed=1)
    rng = np.random.default_rng(2)
    for key, array in network.buffers().items():
        array[...] = rng.uniform(0.5, 1.5, array.shape) if key.endswith("var") else rng.normal(0, 0.1, array.shape)
    return network


@pytest.fixture
def network() -> Callable[[str], Network]:
    return drawn
