"""Convolutions against the multiply-add peak of this machine, measured in the same process and in turns with them:
GFLOP/s and share of the peak for forward, backward-data and backward-weights. Where Winograd may compute a layer, its
effective rate (direct multiply-adds over time) stands beside that of `exact`, which rules it out. PyTorch's figure for
the same layer comes from a process of its own.

Each figure is the fastest of many short repetitions, so that what else the machine does weighs little.
"""

import math
import time
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.contest import Contest, Failure
from benchmarks.conv_layers import LAYERS, PASSES, ConvLayer
from benchmarks.machine import Gauge, cpu_count, words
from benchmarks.options import Options
from benchmarks.tables import number, table
from cnncli import kernels
from cnncli.kernels import BACKWARD_DATA, BACKWARD_WEIGHTS, FORWARD, Convolution

SECONDS, QUICK_SECONDS = 0.3, 0.1  # for each layer
DEPTHWISE_TIMES, DEPTHWISE_SHARE = 5.0, 0.7  # of PyTorch's rate, or of what copying as many bytes would take

_ROW = 4096  # floats that a copy moves at once


def measure(options: Options) -> list[dict[str, Any]]:
    """Measure every layer with each number of threads."""
    layers = [layer for layer in LAYERS if options.layers in layer.name]
    rows = []
    with kernels.use_isa(options.isa or kernels.isas()[-1]):
        for threads in options.threads or sorted({1, cpu_count()}):
            options.say(f"conv, {options.isa or kernels.isas()[-1]}, threads: {threads}, {len(layers)} layers")
            rows += _measure(layers, threads, options)
    return rows


def _measure(layers: list[ConvLayer], threads: int, options: Options) -> list[dict[str, Any]]:
    seconds = options.given_seconds or (QUICK_SECONDS if options.quick else SECONDS)
    gauge, rows = Gauge(threads), []
    with Contest() as contest:
        peer = options.peers_python is not None and contest.join(
            "PyTorch", "pytorch_conv", options.peers_python, threads=threads, **_sizes(layers[0]))
        for number_, layer in enumerate(layers):
            if number_ % 8 == 0:
                gauge()
            kernels.set_threads(threads)
            theirs = _theirs(contest, layer, threads, seconds) if peer else None
            for exact in (False, True) if layer.winograd else (True,):
                convolution = layer.convolution(exact)
                calls = passes(convolution)
                peak, best = fastest([*calls, copying(convolution)] if layer.groups > 1 else calls, seconds)
                rows.append(_row(layer, exact, peak, best, theirs))
    machine = gauge.json()
    for row in rows:
        row.update(threads=threads, isa=options.isa or kernels.isas()[-1], machine=machine, notes=contest.notes)
    return rows


def passes(convolution: Convolution) -> list[kernels.Call]:
    """Return the calls of forward, backward-data and backward-weights on random arrays."""
    rng = np.random.default_rng(0)

    def array(shape: tuple[int, ...]) -> kernels.Array:
        out = kernels.aligned_empty(shape)
        out[...] = rng.standard_normal(shape, dtype=np.float32)
        return out

    x, dy, weight = array(convolution.x_shape), array(convolution.y_shape), array(convolution.weight_shape)
    bias = array((convolution.k,))
    y, dx, dweight, dbias = (np.empty_like(a) for a in (dy, x, weight, bias))
    workspace = kernels.aligned_empty((convolution.workspace(FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS),), np.uint8)
    packed = {which: kernels.packed_weights(convolution, which) for which in (FORWARD, BACKWARD_DATA)}
    for which, room in packed.items():
        kernels.conv2d_pack(convolution, which, weight, room)()
    return [kernels.conv2d_forward(convolution, x, weight, packed[FORWARD], y, workspace, kernels.Finish(bias)),
            kernels.conv2d_backward_data(convolution, dy, weight, packed[BACKWARD_DATA], dx, workspace),
            kernels.conv2d_backward_weights(convolution, x, dy, dweight, dbias, workspace)]


def copying(convolution: Convolution) -> kernels.Call:
    """Return a copy that reads and writes as many bytes as x and y have: a depthwise pass cannot do with less."""
    rows = (math.prod(convolution.x_shape) + math.prod(convolution.y_shape)) // 2 // _ROW
    source, copied = kernels.aligned_empty((rows, _ROW)), kernels.aligned_empty((rows, _ROW))
    source[...] = 1  # memory that was never written is one page of zeros, and quick to read
    return kernels.copy(source, copied)


def fastest(calls: list[kernels.Call], seconds: float) -> tuple[float, list[float]]:
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


def _sizes(layer: ConvLayer) -> dict[str, Any]:
    sizes = {k: v for k, v in asdict(layer).items() if k != "name"}
    return {**sizes, "padding": layer.padding}


def _theirs(contest: Contest, layer: ConvLayer, threads: int, seconds: float) -> list[float] | None:
    """PyTorch's fastest times for the three passes."""
    try:
        contest.ask("PyTorch", "prepare", threads=threads, **_sizes(layer))
        best: list[float] = contest.ask("PyTorch", "run", seconds=seconds)["best"]
    except Failure as failure:
        contest.notes.append(f"PyTorch, {layer.label}: {failure}")
        return None
    return best


def _row(layer: ConvLayer, exact: bool, peak: float, best: list[float],
         theirs: list[float] | None) -> dict[str, Any]:
    convolution = layer.convolution()
    flop = 2 * float(np.prod(convolution.y_shape)) * float(np.prod(convolution.weight_shape[1:]))
    row: dict[str, Any] = {"layer": layer.label, "exact": exact, "depthwise": layer.groups > 1,
                           "peak_gflops": peak / 1e9, "passes": {}}
    for i, which in enumerate(PASSES):
        row["passes"][which] = {"seconds": best[i], "gflops": flop / best[i] / 1e9, "share": flop / best[i] / peak,
                                "goal": layer.goals(exact)[i]}
        if theirs:
            row["passes"][which].update(pytorch_gflops=flop / theirs[i] / 1e9, times_pytorch=theirs[i] / best[i])
        if layer.groups > 1:
            row["passes"][which]["share_of_copying"] = best[-1] / best[i]
        row["passes"][which]["reached"] = _reached(row["passes"][which])
    return row


def _reached(each: dict[str, Any]) -> bool | None:
    """Whether a pass reaches its goal, None where it has none; a depthwise one's is the easier of two."""
    if "share_of_copying" in each:
        return bool(each["share_of_copying"] >= DEPTHWISE_SHARE or each.get("times_pytorch", 0.0) >= DEPTHWISE_TIMES)
    return None if each["goal"] is None else bool(each["share"] >= each["goal"])


def show(rows: list[dict[str, Any]]) -> str:
    """Return a table for each number of threads, a mark (!) where a goal is missed, and the goal."""
    parts = []
    for threads in dict.fromkeys(row["threads"] for row in rows):
        some = [row for row in rows if row["threads"] == threads]
        machine, isa = some[0]["machine"], some[0]["isa"]
        dense, depthwise = ([row for row in some if row["depthwise"] == kind] for kind in (False, True))
        parts += [f"{isa}, threads: {threads}. GFLOP/s, and in brackets the share of the peak; after a slash the goal, "
                  "where it is missed."]
        if dense:
            parts += [_dense(dense)]
        if depthwise:
            parts += ["Depthwise: GFLOP/s, times PyTorch's, and the share of the speed of copying as many bytes; ! "
                      "where neither 5 times nor 70 % is reached.", _depthwise(depthwise)]
        parts += [words(machine), *dict.fromkeys(note for row in some for note in row["notes"])]
    return "\n\n".join(parts)


def _dense(rows: list[dict[str, Any]]) -> str:
    def cell(each: dict[str, Any]) -> str:
        goal = f"/{each['goal']:.0%}" if each["reached"] is False else ""
        return f"{each['gflops']:.1f} ({each['share']:.0%}{goal})"

    peer = any("times_pytorch" in each for row in rows for each in row["passes"].values())
    lines = []
    for row in rows:
        each = [row["passes"][which] for which in PASSES]
        times = " ".join(f"{e['times_pytorch']:.1f}" if "times_pytorch" in e else "-" for e in each)
        lines.append([row["layer"], "exact" if row["exact"] else "by rule", f"{row['peak_gflops']:.0f}",
                      *map(cell, each), *([times] if peer else [])])
    return table(["layer (batch)", "", "peak", *PASSES, *(["times PyTorch's"] if peer else [])], lines)


def _depthwise(rows: list[dict[str, Any]]) -> str:
    def cell(each: dict[str, Any]) -> str:
        times = f"x{number(each['times_pytorch'])}, " if "times_pytorch" in each else ""
        return f"{each['gflops']:.1f} ({times}{each['share_of_copying']:.0%}){'' if each['reached'] else ' !'}"

    return table(["layer (batch)", *PASSES],
                 [[row["layer"], *(cell(row["passes"][which]) for which in PASSES)] for row in rows])
