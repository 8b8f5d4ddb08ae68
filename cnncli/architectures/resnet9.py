"""The small network of short trainings on small pictures. It stands in for ResNet-9 (Page, "How to Train Your ResNet",
2018) as the latest of that line has it: Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024
(arXiv 2404.00498), whose eight layers need no skip connections, because every convolution begins as the identity.
"""

from .builder import Builder, Description

WIDTHS = (64, 256, 256)
LARGEST_SIDE = 64  # pixels, beyond which another network suits better


def resnet9(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """A whitening layer, three stages of two convolutions with a halving behind the first, a linear layer; for images
    of about 32 pixels. Batch norms have no learnable scale and forget fast, for trainings of a few hundred steps.

    Jordan's first layer takes a row and a column off; here sizes stay multiples of four, which suits Winograd's tiles.
    """
    net = Builder()
    net.add("Whitening", "whiten", padding="same")
    net.relu("whiten.relu")
    for stage, width in enumerate(WIDTHS, start=1):
        for place in (1, 2):
            name = f"stage{stage}"
            net.conv(f"{name}.conv{place}", width, 3, padding=1, bias=False, init="dirac")
            if place == 1:
                net.add("MaxPool2d", f"{name}.pool", kernel_size=2)
            net.add("BatchNorm2d", f"{name}.bn{place}", momentum=0.4, scale=False)
            net.relu(f"{name}.relu{place}")
    net.add("MaxPool2d", "pool", kernel_size=[max(1, side // 2 ** len(WIDTHS)) for side in input_shape[:2]])
    net.add("Flatten", "flatten")
    net.add("Linear", "fc", out_features=classes, bias=False, init="pytorch")
    net.add("Scale", "scale", factor=1 / 9)
    return net.layers
