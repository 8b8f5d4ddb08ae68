"""The layers, a family per file. Semantics and defaults are PyTorch's. ``LAYERS`` maps the type names that model
files and TOML architectures use to the classes.

What may not be here: anything that knows of a layer's neighbours (network/).
"""

from .activation import Activation, LeakyReLU, ReLU, ReLU6, Sigmoid, SiLU, Tanh
from .base import Buffers, Layer, Shape
from .combine import Add, Concat
from .conv import Conv2d
from .dropout import Dropout
from .flatten import Flatten
from .linear import Linear
from .norm import BatchNorm2d
from .pool import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, LPPool2d, MaxPool2d
from .scale import Scale
from .softmax import Softmax
from .whitening import Whitening

LAYERS: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (
        AdaptiveAvgPool2d,
        Add,
        AvgPool2d,
        BatchNorm2d,
        Concat,
        Dropout,
        Flatten,
        GlobalAvgPool2d,
        LPPool2d,
        LeakyReLU,
        MaxPool2d,
        Conv2d,
        Linear,
        ReLU,
        ReLU6,
        Scale,
        SiLU,
        Sigmoid,
        Softmax,
        Tanh,
        Whitening,
    )
}

__all__ = [
    "LAYERS",
    "Activation",
    "AdaptiveAvgPool2d",
    "Add",
    "AvgPool2d",
    "BatchNorm2d",
    "Buffers",
    "Concat",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "LPPool2d",
    "Layer",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "ReLU",
    "ReLU6",
    "Scale",
    "Shape",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Whitening",
]
