"""Records what a change of structure must leave as it is: runs every command on small images of its own with fixed
seeds, and writes a JSON file of exit codes, JSON answers and digests of all files that are a function of the seed.

    python scripts/record.py .venv/bin/cnn before.json      # once before the change and once after it, on one machine
    python scripts/record.py --compare before.json after.json

Two records of one machine are equal, byte for byte, where nothing has changed: what differs is named by --compare.
Times, and what is drawn from them, are left out. Needs the extras [onnx] and [pretrained] for all of its cases.
"""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TIMED = ("images_per_second", "seconds")
SPEED = re.compile(r"^(\s+\d+/\d+\s.*[%-]\s+\S+)\s+[\d,]+\s+\d+:\d\d", re.MULTILINE)  # in an epoch's line of the table
COMMANDS = ("", "train", "test", "predict", "check", "inspect", "visualize-filters", "export", "features", "sample",
            "import")
PROGRESS = re.compile(r"^[a-z][a-z ]*: [\d,]+( of [\d,]+)?\n", re.MULTILINE)  # told where something takes long
UNTOLD = ("curves.png", "lock")  # files that hold times or a process's number
SMALL = ["--epochs", "2", "--seed", "3"]
# name of the run -> the options of `cnn train`
TRAININGS: dict[str, list[str]] = {
    "lenet5": ["grey", "--arch", "lenet5", *SMALL],
    "resnet8": ["grey", "--arch", "resnet8", *SMALL, "--augment", "strong", "--batch-size", "16"],
    "auto": ["grey", "--epochs", "1"],
    "fast": ["colour", "--recipe", "fast", "--arch", "resnet9", "--epochs", "1", "--batch-size", "32"],
    "fresh": ["colour", "--arch", "efficientnet_lite0", "--init", "none", "--size", "64", "--epochs", "1",
              "--batch-size", "16"],
    "tuned": ["colour", "--init", "efficientnet_lite0", "--size", "64", "--epochs", "1", "--batch-size", "16"],
    "frozen": ["colour", "--init", "efficientnet_lite0", "--size", "64", "--epochs", "1", "--freeze", "5"],
    "probed": ["colour", "--init", "efficientnet_lite0", "--size", "64", "--probe"],
    "again": ["colour", "--init", "runs/resnet-colour", "--epochs", "1"],
    "balanced": ["uneven", "--arch", "lenet5", *SMALL, "--sampling", "balanced"],
    "weighed": ["uneven", "--arch", "lenet5", *SMALL, "--class-weights", "balanced", "--exact"],
    "squared": ["grey", "--arch", "classic", "--size", "40x32", *SMALL, "--loss", "squared-error", "--optimizer",
                "adam", "--schedule", "cosine", "--ema", "0", "--no-augment"],
    "patient": ["grey", "--arch", "lenet5", "--epochs", "6", "--patience", "1", "--lr", "1e-6", "--cache", "none"],
}  # fmt: skip


def pictures(folder: Path, channels: int, counts: list[int], seed: int) -> None:
    """Write class folders of noisy bars that lean differently in each class."""
    rng = np.random.default_rng(seed)
    for label, count in enumerate(counts):
        place = folder / f"class {label}"
        place.mkdir(parents=True)
        for number in range(count):
            side = 32 + (number % 3) * 4
            y, x = np.mgrid[0:side, 0:side]
            wave = np.sin((x * np.cos(label) + y * np.sin(label)) / 2 + rng.uniform(0, 6))
            noise = rng.normal(0, 40, (side, side, channels))
            tint = rng.uniform(0.5, 1, channels)
            values = 128 + 80 * wave[..., None] * tint + noise
            pixels = np.clip(values, 0, 255).astype(np.uint8)
            Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(place / f"{number:03}.png")


class Recorder:
    """Runs ``cnn`` in a folder and keeps what it answers."""

    def __init__(self, cnn: str, folder: Path) -> None:
        self.cnn, self.folder = cnn, folder
        self.found: dict[str, Any] = {}
        self._environment = {**os.environ, "CNN_THREADS": "2", "NO_COLOR": "1", "PYTHONHASHSEED": "0", "TERM": "dumb"}

    def run(self, name: str, *arguments: str, told: bool = True) -> None:
        """Run it and record the exit code, and, where told, both streams."""
        print(name, file=sys.stderr, flush=True)
        done = subprocess.run([self.cnn, *arguments], cwd=self.folder, env=self._environment, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, check=False)
        out: Any = done.stdout
        if "--json" in arguments and done.stdout:
            out = without_times(json.loads(done.stdout))
        self.found[name] = {"exit": done.returncode,
                            **({"stdout": out, "stderr": untimed(done.stderr)} if told else {})}

    def digests(self, name: str, *folders: str) -> None:
        """Record the digest of each file in these folders."""
        files = [path for folder in folders for path in sorted((self.folder / folder).rglob("*")) if path.is_file()]
        self.found[f"{name}: files"] = {path.relative_to(self.folder).as_posix(): digest(path) for path in files
                                        if path.name not in UNTOLD and not path.name.startswith(".")}


def untimed(text: str) -> str:
    """Return what was told on the way without what depends on how fast it went."""
    return SPEED.sub(r"\1", PROGRESS.sub("", text))


def digest(path: Path) -> str:
    """Return a file's digest, without the times that a history and a test hold."""
    data = path.read_bytes()
    if path.name == "history.csv":
        rows = [{k: v for k, v in row.items() if k not in TIMED} for row in csv.DictReader(io.StringIO(data.decode()))]
        data = json.dumps(rows).encode()
    if path.name in ("last.safetensors", "previous.safetensors"):
        data = resumable(data)
    if path.name == "config.json":
        data = re.sub(rb'"data": ".*"', b"", data)
    if path.suffix == ".npz":
        arrays = np.load(io.BytesIO(data))
        data = b"".join(key.encode() + arrays[key].tobytes() for key in sorted(arrays))
    return hashlib.sha256(data).hexdigest()[:24]


def resumable(data: bytes) -> bytes:
    """Return what a saved state holds beside the seconds that it took: its arrays."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return json.dumps(header, sort_keys=True).encode() + data[8 + length :]


def without_times(value: Any) -> Any:
    """Return a JSON value without what a clock says."""
    if isinstance(value, dict):
        return {key: without_times(inside) for key, inside in value.items() if key not in TIMED}
    return [without_times(inside) for inside in value] if isinstance(value, list) else value


def record(recorder: Recorder) -> None:
    """Run everything."""
    pictures(recorder.folder / "grey", 1, [30, 30, 30], 1)
    pictures(recorder.folder / "colour", 3, [24, 24, 24], 2)
    pictures(recorder.folder / "uneven", 1, [40, 12, 20], 3)
    pictures(recorder.folder / "other" / "test", 1, [6, 6], 4)
    (recorder.folder / "other" / "test" / "class 0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n not one")
    recorder.run("train resnet-colour", "train", "colour", "--arch", "resnet8", "--epochs", "1", "--name",
                 "resnet-colour", told=False)
    for name, options in TRAININGS.items():
        recorder.run(f"train {name}", "train", *options, "--name", name, "--json")
    recorder.run("resume longer", "train", "--resume", "lenet5", "--epochs", "3", "--json")
    recorder.run("resume finished", "train", "--resume", "resnet8")
    recorder.run("resume otherwise", "train", "--resume", "resnet8", "--lr", "0.5")
    recorder.run("folds", "train", "grey", "--arch", "lenet5", *SMALL, "--folds", "2", "--name", "cross", "--json")
    recorder.run("folds resumed", "train", "--folds", "2", "--resume", "cross", "--json")
    recorder.run("find-lr", "train", "grey", "--arch", "lenet5", "--find-lr", "--json", "--seed", "1")
    recorder.run("find-lr probe", "train", "colour", "--init", "efficientnet_lite0", "--probe", "--find-lr")
    recorder.run("preview", "train", "grey", "--arch", "lenet5", "--epochs", "1", "--preview", "--name", "seen",
                 "--augment", "strong", "--json")
    recorder.digests("trainings", "runs")
    for name, arguments in looks():
        recorder.run(name, *arguments)
    recorder.digests("looks", "out", "filters", "imported", "exports", "runs/lenet5/pictures")
    for command in COMMANDS:
        recorder.run(f"help {command}", *filter(None, (command, "--help")))


def looks() -> Iterator[tuple[str, list[str]]]:
    """Yield every other command with a name for it."""
    for run in (*TRAININGS, "cross-fold1"):
        yield f"test {run}", ["test", "-m", f"runs/{run}", "--json", "--out", f"out/{run}"]
    yield "test latest", ["test", "--out", "out/latest"]
    yield "test val", ["test", "-m", "runs/lenet5", "--split", "val", "--tta", "--json", "--out", "out/val"]
    yield "test train", ["test", "-m", "runs/lenet5", "--split", "train", "--exact", "--json", "--out", "out/train"]
    yield "test other", ["test", "other", "-m", "runs/lenet5", "--json", "--out", "out/other"]
    yield "test other part", ["test", "other", "-m", "runs/lenet5", "--split", "test", "--out", "out/part"]
    yield "test no part", ["test", "other", "-m", "runs/lenet5", "--split", "val"]
    yield "test strict", ["test", "other", "-m", "runs/lenet5", "--strict"]
    yield "test file", ["test", "-m", "runs/lenet5/last.safetensors", "--split", "val", "--json", "--out", "out/file"]
    yield "test nothing", ["test", "nowhere", "-m", "runs/lenet5"]
    yield "test no model", ["test", "-m", "nowhere.safetensors"]
    yield "predict", ["predict", "grey", "-m", "runs/lenet5", "--json"]
    yield "predict table", ["predict", "grey/class 0", "-m", "runs/resnet8", "--top", "2", "--csv", "-"]
    yield "predict plain", ["predict", "grey/class 1/000.png", "other", "-m", "runs/lenet5"]
    yield "predict rejects", ["predict", "colour", "-m", "runs/tuned", "--reject", "0.9", "--json", "--tta"]
    yield "predict rejects without", ["predict", "colour", "-m", "runs/fast", "--reject", "0.9"]
    yield "predict nothing", ["predict", "nowhere.png", "-m", "runs/lenet5"]
    yield "predict reject 2", ["predict", "grey", "--reject", "2"]
    yield "check", ["check", "grey", "--json"]
    yield "check plain", ["check", "other", "--fail-on", "warning"]
    yield "check judged", ["check", "grey", "--model", "runs/cross-fold1", "--model", "runs/cross-fold2", "--json",
                           "--sheet", "out/sheet.png", "--exclude-list", "out/list.txt"]
    yield "check other", ["check", "other", "--model", "runs/lenet5", "--json"]
    yield "check kinds", ["check", "--kinds"]
    yield "inspect", ["inspect", "runs/tuned", "--json"]
    yield "inspect plain", ["inspect", "runs/resnet8", "--out", "filters"]
    yield "inspect nothing", ["inspect", "nowhere"]
    yield "visualize", ["visualize-filters", "grey/class 2", "-m", "runs/lenet5", "--json"]
    yield "visualize layers", ["visualize-filters", "colour/class 0/001.png", "-m", "runs/tuned", "--layer",
                               "conv_stem", "--layer", "blocks.1.0.conv_pw", "--out", "out/layers"]
    yield "visualize layer", ["visualize-filters", "-m", "runs/lenet5", "--layer", "conv9"]
    yield "features", ["features", "runs/resnet8", "grey", "--json", "--out", "out/features.npz"]
    yield "features tuned", ["features", "runs/tuned", "colour/class 1", "other", "--out", "out/tuned.npz"]
    yield "export folder", ["export", "runs/lenet5", "exports/lenet5.c"]
    yield "sample", ["sample", "exports"]
    for run in ("lenet5", "resnet8", "tuned", "fast", "squared"):
        yield f"export {run} c", ["export", f"runs/{run}", f"exports/{run}.c", "--json"]
        yield f"export {run} onnx", ["export", f"runs/{run}", f"exports/{run}.onnx", "--json"]
    yield "export raw", ["export", "runs/resnet8", "exports/raw.onnx", "--raw"]
    yield "export names", ["export", "runs/tuned", "exports/tuned.safetensors", "--torch-names"]
    yield "export no names", ["export", "runs/lenet5", "exports/lenet5.safetensors", "--torch-names"]
    yield "import", ["import", "arrays.npz", "imported", "--json"]


def compare(before: dict[str, Any], after: dict[str, Any], where: str = "") -> list[str]:
    """Return a line for each difference."""
    found = []
    for key in dict.fromkeys([*before, *after]):
        a, b = before.get(key), after.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += compare(a, b, f"{where}{key} / ")
        elif a != b:
            found.append(f"{where}{key}: {str(a)[:300]} -> {str(b)[:300]}")
    return found


def main(arguments: list[str]) -> int:
    """Record, or compare two records; 1 where they differ."""
    if arguments[0] == "--compare":
        before, after = (json.loads(Path(path).read_text()) for path in arguments[1:])
        differences = compare(before, after)
        print("\n".join(differences) or f"{len(before):,} entries are the same.")
        return 1 if differences else 0
    cnn, target = os.path.abspath(arguments[0]), Path(arguments[1])
    folder = Path(tempfile.gettempdir()).resolve() / "cnn-record"  # always the same: some files hold its name
    folder.mkdir()
    rng = np.random.default_rng(5)
    np.savez(folder / "arrays.npz", x_train=rng.integers(0, 255, (6, 8, 8), np.uint8), y_train=np.arange(6) % 3)
    recorder = Recorder(cnn, folder)
    try:
        record(recorder)
    finally:
        target.write_text(json.dumps(recorder.found, indent=1, sort_keys=True) + "\n")
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
