"""The worker's side of a measurement: JSON lines on standard input ask for a method and its arguments, JSON lines on
standard output answer. Between two requests a worker waits in a read, and contest.py stops it altogether.

    {"do": "prepare", "threads": 1, …}     -> {"ok": true, …}, or {"ok": false, "error": "…"}
    {"do": "run", "seconds": 2.0}          -> {"ok": true, "steps": 120, "seconds": 2.01, "median": 0.0167, …}
"""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

Reply = dict[str, Any]
_LONGEST_ERROR = 300


class Worker:
    """What every worker can do once its ``prepare`` has set ``step``: one step of training, or one batch answered."""

    step: Callable[[], Any]

    def set_threads(self, threads: int) -> None:
        """Use that many threads from now on."""
        raise NotImplementedError

    def run(self, seconds: float, threads: int | None = None) -> Reply:
        """Step for that long, at least twice; the first step, with cold caches, does not count. Also says how many
        bytes were resident at most since the process began."""
        if threads is not None:
            self.set_threads(threads)
        return {**timed(self.step, seconds), "peak_memory": peak_memory()}


def timed(step: Callable[[], object], seconds: float) -> Reply:
    """Call step for that long, after once untimed; return how many times, and the seconds of all, median and best."""
    step()
    return _while(step, lambda count, taken: count < 2 or taken < seconds)


def counted(step: Callable[[], object], count: int) -> Reply:
    """Call step so many times; return what ``timed`` does. Several processes that work together make equally many."""
    return _while(step, lambda made, taken: made < count)


def _while(step: Callable[[], object], goes_on: Callable[[int, float], bool]) -> Reply:
    """Call step as long as goes_on says so, which is told how many times it was called and how long that took."""
    times: list[float] = []
    now = start = time.perf_counter()
    while goes_on(len(times), now - start):
        step()
        before, now = now, time.perf_counter()
        times.append(now - before)
    return {"steps": len(times), "seconds": now - start, "median": statistics.median(times), "best": min(times)}


def warm_up(step: Callable[[], object], seconds: float = 0.5) -> None:
    """Step until whatever grows, compiles or is chosen at first is there: three times and that long."""
    end, done = time.perf_counter() + seconds, 0
    while done < 3 or time.perf_counter() < end:
        step()
        done += 1


def peak_memory() -> int:
    """Return the peak resident size in bytes. Linux's getrusage would count what the parent had before exec."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def serve(worker: object) -> None:
    """Answer requests until the end of input. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        name = request.pop("do")
        answers.write(json.dumps(answer(worker, name, request)) + "\n")
        answers.flush()


def answer(worker: object, name: str, arguments: Reply) -> Reply:
    """Return what the worker's method of this name answers, or why it does not."""
    try:
        return {"ok": True, **(getattr(worker, name)(**arguments) or {})}
    except Exception as error:  # whatever a peer raises is an answer too: its row says so
        lines = str(error).strip().splitlines() or [""]
        return {"ok": False, "error": f"{type(error).__name__}: {lines[0]}"[:_LONGEST_ERROR]}
