"""Threads that the system does not start, and memory that it does not give: what can be done without them is done, and
else a sentence says what was short."""

import resource
import threading
from pathlib import Path

import numpy as np
import pytest

from cnncli.data.prefetch import prefetch

from .processes import COMMANDS, PATIENCE, run, start, strace

REFUSED = """
import threading
def refuse(self): raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
"""


def made(home: Path) -> Path:
    rng = np.random.default_rng(0)
    np.savez(home / "images.npz", images=rng.integers(0, 256, (600, 20, 20, 3), np.uint8), labels=np.arange(600) % 2)
    return home


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_does_without_threads(home: Path, command: str) -> None:
    made(home)
    out, err = run(*COMMANDS[command], before=REFUSED)
    assert out or err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "test", "predict", "check"])
def test_no_library_needs_a_thread_either(home: Path, command: str) -> None:
    """OpenBLAS, which NumPy brings along, ends a process whose threads it cannot start."""
    _, err = run(*COMMANDS[command], wrapper=strace("clone,clone3:error=EAGAIN"))
    assert "OpenBLAS" not in err


def test_what_one_thread_cannot_be_given_the_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, begun = threading.Thread.start, []

    def start_two(self: threading.Thread) -> None:
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        begun.append(self)
        begin(self)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    names = set(prefetch(lambda _: threading.current_thread().name, range(50), 8, 16))
    assert names <= {"cnn-decode_0", "cnn-decode_1"}
    assert list(prefetch(lambda number: number, range(50), 8, 16)) == list(range(50)), "and none at all"


def limited(megabytes: int) -> "dict[str, object]":
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))}


@pytest.mark.linux
@pytest.mark.slow
@pytest.mark.parametrize("command", [COMMANDS["check"], ("explain", "photos/stripe", "photos/check")], ids=" ".join)
def test_no_memory_for_products_is_a_sentence_of_ours(home: Path, command: tuple[str, ...]) -> None:
    """OpenBLAS ends a process that it finds no 32 MiB in. How much a command takes before is found first."""
    low, high, enough = 100, 420, False
    while high - low > 5:
        middle = (low + high) // 2
        process = start(*command, env={"CNN_THREADS": "1"}, **limited(middle))
        _, err = process.communicate(timeout=PATIENCE)
        assert "OpenBLAS" not in err, (middle, err)
        low, high, enough = (low, middle, True) if process.returncode == 0 else (middle, high, enough)
    assert enough


@pytest.mark.linux
@pytest.mark.slow
def test_a_memory_limit_is_named_and_where_one_thread_suffices_it_is_enough(home: Path) -> None:
    """From far too little to enough: always an answer, or a sentence; never OpenBLAS's end of the process."""
    ends = []
    for megabytes in range(60, 1000, 40):
        process = start("predict", "photos/stripe/s 0.png", env={"CNN_THREADS": "1"}, **limited(megabytes))
        out, err = process.communicate(timeout=60)
        if "Python" in err or "Fatal" in err or (process.returncode and not err):
            continue  # Python itself did not come up
        ends.append(process.returncode)
        assert "OpenBLAS" not in err, (megabytes, err)
        assert process.returncode == 0 or "memory" in err, (megabytes, err)
        if process.returncode == 0:
            assert "stripe" in out
            break
    assert ends[-1] == 0
