"""A network's graph and how it computes: the settings that others switch. Its numbers and the ways to run it are in
network.py.
"""

import numpy as np

from ..errors import UsageError, no_such
from ..kernels import Array, way
from ..layers import Shape
from .graph import Graph, Node
from .int8_plan import Int8Plans, Quantisation
from .packing import Packing
from .plan import Plan, Plans
from .storage import PRECISIONS
from .turn import Turn


class Settings:
    """A graph of layers, the settings of how it computes, and the plans that are made for them."""

    def _begin_settings(self, graph: Graph) -> None:
        self._graph = graph
        self.clock: Array = np.zeros(2, np.uint64)  # (seed, step): what dropout draws from
        self._exact, self._fixed, self._precision = False, False, PRECISIONS[0]
        self._int8: Int8Plans | None = None
        self._turn = Turn()  # a plan has one memory for all threads
        self._packing = Packing()
        self._plans: Plans[Plan] = Plans()
        self._way: tuple[int, int] | None = None  # what plans in bfloat16 were made for

    def _take_settings(self, whole: "Settings", behind: str | None) -> None:
        """Compute as a network does of which this is a part: all that follows a layer, or what leads to one."""
        self.quantisation = whole.quantisation and whole.quantisation.part(behind)
        self._exact, self._fixed, self._precision = whole._exact, whole._fixed, whole._precision

    def _begin_anew(self) -> None:
        """Forget all plans, and what they share."""
        self._packing = Packing()
        self._plans.clear()

    def _follow_words(self) -> None:
        """Forget plans in bfloat16 that were made for other instructions than are in use now; tests change these."""
        if self._precision != "float32" and self._way != way():
            self._begin_anew()
            self._way = way()

    @property
    def nodes(self) -> list[Node]:
        """The layers in order, each as a node: its name, layer, inputs and shape."""
        return list(self._graph.nodes)

    @property
    def input_shape(self) -> Shape:
        """The shape of one image: (h, w, c), or (features,) for the second part of a split."""
        return self._graph.input_shape

    @property
    def exact(self) -> bool:
        """Whether convolutions never use Winograd's algorithm. False at first; may be set."""
        return self._exact

    @exact.setter
    def exact(self, exact: bool) -> None:
        if exact == self._exact:
            return
        with self._turn:
            self._exact = exact
            for node in self.nodes:
                node.layer.exact = exact
            self._begin_anew()
            self.quantisation = self.quantisation  # with new plans

    @property
    def precision(self) -> str:
        """How activations and their gradients are stored: "float32", as at first, or "bfloat16". May be set."""
        return self._precision

    @precision.setter
    def precision(self, precision: str) -> None:
        if precision not in PRECISIONS:
            raise UsageError(no_such("precision", precision, PRECISIONS, f"give {' or '.join(PRECISIONS)}"))
        if precision != "float32" and self._int8:
            raise UsageError("a quantised network computes in whole numbers, not in bfloat16; take the model that it "
                             "was made of.")
        if precision != self._precision:
            with self._turn:
                self._precision = precision
                self._begin_anew()

    @property
    def fixed_statistics(self) -> bool:
        """Whether batch norms use their running statistics in training, too. False at first; may be set."""
        return self._fixed

    @fixed_statistics.setter
    def fixed_statistics(self, fixed: bool) -> None:
        if fixed == self._fixed:
            return
        self._fixed = fixed
        for node in self.nodes:
            if node.layer.normalises:
                node.layer.fixed = fixed
        self._plans.clear()

    @property
    def quantisation(self) -> Quantisation | None:
        """How ``forward`` computes in whole numbers, in evaluation. None: it does not, as at first. May be set.

        The weights stay floats, of which whole numbers are made once.
        """
        return self._int8.quantisation if self._int8 else None

    @quantisation.setter
    def quantisation(self, quantisation: Quantisation | None) -> None:
        given = self.nodes, self.input_shape, self.clock, self._packing
        self._int8 = Int8Plans(quantisation, *given) if quantisation else None
