"""Networks that have every layer with every way of its windows, for whatever writes networks for others."""

from typing import Any

import numpy as np

from cnncli.data import Preprocessing
from cnncli.model import Model
from cnncli.network import Network
from tests.layers.cases import OURS, first

CONV: dict[str, Any] = {"type": "Conv2d", "out_channels": 5}
CASES: list[list[dict[str, Any]]] = [
    [{**CONV, "kernel_size": [3, 2], "stride": [1, 2], "padding": [1, 0, 2, 1], "dilation": [2, 1]}],
    [{**CONV, "padding": "same_tf", "stride": 2}],
    [{**CONV, "padding": "same", "kernel_size": 4}],
    [{**CONV, "out_channels": 6, "groups": 3, "bias": False}, {"type": "BatchNorm2d", "scale": False}],
    [{"type": "BatchNorm2d", "affine": False}, {"type": "Tanh"}],
    [{"type": "Whitening", "padding": "same"}, {"type": "Sigmoid"}],
    *([{"type": "MaxPool2d", **windows}] for windows in (
        {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2, "ceil_mode": True},
        {"kernel_size": 3, "stride": 2, "ceil_mode": True, "padding": 1},
        {"kernel_size": 2, "dilation": 3, "stride": 2},
        {"kernel_size": 2, "dilation": 3, "stride": 3, "ceil_mode": True, "padding": 1})),
    *([{"type": "AvgPool2d", **windows}] for windows in (
        {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": [2, 3], "ceil_mode": True},
        {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
        {"kernel_size": 3, "stride": 2, "ceil_mode": True, "padding": 1},
        {"kernel_size": 4, "stride": 3, "ceil_mode": True, "count_include_pad": False})),
    *([{"type": "ReLU"}, {"type": "LPPool2d", **windows}] for windows in (
        {"norm_type": 2, "kernel_size": 2}, {"norm_type": 3, "kernel_size": 3, "stride": 2, "ceil_mode": True},
        {"norm_type": 1, "kernel_size": 2, "ceil_mode": True})),
    [{"type": "LPPool2d", "norm_type": 2, "kernel_size": 2}],
    [{"type": "AdaptiveAvgPool2d", "output_size": [3, 7]}],
    [{"type": "AdaptiveAvgPool2d", "output_size": [11, 2]}, {"type": "SiLU"}],
    [{"type": "LeakyReLU", "negative_slope": 0.2, "name": "a"}, {"type": "ReLU6", "inputs": ["input"], "name": "b"},
     {"type": "Add", "inputs": ["a", "b", "input"]}],
    [{**CONV, "name": "a"}, {"type": "MaxPool2d", "kernel_size": 3, "stride": 1, "inputs": ["input"], "name": "b"},
     {"type": "Concat", "inputs": ["a", "b"]}, {"type": "Softmax"}],
    [{"type": "Dropout"}, {"type": "Scale", "factor": -0.5}, {"type": "GlobalAvgPool2d"}, {"type": "BatchNorm2d"},
     {"type": "SiLU"}],
]


# Whoever is left out has the first case of tests/layers/cases.py.
_HERE = {layer["type"] for layers in CASES for layer in layers} | {"Flatten", "Linear"}
CASES += [[{"type": name, **first(name)[0]}] for name in sorted(OURS.keys() - _HERE)]


def model_of(network: Network, rng: np.random.Generator) -> Model:
    """The model with weights and statistics that leave nothing at 0 or 1."""
    for name, array in {**network.parameters(), **network.buffers()}.items():
        if name.endswith("running_var"):
            array[...] = rng.uniform(0.5, 2, array.shape)
        elif array.ndim == 1:
            array[...] = rng.uniform(-0.5, 1, array.shape)
    h, w, c = network.input_shape
    how = Preprocessing((h, w), c == 1, mean=(0.4, 0.5, 0.45)[:c], std=(0.2, 0.3, 0.25)[:c])
    return Model(network, [f"class {i}" for i in range(network.output_shape[0])], how)


def network_of(layers: list[dict[str, Any]], shape: tuple[int, int, int]) -> Network:
    """A case as a classifier of four classes."""
    flat = len(Network(layers, shape).output_shape) == 1
    return Network([*layers, *([] if flat else [{"type": "Flatten"}]), {"type": "Linear", "out_features": 4}], shape)


def name_of(layers: list[dict[str, Any]]) -> str:
    """What a test of it is called."""
    return "-".join(layer["type"] for layer in layers)
