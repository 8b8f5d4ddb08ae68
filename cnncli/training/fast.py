"""The recipe fast: it trains small colour images well in a few hundred steps, after the DAWNBench line of work (Page,
"How to Train Your ResNet", 2018; Jordan 2024, arXiv 2404.00498). choose.py asks here if ``--recipe fast`` was given.
Other options that were given win over it.
"""

from dataclasses import replace

from ..data import Augmentation, Preprocessing
from ..data.augmentation import ALTERNATE
from ..network import Network
from . import defaults
from .defaults import Defaults, Tuning

ARCH = "resnet9"
DEFAULTS = Defaults(epochs=20, batch_size=1024, schedule="triangular", averaged=0.0, lookahead=True)
LABEL_SMOOTHING = 0.2
TUNING = Tuning(lr=1.5, weight_decay=0.00133, label_smoothing=LABEL_SMOOTHING, momentum=0.85, norm_biases=64.0)


def tuning(network: Network, arch: str, optimizer: str, batch_size: int, images: int) -> Tuning:
    """Return the tuning for batches of this size, or the usual one if the network or optimiser is another than it was
    made for.
    """
    if not suits(arch, optimizer):
        return replace(defaults.tuning(network, arch, optimizer, batch_size, images),
                       label_smoothing=LABEL_SMOOTHING)
    return replace(TUNING, lr=TUNING.lr * batch_size / DEFAULTS.batch_size)


def suits(arch: str, optimizer: str) -> bool:
    """Whether these are what the recipe was made for."""
    return arch == ARCH and optimizer == "sgd"


def augmentation(preprocessing: Preprocessing) -> Augmentation:
    """Return shifts of a sixteenth of the side and, in colour, flips that alternate from one epoch to the next."""
    return Augmentation(shift=min(preprocessing.size) // 16, flip=False if preprocessing.grey else ALTERNATE)


def rates(network: Network, norm_biases: float) -> dict[str, float]:
    """Return parameter name -> how many times the learning rate it learns with."""
    return {f"{node.name}.bias": norm_biases for node in network.nodes
            if node.layer.normalises and "bias" in node.layer.grads}
