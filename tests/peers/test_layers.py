"""Every layer against its PyTorch module: forward in training and in evaluation, both gradients, running statistics,
on every instruction set."""

import numpy as np
import pytest
import torch

from cnncli.layers import LAYERS

from .compare import compare
from .mirror import PEERS, mirror

IMAGE, FLAT = (9, 11, 4), (13,)
CONV = {"out_channels": 6}
CASES = [
    *(("Conv2d", {**CONV, **options}, [shape]) for options, shape in [
        ({"kernel_size": 3}, IMAGE),
        ({"kernel_size": 3, "padding": 1}, (16, 16, 32)),
        ({"kernel_size": 3, "padding": 1, "out_channels": 40}, (14, 15, 33)),
        ({"kernel_size": 1, "bias": False}, IMAGE),
        ({"kernel_size": 1, "stride": 2}, (12, 12, 16)),
        ({"kernel_size": [3, 5], "padding": [2, 1]}, IMAGE),
        ({"kernel_size": [1, 4], "stride": [1, 3]}, IMAGE),
        ({"kernel_size": 5, "stride": 2, "padding": 2}, IMAGE),
        ({"kernel_size": 7, "stride": 2, "padding": 3}, (20, 20, 3)),
        ({"kernel_size": 3, "dilation": 2, "padding": 2}, IMAGE),
        ({"kernel_size": 3, "dilation": [1, 3], "stride": [2, 1], "padding": [0, 3]}, IMAGE),
        ({"kernel_size": 2, "padding": 1, "stride": 3}, IMAGE),
        ({"kernel_size": 3, "padding": [1, 0, 2, 1]}, IMAGE),
        ({"kernel_size": 3, "padding": "valid"}, IMAGE),
        ({"kernel_size": [3, 5], "padding": "same"}, IMAGE),
        ({"kernel_size": 3, "dilation": 2, "padding": "same"}, IMAGE),
        ({"kernel_size": 3, "stride": 2, "padding": "same_tf"}, IMAGE),
        ({"kernel_size": 3, "stride": 2, "padding": "same_tf"}, (8, 10, 4)),
        ({"kernel_size": [4, 2], "stride": [3, 2], "padding": "same_tf"}, IMAGE),
        ({"kernel_size": 3, "groups": 2, "padding": 1}, IMAGE),
        ({"kernel_size": 3, "groups": 4, "out_channels": 4, "padding": 1, "bias": False}, IMAGE),
        ({"kernel_size": 5, "groups": 4, "out_channels": 8, "padding": 2, "stride": 2}, IMAGE),
        ({"kernel_size": 3, "groups": 24, "out_channels": 24, "padding": 1, "dilation": 2}, (9, 9, 24)),
        ({"kernel_size": [9, 11]}, IMAGE),
        ({"kernel_size": 3, "padding": 1, "out_channels": 1}, (1, 1, 1)),
    ]),
    *(("MaxPool2d", options, [IMAGE]) for options in [
        {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": [2, 3], "stride": [1, 2]},
        {"kernel_size": 3, "stride": 2, "ceil_mode": True}, {"kernel_size": 3, "dilation": 2, "stride": 1},
        {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
    ]),
    *(("AvgPool2d", options, [IMAGE]) for options in [
        {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}, {"kernel_size": [2, 3]},
        {"kernel_size": 3, "stride": 2, "ceil_mode": True},
        {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True, "count_include_pad": False},
    ]),
    *(("LPPool2d", options, [IMAGE]) for options in [
        {"norm_type": 2, "kernel_size": 2}, {"norm_type": 2, "kernel_size": 3, "stride": 2},
        {"norm_type": 4, "kernel_size": [2, 3], "stride": 1}, {"norm_type": 2, "kernel_size": 2, "ceil_mode": True},
    ]),
    ("GlobalAvgPool2d", {}, [IMAGE]),
    *(("AdaptiveAvgPool2d", {"output_size": size}, [IMAGE]) for size in [[7, 7], [3, 11], [12, 5]]),
    *(("BatchNorm2d", options, [shape]) for options in [
        {}, {"eps": 1e-3, "momentum": 0.3}, {"affine": False}, {"scale": False}]
      for shape in (IMAGE, FLAT, (9, 9, 64), (33,))),
    *(("Linear", options, [shape]) for options, shape in [
        ({"out_features": 10}, FLAT), ({"out_features": 1, "bias": False}, FLAT), ({"out_features": 100}, (1, )),
        ({"out_features": 130}, (400,))]),
    *((name, {}, [shape]) for name in ("ReLU", "ReLU6", "LeakyReLU", "SiLU", "Sigmoid", "Tanh", "Softmax", "Flatten")
      for shape in (IMAGE, FLAT)),
    ("LeakyReLU", {"negative_slope": 0.2}, [IMAGE]),
    ("Scale", {"factor": -0.3}, [IMAGE]),
    *(("Whitening", options, [IMAGE]) for options in ({}, {"padding": "same", "bias": False}, {"kernel_size": 3})),
    ("Dropout", {"p": 0.0}, [IMAGE]),
    *(("Add", {}, [shape] * inputs) for inputs in (2, 3) for shape in (IMAGE, FLAT)),
    ("Concat", {}, [IMAGE, (9, 11, 1), (9, 11, 7)]),
    ("Concat", {}, [FLAT, (5,)]),
]


def test_every_layer_has_a_case():
    assert LAYERS.keys() == PEERS.keys() == {name for name, _, _ in CASES}


def describe(value):
    return value if isinstance(value, str) else "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(
        value, dict) else "x".join(map(str, value[0])) + (f"x{len(value)}" if len(value) > 1 else "")


@pytest.mark.parametrize(("name", "options", "shapes"), CASES, ids=describe)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_layer(name, options, shapes, isa, rng):
    layer = LAYERS[name](**options)
    layer.bind(*shapes)
    layer.initialise(rng)
    for array in layer.params.values():
        array[...] = rng.standard_normal(array.shape)
    for array in layer.state.values():
        array[...] = rng.random(array.shape) + 0.5
    module = mirror(layer, shapes[0])
    x = [(2 * rng.standard_normal((5, *shape))).astype(np.float32) for shape in shapes]
    compare(layer, module, x, rng)


@pytest.mark.parametrize("name", ["ReLU", "ReLU6", "LeakyReLU", "SiLU", "Sigmoid", "Tanh", "Softmax"])
def test_extreme_values(name, isa):
    x = np.array([[0, 1e-30, -1e-30, 5.9, 6.1, 20, -20, 88, -88, 1e4, -1e4, 3e38, -3e38]], np.float32)
    ours, theirs = LAYERS[name]().forward(x), PEERS[name]({} if name != "LeakyReLU" else {"negative_slope": 0.01},
                                                          x.shape[1:])(torch.from_numpy(x)).numpy()
    # Denormals are flushed to zero in our threads.
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-37)


def test_dropout_in_evaluation_changes_nothing(rng):
    x = rng.standard_normal((2, *IMAGE)).astype(np.float32)
    assert np.array_equal(LAYERS["Dropout"](0.5).forward(x), x)
