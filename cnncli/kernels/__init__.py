"""The one door to C. Each module here is the Python side of the csrc/ file of the same name: its functions check
shapes, dtypes and contiguity in plain words, take pointers, and return a ``Call`` that is ready to run, as often as
one likes. Layers are made of these calls; nothing else in the package touches ``_kernels``.

    call = kernels.activation_forward("relu", x, y)
    call()

What may not be here: networks, and arithmetic in Python that C could do.
"""

from .augment import OPERATIONS, augment_batch
from .conv import (
    BACKWARD_DATA,
    BACKWARD_WEIGHTS,
    FORWARD,
    FUSED,
    Convolution,
    Finish,
    conv2d_backward_data,
    conv2d_backward_weights,
    conv2d_forward,
    conv2d_pack,
    packed_weights,
)
from .door import (
    Array,
    Call,
    active_isa,
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
from .elementwise import (
    add,
    copy,
    copy_channels,
    dropout,
    flatten_backward,
    flatten_forward,
    scale,
    softmax_backward,
    softmax_forward,
)
from .image import image_batch, image_histogram
from .linear import linear_backward_data, linear_backward_weights, linear_convolution, linear_forward, linear_pack
from .loss import Mixed, cross_entropy, squared_error
from .mix import erase_batch, mix_batch
from .norm import (
    batch_norm_again,
    batch_norm_backward,
    batch_norm_infer,
    batch_norm_train,
    batch_norm_workspace,
)
from .optim import Hyper, Tensor, adam_step, gradient_norm, sgd_step
from .peak import multiply_adds
from .pointwise import ACTIVATIONS, activation_backward, activation_forward
from .pool import (
    Windows,
    adaptive_average_pool_backward,
    adaptive_average_pool_forward,
    average_pool_backward,
    average_pool_forward,
    lp_pool_backward,
    lp_pool_forward,
    max_pool_backward,
    max_pool_forward,
    tap_dtype,
)

__all__ = [
    "ACTIVATIONS",
    "BACKWARD_DATA",
    "BACKWARD_WEIGHTS",
    "FORWARD",
    "FUSED",
    "OPERATIONS",
    "Array",
    "Call",
    "Convolution",
    "Finish",
    "Hyper",
    "Mixed",
    "Tensor",
    "Windows",
    "activation_backward",
    "activation_forward",
    "active_isa",
    "adam_step",
    "adaptive_average_pool_backward",
    "adaptive_average_pool_forward",
    "add",
    "aligned_empty",
    "aligned_zeros",
    "allocation_limit",
    "augment_batch",
    "available_cpus",
    "average_pool_backward",
    "average_pool_forward",
    "batch_norm_again",
    "batch_norm_backward",
    "batch_norm_infer",
    "batch_norm_train",
    "batch_norm_workspace",
    "configure",
    "conv2d_backward_data",
    "conv2d_backward_weights",
    "conv2d_forward",
    "conv2d_pack",
    "copy",
    "copy_channels",
    "cross_entropy",
    "dropout",
    "erase_batch",
    "flatten_backward",
    "flatten_forward",
    "gradient_norm",
    "image_batch",
    "image_histogram",
    "isas",
    "linear_backward_data",
    "linear_backward_weights",
    "linear_convolution",
    "linear_forward",
    "linear_pack",
    "lp_pool_backward",
    "lp_pool_forward",
    "max_pool_backward",
    "max_pool_forward",
    "mix_batch",
    "multiply_adds",
    "packed_weights",
    "scale",
    "set_isa",
    "set_threads",
    "sgd_step",
    "softmax_backward",
    "softmax_forward",
    "squared_error",
    "tap_dtype",
    "threads",
    "use_isa",
]
