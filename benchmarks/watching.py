"""How much longer a training takes that is watched: two trainings in one process that take turns, an epoch each, one
plain and one as `--live` makes it, with a page that listens in another process:

    python -m benchmarks.watching [--pairs 40] [--networks lenet5 resnet8 resnet20]

For each network: what watching adds to an epoch, the mean over pairs of epochs with its standard error, in wall time
and in processor time of the whole process, and what the recorder says that it took itself. Where others use the
machine, only processor time can be trusted. docs/watching.md has the outcome.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

import cnncli
from cnncli.runs import Row
from cnncli.training.observer import Observer, Observers
from cnncli.watching.live import Live

NETWORKS = {"lenet5": (28, 8000), "resnet8": (28, 1000), "resnet20": (32, 400)}  # pixels, images
LISTENER = "import sys, urllib.request\nfor line in urllib.request.urlopen(sys.argv[1] + 'events'): pass"
TRIMMED = 0.1  # of the pairs on either side, in which something else happened


class Turns:
    """Lets two trainings make an epoch each in turn, and takes their times."""

    def __init__(self) -> None:
        self._changed, self._whose = threading.Condition(), 0
        self._before, self._began = [0.0, 0.0], (time.perf_counter(), time.process_time())
        self.times: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])

    def wait(self, who: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._whose == who)
        self._began = time.perf_counter(), time.process_time()

    def done(self, who: int) -> None:
        self.times[who].append((time.perf_counter() - self._began[0], time.process_time() - self._began[1]))
        self._before[who] += self.times[who][-1][0]
        with self._changed:
            self._whose = 1 - who
            self._changed.notify_all()


    def clock(self, who: int) -> float:
        """The time of one training's turns."""
        return self._before[who] + (time.perf_counter() - self._began[0] if self._whose == who else 0.0)


class First(Observer):
    """Is told before the others: an epoch begins when it is this training's turn."""

    def __init__(self, turns: Turns, who: int) -> None:
        self._turns, self._who = turns, who

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        self._turns.wait(self._who)


class Last(First):
    """Is told after the others."""

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        pass

    def epoch_done(self, row: Row, best: bool) -> None:
        self._turns.done(self._who)


class Asked(Observer):
    """Asks a recorder at the end what it has taken."""

    def __init__(self, page: Live) -> None:
        self._page, self.spent = page, 0.0

    def ended(self, cause: str) -> None:
        self.spent = self._page.spent


def measure(arch: str, pairs: int, folder: Path) -> None:
    """Print a network's row."""
    side, images = NETWORKS[arch]
    rng, turns = np.random.default_rng(0), Turns()
    data = rng.integers(0, 256, (images, side, side, 3), np.uint8), rng.integers(0, 10, images)
    with ExitStack() as stack:
        page = stack.enter_context(Live(clock=lambda: turns.clock(1)))
        listener = stack.enter_context(subprocess.Popen([sys.executable, "-c", LISTENER, page.address]))
        stack.callback(listener.kill)
        asked = Asked(page)
        observers = (Observers(First(turns, 0), Last(turns, 0)),
                     Observers(First(turns, 1), asked, page, Last(turns, 1)))
        threads = [threading.Thread(target=cnncli.train, args=(data, arch), kwargs={
            "epochs": pairs, "runs": folder, "name": f"{arch}-{who}", "observer": observer})
            for who, observer in enumerate(observers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    plain, live = (np.array(times) for times in turns.times)
    wall, processor = ((live[:, i] - plain[:, i]) / plain[:, i].mean() for i in (0, 1))
    print(f"{arch:10} {plain[:, 0].mean():6.2f} s an epoch   wall {_row(wall)}   processor {_row(processor)}   "
          f"the recorder itself {asked.spent / live[:, 0].sum():.2%}")


def _row(added: Any) -> str:
    kept = sorted(added)[int(TRIMMED * len(added)) : len(added) - int(TRIMMED * len(added))]
    return f"{statistics.fmean(kept):+6.2%} ± {statistics.stdev(kept) / len(kept) ** 0.5:.2%}"


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.networks:
            measure(name, options.pairs, Path(folder))


if __name__ == "__main__":
    main()
