"""csrc/image.c: normalising and moving on every instruction set against float64 NumPy, with sentinels behind the
output, what it must refuse, and counting."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli.kernels import image_batch, image_histogram

from .guard import Guarded

# One multiply-add in float32 on terms of up to 1 / std = 10.
TOLERANCE = dict(rtol=2e-7, atol=2e-6)


def expected(x: np.ndarray, mean: list[float], std: list[float], moves: np.ndarray) -> np.ndarray:
    h, w = x.shape[1:3]
    out = np.empty(x.shape)
    for image, (dy, dx, flip), target in zip(x, moves, out, strict=True):
        if h > 1:
            image = np.pad(image, ((h - 1, h - 1), (0, 0), (0, 0)), "reflect")[h - 1 + dy : 2 * h - 1 + dy]
        if w > 1:
            image = np.pad(image, ((0, 0), (w - 1, w - 1), (0, 0)), "reflect")[:, w - 1 + dx : 2 * w - 1 + dx]
        target[...] = (image[:, ::-1] if flip else image) / 255.0
    return (out - mean) / std


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 1, 5, 3), (5, 7, 9, 1), (4, 16, 16, 3), (70, 28, 28, 1),
                                   (40, 32, 33, 3), (2, 5, 6, 4), (2, 3, 3, 16)])
def test_normalises_and_moves(shape: tuple[int, ...], isa: str, threads: int, rng: np.random.Generator) -> None:
    n, h, w, c = shape
    x = rng.integers(0, 256, shape, np.uint8)
    x.ravel()[0], x.ravel()[-1] = 0, 255
    mean, std = rng.random(c).tolist(), (0.1 + rng.random(c)).tolist()
    rows = rng.integers(0, n, n + 3)
    moves = np.stack([rng.integers(1 - h, h, n + 3), rng.integers(1 - w, w, n + 3), rng.integers(0, 2, n + 3)], axis=1)
    for move in (moves, None):
        y = Guarded((n + 3, h, w, c))
        image_batch(x, y.a, mean, std, rows, move)()
        reference = expected(x[rows], mean, std, np.zeros_like(moves) if move is None else moves)
        np.testing.assert_allclose(y.check(), reference, **TOLERANCE)


def test_rows_default_to_the_first_in_order(isa: str, rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, (5, 4, 4, 3), np.uint8)
    y = np.empty((3, 4, 4, 3), np.float32)
    image_batch(x, y, [0] * 3, [1] * 3)()
    np.testing.assert_allclose(y, x[:3] / 255, rtol=1e-6)


def test_refuses_what_lies_outside() -> None:
    x, y = np.zeros((2, 4, 4, 1), np.uint8), np.zeros((2, 4, 4, 1), np.float32)
    for rows in ([0, 2], [-1, 0]):
        with pytest.raises(ValueError, match="refused"):
            image_batch(x, y, [0], [1], np.array(rows))()
    for move in ([5, 0, 0], [0, -5, 0]):
        with pytest.raises(ValueError, match="refused"):
            image_batch(x, y, [0], [1], None, np.array([move, move]))()
    with pytest.raises(ValueError, match="refused"):
        image_batch(x[:1], y, [0], [1])()
    with pytest.raises(ValueError, match="one shape"):
        image_batch(x, np.zeros((2, 4, 5, 1), np.float32), [0], [1])
    with pytest.raises(ValueError, match="1 entries"):
        image_batch(x, y, [0, 0], [1, 1])
    with pytest.raises(TypeError, match="uint8"):
        image_batch(y, y, [0], [1])
    assert kernels.image_batch is image_batch


@pytest.mark.parametrize("shape", [(0, 1), (1, 1), (1003, 1), (5, 7, 3), (300, 3), (2, 2, 4)])
def test_counts_how_often_each_value_is_there(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, shape, np.uint8)
    x[:3] = 255
    counts = np.full((shape[-1], 256), 7)
    image_histogram(x, counts)()
    image_histogram(x, counts)()
    for channel, row in enumerate(counts):
        assert np.array_equal(row, 7 + 2 * np.bincount(x[..., channel].ravel(), minlength=256))
    with pytest.raises(ValueError, match="counts must have shape"):
        image_histogram(x, np.zeros((shape[-1] + 1, 256), np.int64))
