"""How time and memory of commands grow with the number of images and of classes: folders of small PNG files are made,
each command is run on them as a process of its own, and its seconds and its largest resident memory are printed.

    python -m benchmarks.scale_check                                      `cnn check`, 5,000 to 40,000 images
    python -m benchmarks.scale_check --images 20000 --classes 10 400 4000
    python -m benchmarks.scale_check --content identical blank smooth --images 50000 100000
    python -m benchmarks.scale_check --commands train test predict --images 40000 --classes 10 4000

Beside processor time and memory stands their ratio to the row before, where that is of the same command and content.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.contest import ROOT
from benchmarks.tables import number, table

Pixels = np.ndarray[Any, Any]
COPIES, NEAR, BROKEN = 50, 50, 100  # one in so many is a copy of the one before, nearly one, or a broken file
TRAINING = ("--arch", "lenet5", "--size", "16", "--epochs", "1", "--name", "scale")
# What follows the program's name; check is the command, {} the folder.
COMMANDS: dict[str, tuple[str, ...]] = {
    "check": ("check", "{}", "--fail-on", "never"),
    "check --json": ("check", "{}", "--fail-on", "never", "--json"),
    "check --group-by": ("check", "{}", "--fail-on", "never", "--group-by", r"\d+\.png"),
    "train": ("train", "{}", *TRAINING),
    "test": ("test", "{}", "-m", "runs/scale"),
    "predict": ("predict", "{}", "-m", "runs/scale", "--json", "--top", "5"),
}


# ---- folders ----


def mixed(rng: np.random.Generator) -> Pixels:
    """Noise of 12 to 32 pixels a side, in colour."""
    height, width = rng.integers(12, 33, 2)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(rng: np.random.Generator) -> Pixels:
    """A slope of grey and a little noise: all are alike."""
    slope = np.linspace(60, 180, 16)[:, None] + np.linspace(0, 20, 16) + rng.normal(0, 2, (16, 16))
    return np.repeat(slope[:, :, None], 3, axis=2).astype(np.uint8)


def blank(rng: np.random.Generator) -> Pixels:
    """One colour."""
    return np.full((16, 16, 3), rng.integers(0, 256), np.uint8)


def identical(_: np.random.Generator) -> Pixels:
    """The same noise each time."""
    return mixed(np.random.default_rng(0))


CONTENTS: dict[str, Callable[[np.random.Generator], Pixels]] = {
    "mixed": mixed, "smooth": smooth, "blank": blank, "identical": identical}


def write(folder: Path, images: int, classes: int, content: str = "mixed", seed: int = 0) -> None:
    """Write so many images into class folders, the same for the same arguments. Mixed ones have copies, near copies and
    broken files among them. Classes are dealt out in turn."""
    rng, make, last = np.random.default_rng(seed), CONTENTS[content], None
    for label in range(classes):
        (folder / f"class {label:05}").mkdir(parents=True)
    for i in range(images):
        path = folder / f"class {i % classes:05}" / f"{i:07}.png"
        kind = int(rng.integers(0, 1 << 30)) if content == "mixed" else -1
        if last is not None and kind % COPIES == 0:
            pixels = last
        elif last is not None and kind % NEAR == 1:
            pixels = np.clip(last * 0.9 + 12, 0, 255).astype(np.uint8)
        else:
            pixels = make(rng)
        Image.fromarray(pixels).save(path, compress_level=1)
        if kind % BROKEN == 2:
            path.write_bytes(path.read_bytes()[:60])
        last = pixels


# ---- figures ----


def run(arguments: Sequence[str], folder: Path) -> dict[str, float]:
    """Run cnn to its end: wall seconds, seconds of processor time, and peak memory in MB. Raises CalledProcessError."""
    command = [sys.executable, "-m", "cnncli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    with (folder / "out.txt").open("wb") as out, (folder / "error.txt").open("wb") as errors:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=errors)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command,
                                            stderr=(folder / "error.txt").read_text(errors="replace"))
    return {"wall": time.perf_counter() - start, "cpu": used.ru_utime + used.ru_stime,
            "memory": used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3),
            "printed": (folder / "out.txt").stat().st_size / 1e3}


def measure(commands: Sequence[str], content: str, images: int, classes: int) -> list[dict[str, Any]]:
    """Return a row for each command. `test` and `predict` use the model that `train` made before them."""
    rows = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write(folder / "data", images, classes, content)
        if {"test", "predict"} & set(commands) and "train" not in commands:
            run(_arguments("train", folder), folder)
        for name in commands:
            figures = run(_arguments(name, folder), folder)
            rows.append({"command": name, "content": content, "images": images, "classes": classes, **figures})
            print(f"{name}, {content}, {images:,} images, {classes:,} classes: {figures['wall']:.1f} s",
                  file=sys.stderr, flush=True)
    return rows


def _arguments(name: str, folder: Path) -> list[str]:
    return [word.replace("{}", str(folder / "data")) for word in COMMANDS[name]]


def show(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table; the ratios are to the row before of the same command and content."""
    lines, before = [], dict[tuple[str, str], dict[str, Any]]()
    for row in rows:
        last = before.get((row["command"], row["content"]))
        ratios = [f" ({row[key] / last[key]:.2f} x)" if last else "" for key in ("cpu", "memory")]
        before[row["command"], row["content"]] = row
        lines.append([row["command"], row["content"], f"{row['images']:,}", f"{row['classes']:,}", number(row["wall"]),
                      number(row["cpu"]) + ratios[0], number(row["memory"]) + ratios[1], number(row["printed"])])
    return table(["command", "content", "images", "classes", "seconds", "of processor time", "peak MB", "kB printed"],
                 lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale_check", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[5000, 10000, 20000, 40000], metavar="N")
    parser.add_argument("--classes", type=int, nargs="+", default=[10], metavar="N")
    parser.add_argument("--content", nargs="+", choices=CONTENTS, default=["mixed"])
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=["check"], metavar="COMMAND",
                        help=f"these of {', '.join(COMMANDS)}")
    given = parser.parse_args(arguments)
    rows = [row for content in given.content for images in given.images for classes in given.classes
            for row in measure(given.commands, content, images, classes)]
    print(show(sorted(rows, key=lambda row: given.commands.index(row["command"]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
