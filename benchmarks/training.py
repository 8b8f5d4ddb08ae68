"""Whole steps of training (forward, loss, backward, update) on data in memory, ours against PyTorch's best mode."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.cases import LR, MOMENTUM, Case, write_case
from benchmarks.contest import FIRST as OURS
from benchmarks.contest import Contest
from benchmarks.figures import TOLERANCE, compare, rates
from benchmarks.machine import Gauge, cpu_count, words
from benchmarks.options import Options
from benchmarks.tables import number, ratio, spread, table

MODES: dict[str, dict[str, Any]] = {
    "PyTorch eager": {},
    "PyTorch channels_last": {"channels_last": True},
    "PyTorch compiled": {"compiled": True},
    "PyTorch channels_last compiled": {"channels_last": True, "compiled": True},
}


def measure(options: Options) -> list[dict[str, Any]]:
    """Measure each network with each number of threads."""
    return [_measure(case, threads, options) for case in options.cases for threads in options.threads or [cpu_count()]]


def _measure(case: Case, threads: int, options: Options) -> dict[str, Any]:
    row: dict[str, Any] = {"network": case.name, "image": case.image, "batch": case.batch, "threads": threads}
    gauge = Gauge(threads)
    with tempfile.TemporaryDirectory() as folder, Contest() as contest:
        options.say(f"training {case.name}, threads: {threads}")
        write_case(case, Path(folder), case.batch)
        join_training(contest, case, Path(folder), threads, options)
        answers = contest.rounds(options.rounds, options.seconds, gauge, rivals=True)
        figures = {name: rates(runs[0], case.batch) for name, runs in answers.items()}
        memory = {name: runs[0][-1]["peak_memory"] for name, runs in answers.items()}
    # The goals are set for all the cores of a small machine.
    comparison = compare(figures, case.training_goal if threads > 1 else None)
    return {**row, "images_per_second": {name: figure.json() for name, figure in figures.items()},
            "comparison": comparison and comparison.json(), "peak_memory": memory, "machine": gauge.json(),
            "versions": {name: contest.prepared[name]["version"] for name in figures}, "notes": contest.notes}


def join_training(contest: Contest, case: Case, folder: Path, threads: int, options: Options) -> None:
    """Let ours and PyTorch's modes join; whoever finds another loss than ours in the first step leaves again."""
    task: dict[str, Any] = {"folder": str(folder), "task": "training", "batch": case.batch, "lr": LR,
                            "momentum": MOMENTUM}
    if not contest.join(OURS, "ours", threads=threads, **task) or not options.peers_python:
        return
    for name, mode in MODES.items():
        if mode.get("compiled") and not options.compiled:
            continue
        options.say(f"  preparing {name}")
        if contest.join(name, "pytorch", options.peers_python, threads=threads, **task, **mode):
            ours, theirs = (contest.prepared[who]["loss"] for who in (OURS, name))
            if abs(ours - theirs) > TOLERANCE * abs(ours):
                contest.leave(name, f"its first loss is {theirs:.6f}, ours {ours:.6f}: not the same network")


def show(rows: list[dict[str, Any]]) -> str:
    """Return the tables: ours against the best, then everybody."""
    lines, everybody = [], []
    for row in rows:
        name = f"{row['network']}, {row['image']}, batch {row['batch']}"
        figures, comparison = row["images_per_second"], row["comparison"]
        best = comparison["best"] if comparison else None
        lines.append([name, row["threads"], spread(figures[OURS]) if OURS in figures else "-",
                      spread(figures[best]) if best else "-", best or "-", *ratio(comparison)])
        everybody += [[name, row["threads"], who, spread(figure), number(row["peak_memory"][who] / 2**20)]
                      for who, figure in figures.items()]
    parts = [table(["network", "threads", "ours (img/s)", "best peer (img/s)", "which", "ratio", "goal"], lines),
             table(["network", "threads", "who", "img/s", "peak memory (MiB)"], everybody)]
    parts += [f"{row['network']}: {note}" for row in rows for note in row["notes"]]
    return "\n\n".join([*parts, *dict.fromkeys(words(row["machine"]) for row in rows)])
