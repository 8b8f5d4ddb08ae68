"""Our layers and networks as PyTorch modules (built by benchmarks/workers/torch_network.py from the same configs) with
the same weights; and the one measure of agreement. Images are NHWC on our side and NCHW on theirs."""

import numpy as np
import torch

from benchmarks.workers.torch_network import PEERS, TorchNetwork, load

# Agreement: 1e-4 of each value, and for values near 0 that sums cancel down to, 1e-5 of the array's largest; after
# steps of training, which mix all errors, 1e-4 of the largest.
RELATIVE, OF_LARGEST, OF_LARGEST_TRAINED = 1e-4, 1e-5, 1e-4
# Beside weights and activations around 1, an array without a larger value than this is rounding alone, of what is 0.
ROUNDING = 1e-7


def to_torch(array):
    """NHWC or flat float32 -> a new NCHW or flat tensor."""
    return torch.from_numpy(np.moveaxis(array, -1, 1).copy() if array.ndim == 4 else array.copy())


def from_torch(tensor):
    """NCHW or flat tensor -> NHWC or flat array."""
    array = tensor.detach().numpy()
    return np.moveaxis(array, 1, -1) if array.ndim == 4 else array


def assert_agrees(ours, theirs, what="", of_largest=OF_LARGEST):
    """Fail where an array of ours differs from theirs (both in our layout)."""
    largest = float(np.abs(theirs).max(initial=0))
    np.testing.assert_allclose(ours, theirs, rtol=RELATIVE, atol=of_largest * largest + 1e-12, err_msg=what)


def assert_arrays_agree(network, model, of_largest=OF_LARGEST, buffers_only=False):
    """Fail where an array that a network of ours keeps differs from its mirror's, unless both are nothing but rounding:
    where one batch norm meets another with no more than a 1x1 convolution between, the second one's running mean and
    the gradient of the first one's bias are 0."""
    arrays = model.arrays()
    for name, array in {**({} if buffers_only else network.parameters()), **network.buffers()}.items():
        if max(float(np.abs(a).max(initial=0)) for a in (array, arrays[name])) > ROUNDING:
            assert_agrees(array, arrays[name], name, of_largest)


def mirror(layer, shape):
    """Return the module for one bound layer whose first input is of that shape, with the layer's weights."""
    module = PEERS[type(layer).__name__](layer.config(), shape)
    load(module, layer.params | layer.state)
    return module


class Mirror(TorchNetwork):
    """A whole network of ours in PyTorch, with its weights."""

    def __init__(self, network):
        shapes = {"input": network.input_shape} | {node.name: node.shape for node in network.nodes}
        super().__init__(network.config()["layers"], shapes)
        self.load(network.parameters() | network.buffers())

    def arrays(self):
        """Return parameters and buffers under our names."""
        found = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        return {name.removeprefix("parts.").replace("/", "."): tensor.detach().numpy() for name, tensor in found.items()
                if not name.endswith("num_batches_tracked")}
