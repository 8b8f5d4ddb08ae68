"""bfloat16: steps of training on all cores, ours against our own float32 and against the best of PyTorch's modes under
autocast, with the peak memory of each process; then inference on one core, ours against our float32 and against
OpenVINO's bfloat16. Everybody gets the same float32 network and images. Rounding differs from one to the next, so a
contender's first loss may be some hundredths away from ours; the distance is noted.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import LR, MOMENTUM, Case, write_case
from benchmarks.contest import FIRST as OURS
from benchmarks.contest import Contest
from benchmarks.figures import Figure, compare, milliseconds, rates
from benchmarks.inference import exported
from benchmarks.machine import Gauge, cpu_count, words
from benchmarks.options import Options
from benchmarks.tables import number, ratio, spread, table
from benchmarks.training import MODES

OWN = "our float32"
PEER = "OpenVINO bfloat16"
NETWORKS = ("resnet20", "resnet18", "efficientnet_lite0")  # unless others are named
CLOSE = 0.1  # of our loss: whoever's first loss is further away computes another network
MEMORY, AHEAD = 0.6, 1.2  # goals: of our float32's memory, and how far ahead of OpenVINO
# Goals of training: against PyTorch with tiles (AMX); against our float32 with tiles and without.
TRAINING = {"resnet18": 2.0, "resnet20": 2.0, "efficientnet_lite0": 3.5}
OWN_TILES, OWN_PAIRS = {"resnet18": 2.2}, {"resnet18": 1.4}


def measure(options: Options) -> list[dict[str, Any]]:
    """Measure each network in training and in inference, with one image and with many."""
    rows = []
    for case in options.cases:
        if case.name not in NETWORKS and len(options.cases) > 1:
            continue
        with tempfile.TemporaryDirectory() as folder:
            write_case(case, Path(folder), max(case.batch, case.large_batch))
            rows += [_training(case, Path(folder), threads, options) for threads in options.threads or [cpu_count()]]
            rows += [_inference(case, Path(folder), batch, options) for batch in (1, case.large_batch)]
    return rows


def _training(case: Case, folder: Path, threads: int, options: Options) -> dict[str, Any]:
    options.say(f"bfloat16 training {case.name}, threads: {threads}")
    gauge = Gauge(threads)
    with Contest() as contest:
        task: dict[str, Any] = {"folder": str(folder), "task": "training", "batch": case.batch, "lr": LR,
                                "momentum": MOMENTUM, "threads": threads}
        contest.join(OURS, "ours", **task, precision="bfloat16")
        contest.join(OWN, "ours", **task)
        for name, mode in MODES.items() if options.peers_python else ():
            if mode.get("compiled") and not options.compiled:
                continue
            options.say(f"  preparing {name}")
            if contest.join(name, "pytorch", str(options.peers_python), **task, **mode, precision="bfloat16"):
                _note_loss(contest, name)
        answers = contest.rounds(options.rounds, options.seconds, gauge)
        tiles = "amx" in contest.prepared[OURS]["version"]
    figures = {name: rates(runs[0], case.batch) for name, runs in answers.items()}
    memory = {name: runs[0][-1]["peak_memory"] for name, runs in answers.items()}
    own_goal = (OWN_TILES if tiles else OWN_PAIRS).get(case.name)
    row = _row(case, case.batch, threads, "training", figures, own_goal, TRAINING.get(case.name) if tiles else None)
    return {**row, "peak_memory": memory, "machine": gauge.json(), "notes": contest.notes,
            "versions": {name: contest.prepared[name]["version"] for name in figures}}


def _note_loss(contest: Contest, name: str) -> None:
    ours, theirs = (contest.prepared[who]["loss"] for who in (OURS, name))
    if abs(ours - theirs) > CLOSE * abs(ours):
        contest.leave(name, f"its first loss is {theirs:.4f}, ours {ours:.4f}: not the same network")


def _inference(case: Case, folder: Path, batch: int, options: Options) -> dict[str, Any]:
    options.say(f"bfloat16 inference {case.name}, batch {batch}")
    gauge = Gauge(1)
    with Contest() as contest:
        task: dict[str, Any] = {"folder": str(folder), "task": "inference", "batch": batch, "threads": 1}
        contest.join(OURS, "ours", **task, precision="bfloat16", logits=str(folder / "ours.npy"))
        contest.join(OWN, "ours", **task, logits=str(folder / "own.npy"))
        model = exported(contest, folder, batch, options.peers_python).get("onnx") if options.peers_python else None
        if model:
            contest.join(PEER, "openvino_runtime", str(options.peers_python), **task, precision="bfloat16",
                         model=model, logits=str(folder / "peer.npy"))
        contest.notes = [note for note in contest.notes if "ncnn" not in note]  # which has no turn here
        answers = contest.rounds(options.rounds, options.given_seconds or options.seconds * 0.5, gauge)
        tiles = "amx" in contest.prepared[OURS]["version"]
    less = batch == 1
    summary: Callable[..., Figure] = milliseconds if less else lambda runs: rates(runs, batch)
    figures = {name: summary(runs[0]) for name, runs in answers.items()}
    goal = (1 / AHEAD if less else AHEAD) if tiles else None
    row = _row(case, batch, 1, "inference", figures, None, goal, less)
    return {**row, "machine": gauge.json(), "notes": contest.notes, "distances": _distances(folder),
            "versions": {name: contest.prepared[name]["version"] for name in figures}}


def _row(case: Case, batch: int, threads: int, what: str, figures: dict[str, Figure], own_goal: float | None,
         goal: float | None, less: bool = False) -> dict[str, Any]:
    own = compare({name: each for name, each in figures.items() if name in (OURS, OWN)}, own_goal, less)
    peers = compare({name: each for name, each in figures.items() if name != OWN}, goal, less)
    return {"network": case.name, "image": case.image, "batch": batch, "threads": threads, "what": what,
            "unit": "ms" if less else "img/s", "figures": {name: each.json() for name, each in figures.items()},
            "own": own and own.json(), "comparison": peers and peers.json()}


def _distances(folder: Path) -> dict[str, float]:
    """Return how far logits are from those of our float32, as a share of the largest."""
    exact = np.load(folder / "own.npy")
    files = {OURS: folder / "ours.npy", PEER: folder / "peer.npy"}
    return {name: float(np.abs(np.load(file) - exact).max() / np.abs(exact).max())
            for name, file in files.items() if file.exists() and np.load(file).shape == exact.shape}


def show(rows: list[dict[str, Any]]) -> str:
    """Return the tables: against our float32, against the best peer, memory in training, and everybody."""
    own, peers, memory, everybody = [], [], [], []
    for row in rows:
        name = f"{row['network']}, {row['what']}, batch {row['batch']}"
        unit, figures = row["unit"], row["figures"]
        ours = spread(figures[OURS]) if OURS in figures else "-"
        own.append([name, row["threads"], unit, ours, spread(figures[OWN]) if OWN in figures else "-",
                    *ratio(row["own"])])
        best = row["comparison"]["best"] if row["comparison"] else None
        peers.append([name, row["threads"], unit, ours, spread(figures[best]) if best else "-", best or "-",
                      *ratio(row["comparison"])])
        peaks = row.get("peak_memory", {})
        if OURS in peaks and OWN in peaks:
            share = peaks[OURS] / peaks[OWN]
            memory.append([name, *(number(peaks[who] / 2**20) for who in (OURS, OWN)), f"{share:.2f}",
                           f"{MEMORY:g}" + ("" if share <= MEMORY else " missed")])
        everybody += [[name, who, f"{spread(figure)} {unit}", _distance(row, who)] for who, figure in figures.items()]
    parts = [table(["network", "threads", "unit", "ours", OWN, "ratio", "goal"], own),
             table(["network", "threads", "unit", "ours", "best peer", "which", "ratio", "goal"], peers),
             table(["network", "ours (MiB)", f"{OWN} (MiB)", "ratio", "goal"], memory),
             table(["network", "who", "figure", "logits differ"], everybody)]
    parts += list(dict.fromkeys(f"{row['network']}: {note}" for row in rows for note in row["notes"]))
    return "\n\n".join([*parts, *dict.fromkeys(words(row["machine"]) for row in rows)])


def _distance(row: dict[str, Any], who: str) -> str:
    found = row.get("distances", {}).get(who)
    return "-" if found is None else f"{found:.1%}"
