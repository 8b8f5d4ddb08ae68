"""Every layer by itself, on the large case of tests/layers/cases.py: the fastest of many repetitions of its forward and
backward calls, and how many bytes of its inputs and outputs that is a second, beside a copy of as many. What memory
bounds is near the copy; conv.py measures the convolutions against the peak of multiply-adds.
"""

import math
import time
from typing import Any

import numpy as np

from benchmarks.machine import cpu_count
from benchmarks.options import Options
from benchmarks.tables import number, table
from cnncli import kernels
from cnncli.kernels import Call
from cnncli.layers import LAYERS
from tests.layers.cases import LARGE

BATCH, SECONDS, QUICK_SECONDS = 16, 0.3, 0.05  # the seconds are for each layer
_ROW = 4096  # floats that a copy moves at once


def measure(options: Options) -> list[dict[str, Any]]:
    """Measure every layer with each number of threads."""
    seconds = options.given_seconds or (QUICK_SECONDS if options.quick else SECONDS)
    rows, before = [], kernels.threads()
    with kernels.use_isa(options.isa or kernels.isas()[-1]):
        for threads in options.threads or sorted({1, cpu_count()}):
            kernels.set_threads(threads)
            names = [name for name in LARGE if options.layers in name]
            options.say(f"layers, threads: {threads}, {len(names)} layers")
            rows += [{**_row(name, seconds), "threads": threads} for name in names]
    kernels.set_threads(before)
    return rows


def _row(name: str, seconds: float) -> dict[str, Any]:
    kind, options, shapes = LARGE[name]
    rng = np.random.default_rng(0)
    layer = LAYERS[kind](**options)
    layer.bind(*shapes)
    layer.initialise(rng)
    y = layer.forward(*(rng.standard_normal((BATCH, *shape), dtype=np.float32) for shape in shapes), training=True)
    layer.backward(np.ones_like(y))
    io = layer._alone  # the arrays of that pass, which the same calls can read and fill again
    assert io is not None
    floats = y.size + sum(x.size for x in io.x)
    copy = kernels.aligned_empty((2, max(1, floats // 2 // _ROW), _ROW))
    copy[...] = 1
    times = _fastest([layer.forward_calls(io), layer.backward_calls(io), [kernels.copy(copy[0], copy[1])]], seconds)
    return {"layer": name, "type": kind, "shapes": shapes, "batch": BATCH, "bytes": 4 * floats,
            **dict(zip(("forward", "backward", "copy"), times, strict=True))}


def _fastest(passes: list[list[Call]], seconds: float) -> list[float]:
    """The fastest time of each list of calls, measured in turns."""
    best, end = [math.inf] * len(passes), time.perf_counter() + seconds
    while True:
        for i, calls in enumerate(passes):
            start = time.perf_counter()
            for call in calls:
                call()
            best[i] = min(best[i], time.perf_counter() - start)
        if time.perf_counter() >= end:
            return best


def show(rows: list[dict[str, Any]]) -> str:
    """Return a table for each number of threads."""
    parts = []
    for threads in dict.fromkeys(row["threads"] for row in rows):
        some = [row for row in rows if row["threads"] == threads]
        parts += [f"threads: {threads}. Milliseconds for {BATCH} images, and GB/s of inputs and outputs.",
                  table(["layer", "forward", "GB/s", "backward", "GB/s", "GB/s of a copy"],
                        [[row["layer"], *(cell for each in ("forward", "backward") for cell in (
                            number(row[each] * 1000), _rate(row, each))), _rate(row, "copy")] for row in some])]
    return "\n\n".join(parts)


def _rate(row: dict[str, Any], each: str) -> str:
    return number(row["bytes"] / row[each] / 1e9)
