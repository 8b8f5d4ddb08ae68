"""What the site has of a command's help beside what sphinx-click takes of it: options below their headings, examples,
and what `cnn --help` says of the environment and of exit codes. conf.py names this as an extension."""

import re
from typing import Any

import click

from cnncli.cli import COMMANDS, ENVIRONMENT, EXAMPLES, EXIT_CODES
from cnncli.cli.command import OTHERS

AFTER = 600  # conf.py's events come before: what is written here is markup


def setup(app: Any) -> None:
    """Change the lines that sphinx-click makes of each command."""
    app.connect("sphinx-click-process-options", lambda app, ctx, lines: _below_headings(ctx, lines), priority=AFTER)
    app.connect("sphinx-click-process-arguments", lambda app, ctx, lines: lines.clear(), priority=AFTER)
    app.connect("sphinx-click-process-epilog", lambda app, ctx, lines: lines.extend(_behind(ctx)), priority=AFTER)


def _below_headings(ctx: click.Context, lines: list[str]) -> None:
    """Put the options of a command whose help is grouped below their headings, and names into their brackets."""
    shown = [each for each in ctx.command.params if isinstance(each, click.Option) and not each.hidden]
    starts = [i for i, line in enumerate(lines) if line.startswith(".. option:: ")]
    below: dict[str, list[str]] = {}
    for option, start, end in zip(shown, starts, [*starts, len(lines)][1:], strict=True):
        heading = getattr(option, "heading", OTHERS) if getattr(ctx.command, "grouped", False) else ""
        names = ", ".join([*option.opts, *option.secondary_opts])
        value = f" <{option.metavar}>" if option.metavar else lines[start].removeprefix(f".. option:: {names}")
        said = [line for line in lines[start + 1:end] if line.strip() and not line.lstrip().startswith(":")]
        default = re.search(r"  \[default: .*\]$", (option.get_help_record(ctx) or ("", ""))[1])
        if default and default[0] not in (option.help or ""):  # as click writes it, and the others do by hand
            said[-1] += default[0]
        below.setdefault(heading, []).extend([f".. option:: {names}{value}", "", *said, ""])
    lines[:] = [line for heading, found in below.items()
                for line in ([f"*{heading}*", "", *found] if heading else found)]


def _behind(ctx: click.Context) -> list[str]:
    group = ctx.command.name not in COMMANDS
    examples = EXAMPLES if group else getattr(ctx.command, "examples", ())
    width = max((len(command) for command, _ in examples), default=0)
    lines = [".. rubric:: Examples", "", ".. code-block:: shell", "",
             *(f"    {command:{width}}  # {meaning}" for command, meaning in examples), ""] if examples else []
    for title, rows in (("Environment", ENVIRONMENT), ("Exit codes", EXIT_CODES)) if group else ():
        lines += [f".. rubric:: {title}", "", *(line for name, meaning in rows for line in (f"``{name}``",
                                                                                          f"    {meaning}", "")), ""]
    return lines
