"""Watching runs from their folders: ``cnncli.watch``, and which runs are meant. The command is cli/watching.py."""

import os
from collections.abc import Iterable

from ..runs import newest_run
from ..runs.listing import named
from .server import Server

_Path = str | os.PathLike[str]


def watch(which: _Path | Iterable[_Path] | None = None, *, runs: _Path = "runs", port: int = 0) -> Server:
    """Return a server of a page that shows runs as they are trained, by whichever process, or afterwards: .address says
    where it is, .close() ends it, and so does a with statement.

    which is a run's name or path, several of them, or None for the newest in the folder runs. port 0 is any free one.
    Raises UsageError where there is no such run, or the port cannot be had.
    """
    names = [] if which is None else [which] if isinstance(which, str | os.PathLike) else list(which)
    return Server([named(os.fspath(name), runs) for name in names] or [newest_run(runs)], port)
