"""Residual networks: blocks that learn what to add to their input. He, Zhang, Ren and Sun, "Deep Residual Learning for
Image Recognition", 2015. Layers bear torchvision's names.
"""

from collections.abc import Callable

from .builder import Builder, Description


def resnet8(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """One block per stage of 16, 32 and 64 filters, for images of about 32 pixels (MLPerf Tiny's size)."""
    return _small(classes, blocks=1)


def resnet20(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """Three blocks per stage of 16, 32 and 64 filters, for images of about 32 pixels; projection shortcuts."""
    return _small(classes, blocks=3)


def resnet18(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """Two blocks per stage of 64, 128, 256 and 512 filters behind a 7x7 stem, for photographs (224 pixels)."""
    return _large(classes, (2, 2, 2, 2), _basic)


def resnet34(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """Three, four, six and three of resnet18's blocks, for photographs (224 pixels)."""
    return _large(classes, (3, 4, 6, 3), _basic)


def resnet50(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """As many bottlenecks as resnet34 has blocks, which end in 256, 512, 1024 and 2048 filters, for photographs (224
    pixels). The stride is the 3x3 convolution's, as in torchvision, and not the first one's, as in the paper."""
    return _large(classes, (3, 4, 6, 3), _bottleneck)


# Appends a block's convolutions: their names' prefix, the stage's width, the stride. Returns the filters of the last.
_Residual = Callable[[Builder, str, int, int], int]


def _small(classes: int, blocks: int) -> list[Description]:
    net = Builder()
    net.conv_bn("conv1", "bn1", 16, 3, padding=1)
    net.relu("relu")
    return _stages(net, (16, 32, 64), (blocks,) * 3, _basic, classes)


def _large(classes: int, blocks: tuple[int, ...], residual: _Residual) -> list[Description]:
    net = Builder()
    net.conv_bn("conv1", "bn1", 64, 7, stride=2, padding=3)
    net.relu("relu")
    net.add("MaxPool2d", "maxpool", kernel_size=3, stride=2, padding=1)
    return _stages(net, (64, 128, 256, 512), blocks, residual, classes)


def _stages(net: Builder, widths: tuple[int, ...], blocks: tuple[int, ...], residual: _Residual,
            classes: int) -> list[Description]:
    channels = widths[0]
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True), start=1):
        for block in range(count):
            stride = 2 if stage > 1 and block == 0 else 1
            channels = _block(net, f"layer{stage}.{block}", residual, width, stride, channels)
    net.add("GlobalAvgPool2d", "avgpool")
    net.add("Linear", "fc", out_features=classes)
    return net.layers


def _block(net: Builder, name: str, residual: _Residual, width: int, stride: int, channels: int) -> int:
    """Convolutions beside a shortcut, a strided 1x1 convolution where the shape changes; return the filters."""
    shortcut = start = net.last
    filters = residual(net, name, width, stride)
    end = net.last
    if stride != 1 or channels != filters:
        net.last = start
        shortcut = net.conv_bn(f"{name}.downsample.0", f"{name}.downsample.1", filters, 1, stride=stride)
    net.add("Add", f"{name}.add", inputs=[end, shortcut])
    net.relu(f"{name}.relu")
    return filters


def _basic(net: Builder, name: str, width: int, stride: int) -> int:
    """Two 3x3 convolutions."""
    net.conv_bn(f"{name}.conv1", f"{name}.bn1", width, 3, stride=stride, padding=1)
    net.relu(f"{name}.relu1")
    net.conv_bn(f"{name}.conv2", f"{name}.bn2", width, 3, padding=1)
    return width


def _bottleneck(net: Builder, name: str, width: int, stride: int) -> int:
    """1x1 to the stage's width, 3x3, and 1x1 to four times as many filters; it begins as nothing beside the shortcut,
    without which sixteen of them learn badly at first."""
    net.conv_bn(f"{name}.conv1", f"{name}.bn1", width, 1)
    net.relu(f"{name}.relu1")
    net.conv_bn(f"{name}.conv2", f"{name}.bn2", width, 3, stride=stride, padding=1)
    net.relu(f"{name}.relu2")
    net.conv(f"{name}.conv3", 4 * width, 1, bias=False)
    net.add("BatchNorm2d", f"{name}.bn3", init="zeros")
    return 4 * width
