"""Network in network: 1x1 convolutions between the large ones, and no dense layer at all. Lin, Chen and Yan, "Network
In Network", 2013, with batch norm, so that it learns without the paper's careful initialisation.
"""

from .builder import Builder, Description

# (first kernel, its filters, the two 1x1 layers' filters); the last block ends in one map per class.
_BLOCKS = ((5, 192, 160, 96), (5, 192, 192, 192), (3, 192, 192, 0))


def nin(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """Three blocks of a convolution and two 1x1 convolutions, then one average per class map."""
    net = Builder()
    for block, (kernel, filters, middle, last) in enumerate(_BLOCKS, start=1):
        sizes = ((kernel, filters), (1, middle), (1, last or classes))
        for part, (size, channels) in enumerate(sizes, start=1):
            name = f"{block}_{part}"
            if part == 3 and not last:
                net.conv(f"conv{name}", channels, 1)
                continue
            net.conv_bn(f"conv{name}", f"bn{name}", channels, size, padding=size // 2)
            net.relu(f"relu{name}")
        if last:
            net.add("MaxPool2d" if block == 1 else "AvgPool2d", f"pool{block}", kernel_size=3, stride=2, padding=1)
            net.add("Dropout", f"dropout{block}", p=0.5)
    net.add("GlobalAvgPool2d", "average")
    return net.layers
