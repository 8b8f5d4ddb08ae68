"""VGG's idea, small: stacks of 3x3 convolutions with pooling between. Simonyan and Zisserman, "Very Deep Convolutional
Networks for Large-Scale Image Recognition", 2014, cut down to images of 28 to 64 pixels, with batch norm.
"""

from .builder import Builder, Description

_STAGES = (64, 128, 256)


def vgg_small(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """Three stages of two 3x3 convolutions (64, 128, 256 filters), each ending in pooling, then one dense layer."""
    net = Builder()
    for stage, channels in enumerate(_STAGES, start=1):
        for part in (1, 2):
            name = f"{stage}_{part}"
            net.conv_bn(f"conv{name}", f"bn{name}", channels, 3, padding=1)
            net.relu(f"relu{name}")
        net.add("MaxPool2d", f"pool{stage}", kernel_size=2)
    net.add("GlobalAvgPool2d", "average")
    net.add("Dropout", "dropout", p=0.2)
    net.add("Linear", "fc", out_features=classes)
    return net.layers
