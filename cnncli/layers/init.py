"""How weights start. The layers with weights take the name of one of these as their ``init``."""

import math
from collections.abc import Callable

import numpy as np

from ..errors import NetworkError, no_such
from ..kernels import Array


def he(rng: np.random.Generator, weight: Array, bias: Array | None, fan_in: int, fan_out: int, fan: int) -> None:
    """Fill weight from a normal distribution of deviation sqrt(2 / fan), bias with 0 (He et al. 2015)."""
    rng.standard_normal(dtype=np.float32, out=weight)
    weight *= np.float32(math.sqrt(2 / fan))
    if bias is not None:
        bias.fill(0)


def xavier(rng: np.random.Generator, weight: Array, bias: Array | None, fan_in: int, fan_out: int, fan: int) -> None:
    """Fill weight uniformly within +-sqrt(6 / (fan_in + fan_out)), bias with 0 (Glorot and Bengio 2010)."""
    _uniform(rng, weight, math.sqrt(6 / (fan_in + fan_out)))
    if bias is not None:
        bias.fill(0)


def pytorch(rng: np.random.Generator, weight: Array, bias: Array | None, fan_in: int, fan_out: int, fan: int) -> None:
    """Fill weight and bias uniformly within +-1 / sqrt(fan_in), as PyTorch's layers do by themselves."""
    _uniform(rng, weight, 1 / math.sqrt(fan_in))
    if bias is not None:
        _uniform(rng, bias, 1 / math.sqrt(fan_in))


def dirac(rng: np.random.Generator, weight: Array, bias: Array | None, fan_in: int, fan_out: int, fan: int) -> None:
    """Let the first filters pass their inputs on unchanged, as many as there are inputs, and draw the others as
    ``pytorch`` does: a layer that begins near the identity (Zagoruyko and Komodakis 2017; Jordan 2024)."""
    pytorch(rng, weight, bias, fan_in, fan_out, fan)
    count = min(weight.shape[:2])
    weight[:count] = 0
    middles = np.arange(count), np.arange(count), *(side // 2 for side in weight.shape[2:])
    weight[middles] = 1


def _uniform(rng: np.random.Generator, array: Array, bound: float) -> None:
    rng.random(dtype=np.float32, out=array)
    array *= 2
    array -= 1
    array *= np.float32(bound)


INITIALISERS: dict[str, Callable[[np.random.Generator, Array, Array | None, int, int, int], None]] = {
    "he": he, "xavier": xavier, "pytorch": pytorch, "dirac": dirac}


def checked(name: str) -> str:
    """Return name. Raises NetworkError where there is no such initialiser."""
    if not isinstance(name, str) or name not in INITIALISERS:
        raise NetworkError(no_such("init", name, INITIALISERS))
    return name
