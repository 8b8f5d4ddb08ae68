"""Others' weights into a network: every array goes where its name says and its shape fits, or is listed. reading.py
brings the arrays, names.py the names that they may have; training/ and pretrained.py ask here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import ModelError, printable
from ..kernels import Array
from ..network import Network
from ..network.blocks import head as find_head
from .names import tables
from .reading import Weights

_UNUSED = "num_batches_tracked"  # PyTorch counts a batch norm's steps
_SHOWN = 5


@dataclass
class Fitted:
    """What became of the arrays: names of ours that got one, that have none (missing), whose shape differs (with both
    shapes), whose array holds no numbers (flags), and names of theirs that nothing here is called (unexpected). head
    is the last layer with weights, where it was left as it is because the file's has another number of classes, else
    ""."""

    taken: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    differing: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    head: str = ""

    def complaint(self) -> str:
        """Return what does not fit, as a clause, "" where everything but the head did."""
        parts = []
        if self.missing:
            parts.append(f"missing: {_some(self.missing)}")
        if self.differing:
            parts.append("of another shape: " + _some(
                [f"{name} ({_times(theirs)} there, {_times(ours)} here)" for name, (ours, theirs) in
                 self.differing.items()]))
        if self.flags:
            parts.append(f"true and false in the place of numbers: {_some(self.flags)}")
        if self.unexpected:
            parts.append(f"unexpected: {_some(self.unexpected)}")
        return "; ".join(parts)


def fit(network: Network, architecture: str, weights: Weights, head: bool = True) -> Fitted:
    """Copy a file's arrays into a network of that architecture and return what became of them. The head may have
    another number of classes there: it then keeps its fresh weights, as it does where head is False.

    Raises ModelError, listing what is missing, unexpected or of another shape, where anything else does not fit; the
    network is then unchanged.
    """
    ours = {**network.parameters(), **network.buffers()}
    last = find_head(network)
    found, fitted = _best(ours, architecture, weights, last.name if last else "", head)
    if complaint := fitted.complaint():
        raise ModelError(f"{printable(weights.path)} does not fit {architecture}: {complaint}; give weights of "
                         f"{architecture}, or another --arch.")
    for name in fitted.taken:
        ours[name][...] = found[name].reshape(ours[name].shape)
    return fitted


def _best(ours: Mapping[str, Array], architecture: str, weights: Weights, head: str,
          with_head: bool) -> tuple[dict[str, Array], Fitted]:
    """Return the arrays under our names, and how they fit, by the naming that gives most arrays a place."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in ours))
    choices = []
    for table in ({layer: layer for layer in layers}, *tables(architecture, layers)):
        found, unexpected = {}, []
        for name, array in weights.arrays.items():
            layer, _, part = name.rpartition(".")
            if part == _UNUSED:
                continue
            own = f"{table.get(layer, '')}.{part}"
            if own in ours:
                found[own] = array
            else:
                unexpected.append(name)
        choices.append((found, _compared(ours, found, unexpected, head, with_head)))
    return max(choices, key=lambda choice: len(choice[1].taken))


def _compared(ours: Mapping[str, Array], found: Mapping[str, Array], unexpected: list[str], head: str,
            with_head: bool) -> Fitted:
    fitted = Fitted(unexpected=unexpected)
    for name, array in ours.items():
        theirs = found.get(name)
        in_head = name.rpartition(".")[0] == head
        if in_head and (not with_head or theirs is None or _classes_differ(array, theirs)):
            fitted.head = head
        elif theirs is None:
            fitted.missing.append(name)
        elif not _same(array.shape, theirs.shape):
            fitted.differing[name] = array.shape, theirs.shape
        elif theirs.dtype.kind not in "fiu":
            fitted.flags.append(name)
        else:
            fitted.taken.append(name)
    if fitted.head:  # all of it or nothing
        fitted.taken = [name for name in fitted.taken if name.rpartition(".")[0] != head]
    return fitted


def _classes_differ(ours: Array, theirs: Array) -> bool:
    return ours.shape[0] != theirs.shape[0] and _same(ours.shape[1:], theirs.shape[1:])


def _same(ours: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    """Whether an array fits: a dense layer may be a convolution over the whole of its input elsewhere."""
    if ours == theirs:
        return True
    return len(ours) == 2 < len(theirs) and ours == (theirs[0], math.prod(theirs[1:]))


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    shown = ", ".join(printable(name[:80]) for name in names[:_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
