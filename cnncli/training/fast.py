"""The recipe called fast: what trains small pictures well in a few hundred steps, after the DAWNBench line of work
(Page, "How to Train Your ResNet", 2018; Jordan 2024, arXiv 2404.00498). recipe.py asks here where ``--recipe fast`` was
given; whatever else was given wins over it.
"""

from dataclasses import dataclass, replace

from ..data import Augmentation, Preprocessing
from ..data.augmentation import ALTERNATE
from ..network import Network

ARCH = "resnet9"
EPOCHS = 20
BATCH_SIZE = 1024
SCHEDULE = "triangular"
LABEL_SMOOTHING = 0.2
# Nothing is held out for validation: every image is trained on, and the last epoch is the one to keep.
FRACTIONS = (0.9, 0.0, 0.1)


@dataclass(frozen=True)
class Tuning:
    """How SGD goes with resnet9: the peak learning rate for BATCH_SIZE images, momentum, weight decay, and the learning
    rate of the batch norms' biases as a multiple of it."""

    lr: float = 1.5
    momentum: float = 0.85
    weight_decay: float = 0.00133
    norm_biases: float = 64.0


TUNING = Tuning()


def tuning(arch: str, optimizer: str, batch_size: int) -> Tuning | None:
    """Return the tuning for batches of that size; None for another network or optimiser, which it was not made for."""
    if arch != ARCH or optimizer != "sgd":
        return None
    return replace(TUNING, lr=TUNING.lr * batch_size / BATCH_SIZE)


def augmentation(preprocessing: Preprocessing) -> Augmentation:
    """Return shifts of a sixteenth of the side and, in colour, flips that alternate from one epoch to the next."""
    return Augmentation(shift=min(preprocessing.size) // 16, flip=False if preprocessing.grey else ALTERNATE)


def rates(network: Network, norm_biases: float) -> dict[str, float]:
    """Return parameter name -> how many times the learning rate it learns with."""
    return {f"{node.name}.bias": norm_biases for node in network.nodes
            if type(node.layer).__name__ == "BatchNorm2d" and "bias" in node.layer.grads}
