"""One layer of ours and its namesake of PyTorch's on the same input: forward and backward must agree."""

import numpy as np
import torch

from cnncli.layers import Layer

# Relative to the largest value of the array.
TOLERANCE = 1e-4


def swapped(array: np.ndarray, to_torch: bool) -> np.ndarray:
    """Turn images from (n, h, w, c) to PyTorch's (n, c, h, w), or back; flat vectors stay."""
    order = (0, 3, 1, 2) if to_torch else (0, 2, 3, 1)
    return np.ascontiguousarray(array.transpose(order) if array.ndim == 4 else array)


def assert_near(ours: np.ndarray, theirs: np.ndarray, what: str) -> None:
    scale = max(1.0, float(np.abs(theirs).max()))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE * scale, err_msg=what)


def compare(layer: Layer, module: torch.nn.Module, x: np.ndarray, rng: np.random.Generator) -> None:
    """Check y, dx and the parameters' gradients of a training step, then y in evaluation."""
    module.train()
    leaf = torch.tensor(swapped(x, True), requires_grad=True)
    expected = module(leaf)
    y = layer.forward(x, training=True)
    assert_near(y, swapped(expected.detach().numpy(), False), f"{layer!r}: y")
    dy = rng.standard_normal(y.shape).astype(np.float32)
    expected.backward(torch.tensor(swapped(dy, True)))
    assert_near(layer.backward(dy), swapped(leaf.grad.numpy(), False), f"{layer!r}: dx")
    for name, parameter in module.named_parameters():
        assert_near(layer.grads[name], parameter.grad.numpy(), f"{layer!r}: d{name}")
    module.eval()
    with torch.no_grad():
        expected = module(torch.tensor(swapped(x, True)))
    assert_near(layer.forward(x), swapped(expected.numpy(), False), f"{layer!r}: y in evaluation")
