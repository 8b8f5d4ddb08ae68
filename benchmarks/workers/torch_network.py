"""Our networks as PyTorch modules, built from the plain data of ``Network.config()``, so that whoever has PyTorch needs
nothing of ours. workers/pytorch.py measures them; tests/peers/ holds our layers to them. Images are NCHW here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Config = dict[str, Any]
Shape = Sequence[int]


class _Padded(nn.Conv2d):
    """Conv2d with another number of zeros on each side: (top, bottom, left, right)."""

    def __init__(self, sides: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.sides = sides

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        top, bottom, left, right = self.sides
        return super().forward(functional.pad(x, (left, right, top, bottom)))


def _conv2d(config: Config, shape: Shape) -> nn.Module:
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
    if padding == "same" and any(size % 2 == 0 for size in config["kernel_size"]):  # PyTorch warns of the copy
        total = [(size - 1) * step for size, step in zip(config["kernel_size"], config["dilation"], strict=True)]
        padding = [side for each in total for side in (each // 2, each - each // 2)]
    if isinstance(padding, str):
        return nn.Conv2d(padding=padding, **common)
    if len(padding) == 4 and padding[0] == padding[1] and padding[2] == padding[3]:
        padding = (padding[0], padding[2])  # what Conv2d can do itself is faster than a copy with zeros around
    return nn.Conv2d(padding=tuple(padding), **common) if len(padding) == 2 else _Padded(padding, **common)


def _whitening(config: Config, shape: Shape) -> nn.Module:
    kh, kw = config["kernel_size"]
    module = _conv2d({**config, "out_channels": 2 * kh * kw * config["in_channels"], "stride": [1, 1],
                      "dilation": [1, 1], "groups": 1}, shape)
    module.get_parameter("weight").requires_grad_(False)
    return module


def _batch_norm(config: Config, shape: Shape) -> nn.Module:
    options = {name: value for name, value in config.items() if name not in ("scale", "init")}
    module = (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(**options)
    if not config.get("scale", True):
        module.register_parameter("weight", None)
    return module


def _pool(kind: Callable[..., nn.Module]) -> Callable[[Config, Shape], nn.Module]:
    def build(config: Config, shape: Shape) -> nn.Module:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})
    return build


class _Concat(nn.Module):
    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        return torch.cat(x, 1)


class _Add(nn.Module):
    inplace = False

    def forward(self, first: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        for other in others:
            first = first.add_(other) if self.inplace else first + other
        return first


class _GlobalAvgPool2d(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)


class _Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


# Layer type -> (config, shape of the first input) -> module.
PEERS: dict[str, Callable[[Config, Shape], nn.Module]] = {
    "AdaptiveAvgPool2d": _pool(nn.AdaptiveAvgPool2d),
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
    "Linear": lambda config, shape: nn.Linear(config["in_features"], config["out_features"], config["bias"]),
    "MaxPool2d": _pool(nn.MaxPool2d),
    "ReLU": lambda config, shape: nn.ReLU(),
    "ReLU6": lambda config, shape: nn.ReLU6(),
    "Scale": lambda config, shape: _Scale(config["factor"]),
    "SiLU": lambda config, shape: nn.SiLU(),
    "Sigmoid": lambda config, shape: nn.Sigmoid(),
    "Softmax": lambda config, shape: nn.Softmax(1),
    "Tanh": lambda config, shape: nn.Tanh(),
    "Whitening": _whitening,
}
# Layers whose result nobody needs for a gradient, so that the next one may overwrite it.
_OVERWRITABLE = {"Add", "BatchNorm2d", "Conv2d", "Linear", "MaxPool2d"}
_OVERWRITERS = {"Add", "ReLU", "ReLU6"}


def load(module: nn.Module, arrays: Mapping[str, Any]) -> None:
    """Give a module our weights and running statistics: arrays of the same names and shapes, no more and no fewer."""
    own = dict(module.named_parameters()) | dict(module.named_buffers())
    own = {name: tensor for name, tensor in own.items() if not name.endswith("num_batches_tracked")}
    assert own.keys() == arrays.keys(), f"{sorted(own)} are not {sorted(arrays)}"
    with torch.no_grad():
        for name, tensor in own.items():
            assert tensor.shape == arrays[name].shape, f"{name}: {tuple(tensor.shape)}, not {arrays[name].shape}"
            tensor.copy_(torch.from_numpy(arrays[name]))


class TorchNetwork(nn.Module):
    """A whole network of ours, node by node. Parameter names are ours with "." as "/".

    layers: the dicts of ``Network.config()``; shapes: {layer name or "input": its (h, w, c) or (features,)}. in_place
    overwrites what is needed no more, as PyTorch's own model zoo does.
    """

    def __init__(self, layers: Sequence[Config], shapes: Mapping[str, Shape], in_place: bool = False) -> None:
        super().__init__()
        kinds = {layer["name"]: layer["type"] for layer in layers}
        readers = {name: [layer["name"] for layer in layers if name in layer["inputs"]] for name in shapes}
        self.parts = nn.ModuleDict()
        self.program: list[tuple[str, str, list[str], list[str]]] = []  # module, result, inputs, what is over then
        for layer in layers:
            name, kind, inputs = layer["name"], layer["type"], list(layer["inputs"])
            config = {k: v for k, v in layer.items() if k not in ("name", "type", "inputs")}
            module = PEERS[kind](config, shapes[inputs[0]])
            if (in_place and kind in _OVERWRITERS and len(readers[inputs[0]]) == 1
                    and kinds.get(inputs[0]) in _OVERWRITABLE):
                module.inplace = True
            key = name.replace(".", "/")
            self.parts[key] = module
            self.program.append((key, name, inputs, [i for i in set(inputs) if readers[i][-1] == name]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {"input": x}
        for key, name, inputs, over in self.program:
            values[name] = self.parts[key](*[values[i] for i in inputs])
            for i in over:
                del values[i]
        return values[self.program[-1][1]]

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Take our weights and running statistics, under our names."""
        load(self, {f"parts.{node.replace('.', '/')}.{kind}": array for name, array in arrays.items()
                    for node, _, kind in [name.rpartition(".")]})
