"""Quantised models without a training: any network, its ranges chosen by noise."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnncli.layers.int8 import whole_weights
from cnncli.model import Model
from cnncli.model.int8_file import real_weights
from cnncli.network import Network
from cnncli.quantising.choosing import quantisation_of, without
from cnncli.quantising.folding import folded
from cnncli.quantising.observing import observe

from .cases import model_of


def quantised(network: Network, rng: np.random.Generator, floats: Sequence[str] = ()) -> Model:
    """Return the network as a quantised model, some of its layers left in float32."""
    model = model_of(network, rng)
    model.network = folded(network)
    images = model.preprocessing.normalise(noise(model, 8, rng))
    found = observe(model.network, lambda: iter([images]))
    chosen = without(quantisation_of(model.network, found, "99.9 % of the values"), floats)
    for name, scales in chosen.scales.items():
        weight = model.network.node(name).layer.params["weight"]
        weight[...] = real_weights(whole_weights(weight, scales), scales)
    model.network.changed()
    model.network.quantisation = chosen
    return model


def noise(model: Model, count: int, rng: np.random.Generator) -> Any:
    """Return images of the model's size, some of them of one colour here and there, some dark."""
    h, w, c = model.preprocessing.shape
    images = rng.integers(0, 256, (count, h, w, c), dtype=np.uint8)
    images[::3, : h // 2] = images[::3, :1, :1]
    images[1::4] //= 5
    return images
