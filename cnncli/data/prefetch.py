"""Work that goes on beside whoever needs its results: threads take items in order, results come out in the same order,
and only a few of them exist at a time. Images are decoded this way wherever many are needed: when they are loaded, for
batches without a cache, and by Model.predictions, while the network runs on those before.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

_QUICK = 3e-4  # seconds of one core for an image; below, the interpreter's lock makes two threads slower than one
_WAITS = 3  # times the processor time that a piece may last before it seems to wait for the disk
_PATIENCE = 64  # pieces that show no need for many threads before there is one again

Item = TypeVar("Item")
Result = TypeVar("Result")


class ConcurrencyLimit:
    """A semaphore that sets its own limit: all of a few threads may work at a time, or one where more would be slower.

    Most of the time that a small image takes is spent in the interpreter, which runs one thread at a time; two then do
    half as much as one, because they hand its lock to each other at every file operation. So there is one at first,
    and all where a piece of work shows that its images take long or that it waits. What is decoded does not depend on
    it, nor in what order results are used.
    """

    def __init__(self, threads: int) -> None:
        self._threads, self._limit, self._active, self._patience = threads, 1, 0, 0
        self._change = threading.Condition()

    @contextmanager
    def slot(self, images: int) -> Iterator[None]:
        """Wait for a slot, hold it in the with block, and learn from its time; images is how many it is for."""
        with self._change:
            while self._active >= self._limit:
                self._change.wait()
            self._active += 1
        wall, processor = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            with self._change:
                self._active -= 1
                self._adapt(images, time.perf_counter() - wall, time.thread_time() - processor)
                self._change.notify_all()

    def _adapt(self, images: int, wall: float, processor: float) -> None:
        slow = processor > _QUICK * images
        if slow or (self._limit == 1 and wall > _WAITS * processor):
            self._limit, self._patience = self._threads, _PATIENCE
        elif self._limit > 1:  # beside others a wait may be for the lock: look again, alone, after a while
            self._patience -= 1
            if not self._patience:
                self._limit = 1


def prefetch(work: Callable[[Item], Result], items: Iterable[Item], threads: int, most: int,
             beat: float | None = None) -> Generator[Result | None, None, None]:
    """Yield work(item) for all items in order; up to ``most`` of them are done or under way before they are needed.

    items is only read in the caller's thread. With beat, None comes every so many seconds while a result takes long.
    What work raises is raised here, in its turn. When the iterator is closed half-way, work that has begun is waited
    for. A single item is done in the calling thread.
    """
    items = iter(items)
    first = list(islice(items, 2))
    if len(first) < 2:
        for item in first:
            yield work(item)
        return
    from concurrent.futures import ThreadPoolExecutor, wait  # not at the top: one image is judged without it

    executor = ThreadPoolExecutor(threads, thread_name_prefix="cnn-decode")
    source = chain(first, items)
    try:
        waiting: deque[Future[Result]] = deque(executor.submit(work, item) for item in islice(source, most))
        while waiting:
            while beat is not None and not wait([waiting[0]], beat).done:
                yield None
            result = waiting.popleft().result()
            waiting.extend(executor.submit(work, item) for item in islice(source, 1))
            yield result
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
