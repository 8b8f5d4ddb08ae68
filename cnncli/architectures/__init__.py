"""The architectures by name: a file per family, each a function of the image's shape and the number of classes that
returns layer descriptions. ``architecture`` makes a network of one; toml.py reads those written by hand.

What may not be here: weights, and what a network is trained with.
"""

import os
from collections.abc import Callable, Sequence
from typing import Literal

from ..errors import UsageError, no_such
from ..network import Network
from ..network.graph import checked_input_shape
from ..values import as_hinted
from .builder import Description
from .classic import classic
from .efficientnet import efficientnet_lite0, efficientnet_lite1, efficientnet_lite2
from .lenet5 import lenet5
from .mobilenet import mobilenet_v2
from .nin import nin
from .resnet import resnet8, resnet18, resnet20, resnet34, resnet50
from .resnet9 import LARGEST_SIDE as RESNET9_LARGEST
from .resnet9 import resnet9
from .squeezenet import squeezenet1_1
from .toml import from_toml
from .vgg import vgg11, vgg16, vgg_small

# Beside str, where a TOML file may be meant: editors complete the names.
ArchName = Literal["lenet5", "classic", "nin", "vgg-small", "resnet8", "resnet9", "resnet20", "resnet18", "resnet34",
                   "resnet50", "vgg11", "vgg16", "squeezenet1_1", "mobilenet_v2", "efficientnet_lite0",
                   "efficientnet_lite1", "efficientnet_lite2"]
ARCHITECTURES: dict[str, Callable[[tuple[int, int, int], int], list[Description]]] = {
    "lenet5": lenet5,
    "classic": classic,
    "nin": nin,
    "vgg-small": vgg_small,
    "resnet8": resnet8,
    "resnet9": resnet9,
    "resnet20": resnet20,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "vgg11": vgg11,
    "vgg16": vgg16,
    "squeezenet1_1": squeezenet1_1,
    "mobilenet_v2": mobilenet_v2,
    "efficientnet_lite0": efficientnet_lite0,
    "efficientnet_lite1": efficientnet_lite1,
    "efficientnet_lite2": efficientnet_lite2,
}

_OF_SMALL_IMAGES = {"classic", "nin", "vgg-small", "resnet8", "resnet9", "resnet20"}

__all__ = ["ARCHITECTURES", "ArchName", "architecture", "automatic_architecture", "from_toml", "is_described",
           "usual_shape"]


@as_hinted
def architecture(name: ArchName | str, input_shape: Sequence[int], classes: int, seed: int | None = 0) -> Network:
    """Return a network of a known architecture, with fresh weights.

    Args:
        name: The architecture: "lenet5", "classic", "nin", "vgg-small", "resnet8", "resnet9", "resnet20",
            "resnet18", "resnet34", "resnet50", "vgg11", "vgg16", "squeezenet1_1", "mobilenet_v2", "efficientnet_lite0",
            "efficientnet_lite1" or "efficientnet_lite2".
        input_shape: The shape of an image: (h, w, c), in pixels and channels.
        classes: How many classes it tells apart.
        seed: The seed of the initial weights. None leaves them 0, to be loaded.

    Returns:
        The network.

    Raises:
        UsageError: There is no such architecture; the message has the nearest name.
        NetworkError: The images are too small for it.

    Example::

        network = cnncli.architecture("resnet20", input_shape=(32, 32, 3), classes=10)
    """
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise UsageError(no_such("architecture", name, ARCHITECTURES))
    shape = checked_input_shape(input_shape)
    return Network(ARCHITECTURES[name](shape, classes), shape, seed)


def is_described(name: object) -> bool:
    """Whether a name is an architecture's, and no file's or folder's, or a TOML file's."""
    text = os.fspath(name) if isinstance(name, str | os.PathLike) else ""
    return text.lower().endswith(".toml") or (text in ARCHITECTURES and not os.path.exists(text))


def usual_shape(name: str) -> tuple[int, int, int]:
    """Return the shape (h, w, c) of the images that an architecture was published for."""
    return (28, 28, 1) if name == "lenet5" else (32, 32, 3) if name in _OF_SMALL_IMAGES else (224, 224, 3)


def automatic_architecture(input_shape: Sequence[int]) -> tuple[str, str]:
    """Return the architecture for images (h, w, c) and, as a sentence, why it was chosen."""
    height, width = input_shape[0], input_shape[1]
    size = f"{width}x{height} pixels"
    if min(height, width) < 12:
        return "classic", f"classic, because images of {size} are too small to be halved more than once"
    if max(height, width) <= RESNET9_LARGEST:
        return "resnet9", f"resnet9, because images of {size} are learnt best by few, wide layers"
    if max(height, width) <= 96:
        return "resnet20", f"resnet20, because images of {size} need few filters and profit from many layers"
    return "resnet18", f"resnet18, because images of {size} are photographs and need its depth"
