"""Fine-tuning and probing from efficientnet_lite0: images a second beside PyTorch's, which runs the publisher's own
package (workers/torch_finetune.py). How good the result is, docs/accuracy.md says. A probe's time is that of its
features, decoding included: the fit itself takes seconds. What PyTorch compiles is nowhere in the first round and on
the disk in the others; a probe is given with either. PYTHON needs torch and efficientnet_lite_pytorch.

    python -m benchmarks.finetune FOLDER --peers-python PYTHON    FOLDER holds photographs, in sub-folders
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contest import ROOT, TORCH_MODES
from cnncli import kernels
from cnncli.loss import CrossEntropy
from cnncli.model import Model
from cnncli.model.features import features
from cnncli.optim import optimiser_by_name
from cnncli.training.finetune import DEFAULTS, LABEL_SMOOTHING, PEAK_LR, STEM_RATE, rates
from cnncli.training.start import from_weights
from cnncli.training.trainer import Trainer
from cnncli.weights.pretrained import PRETRAINED, pretrained_weights

NETWORK, CLASSES, TIMES_FASTER = "efficientnet_lite0", "0123456789", 2.0
PROBE = 3409  # images whose features a probe needs: training and validation images of docs/accuracy.md's clothes


def our_steps(steps: int) -> float:
    """Return images a second in fine-tuning; the first two steps are left out."""
    batch, network = DEFAULTS.batch_size, from_weights(NETWORK, None, None, None, CLASSES, seed=0).network
    network.fixed_statistics = True
    optimiser = optimiser_by_name(DEFAULTS.optimizer, lr=PEAK_LR[DEFAULTS.optimizer])
    trainer = Trainer(network, optimiser, CrossEntropy(LABEL_SMOOTHING), rates=rates(network, STEM_RATE))
    images = np.random.default_rng(0).standard_normal((batch, *network.input_shape), np.float32)
    times = []
    for _ in range(steps + 2):
        mark = time.perf_counter()
        trainer.step(images, np.arange(batch) % len(CLASSES))
        times.append(time.perf_counter() - mark)
    return batch / statistics.median(times[2:])


def our_features(paths: list[str]) -> dict[str, float]:
    """Return the seconds of the first batch, and images a second from files to features afterwards."""
    network = from_weights(NETWORK, None, None, None, CLASSES, seed=0).network
    model = Model(network, CLASSES, PRETRAINED[NETWORK].preprocessing)
    mark = time.perf_counter()
    features(model, paths[:32])
    began = time.perf_counter()
    features(model, paths)
    return {"first": began - mark, "images_per_second": len(paths) / (time.perf_counter() - began)}


def probe(looks: dict[str, list[dict[str, float]]], modes: Sequence[str], first: slice) -> dict[str, Any]:
    """Return what the features of a probe take: the beginning as it was in those of the rounds, the rest as in all."""
    seconds = {name: statistics.median(look["first"] for look in each[first])
               + PROBE / statistics.median(look["images_per_second"] for look in each) for name, each in looks.items()}
    best = min(modes, key=seconds.__getitem__)
    return {"seconds": seconds, "best peer": best, "ratio": seconds[best] / seconds["ours"]}


def theirs(given: argparse.Namespace, weights: str, cache: str, mode: str) -> dict[str, Any]:
    """Return what the worker measured in one of PyTorch's modes. weights is the publisher's file, cache where PyTorch
    keeps what it compiles."""
    done = subprocess.run(
        [given.peers_python, "-m", "benchmarks.workers.torch_finetune", weights, str(given.folder),
         "--steps", str(given.steps), "--images", str(given.images), "--threads", str(given.threads), "--modes", mode],
        cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE, env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache})
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Return the median speeds over the rounds, in which the contenders take turns, and every round's."""
    kernels.set_threads(given.threads)
    paths = sorted(str(path) for path in given.folder.rglob("*") if path.is_file())
    paths = paths[:: max(1, len(paths) // given.images)][: given.images]
    names, weights = ("ours", *given.modes), pretrained_weights(NETWORK).path
    speeds: dict[str, list[float]] = {name: [] for name in names}
    looks: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(given.rounds):
            speeds["ours"].append(our_steps(given.steps))
            looks["ours"].append(our_features(paths))
            for mode in given.modes:
                result = theirs(given, weights, cache, mode)
                speeds[mode].append(result["fine-tuning"][mode])
                looks[mode].append(result["features"][mode])
            print({name: (speeds[name][-1], looks[name][-1]) for name in names}, file=sys.stderr, flush=True)
    steps = {name: statistics.median(speeds[name]) for name in names}
    fastest = max(given.modes, key=steps.__getitem__)
    found = {
        "threads": given.threads, "goal": TIMES_FASTER, "every round": {"fine-tuning": speeds, "features": looks},
        "fine-tuning": {"images_per_second": steps, "best peer": fastest, "ratio": steps["ours"] / steps[fastest]},
        "a first probe": probe(looks, given.modes, slice(1)),
    }
    return found if given.rounds == 1 else found | {"a later probe": probe(looks, given.modes, slice(1, None))}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetune", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of photographs, in sub-folders")
    parser.add_argument("--peers-python", default=str(ROOT / ".venv-bench/bin/python"), help="one that has PyTorch")
    parser.add_argument("--steps", type=int, default=8, help="of each contender in each round")
    parser.add_argument("--images", type=int, default=256, help="whose features are computed")
    parser.add_argument("--rounds", type=int, default=3, help="one shows no later probe")
    parser.add_argument("--threads", type=int, default=kernels.available_cpus())
    parser.add_argument("--modes", nargs="+", choices=TORCH_MODES, default=list(TORCH_MODES), help="PyTorch's")
    print(json.dumps(measure(parser.parse_args(arguments)), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
