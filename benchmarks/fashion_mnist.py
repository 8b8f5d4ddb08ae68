"""Accuracy on Fashion-MNIST (60,000 training and 10,000 test images), as a user gets it: ``cnn import`` writes the IDX
files out as 70,000 PNG files, ``cnn train`` and ``cnn test`` do the rest with default flags but --arch and --epochs.
The official test images are read once, at the end; the images that choose the best epoch come out of the training ones.

    python -m benchmarks --only fashion_mnist --source /usr/share/datasets/fashion-mnist --work fashion

The source is the folder of the four IDX files (Debian: dataset-fashion-mnist).
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

# (architecture, epochs, the accuracy that is asked of it)
CASES = (("lenet5", 8, 0.90), ("auto", 15, 0.93))


def cnn(*arguments: object, folder: Path, capture: bool = False) -> str:
    """Run the program as a user would, in a folder; its notes go to our stderr."""
    command = [sys.executable, "-m", "cnncli", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, check=True, text=True, stdout=subprocess.PIPE if capture else None)
    return done.stdout or ""


def measure(work: Path, arch: str, epochs: int, seed: int) -> dict[str, object]:
    """Train and test one network; return what the table shows."""
    name = f"{arch}-{epochs}-seed{seed}"
    start = time.monotonic()
    cnn("train", "images", "--arch", arch, "--epochs", epochs, "--seed", seed, "--name", name, folder=work)
    seconds = time.monotonic() - start
    result = json.loads(cnn("test", "-m", f"runs/{name}", "--json", folder=work, capture=True))
    with open(work / "runs" / name / "history.csv", encoding="utf-8") as file:
        speed = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    shape = json.loads(cnn("inspect", f"runs/{name}", "--json", folder=work, capture=True))
    return {"arch": arch, "epochs": epochs, "seed": seed, "network": shape["architecture"],
            "parameters": shape["parameters"], "accuracy": result["accuracy"], "images": result["images"],
            "seconds": round(seconds), "images_per_second": round(sorted(speed)[len(speed) // 2])}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks --only fashion_mnist", description=__doc__)
    parser.add_argument("--source", required=True, help="folder of the IDX files")
    parser.add_argument("--work", type=Path, required=True, help="folder for images and runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", choices=[case[0] for case in CASES], help="one of the networks")
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    if not (options.work / "images").exists():
        cnn("import", Path(options.source).resolve(), "images", folder=options.work)
    rows = []
    for arch, epochs, wanted in CASES:
        for seed in options.seeds if options.only in (None, arch) else []:
            rows.append({**measure(options.work, arch, epochs, seed), "wanted": wanted})
            (options.work / "fashion_mnist.json").write_text(json.dumps(rows, indent=2), encoding="utf-8")
    print("| --arch | network | parameters | epochs | seed | test accuracy | asked | training | images/s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['arch']} | {row['network']} | {row['parameters']:,} | {row['epochs']} | {row['seed']} "
              f"| {row['accuracy']:.2%} | {row['wanted']:.0%} | {row['seconds']} s | {row['images_per_second']:,} |")
