"""What the second thread is worth in training, and what is left of the speed when a busy process sits beside each core,
ours and PyTorch's."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.busy import Busy
from benchmarks.cases import CASES, write_case
from benchmarks.contest import FIRST as OURS
from benchmarks.contest import Contest, Run
from benchmarks.figures import Figure, mean_rates, quartiles, rates
from benchmarks.machine import Gauge, cpu_count, words
from benchmarks.options import Options
from benchmarks.tables import number, spread, table
from benchmarks.training import join_training

NETWORKS = ("resnet20", "resnet18")
MOST_ROUNDS = 3  # of three turns each, and a step of resnet18 takes seconds
SPEEDUP_GOAL, KEPT_GOAL = 1.85, 0.4


def measure(options: Options) -> list[dict[str, Any]]:
    """Measure the networks that are both asked for and of this part; these, where others were asked for."""
    cases = [case for case in options.cases if case.name in NETWORKS or len(options.cases) < len(CASES)]
    threads = max(options.threads or [cpu_count()])
    with Busy() as busy:
        return [_measure(case, threads, busy, options) for case in cases]


def _measure(case: Any, threads: int, busy: Busy, options: Options) -> dict[str, Any]:
    options.say(f"threads: {case.name}, {threads} and 1")
    gauges = Gauge(1), Gauge(threads)
    runs = Run({"threads": 1}), Run({"threads": threads}), Run({"threads": threads}, busy)
    with tempfile.TemporaryDirectory() as folder, Contest() as contest:
        write_case(case, Path(folder), case.batch)
        join_training(contest, case, Path(folder), threads, options.without_compiling())
        answers = contest.rounds(min(options.rounds, MOST_ROUNDS), options.seconds, _all(gauges), runs)
    who = {name: _sum_up(each, case.batch) for name, each in answers.items()}
    return {"network": case.name, "batch": case.batch, "threads": threads, "who": who,
            "machine": gauges[1].json(), "machine_one_thread": gauges[0].json(), "notes": contest.notes}


def _all(gauges: tuple[Gauge, ...]) -> Callable[[], None]:
    def measure_all() -> None:
        for gauge in gauges:
            gauge()
    return measure_all


def _sum_up(answers: list[list[dict[str, Any]]], batch: int) -> dict[str, Any]:
    one, all_, quiet, beside = rates(answers[0], batch), rates(answers[1], batch), *(
        mean_rates(each, batch) for each in answers[1:])
    return {"one": one.json(), "all": all_.json(), "beside_busy": beside.json(), "speedup": _share(all_, one),
            "kept": _share(beside, quiet)}


def _share(a: Figure, b: Figure) -> dict[str, float]:
    low, _, high = quartiles([x / y for x, y in zip(a.rounds, b.rounds, strict=True)])
    return {"median": a.median / b.median, "low": low, "high": high}


def show(rows: list[dict[str, Any]]) -> str:
    """Return the table, with the goals beside ours."""
    lines, parts = [], []
    for row in rows:
        peak, one = (row[key]["gflops"]["median"] for key in ("machine", "machine_one_thread"))
        for name, each in row["who"].items():
            goals = ["-", "-"]
            if name == OURS:
                goals = [f"{goal}{'' if each[key]['median'] >= goal else ' missed'}"
                         for key, goal in (("speedup", SPEEDUP_GOAL), ("kept", KEPT_GOAL))]
            lines.append([f"{row['network']}, batch {row['batch']}", name, number(each["one"]["median"]),
                          number(each["all"]["median"]), f"{spread(each['speedup'])}", goals[0],
                          number(each["beside_busy"]["median"]), spread(each["kept"]), goals[1]])
        parts.append(f"{row['network']}: the multiply-adds of {row['threads']} threads are {peak / one:.2f} times "
                     f"those of one. {words(row['machine'])}")
        parts += [f"{row['network']}: {note}" for note in row["notes"]]
    columns = ["network", "who", "one thread (img/s)", "all (img/s)", "all/one", "goal",
               "beside busy processes (img/s)", "share kept", "goal"]
    return "\n\n".join([table(columns, lines), *parts])
