"""Watching runs from their folders: ``cnncli.watch``, and which runs are meant. The command is cli/watching.py."""

import os
from collections.abc import Iterable

from ..errors import UsageError, brief
from ..evaluation.listing import named
from ..runs import newest_run
from ..values import as_hinted
from .server import Server

_Path = str | os.PathLike[str]


@as_hinted
def watch(which: _Path | Iterable[_Path] | None = None, *, runs: _Path = "runs", port: int = 0) -> Server:
    """Show runs on a web page of this machine, while they are trained by any process, or afterwards.

    Args:
        which: The name or path of a run, or several. None: the newest run in the folder runs.
        runs: The folder that names are looked for in.
        port: The port on 127.0.0.1. 0: any free one.

    Returns:
        The server. Its .address is that of the page; .close(), or the end of a with statement, ends it.

    Raises:
        UsageError: There is no such run, or the port cannot be used.
    """
    if which is not None and not isinstance(which, str | os.PathLike | Iterable):
        raise UsageError(f"{brief(which)} is no run; give its name or path, or a list of these.")
    names = [] if which is None else [which] if isinstance(which, str | os.PathLike) else list(which)
    return Server([named(os.fspath(name), runs) for name in names] or [newest_run(runs)], port)
