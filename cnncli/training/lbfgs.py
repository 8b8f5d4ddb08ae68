"""L-BFGS (Liu and Nocedal 1989): finds the minimum of a smooth function of a few thousand numbers, from gradients of
all the data at once. probe.py fits a last layer with it.
"""

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Function = Callable[[Vector], tuple[float, Vector]]

MEMORY = 10  # steps whose change of the gradient is remembered
ENOUGH_FALL = 1e-4  # of what the slope promises (Armijo 1966)
SHORTEST = 1e-8  # of a step, below which there is nothing left to win


def minimise(function: Function, start: Vector, most: int = 200, tolerance: float = 1e-6) -> tuple[Vector, float]:
    """Return where the function, which answers with value and gradient, is least, and its value there.

    It ends after ``most`` steps, or where one lowers the value by less than ``tolerance`` of it. Sums are NumPy's own,
    not BLAS's, so that the result is the same bits on any number of threads.
    """
    point, (value, gradient) = start, function(start)
    pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=MEMORY)
    for _ in range(most):
        direction = _direction(gradient, pairs)
        slope, length = -_dot(direction, gradient), 1.0
        while True:
            there = point - length * direction
            new_value, new_gradient = function(there)
            if np.isfinite(new_value) and new_value <= value + ENOUGH_FALL * length * slope:
                break
            length /= 2
            if length < SHORTEST:
                return point, value
        step, change = there - point, new_gradient - gradient
        curvature = _dot(step, change)
        if curvature > 0:
            pairs.append((step, change, curvature))
        fall, value = value - new_value, new_value
        point, gradient = there, new_gradient
        if fall <= tolerance * max(1.0, abs(value)):
            break
    return point, value


def _direction(gradient: Vector, pairs: deque[tuple[Vector, Vector, float]]) -> Vector:
    """Return the gradient times the inverse of the curvature that the last steps have shown: the two loops of the
    paper."""
    direction: Vector = gradient.copy()
    factors: list[float] = []
    for step, change, curvature in reversed(pairs):
        factors.append(_dot(step, direction) / curvature)
        direction -= factors[-1] * change
    if pairs:
        _, change, curvature = pairs[-1]
        direction *= curvature / _dot(change, change)
    else:
        direction /= max(1.0, float(np.abs(gradient).sum()))
    for (step, change, curvature), factor in zip(pairs, reversed(factors), strict=True):
        direction += (factor - _dot(change, direction) / curvature) * step
    return direction


def _dot(a: Vector, b: Vector) -> float:
    return float((a * b).sum())
