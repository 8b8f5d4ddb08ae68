"""Convolutions against the multiply-add peak of this machine, measured in the same process and in turns with them:
GFLOP/s and share of the peak for forward, backward-data and backward-weights.

    python -m benchmarks --only conv [--threads 1 2] [--isa avx2] [--seconds 0.3] [--layers 3x3]

Each figure is the fastest of many short repetitions, so that what else the machine does weighs little.
"""

import argparse
import time

import numpy as np

from cnncli import kernels
from cnncli.kernels import Convolution

# name, batch, input channels, output channels, kernel, image, stride, padding, groups: some milliseconds each.
LAYERS = [
    ("1->6 5x5 28", 32, 1, 6, 5, 28, 1, 0, 1),
    ("6->16 5x5 14", 32, 6, 16, 5, 14, 1, 0, 1),
    ("3->32 3x3 32", 32, 3, 32, 3, 32, 1, 1, 1),
    ("16->16 3x3 32", 16, 16, 16, 3, 32, 1, 1, 1),
    ("32->32 3x3 32", 16, 32, 32, 3, 32, 1, 1, 1),
    ("64->64 3x3 16", 16, 64, 64, 3, 16, 1, 1, 1),
    ("128->128 3x3 8", 16, 128, 128, 3, 8, 1, 1, 1),
    ("64->64 3x3 56", 2, 64, 64, 3, 56, 1, 1, 1),
    ("128->128 3x3 28", 2, 128, 128, 3, 28, 1, 1, 1),
    ("256->256 3x3 14", 2, 256, 256, 3, 14, 1, 1, 1),
    ("256->256 3x3 14", 8, 256, 256, 3, 14, 1, 1, 1),
    ("512->512 3x3 7", 8, 512, 512, 3, 7, 1, 1, 1),
    ("64->128 3x3/2 56", 2, 64, 128, 3, 56, 2, 1, 1),
    ("3->64 7x7/2 224", 1, 3, 64, 7, 224, 2, 3, 1),
    ("96->24 1x1 56", 4, 96, 24, 1, 56, 1, 0, 1),
    ("192->64 1x1 28", 8, 192, 64, 1, 28, 1, 0, 1),
    ("320->1280 1x1 7", 8, 320, 1280, 1, 7, 1, 0, 1),
    ("dense 16384->64", 64, 16384, 64, 1, 1, 1, 0, 1),
    ("depthwise 3x3/2 96@112", 2, 96, 96, 3, 112, 2, 1, 96),
    ("depthwise 3x3 144@56", 2, 144, 144, 3, 56, 1, 1, 144),
    ("depthwise 5x5 480@14", 8, 480, 480, 5, 14, 1, 2, 480),
]


def passes(convolution: Convolution) -> list[kernels.Call]:
    rng = np.random.default_rng(0)

    def array(shape: tuple[int, ...]) -> kernels.Array:
        out = kernels.aligned_empty(shape)
        out[...] = rng.standard_normal(shape, dtype=np.float32)
        return out

    x, dy, weight = array(convolution.x_shape), array(convolution.y_shape), array(convolution.weight_shape)
    bias = array((convolution.k,))
    y, dx, dweight, dbias = (np.empty_like(a) for a in (dy, x, weight, bias))
    workspace = kernels.aligned_empty((convolution.workspace(0, 1, 2),), np.uint8)
    packed = {which: kernels.packed_weights(convolution, which) for which in (kernels.FORWARD, kernels.BACKWARD_DATA)}
    for which, room in packed.items():
        kernels.conv2d_pack(convolution, which, weight, room)()
    forward = packed[kernels.FORWARD], y, workspace, kernels.Finish(bias)
    return [kernels.conv2d_forward(convolution, x, weight, *forward),
            kernels.conv2d_backward_data(convolution, dy, weight, packed[kernels.BACKWARD_DATA], dx, workspace),
            kernels.conv2d_backward_weights(convolution, x, dy, dweight, dbias, workspace)]


def measure(calls: list[kernels.Call], seconds: float) -> tuple[float, list[float]]:
    """The peak in flop/s and the fastest time of each call, measured in turns."""
    peak, best = 0.0, [float("inf")] * len(calls)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        flops = kernels.multiply_adds(1000)
        peak = max(peak, flops / (time.perf_counter() - start))
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return peak, best


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks --only conv", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--isa", default=kernels.isas()[-1], choices=kernels.isas())
    parser.add_argument("--seconds", type=float, default=0.3, help="spent on each layer")
    parser.add_argument("--layers", default="", help="layers whose name holds this")
    options = parser.parse_args(arguments)
    kernels.set_isa(options.isa)
    for threads in options.threads:
        kernels.set_threads(threads)
        print(f"{options.isa}, {threads} threads; GFLOP/s and share of the peak")
        print(f"{'layer (batch)':30} {'peak':>6} {'forward':>12} {'backward-data':>14} {'backward-weights':>17}")
        for name, n, c, k, kernel, size, stride, padding, groups in LAYERS:
            if options.layers not in name:
                continue
            convolution = Convolution((n, size, size, c), k, (kernel, kernel), (stride, stride), (padding,) * 4,
                                      groups=groups)
            flop = 2 * np.prod(convolution.y_shape) * np.prod(convolution.weight_shape[1:])
            peak, best = measure(passes(convolution), options.seconds)
            cells = [f"{flop / t / 1e9:6.1f} {flop / t / peak:4.0%}" for t in best]
            print(f"{f'{name} ({n})':30} {peak / 1e9:6.1f} {cells[0]:>12} {cells[1]:>14} {cells[2]:>17}", flush=True)

