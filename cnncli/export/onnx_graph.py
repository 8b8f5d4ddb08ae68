"""The nodes and constants of an ONNX graph as they are collected, before onnx.py makes a file of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels import Array


class Graph:
    """Nodes and constants as they are collected; ``add`` returns the name of what a node yields."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}

    def add(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Append a node that yields ``name``."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: Any, dtype: Any = np.float32) -> str:
        """Add a constant and return its name."""
        self.constants[name] = np.ascontiguousarray(np.asarray(array), dtype).reshape(np.shape(array))
        return name
