"""A quantised network as calls of the functions of runtime_int8.c: a function for each type of layer, entered in
WRITERS by its decorator, says which of them computes it, with which constants. memory_int8.py gives each value its
place; csource_int8.py writes the calls as C.

What the constants are is asked of the layers' own int8 calls (layers/int8.py), so that the same bytes come out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

import numpy as np

from .. import layers
from ..errors import UsageError, told
from ..kernels import Array, Windows
from ..layers import Layer
from ..layers.int8 import ALL_BYTES, Int8Buffers, Int8Weights, Steps, parts
from ..network import INPUT, Network
from ..network.fusion import Unit, fuse
from ..network.int8_plan import Quantisation
from .calls import Value
from .memory_int8 import Memory, size_of
from .windows import mean_factors
from .writers import Writers

WRITERS = Writers("C without floats")
Kind = TypeVar("Kind", bound=Layer)
UNIT = 16  # a logit counts in 1 / 2**UNIT
_MOST_SHIFT = 100  # beyond it every result is 0


@dataclass(frozen=True)
class Constant:
    """An argument: an array of constants, or a list of rows of numbers, of a type of C's."""

    name: str
    kind: str
    values: Array
    index: int

    @property
    def bytes(self) -> int:
        """How much room it takes."""
        size = {"int8_t": 1, "uint8_t": 1}.get(self.kind, 4)
        return int(self.values.size) * size


@dataclass(frozen=True)
class Finish:
    """An argument: a ``struct finish``."""

    name: str
    parts: tuple[Any, ...]
    index: int

    @property
    def bytes(self) -> int:
        """How much room it takes where pointers have 4 bytes."""
        return 4 * len(self.parts)


@dataclass
class Calls:
    """What computes a network: calls (layer, function, arguments), constants, and where in memory each value lies.
    ``parts`` names the parts of runtime_int8.c that are called. Raises UsageError for a layer that is not computed of
    bytes."""

    network: Network
    parts: set[str] = field(default_factory=set)
    constants: list[Constant | Finish] = field(default_factory=list)
    calls: list[tuple[str, str, tuple[Any, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        found = self.network.quantisation
        if found is None:
            raise UsageError(told("--int8 needs a quantised model; make one with cnn quantize, and name its file."))
        self.found: Quantisation = found
        units = fuse(self.network.nodes, training=False)
        means = _means_last(units[-1], found)
        _refuse_floats(self.network, found, units[:-1] if means else units)
        self.memory = Memory(units, {name: self.network.shape_of(name) for name in _names(units)})
        for unit in units:
            if unit is units[-1] and unit.output not in found.steps:
                place: Place[Any] = Place(self, unit)
                _logits_of_means(place, size_of(place.shapes[0][:-1])) if means else _logits_of_sums(place)
            else:
                WRITERS.for_node(unit.node)(Place(self, unit))
        if units[-1].output in found.steps:
            self._logits_of_bytes(units[-1].output)

    def value(self, name: str) -> Value:
        """Return the argument for a value."""
        return Value(self.memory.place(name))

    def constant(self, name: str, kind: str, values: Any) -> Constant:
        """Add constants and return the argument for them."""
        made = Constant(name, kind, np.asarray(values), len(self.constants))
        self.constants.append(made)
        return made

    def call(self, layer: str, part: str, function: str, *arguments: Any) -> None:
        """Append a call of a function that lies in a part of runtime_int8.c."""
        self.parts.add(part)
        self.calls.append((layer, function, arguments))

    def _logits_of_bytes(self, name: str) -> None:
        steps = self.found.steps[name]
        self.call(name, "logits_of_means", "logits_of_means", self.value(name), 1, steps.zero,
                  *_factor(np.float32(steps.scale), UNIT), size_of(self.network.shape_of(name)), "class_logits")


class Place(Generic[Kind]):
    """A unit about to be written: x and y are its first input and its output, ``shapes`` the shapes of its inputs and
    ``shape`` that of its output, ``io`` what its int8 calls would get, without the arrays."""

    def __init__(self, calls: Calls, unit: Unit) -> None:
        self.calls, self.unit, self.layer = calls, unit, cast(Kind, unit.node.layer)
        self.name = unit.node.name
        found, shapes = calls.found, calls.network.shape_of
        self.shapes, self.shape = [shapes(name) for name in unit.inputs], shapes(unit.output)
        self.inputs = [calls.value(name) for name in unit.inputs]
        self.x, self.count = self.inputs[0], size_of(self.shape)
        self.y = calls.value(unit.output)
        nothing = np.empty(0, np.uint8)
        scales = found.scales.get(self.name)
        self.io = Int8Buffers(
            x=[nothing for _ in unit.inputs], steps=[found.steps[name] for name in unit.inputs], y=nothing,
            to=found.steps.get(unit.output), activation=unit.activation,
            weights=None if scales is None else Int8Weights.of(self.layer.params, scales),
            add=(nothing, found.steps[unit.add]) if unit.add else None)

    @property
    def to(self) -> Steps:
        assert self.io.to is not None
        return self.io.to

    def call(self, part: str, function: str, *arguments: Any) -> None:
        self.calls.call(self.name, part, function, *arguments)

    def constant(self, part: str, kind: str, values: Any) -> Constant:
        return self.calls.constant(f"{self.name}{part}", kind, values)

    def copy(self) -> None:
        """Append a copy of x to y, unless they lie in one place."""
        if self.x != self.y:
            self.call("copy", "copy", self.x, self.count, self.y)

    def factors(self, values: Array, more: int = 0) -> tuple[Constant, Constant]:
        """Add float32 factors, one for each channel, times 2**more, as what runtime_int8.c's ``nearest`` takes."""
        factor, shift = _factor(values, more)
        return self.constant(", factors", "int32_t", factor), self.constant(", shifts", "int8_t", shift)

    def weights(self) -> Constant:
        """Add the weights, by output channel, row, column and input channel."""
        assert self.io.weights is not None
        values = self.io.weights.values
        return self.constant(".weight", "int8_t", values.transpose(0, 2, 3, 1) if values.ndim == 4 else values)

    def bias(self) -> Constant:
        """Add the bias: without x's zero point, which is taken from each byte."""
        assert self.io.weights is not None
        sums = self.io.weights.values.reshape(len(self.io.weights.scales), -1).sum(1, dtype=np.int64)
        return self.constant(".bias", "int32_t", self.io.requantise().bias + self.io.steps[0].zero * sums)

    def finish(self) -> Finish:
        """Add what becomes of the sums."""
        last = self.io.requantise()
        add = self.calls.value(self.unit.add) if self.unit.add else None
        fields = (self.bias(), *self.factors(last.multiplier, 12 if add else 0), last.zero, last.least, last.most, add,
                  last.add_zero, last.add_multiplier)
        made = Finish(self.name, fields, len(self.calls.constants))
        self.calls.constants.append(made)
        return made

    def means(self, divisors: Iterable[int]) -> Constant:
        """Add what a sum over a window is multiplied by, for each divisor."""
        each = np.unique(np.fromiter(divisors, np.int64))
        factor, shift = _factor(np.float32(self.io.means()[0]) * (np.float32(1) / each.astype(np.float32)))
        return self.constant(", means", "struct mean", np.stack([each, factor, shift], axis=1))


def _factor(values: Any, more: int = 0) -> tuple[Any, Any]:
    """Return whole numbers of at most 24 bits and shifts: float32 values times 2**more are factor / 2**shift."""
    share, exponent = np.frexp(np.asarray(values, np.float64))
    shift = np.clip(24 - exponent - more, -_MOST_SHIFT, _MOST_SHIFT)
    return (share * 2**24).astype(np.int64), shift.astype(np.int64)


def _names(units: list[Unit]) -> set[str]:
    return {INPUT, *(name for unit in units for name in (*unit.reads, unit.output))}


def _refuse_floats(network: Network, found: Quantisation, units: list[Unit]) -> None:
    floats = [unit.node.name for unit in units
              if not found.takes_bytes(unit, [network.shape_of(name) for name in unit.inputs])]
    if floats:
        raise UsageError(told(f"this model computes {', '.join(floats)} in float32, which --int8 cannot write; leave "
                              "--int8 out to write C with floats."))


def _means_last(unit: Unit, found: Quantisation) -> bool:
    """Whether the logits are means of bytes."""
    return (type(unit.node.layer) is layers.GlobalAvgPool2d and unit.output not in found.steps
            and unit.inputs[0] in found.steps)


# ---- a function for each layer ----


@WRITERS.of(layers.Conv2d, layers.Whitening)
def _conv(place: Place[layers.Conv2d]) -> None:
    layer = place.layer
    (h, w, ci), (oh, ow, co) = place.shapes[0], place.shape
    top, _, left, _ = layer.zeros(h, w)
    function = "depthwise" if layer.groups == ci > 1 else "conv"
    place.call(function, function, place.x, h, w, ci, place.weights(), place.y, oh, ow, co, *layer.kernel_size,
               *layer.stride, top, left, *layer.dilation, layer.groups, place.io.steps[0].zero, place.finish())


@WRITERS.of(layers.Linear)
def _linear(place: Place[layers.Linear]) -> None:
    place.call("conv", "conv", place.x, 1, 1, place.shapes[0][0], place.weights(), place.y, 1, 1, place.count, 1, 1, 1,
               1, 0, 0, 1, 1, 1, place.io.steps[0].zero, place.finish())


@WRITERS.of(layers.MaxPool2d)
def _max_pool(place: Place[layers.MaxPool2d]) -> None:
    w = place.layer.windows
    place.call("maximum", "max_pool", place.x, *place.shapes[0], place.y, *place.shape[:2], *w.kernel, *w.stride,
               *w.padding, *w.dilation, *place.io.bounds())


@WRITERS.of(layers.AvgPool2d)
def _avg_pool(place: Place[layers.AvgPool2d]) -> None:
    layer, (h, w, _), (oh, ow, _) = place.layer, place.shapes[0], place.shape
    divisors = np.rint(1 / mean_factors(layer.windows, (h, w), (oh, ow), layer.count_include_pad))
    _mean_pool(place, (oh, ow), layer.windows, layer.count_include_pad, divisors.ravel().astype(int).tolist())


@WRITERS.of(layers.GlobalAvgPool2d)
def _global_avg_pool(place: Place[layers.GlobalAvgPool2d]) -> None:
    h, w, _ = place.shapes[0]
    _mean_pool(place, (1, 1), Windows((h, w), (h, w)), True, [h * w])


def _mean_pool(place: Place[Any], grid: tuple[int, int], windows: Windows, padded: bool, divisors: list[int]) -> None:
    _, zero_x, zero = place.io.means()
    place.call("mean", "mean_pool", place.x, *place.shapes[0], place.y, *grid, *windows.kernel, *windows.stride,
               *windows.padding, int(padded), place.means(divisors), zero_x, zero)


@WRITERS.of(layers.AdaptiveAvgPool2d)
def _adaptive_avg_pool(place: Place[layers.AdaptiveAvgPool2d]) -> None:
    (h, w, _), (oh, ow, _) = place.shapes[0], place.shape
    divisors = [rows * columns for rows in _shares(h, oh) for columns in _shares(w, ow)]
    _, zero_x, zero = place.io.means()
    place.call("adaptive", "adaptive_pool", place.x, *place.shapes[0], place.y, oh, ow, place.means(divisors), zero_x,
               zero)


def _shares(size: int, windows: int) -> set[int]:
    return {-(-(i + 1) * size // windows) - i * size // windows for i in range(windows)}


@WRITERS.of(layers.Flatten)
def _flatten(place: Place[layers.Flatten]) -> None:
    *pixels, c = place.shapes[0]
    if size_of(pixels) == 1 or c == 1:
        place.copy()
    else:
        place.call("flatten", "flatten", place.x, size_of(pixels), c, place.y)


@WRITERS.of(layers.Dropout)
def _dropout(place: Place[layers.Dropout]) -> None:
    place.copy()


@WRITERS.of(layers.Add)
def _add(place: Place[layers.Add]) -> None:
    (a, b), to = place.io.steps, place.to
    place.call("add", "add", place.inputs[0], a.zero, parts(a, to), place.inputs[1], b.zero, parts(b, to), place.count,
               to.zero, *place.io.bounds(), place.y)


@WRITERS.of(layers.Concat)
def _concat(place: Place[layers.Concat]) -> None:
    first = 0
    for x, steps, shape in zip(place.inputs, place.io.steps, place.shapes, strict=True):
        table = None
        if steps != place.to:
            table = place.constant(", table", "uint8_t", place.to.bytes_of(steps.values_of(ALL_BYTES)))
        place.call("concat", "put_channels", x, size_of(shape[:-1]), shape[-1], table, place.y, first, place.shape[-1])
        first += shape[-1]


@WRITERS.of(layers.LeakyReLU, layers.ReLU, layers.ReLU6, layers.Scale, layers.SiLU, layers.Sigmoid, layers.Tanh)
def _by_table(place: Place[Any]) -> None:
    """A function of single numbers: what the layer's own calls make of each byte."""
    table = np.empty((1, 256), np.uint8)
    for call in place.layer.int8_calls(Int8Buffers([ALL_BYTES[None]], place.io.steps, table, place.to)):
        call()
    place.call("lookup", "lookup", place.x, place.count, place.constant(", table", "uint8_t", table[0]), place.y)


# ---- the end ----


def _logits_of_sums(place: Place[Any]) -> None:
    if not isinstance(place.layer, layers.Linear):
        raise UsageError(told(f"this model ends in {place.name}, which --int8 cannot write; leave --int8 out to write "
                              "C with floats."))
    place.call("logits", "logits_of_sums", place.x, place.shapes[0][0], place.weights(), place.bias(),
               *place.factors(place.io.requantise().multiplier, UNIT), place.io.steps[0].zero, place.count,
               "class_logits")


def _logits_of_means(place: Place[Any], pixels: int) -> None:
    steps = place.io.steps[0]
    factor = np.float32(steps.scale) * (np.float32(1) / np.float32(pixels))
    place.call("logits_of_means", "logits_of_means", place.x, pixels, steps.zero, *_factor(factor, UNIT), place.count,
               "class_logits")
