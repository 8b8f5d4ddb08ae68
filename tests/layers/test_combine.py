"""layers/combine.py, dropout.py, flatten.py, scale.py and softmax.py: conformance, refusals, and the orders that they
promise."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli.errors import NetworkError
from cnncli.layers import Add, Concat, Dropout, Flatten, Scale, Softmax
from cnncli.network import Network

from .conformance import check_layer


@pytest.mark.parametrize("inputs", [2, 3, 4])
def test_add(inputs, isa):
    check_layer(Add(), *[(5, 3, 7)] * inputs)


@pytest.mark.parametrize("channels", [(1, 2), (3, 8, 17), (16, 16)], ids=str)
def test_concat(channels, isa):
    check_layer(Concat(), *[(3, 5, c) for c in channels])
    check_layer(Concat(), *[(c,) for c in channels])


@pytest.mark.parametrize("shape", [(5, 3, 7), (1, 1, 9), (4, 4, 1), (17, 20, 33), (11,)], ids=str)
def test_flatten(shape, isa, rng):
    check_layer(Flatten(), shape)
    x = rng.standard_normal((2, *shape)).astype(np.float32)
    expected = x.transpose(0, 3, 1, 2) if len(shape) == 3 else x
    assert np.array_equal(Flatten().forward(x), expected.reshape(2, -1))


@pytest.mark.parametrize("shape", [(10,), (1,), (33,), (3, 2, 17)], ids=str)
def test_softmax(shape, isa):
    check_layer(Softmax(), shape)


@pytest.mark.parametrize("shape", [(10,), (5, 3, 17)], ids=str)
def test_scale(shape, isa, rng):
    check_layer(Scale(1 / 9), shape)
    x = rng.standard_normal((2, *shape)).astype(np.float32)
    assert np.array_equal(Scale(-0.5).forward(x), -0.5 * x)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), True, "9"], ids=str)
def test_a_scale_by_no_finite_number_is_refused(factor):
    with pytest.raises(NetworkError, match="factor must be a finite number"):
        Scale(factor)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
def test_dropout(p, isa):
    check_layer(Dropout(p), (5, 6, 7))


def test_dropout_masks_differ_by_step_and_stream_and_not_in_evaluation(isa):
    x = np.ones((2, 50, 50, 4), np.float32)
    layer, other = Dropout(), Dropout()
    other.stream = 1
    first, second = layer.forward(x, training=True), layer.forward(x, training=True)
    elsewhere = other.forward(x, training=True)
    for a, b in ((first, second), (first, elsewhere)):
        assert abs(np.mean((a > 0) == (b > 0)) - 0.5) < 0.02
    assert np.array_equal(layer.forward(x), x)


def test_dropout_backward_draws_the_same_mask(isa, rng):
    x = rng.standard_normal((3, 70, 50, 5)).astype(np.float32)
    layer = Dropout(0.25)
    y = layer.forward(x, training=True)
    dx = layer.backward(np.ones_like(x))
    assert np.array_equal(dx, np.where(y != 0, np.float32(1 / 0.75), np.float32(0)))
    with kernels.use_isa("reference"):
        assert np.array_equal(Dropout(0.25).forward(x, training=True), y)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Add().output_shape((4, 4, 8), (4, 4, 16)), "one shape"),
    (lambda: Add().output_shape((4, 4, 8)), "two inputs"),
    (lambda: Concat().output_shape((4, 4, 8), (2, 4, 8)), "one height and width"),
    (lambda: Dropout(1.5), "probability"),
    (lambda: Dropout("half"), "probability"),
])  # fmt: skip
def test_refusals(make, message):
    with pytest.raises(NetworkError, match=message):
        make()


@pytest.mark.parametrize(("kind", "before", "after"), [
    ("Add", {"kernel_size": 3}, {"padding": "same"}), ("Concat", {"kernel_size": 3}, {"padding": "same"}),
    ("Add", {"kernel_size": 3, "padding": 2}, {"padding": "same"}),
    ("Add", {"kernel_size": 1, "out_channels": 5}, {"out_channels": 8})])
def test_the_remedy_for_inputs_of_other_shapes_is_one(kind: str, before: dict, after: dict) -> None:
    """What is advised where a branch of 28 x 28 positions differs from its input by its padding or its channels."""
    def network(**branch) -> Network:
        return Network([{"type": "Conv2d", "out_channels": 8, "kernel_size": 1, "name": "a"},
                        {"type": "Conv2d", "out_channels": 8, "name": "b", **before, **branch},
                        {"type": kind, "inputs": ["b", "a"]}], (28, 28, 1))
    with pytest.raises(NetworkError) as refused:
        network()
    advised = str(refused.value).partition("; ")[2]
    [(option, value)] = after.items()
    assert (f'{option} = "{value}"' if isinstance(value, str) else f"{option} = ") in advised
    assert ("kernel_size = 1" in advised) == (option == "out_channels")
    assert network(**after).output_shape[:2] == (28, 28)


@pytest.mark.parametrize("kind", ["Add", "Concat"])
@pytest.mark.parametrize(("size", "stride"), [((28, 28), 2), ((27, 28), 2), ((29, 30), 3), ((32, 16), 4)])
def test_a_shortcut_gets_the_stride_that_is_missing(kind: str, size: tuple[int, int], stride: int) -> None:
    way = [{"type": "Conv2d", "out_channels": 4, "kernel_size": 1, "name": "a"},
           {"type": "Conv2d", "out_channels": 6, "kernel_size": 1, "stride": stride, "name": "b"}]
    with pytest.raises(NetworkError) as refused:
        Network([*way, {"type": kind, "inputs": ["b", "a"]}], (*size, 1))
    assert str(refused.value).endswith(f"; put a Conv2d with kernel_size = 1, stride = {stride} and out_channels = 6 "
                                       f"before each of {size[0]} x {size[1]} positions.")
    shortcut = {"type": "Conv2d", "kernel_size": 1, "stride": stride, "out_channels": 6, "inputs": ["a"], "name": "c"}
    Network([*way, shortcut, {"type": kind, "inputs": ["b", "c"]}], (*size, 1))


@pytest.mark.parametrize(("shapes", "remedy"), [
    (((8, 8, 4), (4,)), "put GlobalAvgPool2d or Flatten before each of them that is an image."),
    (((4,), (5,)), "put a Linear of out_features = 4 before each that has another length."),
    (((8, 8, 4), (9, 13, 4)), 'give the layers on the ways to them the same strides, and convolutions of stride 1 '
                              'padding = "same" (others "same_tf").')])
def test_other_shapes_have_other_remedies(shapes: tuple[tuple[int, ...], ...], remedy: str) -> None:
    with pytest.raises(NetworkError) as refused:
        Add().output_shape(*shapes)
    assert str(refused.value).endswith("; " + remedy)
