"""What a training does by default, for a network with random weights. fast.py and finetune.py have the same two things,
DEFAULTS and ``tuning``, for other trainings. choose.py takes them from the file that applies.
"""

from dataclasses import dataclass

from ..network import Network
from ..optim import RECIPES, OptimiserName
from ..optim.schedule import DEFAULT_SCHEDULE, Kind

# The peak of the learning rate for a batch of 128: (with batch norm, without).
PEAK_LR = {"sgd": (0.1, 0.05), "adam": (2e-3, 1e-3), "adamw": (2e-3, 1e-3)}
USUAL_BATCH = 128
MOST_TIMES_PEAK = 8  # for very large batches; beyond that, training tends to break
LABEL_SMOOTHING = 0.1  # with batch norm; nets without it learn slowly enough
# With fewer parameters than this for each image, a network with batch norm learns nothing by heart: smoothing
# only slows it down, and SGD's steps may be twice as large. Of CIFAR-10's held-out images resnet20 then has 91.3 %
# right instead of 90.4 %, resnet8 85.4 % instead of 83.8 % (docs/accuracy.md).
FEW_PARAMETERS, TIMES_PEAK_WITH_FEW = 10, 2


@dataclass(frozen=True)
class Defaults:
    """How long a training takes, and in what steps. epochs is the number of epochs; there are more, up to most_epochs,
    if all together would see fewer than least_seen images. patience is the number of epochs without a better one after
    which to stop if the user gave no number of epochs (None: never). batch_size is the images per step, fewer for small
    sets. schedule is the course of the learning rate. averaged is the last part of all steps over which weights are
    averaged. lookahead says whether slow weights follow (lookahead.py).
    """

    epochs: int
    batch_size: int
    schedule: Kind
    averaged: float
    least_seen: int = 45_000
    most_epochs: int = 100
    patience: int | None = None
    optimizer: OptimiserName = "sgd"
    lookahead: bool = False


@dataclass(frozen=True)
class Tuning:
    """What suits an optimiser and a network: the highest learning rate, weight decay, label smoothing and momentum
    (None: the optimiser's own). norm_biases and stem_rate are the learning rates of the batch norms' biases and of the
    first block, as multiples of the highest rate (None: 1).
    """

    lr: float
    weight_decay: float
    label_smoothing: float
    momentum: float | None = None
    norm_biases: float | None = None
    stem_rate: float | None = None


DEFAULTS = Defaults(epochs=15, batch_size=USUAL_BATCH, schedule=DEFAULT_SCHEDULE, averaged=0.25)


def tuning(network: Network, arch: str, optimizer: str, batch_size: int, images: int) -> Tuning:
    """Return the tuning for a network that learns from this many images in batches of this size. SGD's learning rate
    grows with the batch, as far as that holds (Goyal et al. 2017).
    """
    with_norm = has_norm(network)
    few = with_norm and parameters(network) < FEW_PARAMETERS * images
    lr = PEAK_LR[optimizer][0 if with_norm else 1]
    if optimizer == "sgd":
        lr *= min(batch_size / USUAL_BATCH, MOST_TIMES_PEAK) * (TIMES_PEAK_WITH_FEW if few else 1)
    smoothing = LABEL_SMOOTHING if with_norm and not few else 0.0
    return Tuning(lr, RECIPES[optimizer].get("weight_decay", 0.0), smoothing)


def has_norm(network: Network) -> bool:
    """Whether a network has batch norms."""
    return any(node.layer.normalises for node in network.nodes)


def parameters(network: Network) -> int:
    """Return how many numbers a network learns."""
    return sum(array.size for array in network.parameters().values())
