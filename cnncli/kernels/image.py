"""Door to csrc/image.c: stored uint8 images to a normalised, perhaps augmented batch, and how often each value is in
them. Used by cnncli/data/."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._kernels import ffi
from .door import Array, Call, pointer


def image_batch(x: Array, y: Array, mean: Sequence[float], std: Sequence[float], rows: Array | None = None,
                moves: Array | None = None) -> Call:
    """Prepare y[i] = (x[rows[i]] / 255 - mean) / std, moved by moves[i]; x uint8 (stored, h, w, c), y float32
    (n, h, w, c), mean and std of length c.

    rows is int64 (n,), None for the first n in order. moves is int64 (n, 3): shift down, shift right, flip; what
    comes in at a border is the mirrored inside. x, rows and moves are read when the call runs.
    """
    struct, keep = images(x, y, mean, std, rows, moves)
    return Call("cnn_image_batch", struct, pointer("y", y), keep=(struct, y, *keep))


def image_histogram(x: Array, counts: Array) -> Call:
    """Prepare counts[channel][value] += how often each value stands in x; x uint8 (…, c), counts int64 (c, 256)."""
    c = x.shape[-1]
    return Call("cnn_image_histogram", x.size // c, c, pointer("x", x, dtype=np.uint8),
                pointer("counts", counts, (c, 256), np.int64), keep=(x, counts))


def images(x: Array, y: Array, mean: Sequence[float], std: Sequence[float], rows: Array | None,
           moves: Array | None) -> tuple[Any, tuple[Any, ...]]:
    """Return a new cnn_images for a batch of y's shape, and the arrays that it points to."""
    if x.ndim != 4 or y.ndim != 4 or x.shape[1:] != y.shape[1:]:
        raise ValueError(f"x and y must be images of one shape, not {x.shape} and {y.shape}")
    n, _, _, c = y.shape
    scale, shift = factors(mean, std, c)
    struct = ffi.new("cnn_images *", {
        "stored": len(x), "n": n, "h": y.shape[1], "w": y.shape[2], "c": c, "x": pointer("x", x, dtype=np.uint8),
        "rows": pointer("rows", rows, (n,), np.int64), "moves": pointer("moves", moves, (n, 3), np.int64),
        "scale": pointer("scale", scale), "shift": pointer("shift", shift)})
    return struct, (x, rows, moves, scale, shift)


def factors(mean: Sequence[float], std: Sequence[float], c: int) -> tuple[Array, Array]:
    """Return scale and shift, float32 (c,): bytes * scale + shift is normalised."""
    if len(mean) != c or len(std) != c:
        raise ValueError(f"mean and std must have {c} entries each, not {len(mean)} and {len(std)}")
    deviation = np.asarray(std, np.float64)
    return ((1 / (255 * deviation)).astype(np.float32), (-np.asarray(mean, np.float64) / deviation).astype(np.float32))
