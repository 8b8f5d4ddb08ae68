"""How far something has got: a bar with the time left on a terminal, else a plain line now and then, on stderr."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..errors import printable
from .output import console, is_terminal, note

SHOW_SECONDS = 0.1  # between two movements of the bar
PLAIN_SECONDS = 10.0  # between two lines of progress where there is no terminal


class Progress:
    """How far something has got. ``advance`` and ``set`` may be called from any thread."""

    def __init__(self, what: str, total: int | None, bar: Any = None) -> None:
        self.what, self.total, self.done = what, total, 0
        self._bar = bar
        self._task = bar.add_task(printable(what), total=total) if bar else None
        if bar:
            bar.refresh()
        self._lock = threading.Lock()
        self._told = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Count that many more as done."""
        with self._lock:
            self.done += count
            self._show()

    def set(self, done: int, total: int | None = None) -> None:
        """Say how many are done in all, and, if it has changed, of how many."""
        with self._lock:
            self.done, self.total = done, total or self.total
            self._show()

    def _show(self) -> None:
        if self._bar:
            now = time.monotonic()
            moves = now - self._told >= SHOW_SECONDS or self.done == self.total
            self._told = now if moves else self._told
            self._bar.update(self._task, completed=self.done, total=self.total, refresh=moves)
        elif time.monotonic() - self._told >= PLAIN_SECONDS:
            self._told = time.monotonic()
            note(f"{self.what}: {self.done:,}" + (f" of {self.total:,}" if self.total else ""))


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Progress]:
    """Show progress while the block runs: a bar with the time left on a terminal, else a plain line now and then.

    The bar goes away at the end; print what matters with ``note``.
    """
    if not is_terminal():
        yield Progress(what, total)
        return
    from rich import progress as rich

    columns = (rich.TextColumn("{task.description}", markup=False), rich.BarColumn(), rich.MofNCompleteColumn(),
               rich.TimeRemainingColumn())
    # It moves when something is told, without a thread of its own, which a limit on processes could refuse.
    with rich.Progress(*columns, console=console(stderr=True), transient=True, auto_refresh=False) as bar:
        yield Progress(what, total, bar)


@contextmanager
def steps() -> Iterator[Callable[[str, int, int], None]]:
    """Show the progress of a call to the library that takes several steps: yields what such calls take, (what, done,
    total). Each step is shown by itself, from when it is first heard of."""
    shown: Progress | None = None
    with ExitStack() as stack:

        def show(what: str, done: int, total: int) -> None:
            nonlocal shown
            if shown is None or shown.what != what:
                stack.close()
                shown = stack.enter_context(progress(what, total))
            shown.set(done, total)

        yield show
