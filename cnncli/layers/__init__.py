"""The layers, a family per file. Semantics and defaults are PyTorch's. ``LAYERS`` maps the type names that model
files and TOML architectures use to the classes."""

from .activation import LeakyReLU, ReLU, ReLU6, Sigmoid, SiLU, Tanh
from .base import Buffers, Layer, Shape

LAYERS: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (
        LeakyReLU,
        ReLU,
        ReLU6,
        SiLU,
        Sigmoid,
        Tanh,
    )
}

__all__ = ["LAYERS", "Buffers", "Layer", "LeakyReLU", "ReLU", "ReLU6", "Shape", "SiLU", "Sigmoid", "Tanh"]
