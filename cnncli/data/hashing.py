"""Random numbers that depend only on what they are for: (seed, epoch, purpose, draw). order.py orders images by them,
augmentation.py changes images by them. A new purpose takes a stream of its own from the list below.
"""

import numpy as np

from ..kernels import Array

# What a random number is for. A number, once given, keeps its meaning: runs are resumed by later releases.
ORDER, SHIFT_Y, SHIFT_X, FLIP, ROTATE, SCALE, SHEAR_X, SHEAR_Y = range(1, 9)
BRIGHTNESS, CONTRAST, SATURATION, HUE, ERASE, CUTOUT, MIX_KIND, MIX_PARTNER, MIX_SHARE, MIX_BOX = range(9, 19)
RANDAUGMENT = 64  # and those after it, two for each operation
RANK, REST = 101, 102  # of balanced sampling


def random_bits(seed: int, epoch: int, stream: int, indices: Array) -> Array:
    """Return 64 random bits for each index, uint64 (n,), a function of the four arguments alone.

    Each is mixed in by the finaliser of SplitMix64 (Steele, Lea and Flood 2014). It is written here because NumPy's own
    generators may draw differently from one release to the next.
    """
    bits = np.full(len(indices), seed % 2**64, np.uint64)
    for word in (epoch, stream, indices):
        bits = _mix(bits + np.asarray(word).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return bits


def below(bits: Array, count: int) -> Array:
    """Turn random bits into whole numbers 0 … count - 1, int64, by their upper half."""
    numbers: Array = (((bits >> np.uint64(32)) * np.uint64(count)) >> np.uint64(32)).astype(np.int64)
    return numbers


def uniform(bits: Array, low: float = 0.0, high: float = 1.0) -> Array:
    """Turn random bits into numbers of [low, high), float64, by their upper 53."""
    share = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.asarray(low + (high - low) * share)


def next_bits(bits: Array) -> Array:
    """Return other random bits, made of these: for a second number with the same purpose."""
    return _mix(bits)


def _mix(z: Array) -> Array:
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = z ^ (z >> np.uint64(31))
    return mixed
