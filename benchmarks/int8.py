"""Inference in int8 on one core: the time of one image, and images a second in a large batch, ours against our own
float32 and against the int8 of OpenVINO (quantised by NNCF) and of ONNX Runtime (static, QDQ). Everybody quantises the
same float32 network with the same images, as its own guide says. The network's weights are those of its seed, so that
nothing is said of accuracy here; how far each is from the float32 logits is noted.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import Case, write_case
from benchmarks.contest import FIRST as OURS
from benchmarks.contest import Contest
from benchmarks.figures import Figure, compare, milliseconds, rates
from benchmarks.inference import exported
from benchmarks.machine import Gauge, words
from benchmarks.options import Options
from benchmarks.tables import ratio, spread, table

SHARE = 0.5  # of the time of a turn
OWN = "our float32"
# name -> (module of workers/, options)
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "OpenVINO int8": ("openvino_runtime", {"precision": "int8"}),
    "ONNX Runtime int8": ("onnx_runtime", {"precision": "int8"}),
}
NETWORKS = ("resnet20", "resnet18", "efficientnet_lite0")  # unless others are named
LATENCY, THROUGHPUT, AHEAD = 1 / 1.5, 2.0, 1.2  # goals: against our float32, and how far ahead of peers


def measure(options: Options) -> list[dict[str, Any]]:
    """Measure each network with one image and with many."""
    rows = []
    for case in options.cases:
        if case.name not in NETWORKS and len(options.cases) > 1:
            continue
        with tempfile.TemporaryDirectory() as folder:
            write_case(case, Path(folder), max(case.batch, case.large_batch))
            rows += [_measure(case, Path(folder), batch, options) for batch in (1, case.large_batch)]
    return rows


def _measure(case: Case, folder: Path, batch: int, options: Options) -> dict[str, Any]:
    options.say(f"int8 {case.name}, batch {batch}")
    gauge = Gauge(1)
    with Contest() as contest:
        _join(contest, folder, batch, options)
        contest.notes = [note for note in contest.notes if "ncnn" not in note]  # which has no turn here
        answers = contest.rounds(options.rounds, options.given_seconds or options.seconds * SHARE, gauge)
    less = batch == 1
    summary: Callable[..., Figure] = milliseconds if less else lambda runs: rates(runs, batch)
    figures = {name: summary(runs[0]) for name, runs in answers.items()}
    own = compare({name: each for name, each in figures.items() if name in (OURS, OWN)},
                  LATENCY if less else THROUGHPUT, less)
    peers = compare({name: each for name, each in figures.items() if name != OWN}, 1 / AHEAD if less else AHEAD, less)
    return {"network": case.name, "image": case.image, "batch": batch, "threads": 1,
            "unit": "ms" if less else "img/s", "figures": {name: each.json() for name, each in figures.items()},
            "own": own and own.json(), "comparison": peers and peers.json(), "machine": gauge.json(),
            "versions": {name: contest.prepared[name]["version"] for name in figures}, "notes": contest.notes,
            "distances": _distances(folder, [OWN, OURS, *PEERS])}


def _join(contest: Contest, folder: Path, batch: int, options: Options) -> None:
    task: dict[str, Any] = {"folder": str(folder), "task": "inference", "batch": batch, "threads": 1}
    contest.join(OWN, "ours", **task, logits=str(_file(folder, OWN)))
    contest.join(OURS, "ours", **task, precision="int8", logits=str(_file(folder, OURS)))
    model = exported(contest, folder, batch, options.peers_python).get("onnx") if options.peers_python else None
    for name, (module, mode) in PEERS.items() if model else ():
        contest.join(name, module, str(options.peers_python), **task, **mode, model=model,
                     logits=str(_file(folder, name)))


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name.replace(' ', '-')}.npy"


def _distances(folder: Path, names: list[str]) -> dict[str, float]:
    """Return how far each one's logits are from those of float32, as a share of the largest."""
    found = {name: np.load(_file(folder, name)) for name in names if _file(folder, name).exists()}
    exact = found[OWN]
    return {name: float(np.abs(each - exact).max() / np.abs(exact).max()) for name, each in found.items()
            if name != OWN and each.shape == exact.shape}


def show(rows: list[dict[str, Any]]) -> str:
    """Return the tables: ours against our float32, ours against the best peer, and everybody."""
    own, lines, everybody = [], [], []
    for row in rows:
        name, unit, figures = f"{row['network']}, batch {row['batch']}", row["unit"], row["figures"]
        ours = spread(figures[OURS]) if OURS in figures else "-"
        own.append([name, unit, ours, spread(figures[OWN]) if OWN in figures else "-", *ratio(row["own"])])
        best = row["comparison"]["best"] if row["comparison"] else None
        lines.append([name, unit, ours, spread(figures[best]) if best else "-", best or "-", *ratio(row["comparison"])])
        everybody += [[name, who, f"{spread(figure)} {unit}",
                       f"{row['distances'][who]:.1%}" if who in row["distances"] else "-"]
                      for who, figure in figures.items()]
    parts = [table(["network", "unit", "ours", OWN, "ratio", "goal"], own),
             table(["network", "unit", "ours", "best peer", "which", "ratio", "goal"], lines),
             table(["network", "who", "figure", "logits differ"], everybody)]
    parts += list(dict.fromkeys(f"{row['network']}: {note}" for row in rows for note in row["notes"]))
    return "\n\n".join([*parts, *dict.fromkeys(words(row["machine"]) for row in rows)])
