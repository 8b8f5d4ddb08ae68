"""What the commands share: the class that they are made of, options, and the ways to speak. Data goes to stdout
(``emit``, ``emit_json``, ``console``), everything else to stderr (``note``, ``progress``).

A command is a file with one function:

    @click.command(cls=Command, examples=(("cnn predict a.png", "label and probability"),))
    @click.argument("images", nargs=-1, required=True)
    @model_option
    @json_option
    def command(images, model, as_json):
        …
        return report_skipped(skipped)      # the exit code; None is 0
"""

import errno
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import printable

if TYPE_CHECKING:
    from rich.console import Console

SKIPPED = 3  # exit code: done, but images had to be skipped
LISTED = 20  # skipped images that are named one by one
PLAIN_SECONDS = 10.0  # between two lines of progress where there is no terminal
WIDE = 160  # columns of a table where there is no terminal


class Command(click.Command):
    """A command of ``cnn``: applies CNN_THREADS, CNN_ISA and --threads before it runs, shows examples in its help.

    kernels=False is for a command that needs no C code; examples are (command line, what it does) pairs.
    """

    def __init__(
        self, *args: Any, kernels: bool = True, examples: Sequence[tuple[str, str]] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.kernels = kernels
        self.examples = examples

    def invoke(self, ctx: click.Context) -> Any:
        """Run it. Raises UsageError where CNN_THREADS or CNN_ISA make no sense."""
        if self.kernels:
            from .. import kernels

            kernels.configure()
            if ctx.meta.get("cnncli.threads"):
                kernels.set_threads(ctx.meta["cnncli.threads"])
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                formatter.write_dl(self.examples, col_max=48)
        super().format_epilog(ctx, formatter)


def _keep_threads(ctx: click.Context, parameter: click.Parameter, value: int | None) -> None:
    ctx.meta["cnncli.threads"] = value


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, for other programs.")
model_option = click.option("-m", "--model", type=click.Path(path_type=Path), metavar="MODEL",
                            help="Model file, run folder, or a pretrained network: efficientnet_lite0, _lite1 or "
                                 "_lite2.  [default: runs/latest]")
strict_option = click.option("--strict", is_flag=True,
                             help="Fail on the first image that cannot be used, instead of skipping it.")
exact_option = click.option("--exact", is_flag=True, default=None,
                            help="Convolutions without Winograd's algorithm: slower, with a little less rounding.")
tta_option = click.option("--tta", is_flag=True,
                          help="Judge each image and its mirror image, and take the mean: twice the time.")
# The command does not see it: Command.invoke sets it, kernels.threads() tells it.
threads_option = click.option("--threads", type=click.IntRange(1, 256), expose_value=False, callback=_keep_threads,
                              help="Threads to use; results do not depend on it.  [default: all CPUs]")


def listed_on_stdin(names: Sequence[str]) -> bytes:
    """Return what stands on standard input where "-" is among the names of images, for find_images."""
    return sys.stdin.buffer.read() if "-" in names and sys.stdin else b""


def emit(line: str = "") -> None:
    """Write one line of data to stdout. Raises OSError where it cannot be written."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    sys.stdout.write(line + "\n")


def emit_json(value: Any) -> None:
    """Write value to stdout as JSON and flush. Arrays become lists, paths strings, NaN and infinities null."""
    emit(json.dumps(_plain(value), indent=2, allow_nan=False))
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes | os.PathLike):
        return os.fsdecode(value)
    return value


def note(text: str = "") -> None:
    """Tell the user something: one line on stderr. Never fails: a terminal that is gone stops no training."""
    if sys.stderr is not None:  # None where it was closed before the start; print would turn to stdout then
        with suppress(OSError, ValueError):
            print(printable(text), file=sys.stderr, flush=True)


def report_skipped(skipped: Sequence[tuple[Any, str]], listed: int = LISTED) -> int:
    """List the (path, reason) pairs of skipped images on stderr; return the exit code: 3, or 0 if there are none."""
    if not skipped:
        return 0
    note(f"{len(skipped):,} image{'s' * (len(skipped) > 1)} could not be used and {_were(skipped)} skipped:")
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


def console(stderr: bool = False) -> "Console":
    """Return a rich console for tables, on stdout or stderr: no colour where NO_COLOR is set or nobody watches, no
    markup or emoji codes (class names are shown as they are)."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:  # rich would exit with 1 here; main knows better
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    width = None if is_terminal(stream) else WIDE
    return Piped(file=stream, width=width, markup=False, emoji=False, highlight=False)


class Progress:
    """How far something has got. ``advance`` and ``set`` may be called from any thread."""

    def __init__(self, what: str, total: int | None, bar: Any = None) -> None:
        self.what, self.total, self.done = what, total, 0
        self._bar = bar
        self._task = bar.add_task(what, total=total) if bar else None
        self._lock = threading.Lock()
        self._told = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Count that many more as done."""
        with self._lock:
            self.done += count
            self._show()

    def set(self, done: int, total: int | None = None, what: str | None = None) -> None:
        """Say how many are done in all, and, if they have changed, the total and what is being done."""
        with self._lock:
            self.done, self.total, self.what = done, total or self.total, what or self.what
            self._show()

    def _show(self) -> None:
        if self._bar:
            self._bar.update(self._task, completed=self.done, total=self.total, description=printable(self.what))
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
    with rich.Progress(*columns, console=console(stderr=True), transient=True) as bar:
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
