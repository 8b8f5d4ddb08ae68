"""What every layer must do, whatever its family: one function that a family's test file calls with its cases.

It checks that the config builds the same layer again, that the output has the promised shape, that backward agrees
with numeric gradients (for inputs and for every parameter), that nothing is written outside the arrays given, and
that results are the same bits for any number of threads.
"""

import json
from collections.abc import Sequence

import numpy as np

from cnncli import kernels
from cnncli.layers import LAYERS, Layer
from cnncli.layers.gradients import compare, restart


def check_layer(layer: Layer, *shapes: Sequence[int], batch: int = 3, seed: int = 0, gradients: bool = True) -> None:
    """Check one layer on random inputs of these shapes (each of one image)."""
    rng = np.random.default_rng(seed)
    layer.bind(*map(tuple, shapes))
    layer.initialise(rng)
    x = [rng.standard_normal((batch, *shape)).astype(np.float32) for shape in shapes]

    config = layer.config()
    again = LAYERS[type(layer).__name__](**json.loads(json.dumps(config)))
    assert again.config() == config

    y = layer.forward(*x, training=True).copy()
    assert y.shape == (batch, *layer.output_shape(*map(tuple, shapes)))
    assert np.isfinite(y).all()
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx = layer.backward(dy)
    dx = [a.copy() for a in (dx if isinstance(dx, tuple) else (dx,))]
    grads = {name: grad.copy() for name, grad in layer.grads.items()}

    _same_bits_on_any_threads(layer, x, dy, y, dx, grads)
    if gradients:
        compare(layer, x, dy, rng)


def _same_bits_on_any_threads(layer, x, dy, y, dx, grads) -> None:
    before = kernels.threads()
    try:
        for count in (1, 2, 4):
            kernels.set_threads(count)
            restart(layer)
            assert np.array_equal(layer.forward(*x, training=True), y), f"forward differs on {count} threads"
            again = layer.backward(dy)
            for a, b in zip(again if isinstance(again, tuple) else (again,), dx, strict=True):
                assert np.array_equal(a, b), f"dx differs on {count} threads"
            for name, grad in layer.grads.items():
                assert np.array_equal(grad, grads[name]), f"d{name} differs on {count} threads"
    finally:
        kernels.set_threads(before)
