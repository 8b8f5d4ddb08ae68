"""How a plan stores its values: as float32, or in bfloat16 precision its maps (h, w, c) as bfloat16, half as large.
Vectors of features stay float32, and so do images that come in, where the layers that read them take that. Layers whose
kernels read bfloat16 get the arrays as they are. Around all others stand calls that expand what they read to float32
and round what they yield (``Stages``), in memory that is there for that one step.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from ..kernels import BFLOAT16, Array, Call, bf16_expand, bf16_round
from ..layers import Buffers, Layer, Shape
from .arena import Arena, Tensor
from .fusion import Unit
from .graph import INPUT, Node

PRECISIONS = ("float32", "bfloat16")
FLOAT32: Any = np.dtype(np.float32)


def dtypes_of(nodes: Sequence[Node], input_shape: Shape, precision: str) -> dict[str, Any]:
    """Return how each value is stored, "input" among them: a dtype."""
    if precision == "float32":
        return {INPUT: FLOAT32, **{node.name: FLOAT32 for node in nodes}}
    rounded = len(input_shape) == 3 and not all(node.layer.mixes_storage for node in nodes if INPUT in node.inputs)
    found = {INPUT: BFLOAT16 if rounded else FLOAT32}
    return found | {node.name: BFLOAT16 if len(node.shape) == 3 else FLOAT32 for node in nodes}


class Stages:
    """The calls around layers that take no bfloat16, and the memory for them.

    dtypes says how each value is stored, by ``dtypes_of``; shapes holds the values' shapes for one image.
    """

    def __init__(self, dtypes: Mapping[str, Any], shapes: Mapping[str, Shape], arena: Arena) -> None:
        self._dtypes, self._shapes, self._arena = dtypes, shapes, arena
        self._twins: dict[tuple[int, int], Tensor] = {}  # of a step and a tensor

    def prepare(self, units: Iterable[Unit]) -> None:
        """Tell each unit's layer how its arrays are stored: in a copy, because other plans store them otherwise."""
        for unit in units:
            storage = self._half(unit.inputs[0]), self._half(unit.output)
            if any(storage):
                unit.node = replace(unit.node, layer=_stored(unit.node.layer, storage))

    def takes(self, unit: Unit) -> bool:
        """Return whether a unit's layer takes the arrays as they are."""
        layer, names = unit.node.layer, (*unit.reads, unit.output)
        if layer.mixes_storage or not any(map(self._half, names)):
            return True
        return layer.takes_bfloat16 and all(self._half(name) for name in names if len(self._shapes[name]) == 3)

    def lay_out(self, step: int, tensors: Iterable[Tensor | None]) -> None:
        """Find memory for what a step reads and writes as float32 in place of these tensors."""
        for tensor in tensors:
            if tensor is not None and tensor.dtype == BFLOAT16 and (step, id(tensor)) not in self._twins:
                self._twins[step, id(tensor)] = self._arena.new(tensor.shape, FLOAT32, step, step)

    def around(self, step: int, tensors: Iterable[Tensor | None], io: Buffers,
               calls: Callable[[Buffers], list[Call]], read: Iterable[Array | None],
               written: Iterable[Array | None]) -> list[Call]:
        """Return a layer's calls over float32: tensors are all that io holds, read and written arrays of io."""
        twins = {id(tensor.array): self._twins[step, id(tensor)].array
                 for tensor in tensors if tensor is not None and (step, id(tensor)) in self._twins}

        def of(array: Any) -> Any:
            return twins.get(id(array), array)

        floats = replace(io, x=[of(each) for each in io.x], y=of(io.y), add=of(io.add), dy=of(io.dy),
                         dx=[of(each) for each in io.dx], dadd=of(io.dadd), dx_add=of(io.dx_add),
                         dx_gate=of(io.dx_gate))
        return [*(bf16_expand(each, of(each)) for each in _once(read, twins)), *calls(floats),
                *(bf16_round(of(each), each) for each in _once(written, twins))]

    def _half(self, name: str) -> bool:
        return bool(self._dtypes[name] == BFLOAT16)


def _stored(layer: Layer, storage: tuple[bool, bool]) -> Layer:
    """Return a layer with the same weights, gradients and state, told how its arrays are stored."""
    same = copy(layer)
    same.storage = storage
    return same


def _once(arrays: Iterable[Array | None], twins: Mapping[int, Array]) -> list[Array]:
    """Return those of the arrays that have a twin, each once."""
    return list({id(each): each for each in arrays if each is not None and id(each) in twins}.values())
