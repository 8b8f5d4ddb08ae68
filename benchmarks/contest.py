"""Contenders that take turns: each is a worker in a process of its own, which is stopped while another runs, because a
pool of threads that spins takes the core from whoever is measured. The parts (training.py, inference.py, …) say who
runs what; figures.py sums up, machine.py measures the machine in every round."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TORCH_MODES = ("eager", "channels_last", "compiled", "channels_last compiled")
SETTLE = 0.05  # seconds for the last threads of whoever ran before to be stopped
PREPARE_SECONDS = 900.0  # torch.compile of a large network
FIRST = "ours"  # the contender that all others are rivals of
HOPELESS = 1.5  # times the quickest rival's step


class Failure(Exception):
    """A contender cannot do what was asked; the message says why, for its row."""


class Contender:
    """A worker process. name is what tables call it, module the file in workers/, python its interpreter. starter is a
    command that starts it, like mpiexec: the worker is then several processes, of which the first one answers."""

    def __init__(self, name: str, module: str, python: str = sys.executable, threads: int = 1,
                 starter: Sequence[str] = ()) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [*starter, python, "-m", f"benchmarks.workers.{module}"], cwd=ROOT, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True)
        self._unread = b""

    def ask(self, do: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        """Send one request and return the answer. Raises Failure where there is none, or it says what went wrong."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failure(self._last_words()) from None
        reply = json.loads(self._line(timeout))
        if not reply.pop("ok"):
            raise Failure(reply["error"])
        return dict(reply)

    def _line(self, timeout: float) -> bytes:
        assert self._process.stdout is not None
        end, descriptor = time.monotonic() + timeout, self._process.stdout.fileno()
        while b"\n" not in self._unread:
            if not select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
                raise Failure(f"no answer in {timeout:.0f} s")
            part = os.read(descriptor, 1 << 16)
            if not part:
                raise Failure(self._last_words())
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"ended with {self._process.returncode}: {lines[-1] if lines else 'without a word'}"

    def stop(self) -> None:
        """Let no thread of it run until ``go_on``."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process and whatever it started."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._errors):
            assert file is not None
            file.close()

    def _signal(self, number: int) -> None:
        for group in self._groups():
            with suppress(ProcessLookupError):  # whole groups: torch.compile keeps helpers
                os.killpg(group, number)

    def _groups(self) -> set[int]:
        """Return the process groups of whatever it started. mpiexec gives each process one of its own."""
        groups, left = {self._process.pid}, [self._process.pid]
        while left:
            parent = left.pop()
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                with suppress(OSError):  # it has just ended
                    for child in map(int, children.read_text().split()):
                        left.append(child)
                        groups.add(os.getpgid(child))
        return groups

    def __enter__(self) -> "Contender":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@contextmanager
def alone(contender: Contender) -> Iterator[Contender]:
    """Let a stopped contender run for a while."""
    contender.go_on()
    try:
        yield contender
    finally:
        contender.stop()
        time.sleep(SETTLE)


@dataclass(frozen=True)
class Run:
    """A way to run: further options of the request, and what else goes on meanwhile."""

    options: Mapping[str, Any] = field(default_factory=dict)
    beside: Callable[[], AbstractContextManager[object]] = nullcontext


class Contest:
    """Contenders that were prepared, in the order of their joining; ``notes`` says who could not be and why."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.prepared: dict[str, dict[str, Any]] = {}  # what each answered to "prepare"
        self._contenders: list[Contender] = []

    def join(self, name: str, module: str, python: str = sys.executable, *, threads: int = 1,
             starter: Sequence[str] = (), **options: Any) -> bool:
        """Start a contender and prepare it, alone; return whether that went well."""
        contender = Contender(name, module, python, threads, starter)
        self._contenders.append(contender)
        try:
            self.prepared[name] = contender.ask("prepare", PREPARE_SECONDS, threads=threads, **options)
        except Failure as failure:
            self.leave(name, str(failure))
            return False
        contender.stop()
        return True

    def leave(self, name: str, why: str) -> None:
        """Take one out, and note why."""
        self.notes.append(f"{name}: {why}")
        for contender in [c for c in self._contenders if c.name == name]:
            self._contenders.remove(contender)
            contender.close()

    def rounds(self, rounds: int, seconds: float, between: Callable[[], object] = lambda: None,
               runs: Sequence[Run] = (Run(),), rivals: bool = False) -> dict[str, list[list[dict[str, Any]]]]:
        """Let everybody run in every round; return {name: [an answer a round, for each of runs]}.

        between is called at the start of each round, when nobody runs. runs are taken by turns within a round. With
        rivals only the best of the peers counts in the end, and those that stand no chance leave after one round.
        """
        answers: dict[str, list[list[dict[str, Any]]]] = {c.name: [[] for _ in runs] for c in self._contenders}
        for number in range(rounds):
            between()
            for place, run in enumerate(runs):
                for contender in _turned(self._contenders, number):
                    try:
                        with run.beside(), alone(contender):
                            answer = contender.ask("run", 60 + 100 * seconds, seconds=seconds, **run.options)
                        answers[contender.name][place].append(answer)
                    except Failure as failure:
                        self.leave(contender.name, str(failure))
                        del answers[contender.name]
            if rivals and number == 0:
                self._dismiss({name: parts[0][0]["median"] for name, parts in answers.items() if name != FIRST})
        return answers

    def _dismiss(self, steps: Mapping[str, float]) -> None:
        """End those whose step takes much longer than the quickest one's."""
        limit = HOPELESS * min(steps.values(), default=0.0)
        for contender in [c for c in self._contenders if steps.get(c.name, 0.0) > limit]:
            self._contenders.remove(contender)
            contender.close()

    def ask(self, name: str, do: str, timeout: float = 60.0, **arguments: Any) -> dict[str, Any]:
        """Ask one contender something else."""
        contender = next(c for c in self._contenders if c.name == name)
        with alone(contender):
            return contender.ask(do, timeout, **arguments)

    def __enter__(self) -> "Contest":
        return self

    def __exit__(self, *exception: object) -> None:
        for contender in self._contenders:
            contender.close()


def _turned(contenders: Sequence[Contender], by: int) -> list[Contender]:
    """Everybody, beginning with another one each round, so that none always follows the same."""
    by %= max(1, len(contenders))
    return [*contenders[by:], *contenders[:by]]
