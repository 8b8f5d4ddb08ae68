"""Whether bfloat16 costs accuracy: the same trainings in float32 and in bfloat16, of the same seeds, on official test
images, which are read once, when a training is over. A model trained in bfloat16 is a file of float32 like any other,
and is tested in float32.

    python -m benchmarks.precision WORK                     every row: some hours on two cores
    python -m benchmarks.precision WORK --rows fashion --seeds 0 1

WORK holds the images, the runs and precision.json. What was measured is not measured again. The row clothes wants the
photographs in WORK/clothes: https://github.com/alexeygrigorev/clothing-dataset-small, with train/, validation/, test/.
"""

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

from benchmarks.accuracy import Case, fetch
from benchmarks.accuracy import measure as train_and_test
from benchmarks.tables import table

RESULTS = "precision.json"
SEEDS = (0, 1, 2)
PRECISIONS = ("float32", "bfloat16")
CASES = (
    Case("fashion", "fashion_mnist", ("--arch", "resnet8", "--epochs", "10"), 0, SEEDS),
    Case("cifar-fast", "cifar10", ("--recipe", "fast", "--epochs", "3"), 0, SEEDS),
    Case("clothes", "clothes", ("--epochs", "3"), 0, SEEDS),
)


def measure(case: Case, seed: int, work: Path) -> list[dict[str, Any]]:
    """Train in both precisions, one after the other, and test."""
    if case.data != "clothes":
        fetch(case.data, work)
    rows = []
    for precision in PRECISIONS:
        pair = Case(f"{case.name}-{precision}", case.data, (*case.flags, "--precision", precision), 0)
        rows.append({**train_and_test(pair, seed, work), "case": case.name, "precision": precision})
    return rows


def show(results: list[dict[str, Any]]) -> str:
    """Return the table of docs/accuracy.md: both means, and their difference with its standard error over seeds."""
    lines = []
    for case in CASES:
        of = {precision: {row["seed"]: row for row in results
                          if (row["case"], row["precision"]) == (case.name, precision)} for precision in PRECISIONS}
        seeds = sorted(set.intersection(*(set(rows) for rows in of.values())))
        if not seeds:
            continue
        accuracy = {name: [100 * rows[seed]["accuracy"] for seed in seeds] for name, rows in of.items()}
        seconds = {name: statistics.median(rows[seed]["seconds"] for seed in seeds) for name, rows in of.items()}
        differences = [half - whole for whole, half in zip(*accuracy.values(), strict=True)]
        error = statistics.stdev(differences) / math.sqrt(len(seeds)) if len(seeds) > 1 else math.nan
        each = [f"{statistics.mean(values):.2f} % ({', '.join(f'{value:.2f}' for value in values)})"
                for values in accuracy.values()]
        lines.append([case.data, " ".join(case.flags), *each, f"{statistics.mean(differences):+.2f} ± {error:.2f}",
                      " and ".join(f"{value:,.0f}" for value in seconds.values())])
    return table(["data", "options", *PRECISIONS, "difference", "seconds"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, metavar="WORK", help="folder for images, runs and results")
    parser.add_argument("--rows", nargs="+", choices=[case.name for case in CASES], metavar="ROW",
                        help=f"these of {', '.join(case.name for case in CASES)}")
    parser.add_argument("--seeds", type=int, nargs="+", help="instead of each row's own")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    file = given.work / RESULTS
    results: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    for case in CASES:
        for seed in given.seeds or case.seeds if not given.rows or case.name in given.rows else ():
            if not any((row["case"], row["seed"]) == (case.name, seed) for row in results):
                results += measure(case, seed, given.work)
                file.write_text(json.dumps(results, indent=2), encoding="utf-8")
    print(show(results))


if __name__ == "__main__":
    main()
