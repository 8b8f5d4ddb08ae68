"""layers/pool.py: conformance of the pooling layers, PyTorch's output sizes, and their refusals; what the kernels
compute is tested in kernels/test_pool.py."""

import numpy as np
import pytest

from cnncli.errors import NetworkError
from cnncli.layers import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, LPPool2d, MaxPool2d

from .conformance import check_layer


@pytest.mark.parametrize("layer", [
    AvgPool2d(2), AvgPool2d(3, 2, 1), AvgPool2d((3, 2), (1, 3), (1, 0), True, False), GlobalAvgPool2d(),
    LPPool2d(2, 2), LPPool2d(2, 3, 2), LPPool2d(2, 3, 2, True), LPPool2d(1, 2), AdaptiveAvgPool2d(3),
    AdaptiveAvgPool2d((7, 6)), AdaptiveAvgPool2d((9, 1)),
], ids=repr)  # fmt: skip
@pytest.mark.parametrize("channels", [3, 8])
def test_smooth(layer, channels, isa):
    check_layer(layer, (7, 6, channels))


@pytest.mark.parametrize("layer", [
    MaxPool2d(2), MaxPool2d(3, 2, 1), MaxPool2d(2, 1, 0, 2), MaxPool2d((2, 3), ceil_mode=True), MaxPool2d(5, 1, 2),
], ids=repr)  # fmt: skip
def test_maximum(layer, isa):
    # A step can change which pixel wins; kernels/test_pool.py checks the gradient exactly.
    check_layer(layer, (7, 6, 5), gradients=False)


# (layer, size) -> size, worked out with PyTorch 2's formula by hand.
@pytest.mark.parametrize(("layer", "size", "expected"), [
    (MaxPool2d(2), 7, 3),
    (MaxPool2d(2, ceil_mode=True), 7, 4),
    (MaxPool2d(3, 2, 1), 112, 56),
    (MaxPool2d(3, 2, 1, ceil_mode=True), 112, 57),
    (MaxPool2d(2, 2, 1, ceil_mode=True), 3, 2),  # the third window would start in the padding on the right
    (MaxPool2d(3, 1, 0, 2), 7, 3),
    (AvgPool2d(2, 3, ceil_mode=True), 4, 2),
    (AvgPool2d(1, 3, ceil_mode=True), 3, 1),
    (AvgPool2d(4, 2, ceil_mode=True), 3, 1),
    (LPPool2d(2, 3, 2), 8, 3),
    (AdaptiveAvgPool2d(7), 8, 7),
    (AdaptiveAvgPool2d(7), 2, 7),
], ids=repr)  # fmt: skip
def test_output_sizes(layer, size, expected):
    assert layer.output_shape((size, size, 3)) == (expected, expected, 3)


@pytest.mark.parametrize(("layer", "shape", "halves"), [
    (MaxPool2d(2), (8, 6, 3), True), (MaxPool2d(2), (9, 7, 3), True), (MaxPool2d(2, 2), (8, 6, 3), True),
    (MaxPool2d(2, ceil_mode=True), (9, 6, 3), False), (MaxPool2d(2, ceil_mode=True), (8, 6, 3), True),
    (MaxPool2d(2, 1), (8, 6, 3), False), (MaxPool2d(2, (2, 1)), (8, 6, 3), False), (MaxPool2d(3, 2), (8, 6, 3), False),
    (MaxPool2d(2, 2, 1), (8, 6, 3), False), (MaxPool2d((2, 1), (2, 1)), (8, 6, 3), False),
    (AvgPool2d(2), (8, 6, 3), False)], ids=repr)  # fmt: skip
def test_only_pooling_of_pairs_halves(layer, shape, halves):
    assert layer.halves(shape) is halves


def test_an_image_is_pooled_alike_in_any_batch(isa, rng):
    x = rng.standard_normal((18, 9, 7, 67)).astype(np.float32)
    for layer in (MaxPool2d(3, 2, 1), AvgPool2d(3, 2, 1), LPPool2d(2, 3, 2), GlobalAvgPool2d(), AdaptiveAvgPool2d(4)):
        alone = np.concatenate([layer.forward(x[i : i + 1]) for i in range(len(x))])
        assert np.array_equal(layer.forward(x), alone)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: MaxPool2d(0), "kernel_size"),
    (lambda: MaxPool2d(2, padding=2), "padding 2 is more than half"),
    (lambda: MaxPool2d((257, 256)), "at most 65535"),
    (lambda: MaxPool2d(3).output_shape((2, 5, 1)), "larger than its input"),
    (lambda: MaxPool2d(2, 2, 1, 3, True).output_shape((1, 1, 1)), "misses all"),
    (lambda: AvgPool2d(2).output_shape((10,)), "before Flatten"),
    (lambda: LPPool2d(0, 2), "norm_type"),
    (lambda: AdaptiveAvgPool2d(0), "output_size"),
    (lambda: AdaptiveAvgPool2d(2).output_shape((10,)), "before Flatten"),
])  # fmt: skip
def test_refusals(make, message):
    with pytest.raises(NetworkError, match=message):
        make()
