"""A small notation for writing architectures: each method adds one layer to a list of descriptions and returns the
layer's name, so that a later layer can take it as input. Network (network.py) makes a network of the list.
"""

from typing import Any

Description = dict[str, Any]


class Builder:
    """Collects layer descriptions; ``last`` is the name that the next layer takes as its input by default."""

    def __init__(self) -> None:
        self.layers: list[Description] = []
        self.last = "input"

    def add(self, kind: str, name: str, inputs: list[str] | None = None, **options: Any) -> str:
        """Append a layer of that type, after the last one unless inputs are given; return its name."""
        self.layers.append({"type": kind, "name": name, "inputs": inputs or [self.last], **options})
        self.last = name
        return name

    def conv(self, name: str, channels: int, kernel: int, **options: Any) -> str:
        """Append a Conv2d; stride, padding, bias … as options."""
        return self.add("Conv2d", name, out_channels=channels, kernel_size=kernel, **options)

    def conv_bn(self, conv: str, bn: str, channels: int, kernel: int, **options: Any) -> str:
        """Append a convolution without bias and the batch norm that makes the bias superfluous."""
        self.conv(conv, channels, kernel, bias=False, **options)
        return self.add("BatchNorm2d", bn)

    def relu(self, name: str) -> str:
        """Append a ReLU."""
        return self.add("ReLU", name)
