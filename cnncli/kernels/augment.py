"""Door to csrc/augment.c: geometry, colours, erased parts and mixed images. cnncli/data/augmentation.py draws what is
done to which image, cnncli/data/batches.py calls it.
"""

from collections.abc import Sequence

import numpy as np

from .._kernels import lib
from .door import Array, Call, pointer
from .image import factors

# What an image's list may hold; csrc/cnn.h says what each does and what its strength means.
OPERATIONS = {
    "none": lib.CNN_NO_OPERATION, "rotate": lib.CNN_ROTATE, "scale": lib.CNN_SCALE, "shear-x": lib.CNN_SHEAR_X,
    "shear-y": lib.CNN_SHEAR_Y, "translate-x": lib.CNN_TRANSLATE_X, "translate-y": lib.CNN_TRANSLATE_Y,
    "brightness": lib.CNN_BRIGHTNESS, "contrast": lib.CNN_CONTRAST, "saturation": lib.CNN_SATURATION,
    "hue": lib.CNN_HUE, "posterise": lib.CNN_POSTERISE, "solarise": lib.CNN_SOLARISE,
    "autocontrast": lib.CNN_AUTOCONTRAST, "equalise": lib.CNN_EQUALISE, "sharpness": lib.CNN_SHARPNESS,
}


def augment_batch(x: Array, y: Array, mean: Sequence[float], std: Sequence[float], rows: Array | None,
                  moves: Array | None, operations: Array, strengths: Array) -> Call:
    """Prepare y as image_batch does, each image going through its own list of operations between shift and flip:
    int64 (n, steps) of OPERATIONS' values and float64 (n, steps); one or three channels. All but y is read when the
    call runs."""
    if x.ndim != 4 or y.ndim != 4 or x.shape[1:] != y.shape[1:]:
        raise ValueError(f"x and y must be images of one shape, not {x.shape} and {y.shape}")
    n, h, w, c = y.shape
    scale, shift = factors(mean, std, c)
    if operations.ndim != 2 or len(operations) != n:
        raise ValueError(f"operations must be a list for each of {n} images, not {operations.shape}")
    return Call("cnn_augment_batch", len(x), n, h, w, c, pointer("x", x, dtype=np.uint8),
                pointer("rows", rows, (n,), np.int64), pointer("moves", moves, (n, 3), np.int64), operations.shape[1],
                pointer("operations", operations, dtype=np.int64),
                pointer("strengths", strengths, operations.shape, np.float64),
                pointer("scale", scale), pointer("shift", shift), pointer("y", y),
                keep=(x, y, rows, moves, operations, strengths, scale, shift))


def erase_batch(y: Array, mean: Sequence[float], std: Sequence[float], boxes: Array, noise: Array) -> Call:
    """Prepare overwriting boxes of the batch y, float32 (n, h, w, c): int64 (n, count, 4) of top, left, height, width.
    noise, uint64 (n, count), is 0 for the mean or else the seed of random pixels. Both are read when the call runs."""
    n, h, w, c = y.shape
    scale, shift = factors(mean, std, c)
    if boxes.ndim != 3:
        raise ValueError(f"boxes must be (n, count, 4), not {boxes.shape}")
    count = boxes.shape[1]
    return Call("cnn_erase_batch", n, h, w, c, count, pointer("boxes", boxes, (n, count, 4), np.int64),
                pointer("noise", noise, (n, count), np.uint64), pointer("scale", scale), pointer("shift", shift),
                pointer("y", y), keep=(y, boxes, noise, scale, shift))


def mix_batch(x: Array, y: Array, partners: Array, shares: Array, boxes: Array) -> Call:
    """Prepare y[i] = shares[i] x[i] + (1 - shares[i]) x[partners[i]] or, where boxes[i] (top, left, height, width) has
    a height, x[i] with that box of x[partners[i]]; x and y float32 (n, h, w, c), partners int64 (n,) places in the
    batch, shares float32 (n,), boxes int64 (n, 4), all read when the call runs."""
    n, h, w, c = x.shape
    return Call("cnn_mix_batch", n, h, w, c, pointer("x", x), pointer("partners", partners, (n,), np.int64),
                pointer("shares", shares, (n,)), pointer("boxes", boxes, (n, 4), np.int64), pointer("y", y, x.shape),
                keep=(x, y, partners, shares, boxes))
