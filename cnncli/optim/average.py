"""A moving average of a network's weights over the last part of a training, which varies less than the weights of any
one step. training/fit.py updates it between steps, validates with it and saves it as the model.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from ..errors import ModelError, UsageError
from ..kernels import Array


class Weights(Protocol):
    """What has weights to be averaged: a Network, say."""

    def parameters(self) -> dict[str, Array]:
        """What training learns, by name."""
        ...

    def buffers(self) -> dict[str, Array]:
        """What training updates without a gradient, by name."""
        ...

    def changed(self) -> None:
        """Is told that numbers in these arrays have changed."""
        ...


class WeightAverage:
    """An exponential moving average of parameters and batch norms' running statistics (Polyak and Juditsky 1992).

    rate is the share of the present weights in each update: the average looks back over some 1 / rate updates. It
    begins as the weights that the network has now.
    """

    def __init__(self, network: Weights, rate: float) -> None:
        if not 0 < rate <= 1:
            raise UsageError(f"the rate of an average must be above 0 and at most 1, not {rate}.")
        self._network, self._rate = network, np.float32(rate)
        self._arrays = {name: array.copy() for name, array in self._live().items()}
        self._room = np.empty(max(array.size for array in self._arrays.values()), np.float32)

    def _live(self) -> dict[str, Array]:
        return {**self._network.parameters(), **self._network.buffers()}

    def update(self) -> None:
        """Move the average towards the present weights."""
        for name, array in self._live().items():
            average, step = self._arrays[name], self._room[: array.size].reshape(array.shape)
            np.subtract(array, average, out=step)
            np.multiply(step, self._rate, out=step)
            np.add(average, step, out=average)

    @contextmanager
    def in_place(self) -> Generator[None, None, None]:
        """Let the network have the averaged weights inside a with statement, and its own again after it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, array in self._live().items():
            room = self._room[: array.size].reshape(array.shape)
            np.copyto(room, array)
            np.copyto(array, self._arrays[name])
            np.copyto(self._arrays[name], room)
        self._network.changed()

    def state(self) -> dict[str, Array]:
        """Return what resuming needs: {name: array}, not copied."""
        return dict(self._arrays)

    def load_state(self, arrays: dict[str, Array]) -> None:
        """Put the average where ``state`` was. Raises ModelError where names or shapes are others."""
        if arrays.keys() != self._arrays.keys():
            raise ModelError("the saved average of the weights is of another network; train again.")
        for name, array in arrays.items():
            if array.shape != self._arrays[name].shape:
                raise ModelError(f"the saved average of {name} is {array.shape}, not {self._arrays[name].shape}; train "
                                 "again.")
            np.copyto(self._arrays[name], array)
