"""LeNet-5: where it began. LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document
Recognition", 1998, with today's ReLU and max pooling for its tanh and trainable subsampling.
"""

from .builder import Builder, Description


def lenet5(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """Two 5x5 convolutions (6, 16) with pooling, then 120 and 84 hidden units.

    The paper pads its 28x28 digits to 32x32; so does the first layer here where the image is smaller than 32.
    """
    net = Builder()
    net.conv("conv1", 6, 5, padding=2 if min(input_shape[:2]) < 32 else 0)
    net.relu("relu1")
    net.add("MaxPool2d", "pool1", kernel_size=2)
    net.conv("conv2", 16, 5)
    net.relu("relu2")
    net.add("MaxPool2d", "pool2", kernel_size=2)
    net.add("Flatten", "flatten")
    net.add("Linear", "fc1", out_features=120)
    net.relu("relu3")
    net.add("Linear", "fc2", out_features=84)
    net.relu("relu4")
    net.add("Linear", "fc3", out_features=classes)
    return net.layers
