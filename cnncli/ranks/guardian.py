"""A small process beside several that work together: it notices if one of them ends without a word, says which and
where, and has the others end, too. The one that ended cannot say it, and what started them (mpiexec) may end the others
at once. The leading process starts this file as a program; it imports nothing but Python's own modules.

Standard input has one line: how many processes there are, a word that they know each other by, and the address to
listen at. Standard output gets one line: the port. Each process then sends lines, each a list as JSON:

    ["hello", word, rank, host]        first
    ["advice", sentence]               what continues the work
    ["failed", code, sentence]         it ends because of an error
    ["bye"]                            it ends as it should

and gets ["end", code, whether it ends all others] when it has to end.
"""

import contextlib
import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable

GRACE = 1.0  # seconds in which the leading process may say itself what happened
PARTING = 10.0  # seconds until it gives up waiting for processes to end


class Line:
    """The line to one process."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.rank, self.host = connection, -1, ""
        self.rest = b""
        self.said_bye = False

    def received(self) -> "list[list[object]] | None":
        """Return the lists that came; None when the line is at its end."""
        try:
            data = self.connection.recv(65536)
        except OSError:
            data = b""
        if not data:
            return None
        *whole, self.rest = (self.rest + data).split(b"\n")
        found = []
        for each in whole:
            try:
                found.append(json.loads(each))
            except ValueError:
                continue
        return found

    def end(self, code: int, everybody: bool) -> None:
        """Tell the process to end, and to end everybody."""
        with contextlib.suppress(OSError):
            self.connection.sendall(json.dumps(["end", code, everybody]).encode() + b"\n")


class Guardian:
    """Watches the lines, and decides who ends why."""

    def __init__(self, size: int, word: str, say: Callable[[str], object]) -> None:
        self.size, self.word, self.say = size, word, say
        self.lines: dict[socket.socket, Line] = {}
        self.advice = ""
        self.failed: dict[int, tuple[int, str, str]] = {}  # by rank: exit code, sentence, host
        self.decide_at = float("inf")
        self.ending = False
        self.ended = 0

    def heard(self, line: Line, what: "list[object]") -> None:
        """Take what a process said."""
        kind = what[0] if what else ""
        if kind == "hello" and what[1] == self.word:
            line.rank, line.host = int(str(what[2])), str(what[3])
        elif line.rank < 0:
            return
        elif kind == "advice":
            self.advice = str(what[1])
        elif kind == "bye":
            line.said_bye = True
        elif kind == "failed":
            self.fails(line, int(str(what[1])), str(what[2]), GRACE)

    def lost(self, line: Line) -> None:
        """Take it that a process has ended."""
        self.ended += line.rank >= 0
        if line.rank >= 0 and not line.said_bye and line.rank not in self.failed and not self.ending:
            # Those that mpiexec ends because of the first one come at once after it.
            self.fails(line, 1, "ended without a word: it was killed, or the machine had no memory left.", 0.0)

    def fails(self, line: Line, code: int, sentence: str, grace: float) -> None:
        """Note why a process fails, and when to say it."""
        self.failed.setdefault(line.rank, (code, sentence, line.host))
        everybody = len(self.failed) == self.size
        self.decide_at = min(self.decide_at, time.monotonic() + (0.0 if everybody else grace))

    def decide(self) -> None:
        """Say who failed, if the leading process does not, and have all processes end."""
        self.ending, self.decide_at = True, float("inf")
        code = self.failed[0][0] if 0 in self.failed else next(iter(self.failed.values()))[0]
        told_itself = 0 in self.failed and not self.failed[0][1].startswith("ended without")
        if not told_itself:
            rank, (_, sentence, host) = next(iter(self.failed.items()))
            silent = sentence.startswith("ended without")
            text = f"rank {rank} on {host}{'' if silent else ':'} {sentence.rstrip('.')}."
            self.say(f"cnn: {text} All processes end.{' ' * bool(self.advice)}{self.advice}")
        # One asks MPI to end all, so that the exit code is this one; if it cannot, each ends by itself a little later.
        for number, line in enumerate(sorted(self.lines.values(), key=lambda line: line.rank)):
            line.end(code, number == 0)


def serve(guardian: Guardian, listener: socket.socket) -> None:
    """Watch until all processes have ended."""
    try:
        _watch(guardian, listener)
    finally:
        for line in guardian.lines.values():
            line.connection.close()


def _watch(guardian: Guardian, listener: socket.socket) -> None:
    began = time.monotonic()
    with selectors.DefaultSelector() as watched:
        watched.register(listener, selectors.EVENT_READ)
        while guardian.ended < guardian.size:
            now = time.monotonic()
            if guardian.decide_at <= now:
                guardian.decide()
                began = now
            if (guardian.ending and now - began > PARTING) or (not guardian.lines and now - began > 6 * PARTING):
                return
            for key, _ in watched.select(min(1.0, max(0.0, guardian.decide_at - now))):
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    guardian.lines[connection] = Line(connection)
                    watched.register(connection, selectors.EVENT_READ)
                    continue
                line = guardian.lines[key.fileobj]  # type: ignore[index]
                found = line.received()
                if found is None:
                    watched.unregister(line.connection)
                    del guardian.lines[line.connection]
                    line.connection.close()
                    guardian.lost(line)
                for what in found or ():
                    guardian.heard(line, what)


def to_stderr(sentence: str) -> None:
    """Say something to whoever started the processes."""
    with contextlib.suppress(OSError):  # nobody to tell
        os.write(2, f"{sentence}\n".encode())


def main() -> None:
    """Read what to do from standard input, and do it until all have ended."""
    size, word, address = sys.stdin.readline().split()
    with socket.create_server((address, 0), backlog=max(128, int(size))) as listener:
        os.write(1, f"{listener.getsockname()[1]}\n".encode())
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        serve(Guardian(int(size), word, to_stderr), listener)


if __name__ == "__main__":
    main()
