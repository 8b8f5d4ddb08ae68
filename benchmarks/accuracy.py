"""Accuracy on official test images, as a user gets it: image folders, the command line, default flags but for what a
row of docs/accuracy.md names. The test images are read once, when a training is over; what chooses the best epoch is
held out of the training images. The data sets are fetched where they are missing (datasets.py).

    python -m benchmarks --only accuracy WORK                        every row: some four hours on two cores
    python -m benchmarks --only accuracy WORK --rows fashion-lenet5 --seeds 0

WORK holds the images, the runs and accuracy.json. A row that was measured is not measured again, and a training that
was stopped goes on.
"""

import argparse
import csv
import json
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import datasets

RESULTS = "accuracy.json"
FEW = 50  # images a class of fashion-500, the first ones


@dataclass(frozen=True)
class Case:
    """A row: what is trained on which data, and the accuracy that is asked of the mean over the seeds."""

    name: str
    data: str
    flags: tuple[str, ...]
    goal: float
    seeds: tuple[int, ...] = (0,)
    test_flags: tuple[str, ...] = ()


CASES = (
    Case("fashion-lenet5", "fashion_mnist", ("--arch", "lenet5", "--epochs", "15"), 0.91, (0, 1, 2)),
    Case("fashion-auto", "fashion_mnist", ("--epochs", "20"), 0.945, (0, 1, 2)),
    Case("fashion-500", "fashion_500", (), 0.80),
    Case("cifar-resnet20", "cifar10", ("--arch", "resnet20", "--epochs", "30"), 0.91),
    Case("cifar-auto", "cifar10", ("--epochs", "20"), 0.93),
    Case("cifar-fast", "cifar10", ("--recipe", "fast"), 0.94, (0,), ("--tta",)),
    Case("cifar-fast-bfloat16", "cifar10", ("--recipe", "fast", "--precision", "bfloat16"), 0.94, (0,), ("--tta",)),
)


def cnn(*arguments: object, folder: Path, capture: bool = False) -> str:
    """Run the program as a user would, in a folder; its notes go to our stderr."""
    command = [sys.executable, "-m", "cnncli", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, check=True, text=True, stdout=subprocess.PIPE if capture else None)
    return done.stdout or ""


def fetch(data: str, work: Path) -> None:
    """Write a data set into the work folder, if it is not there."""
    if (work / data).exists():
        return
    if data != "fashion_500":
        datasets.main([data, str(work / data)])
        return
    fetch("fashion_mnist", work)
    unfinished = work / f"{data}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    for kind in sorted((work / "fashion_mnist/train").iterdir()):
        (unfinished / "train" / kind.name).mkdir(parents=True)
        for image in sorted(kind.iterdir())[:FEW]:
            shutil.copy(image, unfinished / "train" / kind.name)
    (unfinished / "test").symlink_to((work / "fashion_mnist/test").resolve())
    unfinished.rename(work / data)


def measure(case: Case, seed: int, work: Path) -> dict[str, Any]:
    """Train, or go on with it, and test; return what the table shows."""
    fetch(case.data, work)
    name = f"{case.name}-seed{seed}"
    if (work / "runs" / name / "last.safetensors").exists():
        cnn("train", "--resume", name, folder=work)
    else:
        cnn("train", case.data, *case.flags, "--seed", seed, "--name", name, folder=work)
    tested = json.loads(cnn("test", "-m", f"runs/{name}", "--json", *case.test_flags, folder=work, capture=True))
    shape = json.loads(cnn("inspect", f"runs/{name}", "--json", folder=work, capture=True))
    with open(work / "runs" / name / "history.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {"case": case.name, "seed": seed, "flags": " ".join([*case.flags, *case.test_flags]),
            "network": shape["architecture"], "parameters": shape["parameters"], "epochs": len(rows),
            "accuracy": tested["accuracy"], "images": tested["images"], "best_epoch": shape["training"]["epoch"],
            "seconds": round(sum(float(row["seconds"]) for row in rows)),
            "images_per_second": round(statistics.median(float(row["images_per_second"]) for row in rows))}


def show(results: list[dict[str, Any]]) -> str:
    """Return the table of docs/accuracy.md: a row a case, the mean over its seeds."""
    lines = ["| data | flags | network | parameters | epochs | test accuracy | asked | training |", "|---" * 8 + "|"]
    for case in CASES:
        rows = [row for row in results if row["case"] == case.name]
        if not rows:
            continue
        each = ", ".join(f"{row['accuracy']:.2%}" for row in rows)
        mean = statistics.mean(row["accuracy"] for row in rows)
        seeds = ", ".join(str(row["seed"]) for row in rows)
        accuracy = f"{mean:.2%} (seeds {seeds}: {each})" if len(rows) > 1 else each
        lines.append(f"| {case.data} | {rows[0]['flags'] or '-'} | {rows[0]['network']} | {rows[0]['parameters']:,} "
                     f"| {rows[0]['epochs']} | {accuracy} | {case.goal:.1%}{'' if mean >= case.goal else ' missed'} "
                     f"| {statistics.median(row['seconds'] for row in rows):,} s |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks --only accuracy", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, metavar="WORK", help="folder for images, runs and results")
    parser.add_argument("--rows", nargs="+", choices=[case.name for case in CASES], metavar="ROW",
                        help=f"these of {', '.join(case.name for case in CASES)}")
    parser.add_argument("--seeds", type=int, nargs="+", help="instead of each row's own")
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    file = given.work / RESULTS
    results: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    for case in CASES:
        for seed in given.seeds or case.seeds if not given.rows or case.name in given.rows else ():
            if not any(row["case"] == case.name and row["seed"] == seed for row in results):
                results.append(measure(case, seed, given.work))
                file.write_text(json.dumps(results, indent=2), encoding="utf-8")
    print(show(results))


if __name__ == "__main__":
    main(sys.argv[1:])
