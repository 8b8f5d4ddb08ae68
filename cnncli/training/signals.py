"""Ctrl-C and SIGTERM during training, and others who ask it to stop. The first signal only sets a flag. fit.py looks at
the flag after each step and between batches, so nothing is saved from inside a signal handler and no step is cut in
two. The second signal does what it did before the training: of the program cnn it ends the process at once, as if it
were not handled; a caller from Python has its own handlers back, and Ctrl-C raises KeyboardInterrupt. Every file is
replaced in one step, so none is damaged.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from .. import errors
from ..ranks.world import World


class StopFlag:
    """Whether the training was asked to stop. ``signal`` is the number of the first signal, 0 before; ``ask`` stands
    for Ctrl-C and says who asked.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._asker = ""

    def __bool__(self) -> bool:
        return self.signal != 0

    @property
    def cause(self) -> str:
        """Who asked, for a sentence: "Ctrl-C", "SIGTERM", or what ``ask`` was given."""
        if self._asker or not self.signal:
            return self._asker
        return "Ctrl-C" if self.signal == signal.SIGINT else signal.Signals(self.signal).name

    def agree(self, world: World) -> bool:
        """Return whether any of the processes that train together was asked to stop by now. All call it at the same
        place, and know it then.
        """
        number = world.largest(self.signal)
        self.signal = self.signal or number
        return number != 0

    def ask(self, cause: str) -> None:
        """Ask to stop, unless somebody has asked. May be called from any thread."""
        if not self.signal:
            self._asker, self.signal = cause, int(signal.SIGINT)


def _stopping() -> list[int]:
    """Return the signals that ask a training to stop. A hang-up that nohup has disabled stays disabled."""
    wanted = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
        wanted.append(hangup)
    return [int(number) for number in wanted]


@contextlib.contextmanager
def catch_stops() -> Iterator[StopFlag]:
    """Turn SIGINT and SIGTERM into a StopFlag inside the with statement. Afterwards the handlers are what they were.

    Outside the main thread Python accepts no handlers, and signals do not set the flag.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        flag.signal = flag.signal or number
        for each, handler in before.items():
            signal.signal(each, signal.SIG_DFL if errors.on_command_line or handler is None else handler)

    try:
        for number in _stopping():
            before[number] = signal.getsignal(number)
            signal.signal(number, stop)
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
