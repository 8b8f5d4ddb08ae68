"""The classic network of the textbooks: Conv-ReLU-Conv-ReLU-Pool-ReLU-Conv-ReLU-FC."""

from .builder import Builder, Description


def classic(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """3x3 convolutions with 32, 32 and 64 filters, one 2x2 pooling, and one dense layer on all that is left."""
    net = Builder()
    net.conv("conv1", 32, 3, padding=1)
    net.relu("relu1")
    net.conv("conv2", 32, 3, padding=1)
    net.relu("relu2")
    net.add("MaxPool2d", "pool1", kernel_size=2)
    net.relu("relu3")
    net.conv("conv3", 64, 3, padding=1)
    net.relu("relu4")
    net.add("Flatten", "flatten")
    net.add("Linear", "fc", out_features=classes)
    return net.layers
