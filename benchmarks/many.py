"""Many small files: how long a training takes until its first step, how fast it then goes, and whether its memory
grows, with each way of keeping decoded images.

    python -m benchmarks.many /tmp/many --count 50000            writes the folder, unless it is there, and measures
    python -m benchmarks.many /tmp/many --count 1000000 --profile   also where the second start's time goes

Each training is a process of its own, of one epoch of lenet5. "disk" runs twice: the second one finds the images.
Seconds are those of the clock, and of the processor where other programs take a part of it.
"""

import argparse
import contextlib
import cProfile
import io
import json
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.tables import table
from cnncli import Observer, train
from cnncli.data import cached

CLASSES, FOLDER = 10, 1000  # files in a folder of a class
LOOKS = 20  # at the memory, in an epoch
PROFILED = 25
RUNS = (("ram", "ram"), ("disk, first", "disk"), ("disk, second", "disk"), ("none", "none"))


def write(folder: Path, count: int, size: int) -> None:
    """Write that many PNGs, brighter the higher their class is."""
    parts = [(str(folder), number, min(number + FOLDER, count), size) for number in range(0, count, FOLDER)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_write, *zip(*parts, strict=True)))


def _write(folder: str, start: int, end: int, size: int) -> None:
    rng = np.random.default_rng(start)
    for number in range(start, end):
        label = number % CLASSES
        place = Path(folder, f"class{label}", f"{start // FOLDER:04}")
        place.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 150 + 10 * label, (4, 4, 3), np.uint8)
        Image.fromarray(coarse).resize((size, size)).save(place / f"{number:07}.png", compress_level=1)


class Watch(Observer):
    """Notes when the steps come, and how much memory there is at some of them."""

    def __init__(self) -> None:
        self.began, self.first, self.last = time.perf_counter(), 0.0, 0.0
        self.processor = [0.0, 0.0]  # at the first step and the last
        self.memory: list[tuple[int, int]] = []
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def step_done(self, step: int, steps: int, loss: float, accuracy: float) -> None:
        self.last = time.perf_counter()
        if not self.first:
            self.first, self.processor[0] = self.last, time.process_time()
        self.processor[1] = time.process_time()
        if step % max(1, steps // LOOKS) == 0:
            self.memory.append((step, _resident()))


def _resident() -> int:
    """Return the resident bytes that are this process's own."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Anonymous"))


def one(folder: str, cache: Any, profile: bool) -> dict[str, Any]:
    """Train for an epoch, and return what was seen."""
    watch, profiler = Watch(), cProfile.Profile()

    class Ended(Exception):
        pass

    class Until(Watch):
        def step_done(self, step: int, steps: int, loss: float, accuracy: float) -> None:
            raise Ended

    with tempfile.TemporaryDirectory() as runs:
        options: dict[str, Any] = {"arch": "lenet5", "epochs": 1, "runs": runs, "cache": cache, "augment": False}
        if profile:
            with contextlib.suppress(Ended):
                profiler.runcall(train, folder, observer=Until(), **options)
            said = io.StringIO()
            pstats.Stats(profiler, stream=said).sort_stats("tottime").print_stats(PROFILED)
            return {"profile": said.getvalue()}
        run = train(folder, observer=watch, **options)
        count = run.config["images"]["train"]
    late = watch.memory[len(watch.memory) // 4 :]  # what an epoch needs is there by then
    slope = np.polyfit([step for step, _ in late], [size for _, size in late], 1)[0] if len(late) > 2 else 0.0
    return {"to_first_step": watch.first - watch.began, "processor": watch.processor[0],
            "epoch_processor": watch.processor[1] - watch.processor[0], "rate": count / (watch.last - watch.first),
            "memory": max(size for _, size in watch.memory), "growth": float(slope) * late[-1][0], "notes": watch.notes}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the images, measure each way, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=32, help="pixels on each side (32)")
    parser.add_argument("--profile", action="store_true", help="print where the second start's time goes")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        print(json.dumps(one(str(given.folder), given.one, given.profile)))
        return
    if not given.folder.exists():
        write(given.folder, given.count, given.size)
    place = given.folder.with_name(f"{given.folder.name}-decoded")
    rows = []
    for name, cache in RUNS:
        found = _measure(given.folder, cache, place)
        rows.append([name, *(f"{found[what]:.1f} s" for what in ("to_first_step", "processor", "epoch_processor")),
                     f"{found['rate']:,.0f}", f"{found['memory'] / 2**20:,.0f}", f"{found['growth'] / 2**20:+,.1f}"])
        print(rows[-1], file=sys.stderr, flush=True)
    print(table(["images are kept", "to the first step", "processor", "processor in the epoch", "img/s", "memory (MiB)",
                 "growth in the epoch (MiB)"], rows))
    if given.profile:
        print(_measure(given.folder, "disk", place, "--profile")["profile"])
    shutil.rmtree(place, ignore_errors=True)


def _measure(folder: Path, cache: str, place: Path, *more: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.many", str(folder), "--one", cache, *more]
    done = subprocess.run(command, env={**os.environ, cached.VARIABLE: str(place)}, check=True, text=True,
                          stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
