"""Door to csrc/image.c: stored uint8 images to a normalised, perhaps augmented batch, and how often each value is in
them. Used by cnncli/data/."""

from collections.abc import Sequence

import numpy as np

from .door import Array, Call, pointer


def image_batch(x: Array, y: Array, mean: Sequence[float], std: Sequence[float], rows: Array | None = None,
                moves: Array | None = None) -> Call:
    """Prepare y[i] = (x[rows[i]] / 255 - mean) / std, moved by moves[i]; x uint8 (stored, h, w, c), y float32
    (n, h, w, c), mean and std of length c.

    rows is int64 (n,), None for the first n in order. moves is int64 (n, 3): shift down, shift right, flip; what
    comes in at a border is the mirrored inside. x, rows and moves are read when the call runs.
    """
    if x.ndim != 4 or y.ndim != 4 or x.shape[1:] != y.shape[1:]:
        raise ValueError(f"x and y must be images of one shape, not {x.shape} and {y.shape}")
    n, h, w, c = y.shape
    scale, shift = factors(mean, std, c)
    return Call("cnn_image_batch", len(x), n, h, w, c, pointer("x", x, dtype=np.uint8),
                pointer("rows", rows, (n,), np.int64), pointer("moves", moves, (n, 3), np.int64),
                pointer("scale", scale), pointer("shift", shift), pointer("y", y),
                keep=(x, y, rows, moves, scale, shift))


def image_histogram(x: Array, counts: Array) -> Call:
    """Prepare counts[channel][value] += how often each value stands in x; x uint8 (…, c), counts int64 (c, 256)."""
    c = x.shape[-1]
    return Call("cnn_image_histogram", x.size // c, c, pointer("x", x, dtype=np.uint8),
                pointer("counts", counts, (c, 256), np.int64), keep=(x, counts))


def factors(mean: Sequence[float], std: Sequence[float], c: int) -> tuple[Array, Array]:
    """Return scale and shift, float32 (c,): bytes * scale + shift is normalised."""
    if len(mean) != c or len(std) != c:
        raise ValueError(f"mean and std must have {c} entries each, not {len(mean)} and {len(std)}")
    deviation = np.asarray(std, np.float64)
    return ((1 / (255 * deviation)).astype(np.float32), (-np.asarray(mean, np.float64) / deviation).astype(np.float32))
