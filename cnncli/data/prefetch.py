"""Work in threads ahead of the code that needs its results. Threads take items in order, results come out in the same
order, and only a few of them exist at a time. Images are decoded this way wherever many are needed: when they are
loaded, for batches without a cache, and by Model.predictions, while the network runs on the earlier ones.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

    Job: TypeAlias = tuple[Future[Any], Callable[[], Any]]

_QUICK = 3e-4  # seconds of one core for an image; below, the interpreter's lock makes two threads slower than one
_WAITS = 3  # times the processor time that a piece may last before it seems to wait for the disk
_PARTING = 0.5  # seconds that work which nobody wants any more is waited for
_PATIENCE = 64  # pieces that show no need for many threads before there is one again

Item = TypeVar("Item")
Result = TypeVar("Result")


class GivenUp(Exception):
    """The result is not wanted any more."""


class ConcurrencyLimit:
    """A semaphore that sets its own limit: all of a few threads may work at a time, or only one if more would be
    slower.

    Most of the time that a small image takes is spent in the interpreter, which runs one thread at a time. Two threads
    then do half as much as one, because they pass its lock to each other at every file operation. So there is one at
    first, and all if a piece of work shows that its images take long or that it waits. Neither what is decoded nor the
    order of the results depends on it.
    """

    def __init__(self, threads: int) -> None:
        self._threads, self._limit, self._active, self._patience = threads, 1, 0, 0
        self._closed = False
        self._change = threading.Condition()

    @contextmanager
    def slot(self, images: int) -> Iterator[None]:
        """Wait for a slot, hold it in the with statement, and learn from its time. images is how many images it is for.
        Raises GivenUp if the limit is closed.
        """
        with self._change:
            while self._active >= self._limit and not self._closed:
                self._change.wait()
            if self._closed:
                raise GivenUp
            self._active += 1
        wall, processor = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            with self._change:
                self._active -= 1
                self._adapt(images, time.perf_counter() - wall, time.thread_time() - processor)
                self._change.notify_all()

    def close(self) -> None:
        """Let whoever works or waits for a slot end it: the results are not wanted any more."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def wanted(self, piece: Iterable[Item]) -> Iterator[Item]:
        """Pass on what a piece of work is about, one by one; raises GivenUp as soon as the limit is closed."""
        for item in piece:
            if self._closed:
                raise GivenUp
            yield item

    def _adapt(self, images: int, wall: float, processor: float) -> None:
        slow = processor > _QUICK * images
        if slow or (self._limit == 1 and wall > _WAITS * processor):
            self._limit, self._patience = self._threads, _PATIENCE
        elif self._limit > 1:  # beside others a wait may be for the lock: look again, alone, after a while
            self._patience -= 1
            if not self._patience:
                self._limit = 1


def prefetch(work: Callable[[Item], Result], items: Iterable[Item], threads: int, most: int,
             beat: float | None = None, limit: ConcurrencyLimit | None = None) -> Generator[Result | None, None, None]:
    """Yield work(item) for all items in order. Up to ``most`` of them are done, or being done, before they are needed.

    items is only read in the caller's thread. With beat, None comes every so many seconds while a result takes long.
    What work raises is raised here, in its turn. When the iterator is closed early, limit is closed (work checks it by
    ``wanted``), and work that has begun is waited for, but not for long. A single item is done in the calling thread,
    and all are if the system starts no thread.
    """
    items = iter(items)
    first = list(islice(items, most))
    jobs: SimpleQueue[Job | None] = SimpleQueue()
    workers = _start(min(threads, len(first)), jobs) if len(first) > 1 else []
    source = chain(first, items)
    if not workers:
        for item in source:
            yield work(item)
        return
    from concurrent.futures import Future, wait  # not at the top: one image is judged without it

    def begin(item: Item) -> "Future[Result]":
        future: Future[Result] = Future()
        jobs.put((future, lambda: work(item)))
        return future

    waiting: deque[Future[Result]] = deque()
    try:
        waiting.extend(begin(item) for item in islice(source, most))
        while waiting:
            while beat is not None and not wait([waiting[0]], beat).done:
                yield None
            result = waiting.popleft().result()
            waiting.extend(begin(item) for item in islice(source, 1))
            yield result
    finally:
        _end(workers, jobs, waiting, limit)


def _start(count: int, jobs: "SimpleQueue[Job | None]") -> list[threading.Thread]:
    """Return as many threads as asked for, or as the system starts. They keep no process from ending: an interrupted
    command does not wait for a large image."""
    workers: list[threading.Thread] = []
    for number in range(count):
        worker = threading.Thread(target=_serve, args=(jobs,), name=f"cnn-decode_{number}", daemon=True)
        try:
            worker.start()
        except RuntimeError:  # a limit on processes or memory
            break
        workers.append(worker)
    return workers


def _serve(jobs: "SimpleQueue[Job | None]") -> None:
    while (job := jobs.get()) is not None:
        future, work = job
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
        del job, future, work  # nothing is kept while this waits


def _end(workers: Sequence[threading.Thread], jobs: "SimpleQueue[Job | None]", waiting: "Iterable[Future[Any]]",
         limit: ConcurrencyLimit | None) -> None:
    if limit:
        limit.close()
    for future in waiting:
        future.cancel()
    for _ in workers:
        jobs.put(None)
    end = time.monotonic() + _PARTING
    for worker in workers:
        worker.join(max(0.0, end - time.monotonic()))
