"""What a network costs and sees, worked out from its graph alone: parameters, multiply-adds and receptive field of
each layer. `cnn inspect` shows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..layers import Shape
from .graph import INPUT, Node
from .network import Network


@dataclass(frozen=True)
class Field:
    """The receptive field of one position of a layer's output: the part of the image that it depends on, in pixels.

    Attributes:
        size: The (rows, columns) of the window that the position sees, with the part that lies on padding.
        step: How far the window moves from one position to the next: (rows, columns).
        grid: How many positions there are: (rows, columns). A flattened layer keeps those of its input.
        start: The middle of the first position's window. 0 is the middle of the first pixel; the image begins half a
            pixel before it.
        whole: Whether every output sees the whole image.
    """

    size: tuple[int, int] = (1, 1)
    step: tuple[int, int] = (1, 1)
    grid: tuple[int, int] = (1, 1)
    start: tuple[float, float] = (0.0, 0.0)
    whole: bool = False


@dataclass(frozen=True)
class LayerSummary:
    """A layer in figures.

    Attributes:
        name: The layer's name.
        type: Its type: "Conv2d", say.
        output_shape: The shape of its output for one image.
        parameters: How many numbers it learns.
        multiply_adds: How many multiply-adds one image takes; 0 for activations, poolings and the like.
        field: Its receptive field: the part of the image that one position depends on.
    """

    name: str
    type: str
    output_shape: Shape
    parameters: int
    multiply_adds: int
    field: Field

    @property
    def flops(self) -> int:
        """How many floating-point operations one image takes: two for each multiply-add."""
        return 2 * self.multiply_adds


def summarise(network: Network) -> list[LayerSummary]:
    """Return a summary of each layer, in order."""
    fields = receptive_field(network)
    return [
        LayerSummary(
            name=node.name,
            type=type(node.layer).__name__,
            output_shape=node.shape,
            parameters=sum(array.size for array in node.layer.params.values()),
            multiply_adds=node.layer.multiply_adds(*(network.shape_of(name) for name in node.inputs)),
            field=fields[node.name],
        )
        for node in network.nodes
    ]


def has_positions(node: Node) -> bool:
    """Return whether a layer's output has more than one position, which tells where in the image it sees what."""
    return len(node.shape) == 3 and node.shape[0] * node.shape[1] > 1


def receptive_field(network: Network) -> dict[str, Field]:
    """Return the receptive field of every layer by name, and of "input".

    A window of k, dilated d times, over positions that are `step` pixels apart adds d * (k - 1) * step pixels; its
    stride multiplies step (Araujo, Norris and Sim 2019). Where branches meet, the widest counts.
    """
    h, w, _ = network.input_shape
    fields = {INPUT: Field(grid=(h, w))}
    for node in network.nodes:
        shapes = [network.shape_of(name) for name in node.inputs]
        fields[node.name] = _after(node, [fields[name] for name in node.inputs], shapes)
    return fields


def _after(node: Node, inputs: Sequence[Field], shapes: Sequence[Shape]) -> Field:
    rows, columns = (_widest(inputs, axis) for axis in (0, 1))
    whole = any(field.whole for field in inputs)
    if node.layer.looks_everywhere:
        size = [axis.size + (axis.grid - 1) * axis.step for axis in (rows, columns)]
        middle = [axis.start + (axis.grid - 1) * axis.step / 2 for axis in (rows, columns)]
        return Field((size[0], size[1]), inputs[0].step, (1, 1), (middle[0], middle[1]), whole=True)
    grid = (node.shape[0], node.shape[1]) if len(node.shape) == 3 else inputs[0].grid
    windows = node.layer.reach(*shapes)
    if windows is None:
        return Field((rows.size, columns.size), (rows.step, columns.step), grid, (rows.start, columns.start), whole)
    wide = [d * (k - 1) for k, d in zip(windows.kernel, windows.dilation, strict=True)]
    first = [axis.start + (w / 2 - lead) * axis.step
             for axis, w, lead in zip((rows, columns), wide, node.layer.leads(*shapes), strict=True)]
    return Field((rows.size + wide[0] * rows.step, columns.size + wide[1] * columns.step),
                 (rows.step * windows.stride[0], columns.step * windows.stride[1]), grid, (first[0], first[1]), whole)


class _Axis(NamedTuple):
    """A field along one axis, as Field has it."""

    size: int
    step: int
    grid: int
    start: float


def _widest(inputs: Sequence[Field], axis: int) -> _Axis:
    """Return the field of several inputs along an axis: the largest of each, and the widest one's start."""
    widest = max(inputs, key=lambda field: field.size[axis])
    return _Axis(widest.size[axis], max(f.step[axis] for f in inputs), max(f.grid[axis] for f in inputs),
                 widest.start[axis])
