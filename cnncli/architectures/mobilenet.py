"""MobileNetV2: inverted residual blocks, wide inside and narrow between. Sandler, Howard, Zhu, Zhmoginov and Chen,
"MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018. Layers bear torchvision's names.
"""

from typing import NamedTuple

from .builder import Builder, Description


class _Stage(NamedTuple):
    """Blocks in a row; the first one has the stride, and changes the channels."""

    expand: int
    channels: int
    repeats: int
    stride: int


STAGES = (
    _Stage(1, 16, 1, 1),
    _Stage(6, 24, 2, 2),
    _Stage(6, 32, 3, 2),
    _Stage(6, 64, 4, 2),
    _Stage(6, 96, 3, 1),
    _Stage(6, 160, 3, 2),
    _Stage(6, 320, 1, 1),
)
_STEM, _HEAD = 32, 1280


def mobilenet_v2(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """Seventeen inverted residual blocks between a 3x3 stem and a 1x1 head, for photographs (224 pixels)."""
    net = Builder()
    _conv_bn_relu6(net, "features.0", _STEM, 3, stride=2, padding=1)
    place, channels = 1, _STEM
    for stage in STAGES:
        for repeat in range(stage.repeats):
            _block(net, f"features.{place}", stage, channels, stage.stride if repeat == 0 else 1)
            place, channels = place + 1, stage.channels
    _conv_bn_relu6(net, f"features.{place}", _HEAD, 1)
    net.add("GlobalAvgPool2d", "pool")
    net.add("Dropout", "classifier.0", p=0.2)
    net.add("Linear", "classifier.1", out_features=classes)
    return net.layers


def _conv_bn_relu6(net: Builder, name: str, channels: int, kernel: int, **options: int) -> None:
    net.conv_bn(f"{name}.0", f"{name}.1", channels, kernel, **options)
    net.add("ReLU6", f"{name}.2")


def _block(net: Builder, name: str, stage: _Stage, channels: int, stride: int) -> None:
    """Widen (1x1), filter each channel (depthwise), narrow (1x1, nothing after it); add the input where it fits."""
    start, wide, part = net.last, channels * stage.expand, 0
    if stage.expand != 1:
        _conv_bn_relu6(net, f"{name}.conv.{part}", wide, 1)
        part += 1
    _conv_bn_relu6(net, f"{name}.conv.{part}", wide, 3, stride=stride, padding=1, groups=wide)
    net.conv_bn(f"{name}.conv.{part + 1}", f"{name}.conv.{part + 2}", stage.channels, 1)
    if stride == 1 and channels == stage.channels:
        net.add("Add", f"{name}.add", inputs=[net.last, start])
