"""What range of an activation its 256 bytes should cover: a wider one cuts nothing off, a narrower one has finer steps.
Each way of choosing is a function from a histogram to (low, high), which hold 0; quantise.py tries all.
"""

from collections.abc import Callable

import numpy as np

from ..kernels import Array
from ..layers.int8 import Steps
from .observing import BINS, Histogram

Range = tuple[float, float]
_STEPS = 128  # that the entropy's way imitates: those of one sign
_TRIED = 64  # thresholds
# How far from a tie is far enough, in steps: a pixel's float differs by 3e-5 from one instruction set to another.
_APART = 1e-4
_NUDGE, _NUDGES = 1e-4, 500


def steps_for(low: float, high: float) -> Steps:
    """Return steps that cover a range, which is made to hold 0, with 0 exactly one of them."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / 255) if high > low else np.float32(1)
    scale = max(scale, np.finfo(np.float32).tiny)
    return Steps(float(scale), int(np.clip(round(-low / float(scale)), 0, 255)))


def off_ties(steps: Steps, values: Array) -> Steps:
    """Return steps that are a little coarser, so that none of some values lies half-way between two bytes. There the
    last bit of a value would decide, and instruction sets differ in that."""
    for nudge in range(_NUDGES):
        scale = float(np.float32(steps.scale * (1 + nudge * _NUDGE)))
        places = values.astype(np.float64) / scale
        if np.abs(places - np.floor(places) - 0.5).min() >= _APART:
            return Steps(scale, steps.zero)
    return steps  # of images with so many channels that some value is always near a tie


def whole(found: Histogram) -> Range:
    """Return the range of all values."""
    return found.low, found.high


def percentile(share: float) -> Callable[[Histogram], Range]:
    """Return a function to the range that leaves out so large a share of the values at each end that has any."""
    def cut(found: Histogram) -> Range:
        total = found.counts.sum()
        if not total:
            return whole(found)
        below = np.concatenate([[0], np.cumsum(found.counts)]) / total
        first = int(np.searchsorted(below, 1 - share, "right")) - 1
        last = int(np.searchsorted(below, share, "left"))
        low = found.edges[max(first, 0)] if found.low < 0 else 0.0
        return min(float(low), 0.0), max(float(found.edges[min(last, BINS)]), 0.0)
    return cut


def entropy(found: Histogram) -> Range:
    """Return the range in which the distribution of sizes changes least by being cut and rounded: the one of smallest
    Kullback-Leibler divergence (Migacz 2017, "8-bit inference with TensorRT")."""
    sizes = _sizes(found)
    if not sizes.sum():
        return whole(found)
    candidates = np.unique(np.linspace(_STEPS, BINS, _TRIED).round().astype(int))
    best = min(candidates, key=lambda kept: _divergence(sizes, int(kept)))
    threshold = max(-found.low, found.high) * float(best) / BINS
    return max(found.low, -threshold), min(found.high, threshold)


def _sizes(found: Histogram) -> Array:
    """Return how often absolute values lie in BINS equal parts of 0 … the largest, float64."""
    centres = np.abs((found.edges[1:] + found.edges[:-1]) / 2)
    largest = max(-found.low, found.high)
    counts: Array = np.histogram(centres, BINS, (0, largest or 1.0), weights=found.counts.astype(np.float64))[0]
    counts[0] = 0  # what ReLU cut off is exact, however coarse the steps are
    return counts


def _divergence(sizes: Array, kept: int) -> float:
    """Return how much is lost if values beyond so many parts are cut off and the others rounded to _STEPS steps."""
    true = sizes[:kept].copy()
    true[-1] += sizes[kept:].sum()
    groups = np.arange(kept) * _STEPS // kept
    used = sizes[:kept] > 0
    members = np.bincount(groups, used, _STEPS)
    shared = np.bincount(groups, sizes[:kept], _STEPS) / np.maximum(members, 1)
    rounded = np.where(used, shared[groups], 0)
    if not rounded.sum():
        return float("inf")
    p, q = true / true.sum(), rounded / rounded.sum()
    both = p > 0
    return float(np.sum(p[both] * np.log(p[both] / np.maximum(q[both], 1e-12))))


WAYS: dict[str, Callable[[Histogram], Range]] = {
    "all values": whole,
    "99.999 % of the values": percentile(0.99999),
    "99.99 % of the values": percentile(0.9999),
    "99.9 % of the values": percentile(0.999),
    "least entropy lost": entropy,
}
