"""Every layer with its options and shapes: the one register that the tests of layers, of their determinism, of exports,
of the peers, of the golden model and the benchmark of all layers go through. A new layer gets its cases here.
"""

from typing import Any

from cnncli.layers import LAYERS, Layer

# cnncli's own, whatever other tests define.
OURS: dict[str, type[Layer]] = {name: kind for name, kind in LAYERS.items() if kind.__module__.startswith("cnncli.")}

# (type, options, shapes of the inputs)
IMAGE, FLAT = (9, 11, 4), (13,)
CONV: dict[str, Any] = {"out_channels": 6}
CONVOLUTIONS: list[Any] = [
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
]
CASES: list[Any] = [
    *(("Conv2d", CONV | options, [shape]) for options, shape in CONVOLUTIONS),
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
# A step across a kink spoils a numeric gradient; the kernels' tests check these away from it.
KINKED = {"LeakyReLU", "MaxPool2d", "ReLU", "ReLU6"}

# Arrays that are cut into several pieces of work, 76,849 values an image: five pieces of pointwise work, three chunks
# of batch normalisation, two blocks of pooled channels. A layer that is not here gets its first case's options.
LARGE_IMAGE = (37, 31, 67)
SMALL = (17, 15, 33)
LARGE: dict[str, tuple[str, dict[str, Any], list[tuple[int, ...]]]] = {
    "Concat": ("Concat", {}, [LARGE_IMAGE, (37, 31, 5)]),
    "Conv2d": ("Conv2d", {"out_channels": 37, "kernel_size": 3, "padding": 1}, [SMALL]),
    "Conv2d strided": ("Conv2d", {"out_channels": 37, "kernel_size": 3, "stride": 2, "padding": 1}, [SMALL]),
    "Conv2d 1 x 1": ("Conv2d", {"out_channels": 129, "kernel_size": 1}, [SMALL]),
    "Conv2d of few channels": ("Conv2d", {"out_channels": 5, "kernel_size": [5, 3]}, [(37, 31, 3)]),
    "Conv2d in groups": ("Conv2d", {"out_channels": 22, "kernel_size": 3, "padding": 1, "groups": 11}, [SMALL]),
    "Conv2d depthwise": ("Conv2d", {"out_channels": 67, "kernel_size": 3, "padding": 1, "groups": 67}, [LARGE_IMAGE]),
    "Dropout": ("Dropout", {}, [LARGE_IMAGE]),
    "AvgPool2d": ("AvgPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}, [LARGE_IMAGE]),
    "LPPool2d": ("LPPool2d", {"norm_type": 2, "kernel_size": 3, "stride": 2}, [LARGE_IMAGE]),
    "Linear": ("Linear", {"out_features": 301}, [(2051,)]),
    "MaxPool2d": ("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}, [LARGE_IMAGE]),
    "Whitening": ("Whitening", {}, [(37, 31, 3)]),
}
LARGE |= {name: (name, options, [LARGE_IMAGE] * len(shapes)) for name, options, shapes in reversed(CASES)
          if name not in LARGE}


def first(name: str) -> tuple[dict[str, Any], list[tuple[int, ...]]]:
    """Return the options and shapes of a layer's first case."""
    return next((options, shapes) for kind, options, shapes in CASES if kind == name)
