"""Every layer on images of odd sizes that are cut into several chunks, one image or more at a time: the same bits on
any number of threads, in training and in evaluation, and for an image whatever batch it comes in."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli.layers import (
    LAYERS,
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    LPPool2d,
    MaxPool2d,
    Scale,
    Whitening,
)

# 76,849 values: five pieces of pointwise work, three chunks of batch normalisation, two blocks of pooled channels.
IMAGE, SMALL, FLAT = (37, 31, 67), (17, 15, 33), (2051,)
CASES = {
    "AdaptiveAvgPool2d": (lambda: AdaptiveAvgPool2d((7, 5)), [IMAGE]),
    "Add": (Add, [IMAGE, IMAGE]),
    "AvgPool2d": (lambda: AvgPool2d(3, 2, 1), [IMAGE]),
    "BatchNorm2d": (BatchNorm2d, [IMAGE]),
    "Concat": (Concat, [IMAGE, (37, 31, 5)]),
    "Conv2d": (lambda: Conv2d(None, 37, 3, padding=1), [SMALL]),
    "Conv2d strided": (lambda: Conv2d(None, 37, 3, stride=2, padding=1), [SMALL]),
    "Conv2d 1 x 1": (lambda: Conv2d(None, 129, 1), [SMALL]),
    "Conv2d of few channels": (lambda: Conv2d(None, 5, (5, 3)), [(37, 31, 3)]),
    "Conv2d in groups": (lambda: Conv2d(None, 22, 3, padding=1, groups=11), [SMALL]),
    "Conv2d depthwise": (lambda: Conv2d(None, 67, 3, padding=1, groups=67), [IMAGE]),
    "Dropout": (Dropout, [IMAGE]),
    "Flatten": (Flatten, [IMAGE]),
    "GlobalAvgPool2d": (GlobalAvgPool2d, [IMAGE]),
    "LPPool2d": (lambda: LPPool2d(2, 3, 2), [IMAGE]),
    "Linear": (lambda: Linear(None, 301), [FLAT]),
    "MaxPool2d": (lambda: MaxPool2d(3, 2, 1), [IMAGE]),
    "Scale": (lambda: Scale(0.3), [IMAGE]),
    "Whitening": (Whitening, [(37, 31, 3)]),
    **{name: (LAYERS[name], [IMAGE]) for name in ("LeakyReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softmax", "Tanh")},
}


def test_no_layer_is_left_out():
    assert {name.split()[0] for name in CASES} == set(LAYERS)


def fresh(name):
    """The layer, its weights always the same."""
    make, shapes = CASES[name]
    layer = make()
    layer.bind(*shapes)
    layer.initialise(np.random.default_rng(2))
    return layer


def inputs(name, batch, rng):
    return [rng.standard_normal((batch, *shape), dtype=np.float32) for shape in CASES[name][1]]


def everything(name, x, dy):
    """What a step of training and an evaluation after it leave behind, by name."""
    layer = fresh(name)
    results = {"y": layer.forward(*x, training=True).copy()}
    dx = layer.backward(dy)
    results |= {f"dx[{i}]": a for i, a in enumerate(dx if isinstance(dx, tuple) else (dx,))}
    results |= layer.grads | layer.state
    results["evaluated"] = layer.forward(*x)
    return {key: array.tobytes() for key, array in results.items()}


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
