"""The loss that is told of training steps: the plain cross-entropy of their batches, whatever loss is minimised. fit.py
asks for it after each step.
"""

import numpy as np

from ..kernels import Array, Mixed
from ..loss import CrossEntropy


class Measure:
    """The plain cross-entropy of batches of one shape. Its arrays and its call are kept from step to step."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._logits, self._labels = np.empty(shape, np.float32), np.empty(shape[0], np.int64)
        self._mixed, self._losses = (np.empty(shape[0], np.int64), np.empty(shape[0], np.float32)), np.empty(shape[0])
        self._calls = CrossEntropy().calls(self._logits, self._labels, self._losses, mixed=self._mixed)

    def __call__(self, logits: Array, labels: Array, mixed: Mixed | None) -> float:
        np.copyto(self._logits, logits)
        np.copyto(self._labels, labels)
        others, shares = mixed or (labels, 1.0)
        np.copyto(self._mixed[0], others)
        np.copyto(self._mixed[1], shares)
        for call in self._calls:
            call()
        return float(self._losses.sum())
