"""Steps of training: images per second of forward, loss, backward and update together, on data already in memory.

    python -m benchmarks --only steps [--threads 1 2] [--seconds 3] [--networks resnet]

Each figure is the fastest of the steps that fit into the time, so that what else the machine does weighs little.
"""

import argparse
import time

import numpy as np

from cnncli import Trainer, architecture, kernels
from cnncli.optim import SGD

# network, image (h, w, c), batch
CASES = [
    ("lenet5", (28, 28, 1), 64),
    ("classic", (32, 32, 3), 64),
    ("resnet8", (28, 28, 1), 128),
    ("resnet20", (28, 28, 1), 128),
    ("resnet20", (32, 32, 3), 128),
    ("resnet18", (224, 224, 3), 16),
]


def images_per_second(name: str, shape: tuple[int, int, int], batch: int, threads: int, seconds: float) -> float:
    rng = np.random.default_rng(0)
    trainer = Trainer(architecture(name, shape, 10), SGD(lr=0.01, momentum=0.9), threads=threads)
    images = rng.standard_normal((batch, *shape), dtype=np.float32)
    labels = rng.integers(0, 10, batch)
    trainer.step(images, labels)  # makes the plan
    best, end = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        trainer.step(images, labels)
        best = min(best, time.perf_counter() - start)
    return batch / best


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks --only steps", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=3.0, help="spent on each figure")
    parser.add_argument("--networks", default="", help="those whose name holds this")
    options = parser.parse_args(arguments)
    columns = " | ".join(f"threads: {count}" for count in options.threads)
    print(f"| network ({kernels.isas()[-1]}) | images | batch | {columns} |")
    print("|---|---|---|" + "---|" * len(options.threads))
    for name, shape, batch in CASES:
        if options.networks in name:
            cells = [f"{images_per_second(name, shape, batch, t, options.seconds):,.1f}" for t in options.threads]
            print(f"| {name} | {'x'.join(map(str, shape))} | {batch} | {' | '.join(cells)} |", flush=True)
