"""Ctrl-C and SIGTERM during training, and others who ask it to stop. The first signal only sets a flag, which fit.py
looks at after each step and between batches, so that nothing is saved from inside a handler and no step is cut in two.
The second one ends the process on the spot, as if nobody had handled it: every file is replaced in one step, so none is
damaged.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class StopFlag:
    """Whether somebody asked to stop: ``signal`` is the first signal's number, 0 before; or who else did, by ``ask``,
    which stands for Ctrl-C."""

    def __init__(self) -> None:
        self.signal = 0
        self._asker = ""

    def __bool__(self) -> bool:
        return self.signal != 0

    @property
    def cause(self) -> str:
        """What happened, for a sentence: "Ctrl-C", "SIGTERM"."""
        if self._asker or not self.signal:
            return self._asker
        return "Ctrl-C" if self.signal == signal.SIGINT else signal.Signals(self.signal).name

    def ask(self, cause: str) -> None:
        """Ask to stop, unless somebody has. May be called from any thread."""
        if not self.signal:
            self._asker, self.signal = cause, int(signal.SIGINT)


def _stopping() -> list[int]:
    """Return the signals that ask a training to stop. A hang-up that nohup has set aside stays set aside."""
    wanted = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
        wanted.append(hangup)
    return [int(number) for number in wanted]


@contextlib.contextmanager
def catch_stops() -> Iterator[StopFlag]:
    """Turn SIGINT and SIGTERM into a StopFlag inside the block; afterwards the handlers are what they were.

    Outside the main thread, where Python takes no handlers, the flag stays down.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        flag.signal = flag.signal or number
        for each in before:
            signal.signal(each, signal.SIG_DFL)

    try:
        for number in _stopping():
            before[number] = signal.getsignal(number)
            signal.signal(number, stop)
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
