"""A layer used alone, without a network, says in our words what is wrong with the arrays it is given."""

import numpy as np
import pytest

from cnncli.errors import NetworkError, UsageError
from cnncli.layers import LAYERS, Add, BatchNorm2d, Concat, Conv2d, Linear, MaxPool2d, ReLU

from .cases import CASES, OURS

IMAGES = np.ones((2, 6, 5, 3), np.float32)


def ones(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize("given", [None, "image.png", ["a", "b"], [[1, 2], [3]], {}, np.ones((2, 3), complex),
                                   np.array([[None]]), np.array([b"x"])], ids=repr)
@pytest.mark.parametrize("name", sorted(OURS))
def test_what_are_no_numbers(name, given):
    options, shapes = next((options, shapes) for kind, options, shapes in CASES if kind == name)
    with pytest.raises(UsageError, match=f"the input of {name} must be an array of numbers"):
        LAYERS[name](**options).forward(*[given] * len(shapes))


@pytest.mark.parametrize("shape", [(), (6,), (6, 5, 3), (1, 2, 6, 5, 3), (0, 6, 5, 3), (2, 0)], ids=str)
@pytest.mark.parametrize("name", sorted(OURS))
def test_arrays_that_are_neither_images_nor_features(name, shape):
    options, shapes = next((options, shapes) for kind, options, shapes in CASES if kind == name)
    with pytest.raises(NetworkError, match=rf"{name} takes arrays \(n, h, w, c\) or \(n, features\)") as refused:
        LAYERS[name](**options).forward(*[ones(*shape)] * len(shapes))
    assert str(refused.value).endswith(f"{shape if shape else (1,)}.")


def known(layer, *shape):
    layer.forward(ones(*shape))
    return layer


@pytest.mark.parametrize(("use", "words"), [
    (lambda: known(Conv2d(None, 4), 2, 6, 5, 3).forward(ones(2, 3, 6, 5)), "takes 3 channels, but its input has 5"),
    (lambda: known(Linear(None, 4), 2, 7).forward(ones(2, 8)), "takes 7 features, but its input has 8"),
    (lambda: known(BatchNorm2d(), 2, 7).forward(ones(2, 8)), "made for 7 channels and its input has 8"),
    (lambda: Linear(None, 4).forward(IMAGES), r"not an image \(6, 5, 3\)"),
    (lambda: MaxPool2d(2).forward(ones(2, 7)), "needs an image"),
    (lambda: ReLU().forward(IMAGES, IMAGES), "ReLU takes 1 input, not 2"),
    (lambda: ReLU().forward(), "ReLU takes 1 input, not 0"),
    (lambda: Add().forward(IMAGES), "Add takes two inputs or more, not 1"),
    (lambda: Add().forward(IMAGES, IMAGES[:1]), "must hold the same number of images"),
    (lambda: Add().forward(IMAGES, IMAGES[:, 1:]), "Add needs inputs of one shape"),
    (lambda: Concat().forward(IMAGES, ones(2, 3)), "Concat needs inputs of one height and width"),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_shapes_that_do_not_suit(use, words):
    with pytest.raises(NetworkError, match=words):
        use()


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_gradient_of_another_shape(name):
    options, shapes = next((options, shapes) for kind, options, shapes in CASES if kind == name)
    layer = LAYERS[name](**options)
    x = [ones(3, *shape) for shape in shapes]
    with pytest.raises(UsageError, match=rf"{name}.backward needs a forward\(..., training=True\) before it"):
        layer.backward(ones(3, 1))
    layer.forward(*x)
    with pytest.raises(UsageError, match="needs a forward"):
        layer.backward(ones(3, 1))
    y = layer.forward(*x, training=True)
    with pytest.raises(NetworkError, match=f"{name}'s output was .*, so its gradient must have this shape, too, not"):
        layer.backward(ones(*y.shape[:-1], y.shape[-1] + 1))
    with pytest.raises(UsageError, match=f"the gradient of {name}'s output must be an array of numbers"):
        layer.backward(None)
    layer.backward(y)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float64, np.float16, bool])
def test_numbers_of_other_types_and_lists_are_taken(kind):
    assert np.array_equal(ReLU().forward(IMAGES.astype(kind)), IMAGES)
    assert np.array_equal(ReLU().forward(IMAGES.tolist()), IMAGES)
    assert np.array_equal(ReLU().forward(IMAGES[:, ::-1].astype(kind)), IMAGES)
