"""Our side of scaling.py: one process, or several that train together. mpiexec starts these; the leading one gets the
requests and tells the others. What they send each other is timed from outside, around ``Reduction``."""

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import read_network
from benchmarks.workers.protocol import Reply, Worker, answer, counted, peak_memory, serve, timed, warm_up
from cnncli import Trainer, kernels
from cnncli.kernels import Array
from cnncli.optim import SGD
from cnncli.ranks.launcher import here
from cnncli.ranks.tree import Block, Place
from cnncli.ranks.world import ALONE, World
from cnncli.training.shards import Shards

REPEATS = 20  # of what takes less than a step


class Log:
    """What the reductions of one step did: when each was started, when the last sum came, and how long it was only
    waited for."""

    def __init__(self) -> None:
        self.began, self.starts, self.waited, self.end = 0.0, list[float](), 0.0, 0.0

    def begin(self) -> None:
        self.began, self.starts, self.waited = time.perf_counter(), [], 0.0


class Watched:
    """A reduction that is written down."""

    def __init__(self, reduction: Any, log: Log) -> None:
        self._reduction, self._log = reduction, log
        self.progress = reduction.progress

    def start(self, blocks: Sequence[Block], places: list[list[Place]]) -> None:
        self._log.starts.append(time.perf_counter() - self._log.began)
        self._reduction.start(blocks, places)

    def finish(self) -> Array:
        began = time.perf_counter()
        total: Array = self._reduction.finish()
        self._log.end = time.perf_counter()
        self._log.waited += self._log.end - began
        return total


def the_world(log: Log) -> World:
    """Return the processes that this one was started with, with reductions that are written down."""
    if here().size == 1:
        return ALONE
    from cnncli.ranks.many import Many

    class Seen(Many):
        def reduction(self, length: int) -> Any:
            return Watched(super().reduction(length), log)

    return Seen()


class Ranks(Worker):
    def __init__(self) -> None:
        self.log = Log()
        self.world = the_world(self.log)

    def set_threads(self, threads: int) -> None:
        kernels.set_threads(threads)

    def prepare(self, folder: str, threads: int, batch: int, shards: int, **options: Any) -> Reply:
        """Return the loss of the first step; the instruction set; and the bytes of each bucket."""
        kernels.set_threads(threads)
        self.folder, self.options = folder, options
        with np.load(Path(folder) / "data.npz") as data:
            self.images, self.labels = data["images"][:batch], data["labels"][:batch]
        trainer = self._trainer(shards, self.world if self.world.size > 1 else None)
        first, end = trainer.span(batch)
        images = np.ascontiguousarray(self.images[first:end])
        self.step = lambda: trainer.step(images, self.labels)
        loss = float(self.step())
        self._agree_on(lambda: warm_up(self.step), 5)
        self.lengths = [sum(array.size for array in bucket.arrays) for bucket in Shards(trainer.network, 1)._buckets]
        return {"loss": loss, "version": kernels.active_isa(), "bucket_bytes": [4 * length for length in self.lengths]}

    def _trainer(self, shards: int, world: World | None) -> Trainer:
        optimiser = SGD(lr=self.options["lr"], momentum=self.options["momentum"])
        return Trainer(read_network(Path(self.folder)), optimiser, shards=shards, world=world)

    def _agree_on(self, alone: Callable[[], object], together: int) -> None:
        """Do what one process does alone, or so many steps where there are several."""
        if self.world.size == 1:
            alone()
        for _ in range(together if self.world.size > 1 else 0):
            self.step()

    def _steps(self, seconds: float) -> int:
        """Return how many steps take so long."""
        began = time.perf_counter()
        self.step()
        taken = time.perf_counter() - began
        return self.world.agreed(lambda: max(2, math.ceil(seconds / taken)))

    def run(self, seconds: float, threads: int | None = None) -> Reply:
        if self.world.size == 1:
            return super().run(seconds, threads)
        return {**counted(self.step, self._steps(seconds)), "peak_memory": peak_memory()}

    def communication(self, seconds: float) -> Reply:
        """Return the medians of what steps send and wait for: of a whole step; when in it each bucket starts; from the
        first start to the last arrival, in the leading process; how long the process waits that comes last, which has
        nobody to wait for but what was sent; and the first one, which waits for the others, too; the same exchange by
        itself; and a small message to all and back.
        """
        found: list[tuple[float, list[float], float, float]] = []
        for _ in range(self._steps(seconds)):
            self.log.begin()
            self.step()
            now = time.perf_counter() - self.log.began
            log = self.log
            found.append((now, log.starts, log.end - log.began - log.starts[0], log.waited))
        steps, starts, spans, waits = zip(*found, strict=True)
        ready = [statistics.median(each) for each in zip(*starts, strict=True)]
        waited = [*zip(*self.world.gathered(waits), strict=True)]  # of each step: of each process
        return {"step": statistics.median(steps), "starts": ready, "span": statistics.median(spans),
                "waited": statistics.median(map(min, waited)), "longest": statistics.median(map(max, waited)),
                "alone": self._exchange(), "message": self._message()}

    def _exchange(self) -> float:
        """Return the seconds in which all buckets are summed, while nobody does anything else."""
        size, times = self.world.size, list[float]()
        reductions = [self.world.reduction(length) for length in self.lengths]
        arrays = [np.ones(length, np.float32) for length in self.lengths]
        places = [[(rank, 1)] for rank in range(size)]
        for _ in range(REPEATS):
            self.world.gathered(None)
            began = time.perf_counter()
            for reduction, array in zip(reductions, arrays, strict=True):
                reduction.start([Block(self.world.rank, 1, array)], places)
            for reduction in reductions:
                reduction.progress(to_the_end=True)
            for reduction in reductions:
                reduction.finish()
            times.append(time.perf_counter() - began)
        return statistics.median(times[1:])

    def _message(self) -> float:
        began = time.perf_counter()
        for _ in range(10 * REPEATS):
            self.world.largest(0)
        return (time.perf_counter() - began) / (10 * REPEATS)

    def apart(self, seconds: float) -> Reply:
        """Return the time of the steps in which each process learns from its share of the images by itself, all at the
        same time: what a step costs without any exchange.
        """
        images = np.array_split(self.images, self.world.size)[self.world.rank]
        labels = np.array_split(self.labels, self.world.size)[self.world.rank]
        trainer = self._trainer(1, None)
        trainer.step(images, labels)
        self.world.gathered(None)
        times = self.world.gathered(timed(lambda: trainer.step(images, labels), seconds)["median"])
        return {"step": max(times)}

    def batches(self, sizes: Sequence[int], seconds: float) -> Reply:
        """Return the time of steps with so many images each; and of handling the gradients of a step: putting them
        into buckets, and taking the sums out.
        """
        trainer, times = self._trainer(1, None), list[float]()
        for size in sizes:
            step = partial(trainer.step, self.images[:size], self.labels[:size])
            step()
            times.append(timed(step, seconds)["median"])
        parts = Shards(trainer.network, 1)

        def handle() -> None:
            parts.start(2)
            parts.begin(0, 1.0)
            parts.end()
            parts.finish()

        handle()
        return {"seconds": times, "handling": timed(handle, min(seconds, 0.5))["median"]}


class Leading:
    """Has all processes do what the leading one is asked to do."""

    def __init__(self, worker: Ranks) -> None:
        self._worker = worker

    def __getattr__(self, name: str) -> Callable[..., Reply]:
        def together(**arguments: Any) -> Reply:
            self._worker.world.agreed(lambda: (name, arguments))
            result: Reply = getattr(self._worker, name)(**arguments)
            return result

        return together


def follow(worker: Ranks) -> None:
    """Do what the leading process is asked to do, until it is asked no more."""
    nothing: tuple[Any, ...] = ()
    while asked := worker.world.agreed(lambda: nothing):
        answer(worker, *asked)


def main() -> None:
    worker = Ranks()
    if worker.world.leads:
        serve(Leading(worker))
        worker.world.agreed(lambda: ())
    else:
        os.dup2(2, 1)
        follow(worker)


if __name__ == "__main__":
    main()
