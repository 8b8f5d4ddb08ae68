"""Whether a layer's backward is the derivative of its forward: for layers of one's own, and for every layer in
tests/layers/.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import NetworkError
from ..kernels import Array
from .base import Layer, Shape

# Float32 forward and central differences along random directions, so noise is about 2^-24 * |y| / step; these bounds
# hold for outputs of order 1.
STEP, TOLERANCE = 1e-2, 2e-2


def check_gradients(layer: Layer, *shapes: Shape, batch: int = 3, seed: int = 0) -> None:
    """Compare a layer's gradients with differences of its outputs, on random inputs.

    A kink, like that of ReLU at 0, can spoil the comparison.

    Args:
        layer: The layer.
        *shapes: The shape of each input for one image: (h, w, c) or (features,).
        batch: The number of images.
        seed: The seed of inputs and weights.

    Raises:
        NetworkError: A gradient is wrong; the message names it.
    """
    rng = np.random.default_rng(seed)
    layer.bind(*shapes)
    layer.initialise(rng)
    x = [rng.standard_normal((batch, *shape)).astype(np.float32) for shape in shapes]
    dy = rng.standard_normal((batch, *layer.output_shape(*shapes))).astype(np.float32)
    compare(layer, x, dy, rng)


def compare(layer: Layer, x: Sequence[Array], dy: Array, rng: np.random.Generator) -> None:
    """Compare the gradients of every input and parameter for these arrays, as ``check_gradients`` does."""
    def value() -> float:
        restart(layer)
        return float(np.vdot(layer.forward(*x, training=True).astype(np.float64), dy))

    value()
    dx = layer.backward(dy)
    pairs = [(f"input {i + 1}", a, b.copy()) for i, (a, b) in enumerate(
        zip(x, dx if isinstance(dx, tuple) else (dx,), strict=True))]
    pairs += [(name, layer.params[name], grad.copy()) for name, grad in layer.grads.items()]
    for name, array, gradient in pairs:
        direction = np.sign(rng.standard_normal(array.shape)).astype(np.float32) * (rng.random(array.shape) < 0.5)
        direction /= max(1.0, float(np.sqrt(np.count_nonzero(direction))))
        start = array.copy()
        array[...] = start + STEP * direction
        up = value()
        array[...] = start - STEP * direction
        down = value()
        array[...] = start
        numeric = (up - down) / (2 * STEP)
        analytic = float(np.vdot(gradient.astype(np.float64), direction))
        scale = max(1.0, abs(numeric), float(np.linalg.norm(gradient)) * 0.3)
        if not abs(numeric - analytic) <= TOLERANCE * scale:
            raise NetworkError(f"{layer!r}: along a direction the gradient of {name} says {analytic:.6g}, but the "
                               f"output changes by {numeric:.6g}; correct the gradient.")


def restart(layer: Layer) -> None:
    """Back to before the first forward, so that the next one draws the same random numbers."""
    layer._alone = None
