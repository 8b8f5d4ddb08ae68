"""What values a network's activations take for some images: the range of each, and a histogram of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import ModelError, printable
from ..kernels import Array
from ..network import INPUT, Network
from ..network.fusion import fuse

BINS = 2048
_LARGEST = 1e30  # beyond it, differences of float32 numbers need not be finite


@dataclass
class Histogram:
    """How often values of one activation were found: counts, int64 (BINS,), of equal parts of low … high."""

    low: float
    high: float
    counts: Array

    @property
    def edges(self) -> Array:
        """Where the parts begin and end, float64 (BINS + 1,)."""
        return np.linspace(self.low, self.high, BINS + 1)


Batches = Callable[[], Iterator[Array]]  # makes a new walk over normalised images, float32 (n, h, w, c)


def observe(network: Network, batches: Batches) -> dict[str, Histogram]:
    """Return a histogram of the input and of each layer's output that exists in evaluation, by name.

    The images are walked over twice: for the range, and for the histogram. Raises ModelError for what is not finite.
    """
    names = [unit.output for unit in fuse(network.nodes, training=False)]
    found: dict[str, Histogram] = {}
    for name, values in _activations(network, names, batches):
        low, high = float(values.min()), float(values.max())
        if not -_LARGEST < low <= high < _LARGEST:
            raise ModelError(f"the model's layer {printable(name)} computes numbers that are too large, or no numbers; "
                             "train it again, with a smaller learning rate.")
        known = found.setdefault(name, Histogram(min(low, 0.0), max(high, 0.0), np.zeros(BINS, np.int64)))
        known.low, known.high = min(known.low, low), max(known.high, high)
    for name, values in _activations(network, names, batches):
        known = found[name]
        if known.high > known.low:
            known.counts += np.histogram(values, BINS, (known.low, known.high))[0]
    return found


def _activations(network: Network, names: list[str], batches: Batches) -> Iterator[tuple[str, Array]]:
    for images in batches():
        yield INPUT, images
        yield from network.activations(images, names).items()
