"""The line from each of several processes to the guardian: as long as it holds, the process lives. Over it comes the
word to end, when another process has failed.
"""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from . import guardian

before_end: list[Callable[[], object]] = []  # what is done before the process ends, like writing what was printed
_LATE = 2.0  # seconds after which a process ends by itself
_PATIENCE = guardian.GRACE + 2 * _LATE  # seconds for the guardian to answer


def start_guardian(size: int, everywhere: bool) -> tuple[int, str] | None:
    """Start the guardian; return its port, and the word that it knows its processes by. everywhere: they run on several
    machines. None: it could not be started, and whoever started the processes has to notice if one ends.
    """
    word, process, stderr = secrets.token_hex(16), None, _outer_stderr()
    try:
        process = subprocess.Popen([sys.executable, "-I", "-S", str(Path(guardian.__file__))], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=stderr, start_new_session=True, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin, process.stdout:
            process.stdin.write(f"{size} {word} {'0.0.0.0' if everywhere else '127.0.0.1'}\n")
            process.stdin.flush()
            port = int(process.stdout.readline())
    except (OSError, ValueError):
        if process is not None:
            process.kill()
            process.wait()
        return None
    finally:
        if stderr is not None:
            os.close(stderr)
    process.returncode = 0  # it outlives this process; nobody waits for it
    return port, word


def _outer_stderr() -> int | None:
    """Return what mpiexec itself writes to, if it runs on this machine and the system tells: mpiexec passes on nothing
    any more once it ends the processes.
    """
    pid = os.getppid()
    with contextlib.suppress(OSError, ValueError, IndexError):
        while pid > 1:
            name, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")
            if "(mpi" in name:
                return os.open(f"/proc/{pid}/fd/2", os.O_WRONLY | os.O_APPEND)
            pid = int(rest.split()[1])
    return None


class Lifeline:
    """The line of one process."""

    def __init__(self, rank: int, address: str, port: int, word: str, end_all: Callable[[int], object]) -> None:
        self._end_all = end_all
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._socket = socket.create_connection((address, port), timeout=30.0)
        self._socket.settimeout(None)
        self.say("hello", word, rank, socket.gethostname())
        threading.Thread(target=self._listen, name="cnn-lifeline", daemon=True).start()

    def say(self, *what: Any) -> None:
        """Send something. A guardian that is gone hears nothing."""
        with self._lock, contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(what).encode() + b"\n")

    def close(self) -> None:
        """Say that this process ends as it should."""
        self.say("bye")
        self._socket.close()

    def fail(self, code: int, sentence: str) -> NoReturn:
        """Say that this process fails, and end with it when the guardian has heard the others."""
        self.say("failed", code, sentence)
        self._ended.wait(_PATIENCE)  # _listen ends the process
        os._exit(code)

    def _listen(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := self._socket.recv(4096):
                rest += data
                if b"\n" in rest:
                    _, code, everybody = json.loads(rest.partition(b"\n")[0])
                    _end(int(code), self._end_all if everybody else None)
        self._ended.set()


def _end(code: int, end_all: Callable[[int], object] | None) -> None:
    """End the process, as it stands. What it has written is whole: files are replaced in one step."""
    late = threading.Timer(_LATE, os._exit, [code])  # a stream may be held by whoever writes to it
    late.daemon = True
    late.start()
    if end_all is None:
        return  # all others end with whoever ends all
    for last in before_end:
        with contextlib.suppress(Exception):
            last()
    end_all(code)


__all__ = ["Lifeline", "start_guardian"]
