"""Peak resident memory of a process that trains, ours against PyTorch's eager modes. What compiling takes lies in other
processes, and training.py shows what the compiled modes keep."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.cases import Case, write_case
from benchmarks.contest import FIRST as OURS
from benchmarks.contest import Contest
from benchmarks.machine import cpu_count
from benchmarks.options import Options
from benchmarks.tables import number, ratio, table
from benchmarks.training import join_training

GOAL = 0.5
SECONDS = 1.0  # of steps: everything that grows has grown by then


def measure(options: Options) -> list[dict[str, Any]]:
    """Measure each network with each number of threads."""
    return [_measure(case, threads, options) for case in options.cases for threads in options.threads or [cpu_count()]]


def _measure(case: Case, threads: int, options: Options) -> dict[str, Any]:
    options.say(f"memory: {case.name}, threads: {threads}")
    with tempfile.TemporaryDirectory() as folder, Contest() as contest:
        write_case(case, Path(folder), case.batch)
        join_training(contest, case, Path(folder), threads, options.without_compiling())
        peaks = {name: runs[0][0]["peak_memory"] for name, runs in contest.rounds(1, SECONDS).items()}
    others = {name: peak for name, peak in peaks.items() if name != OURS}
    row = {"network": case.name, "batch": case.batch, "threads": threads, "peak_bytes": peaks, "notes": contest.notes,
           "comparison": None}
    if OURS in peaks and others:
        best = min(others, key=lambda name: others[name])
        share = peaks[OURS] / others[best]
        row["comparison"] = {"best": best, "ratio": share, "low": share, "high": share, "goal": GOAL, "less": True,
                             "reached": share <= GOAL}
    return row


def show(rows: list[dict[str, Any]]) -> str:
    """Return the table."""
    lines = []
    for row in rows:
        comparison = row["comparison"]
        best = comparison["best"] if comparison else None
        cells = [number(row["peak_bytes"][name] / 2**20) if name in row["peak_bytes"] else "-" for name in (OURS, best)]
        share, goal = ratio(comparison)
        lines.append([f"{row['network']}, batch {row['batch']}", row["threads"], *cells, best or "-",
                      share.split(" ")[0], goal])
    notes = [f"{row['network']}: {note}" for row in rows for note in row["notes"]]
    return "\n\n".join([table(["network", "threads", "ours (MiB)", "peer (MiB)", "which", "ratio", "goal"], lines),
                        *notes])
