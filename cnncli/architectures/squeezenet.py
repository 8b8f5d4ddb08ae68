"""SqueezeNet: AlexNet's accuracy with a fiftieth of its weights. Iandola et al., "SqueezeNet: AlexNet-level accuracy
with 50x fewer parameters and <0.5MB model size", 2016; version 1.1 is its authors' later one, of 2.4 times less
arithmetic. Layers bear torchvision's names.
"""

from .builder import Builder, Description

# Squeezed to, and widened to twice that many, 1x1 and 3x3 side by side; None is a pooling.
_FIRES = ((16, 64), (16, 64), None, (32, 128), (32, 128), None, (48, 192), (48, 192), (64, 256), (64, 256))


def squeezenet1_1(input_shape: tuple[int, int, int], classes: int) -> list[Description]:
    """Eight fire modules behind a 3x3 stem, a 1x1 convolution as the classifier, for photographs (224 pixels)."""
    net = Builder()
    net.conv("features.0", 64, 3, stride=2)
    net.relu("features.1")
    _pool(net, "features.2")
    for place, fire in enumerate(_FIRES, start=3):
        if fire is None:
            _pool(net, f"features.{place}")
        else:
            _fire(net, f"features.{place}", *fire)
    net.add("Dropout", "classifier.0", p=0.5)
    net.conv("classifier.1", classes, 1, init="pytorch")
    net.relu("classifier.2")
    net.add("GlobalAvgPool2d", "classifier.3")
    return net.layers


def _pool(net: Builder, name: str) -> None:
    net.add("MaxPool2d", name, kernel_size=3, stride=2, ceil_mode=True)


def _fire(net: Builder, name: str, squeezed: int, widened: int) -> None:
    net.conv(f"{name}.squeeze", squeezed, 1)
    start = net.relu(f"{name}.squeeze_activation")
    net.conv(f"{name}.expand1x1", widened, 1)
    narrow = net.relu(f"{name}.expand1x1_activation")
    net.last = start
    net.conv(f"{name}.expand3x3", widened, 3, padding=1)
    wide = net.relu(f"{name}.expand3x3_activation")
    net.add("Concat", f"{name}.concat", inputs=[narrow, wide])
