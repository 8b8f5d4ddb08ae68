"""One layer of ours and its namesake of PyTorch's, with the same weights, on the same input: what must agree."""

import torch

from .mirror import assert_agrees, from_torch, to_torch


def compare(layer, module, x, rng):
    """Check forward in training, the gradients of inputs and parameters, running statistics, then evaluation; x is a
    list of arrays in our layout."""
    module.train()
    theirs_x = [to_torch(a).requires_grad_() for a in x]
    theirs = module(*theirs_x)
    ours = layer.forward(*x, training=True)
    assert_agrees(ours, from_torch(theirs), f"{layer!r}: forward")

    dy = rng.standard_normal(ours.shape).astype("float32")
    theirs.backward(to_torch(dy))
    dx = layer.backward(dy)
    for i, (a, b) in enumerate(zip(dx if isinstance(dx, tuple) else (dx,), theirs_x, strict=True)):
        assert_agrees(a, from_torch(b.grad), f"{layer!r}: gradient of input {i}")
    learnt = {parameter: tensor for parameter, tensor in module.named_parameters() if tensor.requires_grad}
    assert learnt.keys() == layer.grads.keys()
    for parameter, tensor in learnt.items():
        assert_agrees(layer.grads[parameter], tensor.grad.numpy(), f"{layer!r}: gradient of {parameter}")
    for buffer, array in layer.state.items():
        assert_agrees(array, module.get_buffer(buffer).numpy(), f"{layer!r}: {buffer}")

    module.eval()
    with torch.no_grad():
        assert_agrees(layer.forward(*x), from_torch(module(*map(to_torch, x))), f"{layer!r}: forward in evaluation")
