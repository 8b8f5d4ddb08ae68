"""The machine: what it is called, its peak of multiply-adds and its copying bandwidth, measured in the same minutes as
everything else, because machines differ and are noisy."""

import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure
from cnncli import kernels

_BYTES = 1 << 27  # copied by each thread: far beyond any last-level cache


def describe() -> dict[str, Any]:
    """Return what a reader wants to know about this machine."""
    return {"cpu": _cpu(), "cpus": kernels.available_cpus(), "isa": kernels.isas()[-1], "system": platform.system(),
            "python": platform.python_version(), "numpy": np.__version__,
            "date": time.strftime("%Y-%m-%d", time.gmtime())}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    names = {key.strip(): value.strip() for key, value in found.items()}
    return names.get("model name") or platform.machine()


class Gauge:
    """Measures the machine whenever it is called; ``json`` sums up."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._peaks: list[float] = []
        self._copies: list[float] = []
        # Written to at once, or all their pages would be the one page of zeros.
        self._arrays = [(np.ones(_BYTES // 8), np.ones(_BYTES // 8)) for _ in range(threads)]

    def __call__(self) -> None:
        """Measure once, a fifth of a second or so."""
        kernels.set_threads(self.threads)
        self._peaks.append(multiply_add_peak())
        self._copies.append(self._copy())

    def _copy(self) -> float:
        """Bytes read and written in a second, each thread between two arrays of its own (NumPy lets go of the GIL)."""
        with ThreadPoolExecutor(self.threads) as pool:
            best = float("inf")
            for _ in range(3):
                start = time.perf_counter()
                list(pool.map(lambda pair: np.copyto(*pair), self._arrays))
                best = min(best, time.perf_counter() - start)
        return 2 * _BYTES * self.threads / best

    def json(self) -> dict[str, Any]:
        """Return {"threads", "gflops": figure, "copy_gb_per_s": figure}."""
        return {"threads": self.threads, "gflops": Figure.of([v / 1e9 for v in self._peaks]).json(),
                "copy_gb_per_s": Figure.of([v / 1e9 for v in self._copies]).json()}


def multiply_add_peak(repeats: int = 20) -> float:
    """Return the fastest of some runs of multiply-adds, in flop/s."""
    best = 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        flops = kernels.multiply_adds(1000)
        best = max(best, flops / (time.perf_counter() - start))
    return best


def words(machine: dict[str, Any]) -> str:
    """The sentence under a table."""
    return (f"Machine in the same minutes: {machine['gflops']['median']:.0f} GFLOP/s of multiply-adds, "
            f"{machine['copy_gb_per_s']['median']:.1f} GB/s copied (read and written), threads: {machine['threads']}.")


def cpu_count() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
