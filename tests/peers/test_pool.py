"""layers/pool.py against PyTorch: every combination of options, also which of them are refused."""

from itertools import product

import numpy as np
import pytest
import torch

from cnncli.errors import NetworkError
from cnncli.layers import AvgPool2d, LPPool2d, MaxPool2d

from .compare import compare

KERNELS = [1, 2, 3, (3, 2), 5]
STRIDES = [None, 1, 3, (1, 2)]
SIZES = [(5, 5), (7, 6), (8, 11)]


def compare_or_refuse(layer, module, rng, positive=False) -> None:
    for size in SIZES:
        x = rng.standard_normal((2, *size, 3)).astype(np.float32)
        try:
            module(torch.zeros(1, 3, *size))
        except RuntimeError:
            with pytest.raises(NetworkError):
                layer().forward(x)
            continue
        compare(layer(), module, [np.abs(x) if positive else x], rng)


@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil_mode", "dilation"), list(product(
    KERNELS, STRIDES, [0, 1, 2], [False, True], [1, 2])))
def test_max(kernel, stride, padding, ceil_mode, dilation, rng):
    options = dict(stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    compare_or_refuse(lambda: MaxPool2d(kernel, **options), torch.nn.MaxPool2d(kernel, **options), rng)


@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil_mode", "include"), list(product(
    KERNELS, STRIDES, [0, 1, 2], [False, True], [False, True])))
def test_average(kernel, stride, padding, ceil_mode, include, rng):
    options = dict(stride=stride, padding=padding, ceil_mode=ceil_mode, count_include_pad=include)
    compare_or_refuse(lambda: AvgPool2d(kernel, **options), torch.nn.AvgPool2d(kernel, **options), rng)


@pytest.mark.parametrize(("norm", "kernel", "stride", "ceil_mode"), list(product(
    [1, 2, 3], KERNELS, STRIDES, [False, True])))
def test_lp(norm, kernel, stride, ceil_mode, rng):
    # An odd power of what is negative has no root there either.
    compare_or_refuse(lambda: LPPool2d(norm, kernel, stride, ceil_mode),
                      torch.nn.LPPool2d(norm, kernel, stride, ceil_mode), rng, positive=norm == 3)
