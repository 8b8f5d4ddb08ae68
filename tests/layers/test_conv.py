"""layers/conv.py: conformance over the kinds of convolution, the paddings by name, and what is refused in words. What
the kernels compute is tested in kernels/test_conv.py."""

import numpy as np
import pytest

from cnncli.errors import NetworkError
from cnncli.layers import Conv2d

from .conformance import check_layer

CASES = [
    (Conv2d(None, 5, 3), (7, 6, 3)),
    (Conv2d(3, 5, (3, 2), stride=(2, 1), padding=[1, 0, 2, 1], bias=False), (7, 6, 3)),
    (Conv2d(4, 6, 3, padding="same", dilation=2, groups=2, init="xavier"), (7, 6, 4)),
    (Conv2d(4, 4, 3, stride=2, padding="same_tf", groups=4, init="pytorch"), (7, 6, 4)),
    (Conv2d(2, 6, 5, padding=(2, 1), groups=2), (7, 6, 2)),
    (Conv2d(8, 33, 1), (4, 4, 8)),
]


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=[repr(layer) for layer, _ in CASES])
def test_conformance(layer, shape, isa):
    check_layer(layer, shape)


def test_same_is_pytorch_s():
    layer = Conv2d(1, 1, 4, padding="same", bias=False)
    assert layer.output_shape((5, 6, 1)) == (5, 6, 1)
    layer.bind((5, 6, 1))
    layer.params["weight"].fill(0)
    layer.params["weight"][0, 0, 1, 1] = 1  # PyTorch puts one zero before and two behind
    x = np.arange(30, dtype=np.float32).reshape(1, 5, 6, 1)
    assert np.array_equal(layer.forward(x), x)


@pytest.mark.parametrize("size", [5, 6, 7, 8])
def test_same_tf_is_tensorflow_s(size):
    # tf.nn.conv2d, kernel 3, stride 2: no zero before where the size is even, one where it is odd.
    layer = Conv2d(1, 1, 3, stride=2, padding="same_tf", bias=False)
    assert layer.output_shape((size, size, 1)) == ((size + 1) // 2, (size + 1) // 2, 1)
    layer.bind((size, size, 1))
    layer.params["weight"].fill(0)
    layer.params["weight"][0, 0, 0, 0] = 1
    x = np.arange(1, size * size + 1, dtype=np.float32).reshape(1, size, size, 1)
    corner = layer.forward(x)[0, 0, 0, 0]
    assert corner == (1 if size % 2 == 0 else 0)


@pytest.mark.parametrize(("inputs", "outputs", "kernel"), [(3, 8, 3), (5, 5, (1, 3)), (6, 4, 3)])
def test_dirac_passes_its_inputs_on_first(inputs, outputs, kernel, rng):
    layer = Conv2d(inputs, outputs, kernel, padding="same", bias=False, init="dirac")
    layer.bind((6, 5, inputs))
    layer.initialise(rng)
    x = rng.standard_normal((2, 6, 5, inputs)).astype(np.float32)
    count = min(inputs, outputs)
    assert np.array_equal(layer.forward(x)[..., :count], x[..., :count])
    assert np.count_nonzero(layer.params["weight"][count:]) == layer.params["weight"][count:].size


def test_initialisers():
    rng = np.random.default_rng(0)
    for init, deviation in (("he", np.sqrt(2 / (64 * 9))), ("xavier", np.sqrt(2 / (96 * 9))),
                            ("pytorch", 1 / np.sqrt(3 * 32 * 9))):
        layer = Conv2d(32, 64, 3, init=init)
        layer.bind((8, 8, 32))
        layer.initialise(rng)
        assert abs(layer.params["weight"].std() / deviation - 1) < 0.03, init
        assert (init == "pytorch") == bool(layer.params["bias"].any())


def test_costs():
    assert Conv2d(4, 6, 3, padding=1, groups=2).multiply_adds((5, 7, 4)) == 5 * 7 * 6 * 2 * 9


REFUSED = [
    (lambda: Conv2d(3, 0, 3), "out_channels"),
    (lambda: Conv2d(3, 4, 3, stride=0), "stride"),
    (lambda: Conv2d(3, 4, (3, 3, 3)), "kernel_size"),
    (lambda: Conv2d(3, 4, 3, padding=-1), "padding"),
    (lambda: Conv2d(3, 4, 3, padding="half"), "half"),
    (lambda: Conv2d(3, 4, 3, padding="same", stride=2), "same_tf"),
    (lambda: Conv2d(3, 4, 3, groups=2), "3 input channels"),
    (lambda: Conv2d(4, 3, 3, groups=2), "3 output channels"),
    (lambda: Conv2d(3, 4, 3, init="hee"), "Did you mean 'he'"),
    (lambda: Conv2d(3, 4, 3).output_shape((5, 5, 4)), "takes 3 channels, but its input has 4"),
    (lambda: Conv2d(3, 4, 3).output_shape((75,)), "flat vector of 75"),
    (lambda: Conv2d(3, 4, 7, dilation=2, padding=1).output_shape((9, 20, 3)), "13 x 13 pixels.* 11 x 22"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_refusals_name_the_sizes(make, words):
    with pytest.raises(NetworkError, match=words):
        make()
