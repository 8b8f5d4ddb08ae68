"""VGG: stacks of 3x3 convolutions with pooling between. Simonyan and Zisserman, "Very Deep Convolutional Networks for
Large-Scale Image Recognition", 2014; vgg11 and vgg16 are their configurations A and D, layers bear torchvision's names.
"""

from .builder import Builder, Description

_SMALL = (64, 128, 256)
_WIDTHS = (64, 128, 256, 512, 512)
_DENSE, _CELLS = 4096, 7


def vgg_small(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """The idea cut down to images of 28 to 64 pixels, with batch norm: three stages of two 3x3 convolutions (64, 128,
    256 filters), each ending in pooling, then one dense layer."""
    net = Builder()
    for stage, channels in enumerate(_SMALL, start=1):
        for part in (1, 2):
            name = f"{stage}_{part}"
            net.conv_bn(f"conv{name}", f"bn{name}", channels, 3, padding=1)
            net.relu(f"relu{name}")
        net.add("MaxPool2d", f"pool{stage}", kernel_size=2)
    net.add("GlobalAvgPool2d", "average")
    net.add("Dropout", "dropout", p=0.2)
    net.add("Linear", "fc", out_features=classes)
    return net.layers


def vgg11(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """Eight convolutions and three dense layers, 133 million weights, for photographs (224 pixels)."""
    return _published(classes, (1, 1, 2, 2, 2))


def vgg16(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """Thirteen convolutions and three dense layers, 138 million weights, for photographs (224 pixels)."""
    return _published(classes, (2, 2, 3, 3, 3))


def _published(classes: int, stages: tuple[int, ...]) -> list[Description]:
    net, place = Builder(), 0  # torchvision counts convolutions, ReLUs and poolings alike
    for width, convolutions in zip(_WIDTHS, stages, strict=True):
        for _ in range(convolutions):
            net.conv(f"features.{place}", width, 3, padding=1)
            net.relu(f"features.{place + 1}")
            place += 2
        net.add("MaxPool2d", f"features.{place}", kernel_size=2)
        place += 1
    net.add("AdaptiveAvgPool2d", "avgpool", output_size=_CELLS)
    net.add("Flatten", "flatten")
    for place in (0, 3):
        net.add("Linear", f"classifier.{place}", out_features=_DENSE)
        net.relu(f"classifier.{place + 1}")
        net.add("Dropout", f"classifier.{place + 2}", p=0.5)
    net.add("Linear", "classifier.6", out_features=classes)
    return net.layers
