"""EfficientNet-Lite: inverted residual blocks of depthwise convolutions, sized for phones and ordinary CPUs. Liu,
"Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog, 2020, after Tan and Le, "EfficientNet:
Rethinking Model Scaling for Convolutional Neural Networks", 2019. Layers bear timm's names.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from .builder import Builder, Description


class _Stage(NamedTuple):
    """Blocks in a row; the first one has the stride, and changes the channels."""

    expand: int
    kernel: int
    stride: int
    repeats: int
    channels: int


_LITE0 = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(6, 3, 2, 2, 24),
    _Stage(6, 5, 2, 2, 40),
    _Stage(6, 3, 2, 3, 80),
    _Stage(6, 5, 1, 3, 112),
    _Stage(6, 5, 2, 4, 192),
    _Stage(6, 3, 1, 1, 320),
)
_STEM, _HEAD = 32, 1280
# TensorFlow's zeros (an odd one at the bottom and right) and its batch norm, so that weights trained there fit.
_PADDING = "same_tf"
_EPS, _MOMENTUM = 1e-3, 0.01


def efficientnet_lite0(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """EfficientNet-B0 without squeeze-and-excitation and with ReLU6 for SiLU, for photographs (224 pixels).

    Stochastic depth is left out: it helps trainings of hundreds of epochs, and changes nothing in a trained network.
    """
    return _scaled(classes, _LITE0, dropout=0.2)


def efficientnet_lite1(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """efficientnet_lite0 with a tenth more blocks, for photographs of 240 pixels."""
    return _scaled(classes, _grown(width=1.0, depth=1.1), dropout=0.2)


def efficientnet_lite2(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """efficientnet_lite0 with a tenth more channels and a fifth more blocks, for photographs of 260 pixels."""
    return _scaled(classes, _grown(width=1.1, depth=1.2), dropout=0.3)


def _grown(width: float, depth: float) -> list[_Stage]:
    """Return lite0's stages with more channels, to the nearest multiple of eight, and more blocks, but for the first
    and the last stage, which the lite variants leave alone, as they do stem and head."""
    inner = range(1, len(_LITE0) - 1)
    return [stage._replace(channels=_multiple_of_8(width * stage.channels),
                           repeats=math.ceil(depth * stage.repeats) if place in inner else stage.repeats)
            for place, stage in enumerate(_LITE0)]


def _multiple_of_8(channels: float) -> int:
    """Return the nearest multiple, the next one where a tenth would be lost."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def _scaled(classes: int, stages: Sequence[_Stage], dropout: float) -> list[Description]:
    net = Builder()
    _conv_bn(net, "conv_stem", "bn1", _STEM, 3, stride=2)
    net.add("ReLU6", "act1")
    channels = _STEM
    for number, stage in enumerate(stages):
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            _block(net, f"blocks.{number}.{repeat}", stage, channels, stride)
            channels = stage.channels
    _conv_bn(net, "conv_head", "bn2", _HEAD, 1)
    net.add("ReLU6", "act2")
    net.add("GlobalAvgPool2d", "global_pool")
    net.add("Dropout", "dropout", p=dropout)
    net.add("Linear", "classifier", out_features=classes)
    return net.layers


def _conv_bn(net: Builder, conv: str, bn: str, channels: int, kernel: int, **options: int) -> None:
    net.conv(conv, channels, kernel, padding=_PADDING, bias=False, **options)
    net.add("BatchNorm2d", bn, eps=_EPS, momentum=_MOMENTUM)


def _depthwise(net: Builder, conv: str, bn: str, act: str, channels: int, kernel: int, stride: int) -> None:
    _conv_bn(net, conv, bn, channels, kernel, stride=stride, groups=channels)
    net.add("ReLU6", act)


def _block(net: Builder, name: str, stage: _Stage, channels: int, stride: int) -> None:
    """Widen (1x1), filter each channel (depthwise), narrow (1x1, nothing after it); add the input where it fits."""
    start, wide = net.last, channels * stage.expand
    if stage.expand == 1:
        _depthwise(net, f"{name}.conv_dw", f"{name}.bn1", f"{name}.act1", wide, stage.kernel, stride)
        _conv_bn(net, f"{name}.conv_pw", f"{name}.bn2", stage.channels, 1)
    else:
        _conv_bn(net, f"{name}.conv_pw", f"{name}.bn1", wide, 1)
        net.add("ReLU6", f"{name}.act1")
        _depthwise(net, f"{name}.conv_dw", f"{name}.bn2", f"{name}.act2", wide, stage.kernel, stride)
        _conv_bn(net, f"{name}.conv_pwl", f"{name}.bn3", stage.channels, 1)
    if stride == 1 and channels == stage.channels:
        net.add("Add", f"{name}.add", inputs=[net.last, start])
