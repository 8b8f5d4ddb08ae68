"""Door to csrc/optim.c: one call steps every parameter of a network, another takes the norm of all gradients. The
classes that own options and state are in cnncli/optim/optimisers.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._kernels import ffi, lib
from .door import Array, Call, pointer


@dataclass
class Tensor:
    """One parameter array, its gradient and the optimiser's memory of it, two arrays at most (all float32, of one
    shape), its weight decay, and how many times the learning rate it learns with."""

    name: str
    parameter: Array | None
    gradient: Array
    memory: tuple[Array, ...] = ()
    weight_decay: float = 0.0
    rate: float = 1.0


class Hyper:
    """What changes from step to step. Prepared calls point here, so that setting a field is enough."""

    __slots__ = ("memory",)

    def __init__(self) -> None:
        self.memory = ffi.new("cnn_hyper *", {"lr": 0.0, "scale": 1.0, "step": 0})

    def set(self, lr: float, scale: float, step: int) -> None:
        """Give the learning rate, the factor of every gradient and the number of the step, from 1."""
        self.memory.lr, self.memory.scale, self.memory.step = lr, scale, step


def sgd_step(tensors: Sequence[Tensor], hyper: Hyper, momentum: float, dampening: float, nesterov: bool) -> Call:
    """Prepare one step of SGD on every tensor; the memory is one array, or none where momentum is 0."""
    table, keep = _table(tensors)
    return Call("cnn_sgd", len(tensors), table, hyper.memory, momentum, dampening, int(nesterov), keep=(hyper, *keep))


def adam_step(tensors: Sequence[Tensor], hyper: Hyper, betas: tuple[float, float], eps: float,
              decoupled: bool) -> Call:
    """Prepare one step of Adam (decoupled: AdamW) on every tensor; the memory is the running means of the
    gradient and of its square."""
    table, keep = _table(tensors)
    return Call("cnn_adam", len(tensors), table, hyper.memory, *betas, eps, int(decoupled), keep=(hyper, *keep))


def gradient_norm(tensors: Sequence[Tensor], norm: Array) -> Call:
    """Prepare norm[0] = the Euclidean norm of all the gradients; norm is float64 (1,)."""
    table, keep = _table(tensors)
    partials = np.zeros(max(1, lib.cnn_gradient_norm_partials(len(tensors), table)))
    return Call("cnn_gradient_norm", len(tensors), table, pointer("partials", partials, dtype=np.float64),
                pointer("norm", norm, (1,), np.float64), keep=(partials, norm, *keep))


def _table(tensors: Sequence[Tensor]) -> tuple[Any, tuple[Any, ...]]:
    """Return the C array of cnn_tensor and what it points to."""
    table = ffi.new("cnn_tensor[]", len(tensors))
    for row, t in zip(table, tensors, strict=True):
        shape = t.gradient.shape
        row.count = t.gradient.size
        row.gradient = pointer(f"the gradient of {t.name}", t.gradient)
        row.parameter = pointer(t.name, t.parameter, shape)
        first, second = (*t.memory, None, None)[:2]
        row.first = pointer(f"the optimiser's first memory of {t.name}", first, shape)
        row.second = pointer(f"the optimiser's second memory of {t.name}", second, shape)
        row.weight_decay, row.rate = t.weight_decay, t.rate
    return table, (table, tuple(tensors))
