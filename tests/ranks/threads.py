"""Several processes that are threads of one: a World for tests that want several without MPI, and the two ways to send
that a Reduction needs."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from cnncli.ranks.reduction import Reduction
from cnncli.ranks.shared import SharedReduction
from cnncli.ranks.world import World

T = TypeVar("T")


class _Common:
    def __init__(self, size: int, in_memory: bool) -> None:
        self.in_memory = in_memory
        self.size, self.barrier = size, threading.Barrier(size, timeout=60)
        self.slots: list[Any] = [None] * size
        self.posted: dict[tuple[str, int], list[Any]] = {}
        self.lock, self.arrays = threading.Condition(), dict[int, Any]()
        self.handed = [list[Any]() for _ in range(size)]


class _Way:
    """Exchanges that do not wait: the n-th of a kind meets the n-th of the others."""

    def __init__(self, common: _Common, rank: int, name: str) -> None:
        self._common, self._rank, self._name, self._number = common, rank, name, 0

    def Get_size(self) -> int:
        return self._common.size

    def Get_rank(self) -> int:
        return self._rank

    def Ialltoallv(self, send: Any, receive: Any) -> "_Request":
        data, (counts, starts), _ = send
        pieces = [data[start : start + count].copy() for count, start in zip(counts, starts, strict=True)]
        return self._post(pieces, lambda every: [pieces[self._rank] for pieces in every], receive)

    def Iallgatherv(self, send: Any, receive: Any) -> "_Request":
        return self._post(send[0].copy(), lambda every: every, receive)

    def Ibarrier(self) -> "_Request":
        return self._post(None, lambda every: [], (None, ((), ()), None))

    def _post(self, own: Any, pick: Callable[[list[Any]], list[Any]], receive: Any) -> "_Request":
        key = (self._name, self._number)
        self._number += 1
        with self._common.lock:
            self._common.posted.setdefault(key, [None] * self._common.size)[self._rank] = [own]
            self._common.lock.notify_all()
        return _Request(self._common, key, pick, receive)


class _Request:
    def __init__(self, common: _Common, key: tuple[str, int], pick: Callable[[list[Any]], list[Any]], receive: Any
                 ) -> None:
        self._common, self._key, self._pick, self._receive, self._done = common, key, pick, receive, False

    def Test(self) -> bool:
        with self._common.lock:
            every = self._common.posted[self._key]
            if not self._done and all(every):
                data, (counts, starts), _ = self._receive
                for piece, count, start in zip(self._pick([each[0] for each in every]), counts, starts, strict=True):
                    assert len(piece) == count
                    data[start : start + count] = piece
                self._done = True
        return self._done


class Threads(World):
    """One of several that are threads."""

    def __init__(self, common: _Common, rank: int) -> None:
        self._common, self.rank, self.size, self.local = common, rank, common.size, common.size
        self._out, self._back = _Way(common, rank, "out"), _Way(common, rank, "back")
        self._memories = 0

    def gathered(self, value: T) -> list[T]:
        self._common.slots[self.rank] = value
        self._common.barrier.wait()
        found = list(self._common.slots)
        self._common.barrier.wait()
        return found

    def agreed(self, make: Callable[[], T]) -> T:
        return self.gathered(make() if self.leads else None)[0]  # type: ignore[return-value]

    def clock(self) -> float:
        return self.gathered(time.perf_counter())[0]

    def largest(self, value: int) -> int:
        return max(self.gathered(value))

    def rows(self, own: Any, counts: Sequence[int]) -> Any:
        assert len(own) == counts[self.rank]
        return np.concatenate(self.gathered(own.copy()))

    def memory(self, shape: Sequence[int], dtype: Any) -> Any:
        return self.gathered(np.zeros(shape, dtype) if self.leads else None)[0]

    def completed(self, array: Any, rows: Any) -> None:
        self.gathered(None)

    def once(self, change: Callable[[], None]) -> None:
        self.agreed(change)

    def same(self, what: str, value: Any, remedy: str) -> None:
        found = self.gathered(value)
        assert all(each == found[0] for each in found), what

    def reduction(self, length: int) -> Reduction | SharedReduction:
        if self._common.in_memory:
            return SharedReduction(self._out, self._back, lambda shape: self.memory(shape, np.float32), length)
        return Reduction(self._out, self._back, length)

    def handed_in(self, value: object) -> Callable[[], object]:
        with self._common.lock:
            self._common.handed[self.rank].append(value)
            self._common.lock.notify_all()
        return lambda: None

    def handed_in_by(self, rank: int) -> Any:
        with self._common.lock:
            assert self._common.lock.wait_for(lambda: self._common.handed[rank], 60)
            return self._common.handed[rank].pop(0)


def together(size: int, work: Callable[[World], T], in_memory: bool = False) -> list[T]:
    """Return what work returns in each of so many threads, which wait for each other. in_memory: they sum as processes
    of one machine do. Raises what the first one raised."""
    common = _Common(size, in_memory)
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            results[rank] = work(Threads(common, rank))
        except BaseException as error:
            errors.append(error)
            common.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    real = [error for error in errors if not isinstance(error, threading.BrokenBarrierError)]
    if errors:
        raise (real or errors)[0]
    return results
