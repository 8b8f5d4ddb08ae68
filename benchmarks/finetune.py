"""Fine-tuning and probing from efficientnet_lite0: images a second beside PyTorch's, which runs the publisher's own
package (workers/torch_finetune.py). How good the result is, docs/accuracy.md says. A probe's time is that of its
features, decoding included, and of what is compiled before: the fit itself takes seconds. PYTHON needs torch and
efficientnet_lite_pytorch.

    python -m benchmarks.finetune FOLDER --peers-python PYTHON    FOLDER holds photographs, in sub-folders
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contest import ROOT, TORCH_MODES
from cnncli import kernels
from cnncli.architectures import architecture
from cnncli.features import features
from cnncli.loss import CrossEntropy
from cnncli.model import Model
from cnncli.optim import SGD
from cnncli.trainer import Trainer
from cnncli.training.finetune import DEFAULTS, LABEL_SMOOTHING, PEAK_LR, STEM_RATE, rates
from cnncli.weights.pretrained import PRETRAINED

NETWORK, CLASSES, TIMES_FASTER = "efficientnet_lite0", 10, 2.0
PROBE = 3409  # images whose features a probe needs: training and validation images of docs/accuracy.md's clothes


def our_steps(steps: int) -> float:
    """Return images a second in fine-tuning; the first two steps are left out."""
    batch = DEFAULTS.batch_size
    network = architecture(NETWORK, PRETRAINED[NETWORK].preprocessing.shape, CLASSES)
    network.fixed_statistics = True
    trainer = Trainer(network, SGD(PEAK_LR["sgd"], momentum=0.9, nesterov=True, weight_decay=5e-4),
                      CrossEntropy(LABEL_SMOOTHING), rates=rates(network, STEM_RATE))
    images = np.random.default_rng(0).standard_normal((batch, *network.input_shape), np.float32)
    times = []
    for _ in range(steps + 2):
        mark = time.perf_counter()
        trainer.step(images, np.arange(batch) % CLASSES)
        times.append(time.perf_counter() - mark)
    return batch / statistics.median(times[2:])


def our_features(paths: list[str]) -> dict[str, float]:
    """Return the seconds of the first batch, and images a second from files to features afterwards."""
    preprocessing = PRETRAINED[NETWORK].preprocessing
    network = architecture(NETWORK, preprocessing.shape, CLASSES)
    model = Model(network, [str(number) for number in range(CLASSES)], preprocessing)
    mark = time.perf_counter()
    features(model, paths[:32])
    began = time.perf_counter()
    features(model, paths)
    return {"first": began - mark, "images_per_second": len(paths) / (time.perf_counter() - began)}


def probe_seconds(measured: dict[str, float]) -> float:
    """Return what the features of a probe take."""
    return measured["first"] + PROBE / measured["images_per_second"]


def theirs(python: str, folder: Path, given: argparse.Namespace, mode: str) -> dict[str, Any]:
    """Return what the worker measured in one of PyTorch's modes."""
    done = subprocess.run(
        [python, "-m", "benchmarks.workers.torch_finetune", str(folder), "--steps", str(given.steps), "--images",
         str(given.images), "--threads", str(given.threads), "--modes", mode],
        cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Return the median speeds over the rounds, in which the contenders take turns."""
    kernels.set_threads(given.threads)
    paths = sorted(str(path) for path in given.folder.rglob("*") if path.is_file())
    paths = paths[:: max(1, len(paths) // given.images)][: given.images]
    names = ("ours", *given.modes)
    speeds: dict[str, list[float]] = {name: [] for name in names}
    looks: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(given.rounds):
        speeds["ours"].append(our_steps(given.steps))
        looks["ours"].append(our_features(paths))
        for mode in given.modes:
            result = theirs(given.peers_python, given.folder, given, mode)
            speeds[mode].append(result["fine-tuning"][mode])
            looks[mode].append(result["features"][mode])
        print({name: (speeds[name][-1], looks[name][-1]) for name in names}, file=sys.stderr, flush=True)
    steps = {name: statistics.median(speeds[name]) for name in names}
    probes = {name: statistics.median(map(probe_seconds, looks[name])) for name in names}
    fastest, soonest = max(given.modes, key=steps.__getitem__), min(given.modes, key=probes.__getitem__)
    return {
        "threads": given.threads, "rounds": given.rounds, "goal": TIMES_FASTER,
        "fine-tuning": {"images_per_second": steps, "best peer": fastest, "ratio": steps["ours"] / steps[fastest]},
        "probe": {"seconds": probes, "features": looks, "best peer": soonest,
                  "ratio": probes[soonest] / probes["ours"]},
    }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetune", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of photographs, in sub-folders")
    parser.add_argument("--peers-python", default=str(ROOT / ".venv-bench/bin/python"), help="one that has PyTorch")
    parser.add_argument("--steps", type=int, default=8, help="of each contender in each round")
    parser.add_argument("--images", type=int, default=256, help="whose features are computed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=kernels.available_cpus())
    parser.add_argument("--modes", nargs="+", choices=TORCH_MODES, default=list(TORCH_MODES), help="PyTorch's")
    print(json.dumps(measure(parser.parse_args(arguments)), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
