"""``python -m benchmarks`` lists the measurements; ``python -m benchmarks --only NAME [options]`` runs one."""

import importlib
import sys

MEASUREMENTS = {
    "conv": "convolutions, forward and both backward passes, as a share of the FMA peak of the same minute",
    "steps": "steps of training, in images per second",
    "fashion_mnist": "accuracy on the whole of Fashion-MNIST, from image files through the command line",
}


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or arguments[0] != "--only" or arguments[1] not in MEASUREMENTS:
        print("usage: python -m benchmarks --only NAME [options]\n")
        for name, what in MEASUREMENTS.items():
            print(f"  {name:14} {what}")
        return 0 if not arguments else 2
    importlib.import_module(f"benchmarks.{arguments[1]}").main(arguments[2:])
    return 0


sys.exit(main(sys.argv[1:]))
