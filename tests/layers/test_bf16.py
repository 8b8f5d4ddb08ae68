"""Layers whose calls take maps of bfloat16: forward and backward yield what they do with float32, rounded once."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli.layers import (
    LAYERS,
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Buffers,
    Concat,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    ReLU6,
    Scale,
    Sigmoid,
    SiLU,
    Tanh,
)

SHAPE = (6, 5, 7)
# Layers with the shapes of their inputs.
CASES = [(layer, [SHAPE]) for layer in (BatchNorm2d(), ReLU(), ReLU6(), LeakyReLU(0.1), SiLU(), Sigmoid(), Tanh(),
                                        Dropout(0.3), Scale(0.3), Flatten(), MaxPool2d(3, 2, 1), AvgPool2d(2),
                                        GlobalAvgPool2d(), AdaptiveAvgPool2d(3))]
CASES += [(Add(), [SHAPE, SHAPE]), (Concat(), [SHAPE, (6, 5, 3), (6, 5, 4)])]


def of(layer):
    return f"{type(layer).__name__}"


def run(layer, x, dy, to, back):
    """Return y, all dx and the gradients: `to` makes what maps are stored as, `back` float32 of them again."""
    shapes, batch = [each.shape[1:] for each in x], len(x[0])
    kind = to(x[0]).dtype
    out = layer.output_shape(*shapes)
    io = Buffers([to(each) for each in x], kernels.aligned_empty((batch, *out), kind if len(out) == 3 else np.float32),
                 True, dx=[kernels.aligned_empty(each.shape, kind) for each in x],
                 dy=to(dy) if len(out) == 3 else dy,
                 saved={name: kernels.aligned_empty(*spec) for name, spec in layer.saved(batch, *shapes).items()},
                 workspace=kernels.aligned_empty((layer.workspace(batch, *shapes, training=True),), np.uint8))
    for call in layer.forward_calls(io):
        call()
    if io.y.dtype == np.float32 and io.y.ndim == 4:
        io.y[...] = rounded(io.y)  # what backward finds there
    y = io.y.copy()
    for call in layer.backward_calls(io):
        call()
    return [back(y), *map(back, io.dx), *(each.copy() for each in layer.grads.values())]


def rounded(x):
    return kernels.from_bfloat16(kernels.to_bfloat16(x))


@pytest.mark.parametrize(("layer", "shapes"), CASES, ids=lambda each: of(each) if hasattr(each, "arity") else "")
def test_maps_of_bfloat16(layer, shapes, isa, rng):
    assert layer.takes_bfloat16
    layer.bind(*shapes)
    layer.initialise(rng)
    x = [rounded(rng.normal(0.3, 1, (4, *shape)).astype(np.float32)) for shape in shapes]
    dy = rounded(rng.standard_normal((4, *layer.output_shape(*shapes))).astype(np.float32))
    widen = lambda a: kernels.from_bfloat16(a) if a.dtype == kernels.BFLOAT16 else a  # noqa: E731
    found = run(layer, x, dy, kernels.to_bfloat16, widen)
    expected = run(layer, x, dy, np.copy, np.copy)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2**-7, atol=1e-5)


def test_every_layer_that_takes_them_is_tested():
    named = {name for name, layer in LAYERS.items() if layer.takes_bfloat16 and not layer.mixes_storage}
    assert named == {type(layer).__name__ for layer, _ in CASES}
