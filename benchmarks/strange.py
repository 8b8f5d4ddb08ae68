"""How well a model tells images that belong to none of its classes: two classes of somebody's photographs are left out
of a training, and their images are then shown to it beside test images of the others. Prints the area under the ROC
curve (how often a strange image is the stranger one of two) of model/strangeness.py and of the probability alone, and
how many of either kind `cnn predict --reject 0.95` withholds. docs/accuracy.md has what came out.

    python -m benchmarks.strange photos/ --out hat shoes          photos/ holds train/, val/ and test/
    python -m benchmarks.strange photos/ --out hat shoes --all    trains all layers, not the head alone
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import cnncli
from cnncli.kernels import Array
from cnncli.model import Model

SPLITS, REJECT = ("train", "val", "test"), 0.95


def leave_out(folder: Path, classes: list[str], into: Path) -> list[str]:
    """Link all images but those of some classes into a new folder; return the latter's, but for the training images."""
    left = []
    for split in SPLITS:
        for path in sorted((folder / split).glob("*/*")):
            if path.parent.name not in classes:
                link = into / split / path.parent.name / path.name
                link.parent.mkdir(parents=True, exist_ok=True)
                os.symlink(path.resolve(), link)
            elif split != "train":
                left.append(str(path))
    return left


def area(known: Array, strange: Array) -> float:
    """Return the share of pairs in which the strange one has the larger value; equal ones count half."""
    below, upto = (np.searchsorted(np.sort(known), strange, side) for side in ("left", "right"))
    return float((below + upto).mean() / 2 / len(known))


def judged(model: Model, images: Any) -> dict[str, Array]:
    answers = list(cnncli.predict(model, images, reject=REJECT))
    return {"strangeness": np.array([a.strangeness for a in answers], float),
            "probability": -np.array([a.probability for a in answers], float),
            "withheld": np.array([a.rejected for a in answers], float),
            "called strange": np.array(["strange" in a.withheld for a in answers], float)}


def measure(folder: Path, classes: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """Train without these classes, and return the areas and shares."""
    with tempfile.TemporaryDirectory() as work:
        data = Path(work, "data")
        left = leave_out(folder, classes, data)
        run = cnncli.train(data, runs=Path(work, "runs"), **options)
        known, strange = judged(run.model, str(data / "test")), judged(run.model, left)
        accuracy = cnncli.evaluate(run.model, data, compare=False).accuracy
    return {"left out": classes, "accuracy": accuracy, "known": len(known["withheld"]), "strange": len(left),
            "area": {name: area(known[name], strange[name]) for name in ("strangeness", "probability")},
            **{name: {"known": float(known[name].mean()), "strange": float(strange[name].mean())}
               for name in ("withheld", "called strange")}}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strange", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", nargs="+", required=True, metavar="CLASS", help="classes that are left out")
    parser.add_argument("--all", action="store_true", help="train all layers")
    parser.add_argument("--init", default="efficientnet_lite0")
    parser.add_argument("--size", type=int)
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args(arguments)
    chosen = {"init": given.init, "probe": not given.all, "size": given.size, "epochs": given.epochs}
    print(json.dumps(measure(given.folder, given.out, chosen), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
