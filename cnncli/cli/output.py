"""The ways to speak: data goes to stdout (``emit``, ``emit_json``, ``console``), everything else to stderr (``note``,
``report_skipped``; progress.py has the bars).
"""

import errno
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from ..errors import printable
from ..plain import plain
from .program import typed

if TYPE_CHECKING:
    from rich.console import Console

SKIPPED = 3  # exit code: done, but images had to be skipped
LISTED = 20  # skipped images that are named one by one
WIDE = 160  # columns of a table where there is no terminal


def emit(line: str = "") -> None:
    """Write one line of data to stdout. Raises OSError where it cannot be written."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    sys.stdout.write(line + "\n")


def emit_json(value: Any) -> None:
    """Write value to stdout as JSON and flush. Arrays become lists, paths strings, NaN and infinities null."""
    emit(json.dumps(plain(value), indent=2, allow_nan=False))
    sys.stdout.flush()


def note(text: str = "") -> None:
    """Tell the user something: one line on stderr, with commands as they are typed here. Never fails: a terminal that
    is gone stops no training."""
    if sys.stderr is not None:  # None where it was closed before the start; print would turn to stdout then
        context = click.get_current_context(silent=True)
        given = context.meta if context else {}
        said = typed(text, given.get("cnncli.model"), given.get("cnncli.precision"))
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{printable(said)}\n")  # in one piece, among threads
            sys.stderr.flush()


def report_skipped(skipped: Sequence[tuple[Any, str]], used: int | None = None, listed: int = LISTED) -> int:
    """List the (path, reason) pairs of skipped images on stderr; return the exit code: 3, or 0 if there are none. used
    is how many others there were, which were used; None where the lines before do not count them."""
    if not skipped:
        return 0
    found = len(skipped) if used is None else len(skipped) + used
    which = (f"{len(skipped):,} image{'s' * (len(skipped) > 1)}" if used is None
             else f"{len(skipped):,} of {found:,} image{'s' * (found > 1)}")
    note(f"{which} could not be used and {_were(skipped)} skipped:")
    for path, reason in skipped[:listed]:
        # Most reasons are whole sentences that name the file already.
        known = printable(path) in printable(reason)
        note(f"  {reason}" if known else f"  {printable(path)}: {reason}")
    if len(skipped) > listed:
        note(f"  … and {len(skipped) - listed:,} more.")
    return SKIPPED


def _were(items: Sequence[Any]) -> str:
    return "was" if len(items) == 1 else "were"


def is_terminal(stream: Any = None) -> bool:
    """Return whether a person watches the stream (stderr by default): a terminal that can move its cursor."""
    stream = sys.stderr if stream is None else stream
    try:
        return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):
        return False


def is_stdout(path: str) -> bool:
    """Return whether standard output goes into a file."""
    try:
        return sys.stdout is not None and os.path.samestat(os.fstat(sys.stdout.fileno()), os.stat(path))
    except (OSError, ValueError):
        return False


def console(stderr: bool = False) -> "Console":
    """Return a rich console for tables, on stdout or stderr: no colour where NO_COLOR is set or nobody watches, no
    markup or emoji codes (class names are shown as they are)."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:  # rich would exit with 1 here; main knows better
            raise BrokenPipeError

        def show_cursor(self, show: bool = True) -> bool:  # a process that is ended at once could not bring it back
            return False

    stream = sys.stderr if stderr else sys.stdout
    width = None if is_terminal(stream) else WIDE
    return Piped(file=stream, width=width, markup=False, emoji=False, highlight=False)
