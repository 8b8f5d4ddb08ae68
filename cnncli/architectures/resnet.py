"""Residual networks: blocks that learn what to add to their input. He, Zhang, Ren and Sun, "Deep Residual Learning for
Image Recognition", 2015. Layers bear torchvision's names.
"""

from .builder import Builder, Description


def resnet8(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """One block per stage of 16, 32 and 64 filters, for images of about 32 pixels (MLPerf Tiny's size)."""
    return _small(classes, blocks=1)


def resnet20(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """Three blocks per stage of 16, 32 and 64 filters, for images of about 32 pixels; projection shortcuts."""
    return _small(classes, blocks=3)


def resnet18(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """Two blocks per stage of 64, 128, 256 and 512 filters behind a 7x7 stem, for photographs (224 pixels)."""
    net = Builder()
    net.conv_bn("conv1", "bn1", 64, 7, stride=2, padding=3)
    net.relu("relu")
    net.add("MaxPool2d", "maxpool", kernel_size=3, stride=2, padding=1)
    return _stages(net, (64, 128, 256, 512), 2, 64, classes)


def _small(classes: int, blocks: int) -> list[Description]:
    net = Builder()
    net.conv_bn("conv1", "bn1", 16, 3, padding=1)
    net.relu("relu")
    return _stages(net, (16, 32, 64), blocks, 16, classes)


def _stages(net: Builder, widths: tuple[int, ...], blocks: int, channels: int, classes: int) -> list[Description]:
    for stage, width in enumerate(widths, start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            _basic_block(net, f"layer{stage}.{block}", width, stride, project=stride != 1 or channels != width)
            channels = width
    net.add("GlobalAvgPool2d", "avgpool")
    net.add("Linear", "fc", out_features=classes)
    return net.layers


def _basic_block(net: Builder, name: str, width: int, stride: int, project: bool) -> None:
    """Two 3x3 convolutions beside a shortcut, which is a strided 1x1 convolution where the shape changes."""
    shortcut = start = net.last
    net.conv_bn(f"{name}.conv1", f"{name}.bn1", width, 3, stride=stride, padding=1)
    net.relu(f"{name}.relu1")
    net.conv_bn(f"{name}.conv2", f"{name}.bn2", width, 3, padding=1)
    residual = net.last
    if project:
        net.last = start
        shortcut = net.conv_bn(f"{name}.downsample.0", f"{name}.downsample.1", width, 1, stride=stride)
    net.add("Add", f"{name}.add", inputs=[residual, shortcut])
    net.relu(f"{name}.relu2")
