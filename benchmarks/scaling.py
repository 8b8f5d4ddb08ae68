"""Training by several processes on one machine: two of one thread each beside one of two threads, and beside PyTorch's
DistributedDataParallel; how much of what they exchange is hidden behind computing; and what follows for more machines
(cluster.py). All contenders take turns in one run, while the others stand still.

    python -m benchmarks.scaling --peers-python PYTHON --json scaling.json
    python -m benchmarks.scaling --networks resnet20 --rounds 1 --seconds 1 --peers-python none

It needs two CPUs, the extra mpi, and mpiexec beside this Python or in the PATH.
"""

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import cluster
from benchmarks.cases import LR, MOMENTUM, Case, named, write_case
from benchmarks.contest import FIRST, ROOT, Contest
from benchmarks.figures import TOLERANCE, Figure, compare, mean_rates
from benchmarks.machine import Gauge, describe, words
from benchmarks.tables import number, ratio, spread, table

PROCESSES = THREADS = 2  # processes of one thread, or threads of one process
BATCHES = {"resnet20": 256, "resnet18": 32}  # of all processes together
ONE, PARTS, TWO = "1 process x 2 threads", "1 process x 2 threads, 2 parts", "2 processes x 1 thread"
MESSAGES = f"{TWO}, by messages"  # as between machines; on one they share memory
TORCH = "PyTorch, 1 process x 2 threads"
DDP = "PyTorch DDP, 2 processes x 1 thread"
MODES: dict[str, dict[str, Any]] = {"eager": {}, "channels_last": {"channels_last": True}}
KEPT_GOAL, DDP_GOAL = 0.97, 2.0
HIDDEN_GOALS = {"resnet18": 0.7}


def mpiexec() -> str:
    """Return the program that starts several processes. Raises SystemExit where there is none."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if not found:
        raise SystemExit("there is no mpiexec; install it: pip install 'mpi4py>=4' 'mpich>=4.2'")
    return found


def measure(case: Case, rounds: int, seconds: float, peers_python: str | None) -> dict[str, Any]:
    """Measure one network: all contenders by turns, then what they exchange, then steps of other sizes."""
    batch = BATCHES[case.name]
    gauge = Gauge(THREADS)
    with tempfile.TemporaryDirectory() as folder, Contest() as contest:
        write_case(dataclasses.replace(case, batch=batch), Path(folder), batch)
        task: dict[str, Any] = {"folder": folder, "batch": batch, "lr": LR, "momentum": MOMENTUM}
        _join_ours(contest, task)
        if peers_python:
            _join_theirs(contest, task, peers_python)
        say(f"{case.name}: {rounds} rounds of {seconds:g} s each")
        answers = contest.rounds(rounds, seconds, gauge)
        figures = {name: mean_rates(runs[0], batch) for name, runs in answers.items()}
        row = {"network": case.name, "image": case.image, "batch": batch,
               "images_per_second": {name: figure.json() for name, figure in figures.items()},
               "comparisons": _compared(figures), "machine": gauge.json(), "notes": contest.notes,
               "versions": {name: contest.prepared[name]["version"] for name in figures}}
        if TWO in figures and ONE in figures:
            row.update(_exchanged(contest, batch, seconds))
        return row


def _join_ours(contest: Contest, task: dict[str, Any]) -> None:
    say("preparing ours")
    contest.join(ONE, "ours_ranks", threads=THREADS, shards=1, **task)
    contest.join(PARTS, "ours_ranks", threads=THREADS, shards=PROCESSES, **task)
    starter = (mpiexec(), "-n", str(PROCESSES))
    for name, before in ((TWO, ()), (MESSAGES, ("env", "MPIR_CVAR_NUM_CLIQUES=2"))):  # MPICH pretends two machines
        if contest.join(name, "ours_ranks", threads=1, shards=PROCESSES, starter=(*before, *starter), **task):
            _same_loss(contest, name, PARTS, 0.0)  # the same bits


def _join_theirs(contest: Contest, task: dict[str, Any], python: str) -> None:
    for mode, options in MODES.items():
        for name, like, threads, processes in ((TORCH, ONE, THREADS, 1), (DDP, TWO, 1, PROCESSES)):
            name = f"{name}, {mode}"
            say(f"preparing {name}")
            if contest.join(name, "torch_ranks", python, threads=threads, processes=processes, **task, **options):
                _same_loss(contest, name, like, TOLERANCE)


def _same_loss(contest: Contest, name: str, like: str, tolerance: float) -> None:
    """Take out who finds another loss in the first step."""
    if like in contest.prepared:
        theirs, ours = contest.prepared[name]["loss"], contest.prepared[like]["loss"]
        if abs(theirs - ours) > tolerance * abs(ours):
            contest.leave(name, f"its first loss is {theirs:.9g}, that of {like} {ours:.9g}: not the same training")


def _compared(figures: dict[str, Figure]) -> dict[str, Any]:
    """Return the ratios of our two processes to our single one, and to the best mode of each of PyTorch's."""
    found: dict[str, Any] = {}
    if TWO not in figures:
        return found
    for title, of, peers, goal in (("2 processes / 1 process", TWO, (ONE,), KEPT_GOAL),
                                   ("2 processes / 1 process, both in 2 parts", TWO, (PARTS,), None),
                                   ("2 processes by messages / 1 process", MESSAGES, (ONE,), None),
                                   ("2 processes / DDP", TWO, [n for n in figures if n.startswith(DDP)], DDP_GOAL),
                                   ("1 process / PyTorch's", ONE, [n for n in figures if n.startswith(TORCH)], None)):
        if of in figures and (against := {name: figures[name] for name in peers if name in figures}):
            compared = compare({FIRST: figures[of], **against}, goal)
            found[title] = compared and compared.json()
    return found


def _exchanged(contest: Contest, batch: int, seconds: float) -> dict[str, Any]:
    """Return what the processes exchange, and the model's inputs."""
    say("what they exchange")
    ways = {name: contest.ask(name, "communication", 600, seconds=seconds)
            for name in (TWO, MESSAGES) if name in contest.prepared}
    found = ways[TWO]
    apart = contest.ask(TWO, "apart", 600, seconds=seconds)["step"]
    say("steps of other sizes")
    sizes = [2, batch // 8, batch // 2, batch]
    alone = contest.ask(ONE, "batches", 600, sizes=sizes, seconds=seconds)
    node = {"images": sizes, "seconds": alone["seconds"], "ready": [at / found["step"] for at in found["starts"]],
            "sizes": contest.prepared[TWO]["bucket_bytes"], "handling": alone["handling"]}
    for way in ways.values():
        way["hidden"] = 1 - way["waited"] / way["alone"]
    return {"communication": ways, "node": node,
            "check": {"step": found["step"], "apart": apart, "alone": found["alone"], "message": found["message"]}}


def show(rows: list[dict[str, Any]]) -> str:
    """Return the tables: speeds, ratios, what is exchanged, the model's check, and what it expects of more machines."""
    speeds, ratios, hidden, checks = [], [], [], []
    for row in rows:
        name = f"{row['network']}, batch {row['batch']}"
        speeds += [[name, who, spread(figure)] for who, figure in row["images_per_second"].items()]
        ratios += [[name, title, compared["best"], *ratio(compared)] for title, compared in row["comparisons"].items()]
        if "communication" in row:
            hidden += [[name, way, *_hidden(row, found)] for way, found in row["communication"].items()]
            checks += [[name, *line] for line in _checked(row)]
    modelled = [row for row in rows if "node" in row]
    parts = [table(["network", "who", "img/s"], speeds), table(["network", "ratio", "to", "measured", "goal"], ratios)]
    if modelled:
        parts += [table(["network", "who", "a step (ms)", "buckets", "MiB", "first start to last sum (ms)",
                         "only waited: last (ms)", "first (ms)", "the same alone (ms)", "hidden", "goal"], hidden),
                  table(["network", "a step of", "measured (ms)", "the model (ms)", "difference"], checks),
                  cluster.show(modelled)]
    parts += [f"{row['network']}: {note}" for row in rows for note in row["notes"]]
    return "\n\n".join([*parts, *dict.fromkeys(words(row["machine"]) for row in rows)])


def _hidden(row: dict[str, Any], found: dict[str, Any]) -> list[Any]:
    goal, sizes = HIDDEN_GOALS.get(row["network"]), row["node"]["sizes"]
    mark = "-" if goal is None else f"{goal}{'' if found['hidden'] >= goal else ' missed'}"
    times = [number(1e3 * found[what]) for what in ("span", "waited", "longest", "alone")]
    return [number(1e3 * found["step"]), len(sizes), number(sum(sizes) / 2**20), *times, f"{found['hidden']:.2f}", mark]


def _checked(row: dict[str, Any]) -> list[list[str]]:
    found, half = cluster.check(row), row["batch"] // 2
    return [[what, number(1e3 * found[f"{key} measured"]), number(1e3 * found[key]),
             f"{found[key] / found[f'{key} measured'] - 1:+.1%}"]
            for key, what in (("one", f"1 process, {half} images"), ("two", f"2 processes, {half} images each"))]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(BATCHES), default=list(BATCHES))
    parser.add_argument("--peers-python", default=str(ROOT / ".venv-bench/bin/python"),
                        help="one that has PyTorch; none leaves it out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each contender in each round")
    parser.add_argument("--json", type=Path, help="write everything there, for benchmarks.cluster, too")
    given = parser.parse_args(arguments)
    peers = None if given.peers_python == "none" else given.peers_python
    if peers and not Path(peers).exists():
        parser.error(f"{peers} is not there; give --peers-python, or none")
    rows = [measure(case, given.rounds, given.seconds, peers) for case in named(given.networks)]
    if given.json:
        given.json.write_text(json.dumps({"machine": describe(), "rows": rows}, indent=2), encoding="utf-8")
    print(show(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
