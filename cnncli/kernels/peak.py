"""Door to csrc/peak.c: the multiply-add peak, which benchmarks/ compare kernels with. Nothing else uses it."""

from .._kernels import ffi
from .door import Call


def multiply_adds(rounds: int) -> float:
    """Run about a microsecond of multiply-adds a round on each thread; return how many flop that was.

    Raises ValueError where rounds is below 1 or senseless.
    """
    flops = ffi.new("double *")
    Call("cnn_peak", rounds, flops)()
    return float(flops[0])
