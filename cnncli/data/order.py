"""In which order an epoch goes through the images, a function of (seed, epoch, labels) alone, and the hash behind
everything that is drawn in training. batches.py follows the order.

An order holds draws, not images: draw d is of image d % n, and where an image is drawn again in the same epoch, d // n
counts its copies, so that each copy is varied in another way.
"""

import numpy as np

from ..kernels import Array

SAMPLINGS = ("shuffled", "balanced")
_ORDER, _RANK, _REST = 1, 101, 102  # what a random number is for; those of augmentation lie between


def epoch_order(labels: Array, sampling: str, seed: int, epoch: int) -> Array:
    """Return as many draws as there are labels, int64 (n,), in the order of that epoch.

    "shuffled" draws every image once. "balanced" draws every class equally often, or once more where n does not
    divide evenly: of a large class a part that changes with the epoch, of a small one every image, some of them once
    more than others. So nothing is left of the imbalance, which is what Buda et al. 2018 advise for oversampling, and
    the epoch stays as long as it is.
    """
    draws = np.arange(len(labels)) if sampling == "shuffled" else _balanced(labels, seed, epoch)
    keys = random_bits(seed, epoch, _ORDER, draws)
    return draws[np.argsort(keys, kind="stable")].astype(np.int64)


def _balanced(labels: Array, seed: int, epoch: int) -> Array:
    count, classes = len(labels), np.unique(labels)
    if not count:
        return np.arange(0)
    each, rest = divmod(count, len(classes))
    once_more = classes[np.argsort(random_bits(seed, epoch, _REST, classes), kind="stable")][:rest]
    draws = []
    for label in classes:
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(random_bits(seed, epoch, _RANK, members), kind="stable")]
        places = np.arange(each + int(label in once_more))
        draws.append(members[places % len(members)] + places // len(members) * count)
    return np.concatenate(draws)


def random_bits(seed: int, epoch: int, stream: int, indices: Array) -> Array:
    """Return 64 random bits for each index, uint64 (n,), a function of the four arguments alone.

    Each is mixed in by the finaliser of SplitMix64 (Steele, Lea and Flood 2014). Written out here because NumPy's
    own generators may draw differently from one release to the next.
    """
    bits = np.full(len(indices), seed % 2**64, np.uint64)
    for word in (epoch, stream, indices):
        bits = _mix(bits + np.asarray(word).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return bits


def _mix(z: Array) -> Array:
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
