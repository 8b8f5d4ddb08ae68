"""What tests of kernels over bfloat16 share: maps of it at random, as float32, and equality with what is rounded."""

import numpy as np

from cnncli import kernels


def halves(rng: np.random.Generator, shape: tuple[int, ...], mean: float = 0, deviation: float = 1) -> np.ndarray:
    """Numbers at random as bfloat16."""
    return kernels.to_bfloat16(rng.normal(mean, deviation, shape).astype(np.float32))


def wide(x: np.ndarray | None) -> np.ndarray | None:
    """The same numbers as float32; None for None."""
    return None if x is None else kernels.from_bfloat16(x)


def rounded(half: np.ndarray, exact: np.ndarray) -> bool:
    """Whether bfloat16 is float32 rounded, to the bit."""
    return half.dtype == kernels.BFLOAT16 and np.array_equal(half, kernels.to_bfloat16(exact))
