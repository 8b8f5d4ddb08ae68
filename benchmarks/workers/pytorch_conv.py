"""PyTorch's side of conv.py: one convolution's three passes in channels_last, its strongest mode on a CPU."""

import time
from typing import Any

import torch

from benchmarks.workers.protocol import Reply, Worker, serve


class Convolution(Worker):
    def prepare(self, threads: int, **sizes: int) -> Reply:
        """Take a layer's sizes: n, c, k, kernel, size, stride, padding, groups."""
        torch.set_num_threads(threads)
        self._passes = _passes(**sizes)
        for each in self._passes:
            each()
        return {"version": torch.__version__}

    def run(self, seconds: float, threads: int | None = None) -> Reply:
        """Return the fastest time of each pass, measured in turns."""
        best, end = [float("inf")] * 3, time.perf_counter() + seconds
        while time.perf_counter() < end or best[0] == float("inf"):
            for i, each in enumerate(self._passes):
                start = time.perf_counter()
                each()
                best[i] = min(best[i], time.perf_counter() - start)
        return {"best": best}


def _passes(n: int, c: int, k: int, kernel: int, size: int, stride: int, padding: int, groups: int) -> list[Any]:
    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(shape).to(memory_format=torch.channels_last)

    torch.manual_seed(0)
    x, weight, bias = tensor(n, c, size, size), tensor(k, c // groups, kernel, kernel), torch.randn(k)
    sizes = [stride] * 2, [padding] * 2, [1] * 2, False, [0] * 2, groups
    with torch.inference_mode():
        dy = torch.randn_like(torch.ops.aten.convolution(x, weight, bias, *sizes))

    def forward() -> None:
        with torch.inference_mode():
            torch.ops.aten.convolution(x, weight, bias, *sizes)

    def backward(*wanted: bool) -> Any:
        def run() -> None:
            with torch.inference_mode():
                torch.ops.aten.convolution_backward(dy, x, weight, [k], *sizes, list(wanted))
        return run

    return [forward, backward(True, False, False), backward(False, True, True)]


if __name__ == "__main__":
    serve(Convolution())
