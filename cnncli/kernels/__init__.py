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
    available_cpus,
    configure,
    isas,
    set_isa,
    set_threads,
    threads,
    use_isa,
)
from .pointwise import ACTIVATIONS, activation_backward, activation_forward

__all__ = [
    "ACTIVATIONS",
    "Array",
    "Call",
    "activation_backward",
    "activation_forward",
    "aligned_empty",
    "aligned_zeros",
    "available_cpus",
    "configure",
    "isas",
    "set_isa",
    "set_threads",
    "threads",
    "use_isa",
]
