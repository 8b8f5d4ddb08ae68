"""layers/norm.py, activation.py and softmax.py against PyTorch."""

import numpy as np
import pytest
import torch

from cnncli.layers import BatchNorm2d, LeakyReLU, ReLU, ReLU6, Sigmoid, SiLU, Softmax, Tanh

from .compare import assert_near, compare


@pytest.mark.parametrize("shape", [(8, 5, 4, 6), (4, 9, 9, 64), (16, 33)], ids=str)
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(shape, affine, rng):
    make = torch.nn.BatchNorm2d if len(shape) == 4 else torch.nn.BatchNorm1d
    layer, module = BatchNorm2d(momentum=0.3, affine=affine), make(shape[-1], momentum=0.3, affine=affine)
    layer.bind(shape[1:])
    layer.initialise(rng)
    for name, parameter in module.named_parameters():
        layer.params[name][...] = rng.standard_normal(shape[-1])
        parameter.data[...] = torch.tensor(layer.params[name])
    compare(layer, module, rng.normal(2, 3, shape).astype(np.float32), rng)
    for name, array in layer.state.items():
        assert_near(array, getattr(module, name).numpy(), name)


@pytest.mark.parametrize("layer", [ReLU(), ReLU6(), LeakyReLU(0.2), SiLU(), Sigmoid(), Tanh()], ids=repr)
def test_activations(layer, rng):
    x = (4 * rng.standard_normal((3, 5, 6, 7))).astype(np.float32)
    compare(layer, getattr(torch.nn, type(layer).__name__)(**layer.config()), x, rng)


@pytest.mark.parametrize("shape", [(4, 10), (2, 3, 5, 7)], ids=str)
def test_softmax(shape, rng):
    compare(Softmax(), torch.nn.Softmax(1), rng.standard_normal(shape).astype(np.float32), rng)
