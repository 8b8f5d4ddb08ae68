"""The program ``cnn``: one click group whose commands are loaded when they are asked for, and the one place where
errors become sentences and exit codes. Each command is a file beside this one that parses, calls and renders; what
they share is in command.py, output.py, program.py and progress.py. ``main`` is what the installed script and
``python -m cnncli`` run.

What may not be here: anything that a Python user would want, too (it belongs into the library), and more than parsing,
one call and rendering.
"""

import errno
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from .. import errors
from ..errors import CnnError, UsageError, no_such, printable
from ..ranks.launcher import here
from .command import Command, Context
from .program import COMMANDS, TOGETHER, typed

EXAMPLES = (
    ("cnn sample demo/", "write some sample images, in one folder per class"),
    ("cnn train demo/", "train on them; the run is written to runs/"),
    ("cnn test", "test the latest model on the test images"),
    ("cnn predict a.png b.png", "print the labels that the latest model gives them"),
)
ENVIRONMENT = (
    ("CNN_THREADS", "how many threads to use, 1 to 256; --threads overrides it"),
    ("CNN_ISA", "the instruction set to use: reference, baseline, avx2 or avx512"),
    ("CNN_PRECISION", "auto, float32 or bfloat16: what networks compute in; --precision overrides it"),
    ("CNN_CACHE_DIR", "the folder for the decoded images of --cache disk; usually ~/.cache/cnn"),
    ("CNN_DEBUG", "1 shows the Python traceback of an error"),
    ("NO_COLOR", "1 switches colours off"),
)
EXIT_CODES = (
    ("0", "success"),
    ("1", "failure; of cnn check: problems were found"),
    ("2", "wrong usage: an option or argument makes no sense"),
    ("3", "success, but some images were skipped"),
    ("4", "the model file cannot be used"),
    ("130, 143", "stopped by Ctrl-C or SIGTERM; a training was saved first"),
)
NO_MEMORY = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory")  # the loader's words
BROKEN_PIPE = 128 + 13  # what a shell reports for a program that SIGPIPE ended


class Commands(click.Group):
    """The group ``cnn``: knows its commands from the table above and imports one only when it runs."""

    context_class = Context

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f".{COMMANDS[cmd_name][0]}", __name__).command
        command.name = cmd_name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command named first. Raises UsageError with the nearest name where there is none."""
        if args[0] not in COMMANDS:
            raise UsageError(no_such("command", args[0], COMMANDS, "'cnn --help' lists them"))
        return args[0], self.get_command(ctx, args[0]), args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, rows in (("Examples", EXAMPLES), ("Environment", ENVIRONMENT), ("Exit codes", EXIT_CODES)):
            with formatter.section(title):
                formatter.write_dl(rows)


class Nowhere(io.TextIOBase):
    """Where what a process prints goes if another one prints for all."""

    def write(self, text: str) -> int:
        """Write it nowhere."""
        return len(text)


def show_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Print the version and stop, where --version is given."""
    if wanted and not ctx.resilient_parsing:
        from .._version import __version__

        click.echo(f"cnn {__version__}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True,
             subcommand_metavar="COMMAND …")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version,
              help="Show the version and exit.")
@click.pass_context
def cnn(ctx: click.Context) -> None:
    """Train, test, use and explain image classifiers on an ordinary CPU.

    The classifiers are convolutional neural networks. The images that they learn from lie in one folder per class.
    'cnn COMMAND --help' describes each command.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(UsageError.exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``cnn`` with these arguments (the process's own by default) and return its exit code.

    Whatever goes wrong becomes one sentence on stderr; with CNN_DEBUG=1 the traceback goes before it.
    """
    for stream in (sys.stdout, sys.stderr):  # no odd file name and no narrow encoding may stop an answer
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # Only NumPy uses it here, for products that are small; its threads end a process that may not start any.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if "_CNN_COMPLETE" in os.environ:
        from click.shell_completion import shell_complete

        return shell_complete(cnn, {}, "cnn", "_CNN_COMPLETE", os.environ["_CNN_COMPLETE"])
    ctx, errors.on_command_line = None, True
    if here().size > 1 and not _takes_part(arguments):
        return 0
    try:
        with cnn.make_context("cnn", arguments) as ctx:
            code = cnn.invoke(ctx)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BaseException as error:
        if isinstance(error, click.exceptions.Exit):
            return _flushed(error.exit_code)
        if os.environ.get("CNN_DEBUG", "0") not in ("", "0"):
            import traceback

            traceback.print_exc()
        sentence, code = explain(error, ctx.invoked_subcommand if ctx else None)
        _abandon_stdout()
        if sentence:
            _complain(sentence, ctx.meta.get("cnncli.model") if ctx else None)
        if here().size > 1:
            from ..ranks.current import fail

            fail(sentence or type(error).__name__, code)
        return code
    finally:
        errors.on_command_line = False


def _takes_part(arguments: Sequence[str]) -> bool:
    """Return whether this process, one of several, has anything to do. Only the first one prints."""
    if here().rank == 0:
        return True
    sys.stdout = sys.stderr = Nowhere()
    return any(word in TOGETHER for word in arguments[:1])


def explain(error: BaseException, command: str | None = None) -> tuple[str, int]:
    """Return the sentence for an error (empty where nothing is to be said) and the exit code; command is the name of
    the one that it ended."""
    if isinstance(error, CnnError):
        return printable(error), error.exit_code
    if isinstance(error, click.ClickException):
        return _explain_click(error), error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "interrupted.", 130
    if isinstance(error, BrokenPipeError):
        return "", BROKEN_PIPE
    if isinstance(error, OSError):
        return _explain_os(error), 1
    if isinstance(error, MemoryError):
        detail = f" ({printable(error)})" if str(error) else ""
        remedy = ("try a smaller --batch-size or --size, or --cache disk" if command == "train"
                  else "end other programs, or give fewer or smaller images")
        return f"there is not enough memory{detail}; {remedy}.", 1
    if isinstance(error, ImportError):
        if any(words in str(error) for words in NO_MEMORY):
            return f"there is not enough memory to begin ({printable(error)}); raise the limit on it (ulimit -v).", 1
        return f"a part of cnn is missing ({printable(error)}); install it again with 'pip install .'.", 1
    if isinstance(error, SystemExit):
        return "", error.code if isinstance(error.code, int) else 1
    name = type(error).__name__
    what = f"{name}: {printable(error)}"
    return f"this is an error of the program itself ({what}); please report it, with what CNN_DEBUG=1 shows.", 1


def _explain_click(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption):
        near = f" Did you mean {error.possibilities[0]}?" if error.possibilities else ""
        message = f"there is no option {error.option_name}.{near}"
    else:
        message = error.format_message().rstrip(".") + "."
        message = message[0].lower() + message[1:]
    where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
    return printable(message) + (f" See '{where} --help'." if where else "")


def _explain_os(error: OSError) -> str:
    thing = printable(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else "the output"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk for {thing}; make room, or give another place."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{thing} cannot be used (permission denied); change its permissions, or give another place."
    if error.errno == errno.EROFS:
        return f"{thing} is on a read-only disk; give another place."
    if error.errno == errno.ENOENT:
        return f"there is no file or folder {thing}; check the path."
    reason = error.strerror or str(error)
    return f"{thing}: {printable(reason[0].lower() + reason[1:]) if reason else type(error).__name__}."


def _flushed(code: int) -> int:
    """Return code after flushing what --help or --version wrote."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except OSError as error:
        _abandon_stdout()
        sentence, code = explain(error)
        if sentence:
            _complain(sentence)
        return code


def _complain(sentence: str, model: object = None) -> None:
    if sys.stderr is None:
        return
    try:
        # In one piece: print would write the end of the line by itself, after what another thread writes meanwhile.
        sys.stderr.write(f"cnn: {typed(sentence, model)}\n")
        sys.stderr.flush()
    except OSError:  # nobody to tell
        _to_devnull(2)


def _abandon_stdout() -> None:
    """Point stdout at /dev/null where it cannot be written, or Python would complain again when it exits."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        _to_devnull(1)


def _to_devnull(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


__all__ = ["COMMANDS", "Command", "cnn", "explain", "main"]
