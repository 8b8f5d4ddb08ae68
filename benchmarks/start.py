"""How long the program takes to start: whole processes, from nothing to their end, by turns. What they read is in the
page cache by then, as it is for whoever calls the program a second time."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import CLASSES
from benchmarks.contest import ROOT
from benchmarks.figures import Figure
from benchmarks.options import Options
from benchmarks.tables import spread, table

RUNS, QUICK_RUNS = 10, 3
TRAIN, NO_MPI = "import cnncli.training.train", "import sys; sys.modules['mpi4py'] = None"
SHAPE, ARCHITECTURE = (32, 32, 3), "resnet20"


def measure(options: Options) -> list[dict[str, Any]]:
    """Time each command ten times, once more at first to fill the page cache."""
    options.say("start")
    with tempfile.TemporaryDirectory() as folder:
        image, model = write_image_and_model(Path(folder))
        commands: list[tuple[str, float | None, list[str]]] = [
            ("cnn predict image.png", 0.35, [*cnn(), "predict", str(image), "-m", str(model)]),
            ("cnn --help", 0.15, [*cnn(), "--help"]),
            ("import cnncli.training.train", None, [sys.executable, "-c", TRAIN]),
            ("the same as if there were no mpi4py", None, [sys.executable, "-c", f"{NO_MPI}; {TRAIN}"]),
        ]
        if options.peers_python:
            commands.append(("import torch", None, [options.peers_python, "-c", "import torch"]))
        times: dict[str, list[float]] = {name: [] for name, _, _ in commands}
        for turn in range(1 + (QUICK_RUNS if options.quick else RUNS)):
            for name, _, command in commands:
                seconds = run(command, folder)
                if turn:
                    times[name].append(seconds)
    return [{"command": name, "goal": goal, "seconds": Figure.of(times[name]).json()} for name, goal, _ in commands]


def cnn() -> list[str]:
    """Return the command: the installed script beside this interpreter, or else the module."""
    script = Path(sys.executable).parent / "cnn"
    return [str(script)] if script.exists() else [sys.executable, "-m", "cnncli"]


def run(command: list[str], folder: str) -> float:
    """Run a command to its end and return the seconds. Raises CalledProcessError where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)
    return time.perf_counter() - start


def write_image_and_model(folder: Path, architecture: str = ARCHITECTURE,
                          shape: tuple[int, int, int] = SHAPE) -> tuple[Path, Path]:
    """Write an image and a model file of untrained weights, which cost the same."""
    from PIL import Image

    from cnncli import Model
    from cnncli import architecture as build
    from cnncli.data import Preprocessing
    from cnncli.model import checkpoint

    image, model = folder / "image.png", folder / "model.safetensors"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)).save(image)
    preprocessing = Preprocessing(shape[:2], shape[2] == 1, "squash")
    checkpoint.save_model(model, Model(build(architecture, shape, CLASSES), [f"class {i}" for i in range(CLASSES)],
                                       preprocessing))
    return image, model


def show(rows: list[dict[str, Any]]) -> str:
    """Return the table."""
    lines = []
    for row in rows:
        median, goal = row["seconds"]["median"], row["goal"]
        lines.append([f"`{row['command']}`", spread(row["seconds"]),
                      "-" if goal is None else f"{goal}{'' if median <= goal else ' missed'}"])
    return table(["process", "seconds", "goal"], lines)
