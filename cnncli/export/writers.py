"""The table of a format's writers: for each class of layer the one function that writes it there. onnx_layers.py and
calls.py fill one each.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import UsageError
from ..layers import Layer
from ..network import Node

Writer = TypeVar("Writer", bound=Callable[..., Any])


class Writers(dict[type[Layer], Callable[..., Any]]):
    """Class of layer -> its writer. A subclass has a writer of its own or none: it may compute something else."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def of(self, *kinds: type[Layer]) -> Callable[[Writer], Writer]:
        """Enter the function below as the writer of these layers."""
        def enter(writer: Writer) -> Writer:
            self.update(dict.fromkeys(kinds, writer))
            return writer
        return enter

    def for_node(self, node: Node) -> Callable[..., Any]:
        """Return a node's writer. Raises UsageError where its layer has none, as one written in Python."""
        if type(node.layer) not in self:
            kind = type(node.layer).__name__
            raise UsageError(f"the layer {node.name!r} is a {kind}, which {self.form} cannot hold; use only layers of "
                             "cnncli's own.")
        return self[type(node.layer)]
