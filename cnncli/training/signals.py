"""Ctrl-C and SIGTERM during training. The first one only sets a flag, which fit.py looks at after each step and
between batches, so that nothing is saved from inside a handler and no step is cut in two. The second one ends the
process on the spot, as if nobody had handled it: every file is replaced in one step, so none is damaged.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class StopFlag:
    """Whether somebody asked to stop: ``signal`` is the first signal's number, 0 before."""

    def __init__(self) -> None:
        self.signal = 0

    def __bool__(self) -> bool:
        return self.signal != 0

    @property
    def cause(self) -> str:
        """What happened, for a sentence: "Ctrl-C", "SIGTERM"."""
        return "Ctrl-C" if self.signal == signal.SIGINT else signal.Signals(self.signal).name if self.signal else ""


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
