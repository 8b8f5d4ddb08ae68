"""The one door to C. Each module here is the Python side of the csrc/ file of the same name: its functions check
shapes, dtypes and contiguity in plain words, take pointers, and return a ``Call`` that is ready to run, as often as
one likes. Layers are made of these calls; nothing else in the package touches ``_kernels``.

    call = kernels.activation_forward("relu", x, y)
    call()
"""

from .door import (
    Array,
    Call,
    aligned_empty,
    aligned_zeros,
    allocation_limit,
    available_cpus,
    configure,
    isas,
    set_isa,
    set_threads,
    threads,
    use_isa,
)
from .image import image_batch
from .loss import cross_entropy, squared_error
from .optim import Hyper, Tensor, adam_step, gradient_norm, sgd_step
from .pointwise import ACTIVATIONS, activation_backward, activation_forward

__all__ = [
    "ACTIVATIONS",
    "Array",
    "Call",
    "Hyper",
    "Tensor",
    "activation_backward",
    "activation_forward",
    "adam_step",
    "aligned_empty",
    "aligned_zeros",
    "allocation_limit",
    "available_cpus",
    "configure",
    "cross_entropy",
    "gradient_norm",
    "image_batch",
    "isas",
    "set_isa",
    "set_threads",
    "sgd_step",
    "squared_error",
    "threads",
    "use_isa",
]
