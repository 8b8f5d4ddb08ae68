"""One thread at a time: what several threads may use, but not at once."""

import os
from threading import RLock
from weakref import WeakSet

_ALL: "WeakSet[Turn]" = WeakSet()


class Turn:
    """A lock to hold with ``with``; the thread that has it may take it again. A forked process has it anew, free:
    the thread that held it in the parent is not there."""

    def __init__(self) -> None:
        self._lock = RLock()
        _ALL.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *why: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type["Turn"], tuple[()]]:
        return Turn, ()  # a copy is free, whoever holds this one

    def begin_anew(self) -> None:
        """Be free, whoever held it."""
        self._lock = RLock()


def _forked() -> None:
    for turn in _ALL:
        turn.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
