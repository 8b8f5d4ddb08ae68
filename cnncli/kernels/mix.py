"""Door to csrc/mix.c: erased parts and mixed images of a batch. cnncli/data/augmentation.py draws what is done to which
image, cnncli/data/batches.py calls it.
"""

from collections.abc import Sequence

import numpy as np

from .._kernels import ffi
from .door import Array, Call, pointer
from .image import factors


def erase_batch(y: Array, mean: Sequence[float], std: Sequence[float], boxes: Array, noise: Array) -> Call:
    """Prepare overwriting boxes of the batch y, float32 (n, h, w, c): int64 (n, count, 4) of top, left, height, width.
    noise, uint64 (n, count), is 0 for the mean or else the seed of random pixels. Both are read when the call runs."""
    n, h, w, c = y.shape
    scale, shift = factors(mean, std, c)
    if boxes.ndim != 3:
        raise ValueError(f"boxes must be (n, count, 4), not {boxes.shape}")
    count = boxes.shape[1]
    struct = ffi.new("cnn_erasure *", {
        "n": n, "h": h, "w": w, "c": c, "boxes": count, "box": pointer("boxes", boxes, (n, count, 4), np.int64),
        "noise": pointer("noise", noise, (n, count), np.uint64), "scale": pointer("scale", scale),
        "shift": pointer("shift", shift)})
    return Call("cnn_erase_batch", struct, pointer("y", y), keep=(struct, y, boxes, noise, scale, shift))


def mix_batch(x: Array, y: Array, partners: Array, shares: Array, boxes: Array) -> Call:
    """Prepare y[i] = shares[i] x[i] + (1 - shares[i]) x[partners[i]] or, where boxes[i] (top, left, height, width) has
    a height, x[i] with that box of x[partners[i]]; x and y float32 (n, h, w, c), partners int64 (n,) places in the
    batch, shares float32 (n,), boxes int64 (n, 4), all read when the call runs."""
    n, h, w, c = x.shape
    struct = ffi.new("cnn_mixture *", {
        "n": n, "h": h, "w": w, "c": c, "partners": pointer("partners", partners, (n,), np.int64),
        "shares": pointer("shares", shares, (n,)), "boxes": pointer("boxes", boxes, (n, 4), np.int64)})
    return Call("cnn_mix_batch", struct, pointer("x", x), pointer("y", y, x.shape),
                keep=(struct, x, y, partners, shares, boxes))
