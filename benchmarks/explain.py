"""HiResCAM and Grad-CAM, maps a second on one core, against captum and grad-cam (PyTorch) on the same networks and
images in one run, and beside our own forward pass."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import Case, write_case
from benchmarks.contest import FIRST as OURS
from benchmarks.contest import Contest
from benchmarks.figures import Figure, compare
from benchmarks.options import Options
from benchmarks.tables import ratio, spread, table
from cnncli.explain.explanation import last_positions

BATCH = 16
NETWORKS = ("resnet20", "efficientnet_lite0")  # unless others are named
GOAL, FORWARD_GOAL = 2.5, 1.3  # times the better peer's maps; times our own forward pass's seconds
METHODS = ("hirescam", "gradcam")
PEERS = ("captum", "grad-cam")
FORWARD = "forward alone"
ALIKE = 1e-3  # of the largest value: whoever draws other maps is not compared


def measure(options: Options) -> list[dict[str, Any]]:
    """Measure each network with each method."""
    chosen = [case for case in options.cases if case.name in NETWORKS or len(options.cases) == 1]
    return [_measure(case, method, options) for case in chosen for method in METHODS]


def _measure(case: Case, method: str, options: Options) -> dict[str, Any]:
    options.say(f"explain: {case.name}, {method}")
    with tempfile.TemporaryDirectory() as folder, Contest() as contest:
        network = write_case(case, Path(folder), BATCH)
        common: dict[str, Any] = {"folder": folder, "batch": BATCH, "method": method, "layer": last_positions(network)}
        contest.join(OURS, "ours_explain", **common, maps=f"{folder}/ours.npy")
        contest.join(FORWARD, "ours", folder=folder, task="inference", batch=BATCH, logits=f"{folder}/logits.npy")
        for peer in PEERS if options.peers_python else ():
            if peer == "captum" and method == "hirescam":
                continue  # it has none
            if contest.join(peer, "torch_explain", options.peers_python or "", **common, library=peer,
                            maps=f"{folder}/{peer}.npy"):
                _check(contest, peer, Path(folder))
        answers = contest.rounds(options.rounds, options.seconds)
        notes = list(contest.notes)
    rates = {name: Figure.of([BATCH / run["median"] for run in runs[0]]) for name, runs in answers.items()}
    peers = {name: figure for name, figure in rates.items() if name != FORWARD}
    found = compare(peers, GOAL)
    times = [ours["median"] / alone["median"]
             for ours, alone in zip(answers[OURS][0], answers[FORWARD][0], strict=True)]
    return {"network": case.name, "method": method, "batch": BATCH, "notes": notes,
            "rates": {name: figure.json() for name, figure in rates.items()},
            "comparison": found.json() if found else None, "times_forward": Figure.of(times).json(),
            "forward_goal": FORWARD_GOAL}


def _check(contest: Contest, peer: str, folder: Path) -> None:
    """Take a peer out whose maps are others than ours."""
    ours, theirs = (np.load(folder / f"{name}.npy") for name in ("ours", peer))
    off = float(np.abs(ours.clip(0) - theirs).max() / np.abs(ours).max())
    if off > ALIKE:
        contest.leave(peer, f"its maps differ by {off:.1e} of the largest value")


def show(rows: list[dict[str, Any]]) -> str:
    """Return the table."""
    lines = []
    for row in rows:
        rates = row["rates"]
        shown, goal = ratio(row["comparison"])
        lines.append([f"{row['network']}, batch {row['batch']}", row["method"],
                      *(spread(rates[name]) if name in rates else "-" for name in (OURS, *PEERS)), shown, goal,
                      f"{row['times_forward']['median']:.2f} (goal {row['forward_goal']:g})"])
    notes = [f"{row['network']}: {note}" for row in rows for note in row["notes"]]
    return "\n\n".join([table(["network", "method", "ours (maps/s)", *PEERS, "ratio", "goal", "times our forward pass"],
                              lines), *notes])
