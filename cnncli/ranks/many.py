"""Several processes, by MPI (the package mpi4py). Importing this module begins MPI; current.py does that only in a
process that was started as one of several.
"""

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import numpy as np
from mpi4py import MPI

from .. import kernels
from ..errors import UsageError, printable
from ..kernels import Array
from .lifeline import Lifeline, start_guardian
from .reduction import PAUSE, Reduction, wait
from .shared import SharedReduction
from .world import World

T = TypeVar("T")
_AT_ONCE = 2**28  # bytes of one message


class Many(World):
    """The processes that MPI has started. Besides the common methods: three ways to speak, so that what is sent for
    gradients while others compute never meets with anything else.
    """

    def __init__(self) -> None:
        self._comm = MPI.COMM_WORLD
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()
        self._machine: Any = self._comm.Split_type(MPI.COMM_TYPE_SHARED, self.rank)
        self.local = self._machine.Get_size()
        self._firsts = self._comm.Split(0 if self._machine.Get_rank() == 0 else MPI.UNDEFINED, self.rank)
        self._machines = self._comm.allgather(self._machine_number())
        self._out, self._back = self._comm.Dup(), self._comm.Dup()
        self._windows: list[Any] = []
        self._share_cpus()
        self._lifeline = self._connected()
        atexit.register(self._bye)
        self._hook, sys.excepthook = sys.excepthook, self._uncaught

    def _share_cpus(self) -> None:
        """Use this process's part of the CPUs, unless it was told how many threads, or was given CPUs of its own."""
        cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        alike = all(other == cpus for other in self._machine.allgather(cpus))
        if alike and not os.environ.get("CNN_THREADS"):
            kernels.set_threads(max(1, kernels.available_cpus() // self.local))

    def _machine_number(self) -> int:
        """Return a number that the processes of one machine have in common: the lowest of their ranks."""
        return int(self._machine.allreduce(self.rank, op=MPI.MIN))

    def _connected(self) -> Lifeline | None:
        """Return the line to the guardian, which the leading process starts."""
        everywhere = any(self._comm.allgather(self.local != self.size))
        found = None
        if self.leads and (started := start_guardian(self.size, everywhere)):
            found = (socket.gethostname() if everywhere else "127.0.0.1", *started)
        found = self._comm.bcast(found)
        if found is None:
            return None
        try:
            address, port, word = found
            return Lifeline(self.rank, address, port, word, self._end_all)
        except OSError:  # its machine is not to be reached by this name
            return None

    def _meet(self) -> None:
        """Wait until all processes have come here. Whatever they then say to each other takes no time; MPI itself would
        wait with all its might, and take the CPU from those that are waited for.
        """
        wait(self._comm.Ibarrier())

    def _end_all(self, code: int) -> None:
        """End all processes with an exit code. Why is said already, so MPI's own words go nowhere."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        self._comm.Abort(code)

    def agreed(self, make: Callable[[], T]) -> T:
        made = make() if self.leads else None
        self._meet()
        result: T = self._comm.bcast(made)
        return result

    def gathered(self, value: T) -> list[T]:
        self._meet()
        found: list[T] = self._comm.allgather(value)
        return found

    def largest(self, value: int) -> int:
        self._meet()
        found = np.array([value], np.int64)
        self._comm.Allreduce(MPI.IN_PLACE, found, op=MPI.MAX)
        return int(found[0])

    def rows(self, own: Array, counts: Sequence[int]) -> Array:
        self._meet()
        each = int(np.prod(own.shape[1:], dtype=np.int64))
        found: Array = np.empty((sum(counts), *own.shape[1:]), own.dtype)
        kind, sizes = own.dtype.char, [count * each for count in counts]
        self._comm.Allgatherv([np.ascontiguousarray(own), kind], [found, (sizes, None), kind])
        return found

    def clock(self) -> float:
        self._meet()
        now = np.array([time.perf_counter()])
        self._comm.Bcast(now)
        return float(now[0])

    def handed_in(self, value: object) -> Callable[[], object]:
        request = self._comm.isend(value, 0)
        return lambda: wait(request)

    def handed_in_by(self, rank: int) -> Any:
        while not self._comm.iprobe(source=rank):
            time.sleep(PAUSE)
        return self._comm.recv(source=rank)

    def memory(self, shape: Sequence[int], dtype: Any) -> Array:
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        first = self._machine.Get_rank() == 0
        window = MPI.Win.Allocate_shared(size if first else 0, 1, comm=self._machine)
        self._windows.append(window)
        buffer: Any = window.Shared_query(0)[0]
        found: Array = np.ndarray(tuple(shape), dtype, buffer=buffer)  # the system gives it as zeros
        self._machine.Barrier()
        return found

    def completed(self, array: Array, rows: Sequence[Sequence[int]]) -> None:
        self._meet()
        if self._firsts != MPI.COMM_NULL and self._firsts.Get_size() > 1:
            at_once = max(1, _AT_ONCE // max(1, array.nbytes // max(1, len(array))))
            firsts = sorted(set(self._machines))
            for machine, own in zip(self._machines, rows, strict=True):
                sends = machine == self._machines[self.rank]
                for start in range(0, len(own), at_once):
                    these = np.asarray(own[start : start + at_once])
                    part = array[these] if sends else np.empty((len(these), *array.shape[1:]), array.dtype)
                    self._firsts.Bcast([part.reshape(-1).view(np.uint8), MPI.BYTE], root=firsts.index(machine))
                    if not sends:
                        array[these] = part
        self._machine.Barrier()

    def once(self, change: Callable[[], None]) -> None:
        self._meet()
        if self._machine.Get_rank() == 0:
            change()
        self._meet()

    def same(self, what: str, value: Any, remedy: str) -> None:
        found = self.gathered((value, socket.gethostname()))
        for rank, (other, host) in enumerate(found):
            if other != found[0][0]:
                raise UsageError(f"the processes differ in {what}: rank {rank} on {host} has {printable(other)}, rank "
                                 f"0 on {found[0][1]} has {printable(found[0][0])}; {remedy}")

    def reduction(self, length: int) -> Reduction | SharedReduction:
        if self.local == self.size:
            return SharedReduction(self._out, self._back, lambda shape: self.memory(shape, np.float32), length)
        return Reduction(self._out, self._back, length)

    def advise(self, sentence: str) -> None:
        if self._lifeline:
            self._lifeline.say("advice", sentence)

    def fail(self, code: int, sentence: str) -> NoReturn:
        if self._lifeline:
            self._lifeline.fail(code, sentence)
        self._end_all(code)
        raise AssertionError("MPI has ended this process")

    def _uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Show an error that a script of the user does not catch, and end all processes: the others wait in vain."""
        self._hook(kind, error, trace)
        self.fail(1, f"{kind.__name__}: {error}")

    def _bye(self) -> None:
        """Leave as one should: when all are done."""
        for number in (signal.SIGINT, signal.SIGTERM):  # all is done; who is left only waits for the others
            if threading.current_thread() is threading.main_thread():
                signal.signal(number, signal.SIG_IGN)
        self._meet()
        if self._lifeline:
            self._lifeline.close()
