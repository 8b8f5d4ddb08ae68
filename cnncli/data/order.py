"""The order in which an epoch goes through the images, a function of (seed, epoch, labels) alone. batches.py follows
the order; hashing.py draws it.

An order holds draws, not images: draw d is of image d % n. If an image is drawn again in the same epoch, d // n counts
its copies, so each copy is changed in another way.
"""

from typing import Literal, get_args

import numpy as np

from ..kernels import Array
from .hashing import ORDER, RANK, REST, random_bits

Sampling = Literal["shuffled", "balanced"]
SAMPLINGS: tuple[Sampling, ...] = get_args(Sampling)


def epoch_order(labels: Array, sampling: Sampling, seed: int, epoch: int) -> Array:
    """Return as many draws as there are labels, int64 (n,), in the order of that epoch.

    "shuffled" draws every image once. "balanced" draws every class equally often, or once more if n does not divide
    evenly: of a large class a part that changes with the epoch, of a small one every image, some of them once more than
    others. So the imbalance is gone, as Buda et al. 2018 advise for oversampling, and the epoch stays as long as it is.
    """
    draws = np.arange(len(labels)) if sampling == "shuffled" else _balanced(labels, seed, epoch)
    keys = random_bits(seed, epoch, ORDER, draws)
    return draws[np.argsort(keys, kind="stable")].astype(np.int64)


def _balanced(labels: Array, seed: int, epoch: int) -> Array:
    count = len(labels)
    if not count:
        return np.arange(0)
    by_class = np.argsort(labels, kind="stable")
    classes, starts = np.unique(labels[by_class], return_index=True)
    each, rest = divmod(count, len(classes))
    once_more = classes[np.argsort(random_bits(seed, epoch, REST, classes), kind="stable")][:rest]
    extra = np.isin(classes, once_more).astype(int).tolist()
    draws = []
    for members, more in zip(np.split(by_class, starts[1:]), extra, strict=True):
        members = members[np.argsort(random_bits(seed, epoch, RANK, members), kind="stable")]
        places = np.arange(each + more)
        draws.append(members[places % len(members)] + places // len(members) * count)
    return np.concatenate(draws)
