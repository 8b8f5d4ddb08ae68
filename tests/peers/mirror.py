"""Our layers and networks as PyTorch modules, built from the same configs, with the same weights; and the one measure
of agreement. Images are NHWC on our side and NCHW on theirs."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

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


class _Padded(nn.Conv2d):
    """Conv2d with another number of zeros on each side: (top, bottom, left, right)."""

    def __init__(self, sides, *arguments, **options):
        super().__init__(*arguments, **options)
        self.sides = sides

    def forward(self, x):
        top, bottom, left, right = self.sides
        return super().forward(functional.pad(x, (left, right, top, bottom)))


def _conv2d(config, shape):
    padding = config["padding"]
    common = dict(in_channels=config["in_channels"], out_channels=config["out_channels"],
                  kernel_size=tuple(config["kernel_size"]), stride=tuple(config["stride"]),
                  dilation=tuple(config["dilation"]), groups=config["groups"], bias=config["bias"])
    if padding == "same_tf":  # as TensorFlow's documentation has it: what is odd goes to the bottom and the right
        padding = []
        for axis in (0, 1):
            size, stride = shape[axis], config["stride"][axis]
            reach = (config["kernel_size"][axis] - 1) * config["dilation"][axis] + 1
            need = max(0, (-(-size // stride) - 1) * stride + reach - size)
            padding += [need // 2, need - need // 2]
    if isinstance(padding, str):
        return nn.Conv2d(padding=padding, **common)
    return nn.Conv2d(padding=tuple(padding), **common) if len(padding) == 2 else _Padded(padding, **common)


def _pool(kind):
    def build(config, shape):
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})
    return build


def _batch_norm(config, shape):
    return (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(**config)


def _linear(config, shape):
    return nn.Linear(config["in_features"], config["out_features"], config["bias"])


class _Concat(nn.Module):
    def forward(self, *x):
        return torch.cat(x, 1)


class _Add(nn.Module):
    def forward(self, *x):
        return sum(x[1:], x[0])


class _GlobalAvgPool2d(nn.Module):
    def forward(self, x):
        return nn.AdaptiveAvgPool2d(1)(x).flatten(1)


# Layer type -> (config, shape of the first input) -> module.
PEERS = {
    "Add": lambda config, shape: _Add(),
    "AvgPool2d": _pool(nn.AvgPool2d),
    "BatchNorm2d": _batch_norm,
    "Concat": lambda config, shape: _Concat(),
    "Conv2d": _conv2d,
    "Dropout": lambda config, shape: nn.Dropout(**config),
    "Flatten": lambda config, shape: nn.Flatten(),
    "GlobalAvgPool2d": lambda config, shape: _GlobalAvgPool2d(),
    "LPPool2d": _pool(nn.LPPool2d),
    "LeakyReLU": lambda config, shape: nn.LeakyReLU(**config),
    "Linear": _linear,
    "MaxPool2d": _pool(nn.MaxPool2d),
    "ReLU": lambda config, shape: nn.ReLU(),
    "ReLU6": lambda config, shape: nn.ReLU6(),
    "SiLU": lambda config, shape: nn.SiLU(),
    "Sigmoid": lambda config, shape: nn.Sigmoid(),
    "Softmax": lambda config, shape: nn.Softmax(1),
    "Tanh": lambda config, shape: nn.Tanh(),
}


def mirror(layer, shape):
    """Return the module for one bound layer whose first input is of that shape, with the layer's weights."""
    module = PEERS[type(layer).__name__](layer.config(), shape)
    own = dict(module.named_parameters()) | dict(module.named_buffers())
    own.pop("num_batches_tracked", None)
    ours = layer.params | layer.state
    assert own.keys() == ours.keys()
    with torch.no_grad():
        for name, tensor in own.items():
            assert tensor.shape == ours[name].shape
            tensor.copy_(torch.from_numpy(ours[name]))
    return module


class Mirror(nn.Module):
    """A whole network of ours in PyTorch, node by node. Parameter names are ours with "." as "/"."""

    def __init__(self, network):
        super().__init__()
        self.nodes = network.nodes
        shapes = {"input": network.input_shape} | {node.name: node.shape for node in network.nodes}
        self.parts = nn.ModuleDict({node.name.replace(".", "/"): mirror(node.layer, shapes[node.inputs[0]])
                                    for node in network.nodes})

    def forward(self, x):
        values = {"input": x}
        for node in self.nodes:
            values[node.name] = self.parts[node.name.replace(".", "/")](*(values[name] for name in node.inputs))
        return values[self.nodes[-1].name]

    def arrays(self):
        """Return parameters and buffers under our names."""
        found = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        return {name.removeprefix("parts.").replace("/", "."): tensor.detach().numpy() for name, tensor in found.items()
                if not name.endswith("num_batches_tracked")}
