"""``cnn train --recipe fast``: how long its steps take beside those of the same recipe in PyTorch
(workers/torch_fast.py), which makes as many. How good it is, accuracy.py measures. ``python -m benchmarks.datasets
cifar10 FOLDER`` fetches the images.

    python -m benchmarks.fast FOLDER --peers-python PYTHON    some dozen steps of each, in turns
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contest import ROOT, TORCH_MODES
from cnncli import kernels
from cnncli.data import choose_size, load_images, scan
from cnncli.runs.samples import fractions
from cnncli.training.observer import Observer
from cnncli.training.options import Options
from cnncli.training.prepare import Setting, begin

TIMES_FASTER = 2.0


def ours(folder: Path, steps: int, threads: int) -> float:
    """Return images a second in whole batches of the recipe, as ``cnn train`` makes them, the first ones left out."""
    kernels.set_threads(threads)
    with tempfile.TemporaryDirectory() as runs:
        prepared = begin(str(folder), Options(recipe="fast"), "speed", runs, Setting(threads, "ram", False, Observer()))
        fit, speeds = prepared.fit, []
        assert fit is not None
        with prepared.lock, contextlib.closing(fit.batches.epoch(1, reuse=True)) as batches:
            mark = time.perf_counter()
            for done, (images, labels, *_) in enumerate(batches):
                fit.trainer.optimiser.lr = fit.schedule(done)
                fit.trainer.step(images, labels)
                if fit.lookahead:
                    fit.lookahead.after(done + 1)
                now = time.perf_counter()
                speeds.append(len(labels) / (now - mark))
                mark = now
                if done + 1 == steps:
                    break
    return statistics.median(speeds[3:])


def theirs(python: str, images: Path, steps: int, threads: int, mode: str) -> dict[str, Any]:
    """Return what the worker measured in one of PyTorch's modes."""
    done = subprocess.run(
        [python, "-m", "benchmarks.workers.torch_fast", str(images), "--steps", str(steps), "--threads", str(threads),
         "--modes", mode], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(done.stdout)[0]
    return result


def write_arrays(folder: Path, path: Path) -> None:
    """Write the images of an image folder as the worker reads them."""
    splits = scan(folder, fractions("fast"))
    preprocessing, _ = choose_size(splits.train)
    arrays: dict[str, Any] = {}
    for name, samples in (("train", splits.train), ("test", splits.test)):
        images = load_images(samples, preprocessing)
        arrays[f"{name}_images"], arrays[f"{name}_labels"] = images.pixels(np.arange(len(images))), images.labels
    np.savez(path, **arrays)


def speed(folder: Path, python: str, steps: int, rounds: int, threads: int, modes: list[str]) -> dict[str, Any]:
    """Return the median speed of each contender over the rounds, which take turns."""
    found: dict[str, list[float]] = {"ours": [], **{mode: [] for mode in modes}}
    with tempfile.TemporaryDirectory() as temporary:
        images = Path(temporary) / "images.npz"
        write_arrays(folder, images)
        for _ in range(rounds):
            found["ours"].append(ours(folder, steps, threads))
            for mode in modes:
                result = theirs(python, images, steps, threads, mode)
                found[mode].append(result["images_per_second"])
            print({name: round(speeds[-1]) for name, speeds in found.items()}, file=sys.stderr, flush=True)
    medians = {name: statistics.median(speeds) for name, speeds in found.items()}
    best = max(modes, key=lambda mode: medians[mode])
    return {"threads": threads, "steps": steps, "rounds": rounds, "images_per_second": medians, "best peer": best,
            "ratio": medians["ours"] / medians[best], "goal": TIMES_FASTER}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fast", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="train/CLASS/*.png and test/CLASS/*.png")
    parser.add_argument("--peers-python", default=str(ROOT / ".venv-bench/bin/python"), help="one that has PyTorch")
    parser.add_argument("--steps", type=int, default=20, help="of each contender in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=kernels.available_cpus())
    parser.add_argument("--modes", nargs="+", choices=TORCH_MODES, default=list(TORCH_MODES), help="PyTorch's")
    given = parser.parse_args(arguments)
    found = speed(given.folder, given.peers_python, given.steps, given.rounds, given.threads, given.modes)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
