"""Lookahead: slow weights that follow the fast ones, and every few steps the fast ones start again from there (Zhang,
Lucas, Hinton and Ba 2019). training/fit.py asks for it after each step where the recipe says so.
"""

from collections.abc import Mapping

import numpy as np

from ..errors import ModelError
from ..kernels import Array

EVERY = 5  # steps
LAST_DECAY = 0.95**EVERY  # of the slow weights at the end, growing with the cube of the time until then (Jordan 2024)


class Lookahead:
    """Holds the slow weights of some arrays, which it changes in place: parameters and batch norms' statistics.

    They follow the fast ones at once in the beginning and more and more slowly in the end, as the learning rate falls.
    After the last of total_steps steps the fast ones are set to the slow ones as they are.
    """

    def __init__(self, arrays: Mapping[str, Array], total_steps: int) -> None:
        self._fast = dict(arrays)
        self._slow = {name: array.copy() for name, array in arrays.items()}
        self.total_steps = total_steps

    def after(self, steps: int) -> bool:
        """Do what is due after so many steps; return whether the arrays were changed."""
        last = steps >= self.total_steps
        if steps % EVERY and not last:
            return False
        decay = np.float32(1.0 if last and steps % EVERY else LAST_DECAY * (steps / self.total_steps) ** 3)
        for name, slow in self._slow.items():
            slow += (1 - decay) * (self._fast[name] - slow)
            self._fast[name][...] = slow
        return True

    def state(self) -> dict[str, Array]:
        """Return copies of the slow weights: "slow/conv1.weight"."""
        return {f"slow/{name}": slow.copy() for name, slow in self._slow.items()}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Continue from what state() returned. Raises ModelError where an array is missing or has another shape."""
        for name, slow in self._slow.items():
            saved = state.get(f"slow/{name}")
            if saved is None or saved.shape != slow.shape:
                raise ModelError(f"the saved state has no slow {name} of shape {slow.shape}, which Lookahead needs to "
                                 "continue; train again.")
            slow[...] = saved
