"""Something else that wants the cores: a process beside each, which loops for ever and is stopped while nobody asks
for it. threads.py measures what training keeps of its speed next to them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Busy:
    """One process for each CPU that we may use, bound to it where the system can."""

    def __init__(self) -> None:
        cpus: list[int | None] = [*sorted(os.sched_getaffinity(0))] if hasattr(os, "sched_getaffinity") else []
        self._processes: list[subprocess.Popen[bytes]] = []
        for cpu in cpus or [None] * (os.cpu_count() or 1):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            self._processes.append(process)
            if cpu is not None:
                with suppress(OSError):
                    os.sched_setaffinity(process.pid, {cpu})
        self._signal(signal.SIGSTOP)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Keep every CPU busy for a while."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: int) -> None:
        for process in self._processes:
            process.send_signal(number)

    def __enter__(self) -> "Busy":
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
