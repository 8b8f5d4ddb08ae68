"""Training that starts from learnt weights: with smaller steps, which are smaller still for the first blocks, and
perhaps with some blocks frozen. start.py brings the weights, probe.py fits the last layer first, choose.py asks here
for the defaults.
"""


from ..errors import UsageError
from ..network import Network
from ..network.blocks import blocks
from ..optim import RECIPES
from ..optim.schedule import DEFAULT_SCHEDULE
from .defaults import Defaults, Tuning
from .options import ALL

# What the network knows already needs few epochs: with 100 photographs of clothes, 50 epochs brought nothing that the
# fitted head alone did not have (docs/accuracy.md).
DEFAULTS = Defaults(epochs=8, batch_size=32, schedule=DEFAULT_SCHEDULE, averaged=0.25, least_seen=3_000,
                    most_epochs=15, patience=5, optimizer="adamw")
# For batches of 32. Loss of the validation images of photographs of clothes, 3 epochs at 128 pixels: SGD 0.457 with
# 0.001, 0.399 with 0.003; AdamW 0.445 with 1e-4, 0.384 with 3e-4.
PEAK_LR = {"sgd": 0.003, "adam": 3e-4, "adamw": 3e-4}
STEM_RATE = 0.1  # of the head's
LABEL_SMOOTHING = 0.1
# The statistics of smaller batches are not worth having: batch norms keep those that they came with, for which the head
# was fitted. Photographs of clothes, batches of 32: of the first epoch's images 53 % right with each batch's own.
SMALL_BATCH = 64


def tuning(network: Network, arch: str, optimizer: str, batch_size: int, images: int) -> Tuning:
    """Return the tuning for batches of that size."""
    lr = PEAK_LR[optimizer] * (batch_size / DEFAULTS.batch_size if optimizer == "sgd" else 1)
    return Tuning(lr, RECIPES[optimizer].get("weight_decay", 0.0), LABEL_SMOOTHING, stem_rate=STEM_RATE)


def rates(network: Network, stem_rate: float) -> dict[str, float]:
    """Return parameter name -> multiple of the learning rate: stem_rate in the first block, 1 in the last one, and a
    constant factor more from each block to the next (Howard and Ruder 2018, who also use a constant factor).
    """
    found, parts = {}, blocks(network)
    for place, block in enumerate(parts):
        rate = stem_rate ** (1 - place / max(1, len(parts) - 1))
        for name in block.layers:
            found.update({f"{name}.{key}": rate for key in network.node(name).layer.grads})
    return found


def frozen_blocks(network: Network, freeze: str | int) -> int:
    """Return how many blocks do not learn: the given number, or all but the last. Raises UsageError if there are fewer.
    """
    most = len(blocks(network)) - 1
    if isinstance(freeze, str):
        return most
    if freeze > most:
        raise UsageError(f"the network has {most} blocks before its last one, and {freeze} cannot be frozen; give "
                         f"--freeze a number up to {most}, or {ALL}.")
    return freeze
