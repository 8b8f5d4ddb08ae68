"""Every layer on images of odd sizes that are cut into several chunks, one image or more at a time: the same bits on
any number of threads, in training and in evaluation, and for an image whatever batch it comes in."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli.layers import LAYERS

from .cases import LARGE as CASES


def fresh(name):
    """The layer, its weights always the same."""
    kind, options, shapes = CASES[name]
    layer = LAYERS[kind](**options)
    layer.bind(*shapes)
    layer.initialise(np.random.default_rng(2))
    return layer


def inputs(name, batch, rng):
    return [rng.standard_normal((batch, *shape), dtype=np.float32) for shape in CASES[name][2]]


def everything(name, x, dy):
    """What a step of training and an evaluation after it leave behind, by name."""
    layer = fresh(name)
    results = {"y": layer.forward(*x, training=True).copy()}
    dx = layer.backward(dy)
    results |= {f"dx[{i}]": a for i, a in enumerate(dx if isinstance(dx, tuple) else (dx,))}
    results |= layer.grads | layer.state
    results["evaluated"] = layer.forward(*x)
    return {key: array.tobytes() for key, array in results.items()}


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_the_same_bits_on_any_threads(name, batch, isa, rng):
    x = inputs(name, batch, rng)
    dy = rng.standard_normal(fresh(name).forward(*x).shape, dtype=np.float32)
    before, results = kernels.threads(), {}
    try:
        for count in (1, 2, 3, 7):
            kernels.set_threads(count)
            results[count] = everything(name, x, dy)
    finally:
        kernels.set_threads(before)
    for count, result in results.items():
        differing = [key for key in result if result[key] != results[1][key]]
        assert not differing, f"{differing} differ on {count} threads"


@pytest.mark.parametrize("name", CASES)
def test_an_image_is_the_same_bits_in_any_batch(name, isa, rng):
    layer, x = fresh(name), inputs(name, 5, rng)
    layer.forward(*x, training=True)  # running statistics that are not those of the start
    together = layer.forward(*x).copy()
    for first, last in ((0, 1), (4, 5), (1, 4)):
        part = layer.forward(*(a[first:last] for a in x))
        assert part.tobytes() == together[first:last].tobytes(), f"images {first} to {last}"
