"""Inference on one core: the time of one image, and images a second in a large batch, ours against the best peer. A
peer whose logits differ from ours is not compared."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import Case, write_case
from benchmarks.contest import FIRST as OURS
from benchmarks.contest import Contest, Failure
from benchmarks.figures import TOLERANCE, Figure, compare, milliseconds, rates
from benchmarks.machine import Gauge, words
from benchmarks.options import Options
from benchmarks.tables import ratio, spread, table

SHARE = 0.5  # of the time of a turn: steps are short, and there are many turns
# name -> (module of workers/, options); "model" is made by export.py for those that want one.
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ONNX Runtime": ("onnx_runtime", {"model": "onnx"}),
    "OpenVINO": ("openvino_runtime", {"model": "onnx"}),
    "ncnn": ("ncnn_net", {"model": "ncnn"}),
    "PyTorch eager": ("pytorch", {}),
    "PyTorch channels_last": ("pytorch", {"channels_last": True}),
    "PyTorch compiled": ("pytorch", {"compiled": True}),
}


def measure(options: Options) -> list[dict[str, Any]]:
    """Measure each network with one image and with many."""
    rows = []
    for case in options.cases:
        with tempfile.TemporaryDirectory() as folder:
            write_case(case, Path(folder), max(case.batch, case.large_batch))
            for threads in options.threads or [1]:
                rows += [_measure(case, Path(folder), batch, threads, options) for batch in (1, case.large_batch)]
    return rows


def _measure(case: Case, folder: Path, batch: int, threads: int, options: Options) -> dict[str, Any]:
    options.say(f"inference {case.name}, batch {batch}, threads: {threads}")
    gauge = Gauge(threads)
    with Contest() as contest:
        _join(contest, folder, batch, threads, options)
        answers = contest.rounds(options.rounds, options.given_seconds or options.seconds * SHARE, gauge, rivals=True)
    summary: Callable[..., Figure] = milliseconds if batch == 1 else lambda runs: rates(runs, batch)
    figures = {name: summary(runs[0]) for name, runs in answers.items()}
    goal = case.latency_goal if batch == 1 else case.throughput_goal
    comparison = compare(figures, goal if threads == 1 else None, less=batch == 1)
    return {"network": case.name, "image": case.image, "batch": batch, "threads": threads,
            "unit": "ms" if batch == 1 else "img/s", "figures": {name: f.json() for name, f in figures.items()},
            "comparison": comparison and comparison.json(), "machine": gauge.json(),
            "versions": {name: contest.prepared[name]["version"] for name in figures}, "notes": contest.notes}


def _join(contest: Contest, folder: Path, batch: int, threads: int, options: Options) -> None:
    """Let everybody join who computes what we do."""
    task: dict[str, Any] = {"folder": str(folder), "task": "inference", "batch": batch, "threads": threads}
    if not contest.join(OURS, "ours", **task, logits=str(folder / "ours.npy")) or not options.peers_python:
        return
    models = exported(contest, folder, batch, options.peers_python)
    for name, (module, mode) in PEERS.items():
        if mode.get("compiled") and not options.compiled:
            continue
        given = dict(mode)
        if "model" in mode:
            if mode["model"] not in models:
                continue
            given["model"] = models[mode["model"]]
        file = folder / f"{module}.npy"
        if contest.join(name, module, options.peers_python, **task, **given, logits=str(file)):
            why = disagreement(np.load(folder / "ours.npy"), np.load(file))
            if why:
                contest.leave(name, why)


def exported(contest: Contest, folder: Path, batch: int, python: str) -> dict[str, str]:
    """Hand the network to the peers: return {"onnx": file, "ncnn": file} of what could be exported; what could not is
    noted."""
    files = {"onnx": str(folder / f"batch{batch}.onnx"), "ncnn": str(folder / "ncnn")}
    with Contest() as exporter:
        if not exporter.join("export", "export", python, folder=str(folder)):
            contest.notes += exporter.notes
            return {}
        for kind, arguments in (("onnx", {"batch": batch}), ("ncnn", {})):
            if kind == "ncnn" and Path(f"{files[kind]}.param").exists():
                continue  # of the batch before
            try:
                exporter.ask("export", kind, 300, folder=str(folder), file=files[kind], **arguments)
            except Failure as failure:
                contest.notes.append(f"export to {kind}: {failure}")
                del files[kind]
    return files


def disagreement(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Return how a peer's logits differ from ours, "" where they agree."""
    if ours.shape != theirs.shape:
        return f"its logits have shape {theirs.shape}, not {ours.shape}"
    error = float(np.abs(ours - theirs).max() / np.abs(ours).max())
    return "" if error <= TOLERANCE else f"its logits differ from ours by {error:.1e} of the largest"


def show(rows: list[dict[str, Any]]) -> str:
    """Return the tables: ours against the best, then everybody."""
    lines, everybody = [], []
    for row in rows:
        name, unit = f"{row['network']}, batch {row['batch']}", row["unit"]
        figures, comparison = row["figures"], row["comparison"]
        best = comparison["best"] if comparison else None
        lines.append([name, unit, spread(figures[OURS]) if OURS in figures else "-",
                      spread(figures[best]) if best else "-", best or "-", *ratio(comparison)])
        everybody += [[name, who, f"{spread(figure)} {unit}"] for who, figure in figures.items()]
    parts = [table(["network", "unit", "ours", "best peer", "which", "ratio", "goal"], lines),
             table(["network", "who", "figure"], everybody)]
    parts += list(dict.fromkeys(f"{row['network']}: {note}" for row in rows for note in row["notes"]))
    return "\n\n".join([*parts, *dict.fromkeys(words(row["machine"]) for row in rows)])
