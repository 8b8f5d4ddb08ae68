"""What messages advise, looked at wherever a test of a command provokes one: each whole command (": cnn …", to the end
of the message) is taken by that command's own parser, and each option is one of the command that is running or of one
that the message names."""

import re
import shlex
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import click
import pytest

from cnncli import cli
from cnncli.cli import output
from cnncli.cli.command import Command

NAMED = re.compile(rf"(?<![\w./-])cnn ({'|'.join(cli.COMMANDS)})\b")
OPTION = re.compile(r"(?<![\w-])(?<!there is no option )--[a-z][a-z0-9-]+")
OTHERS = {"--help", "--version", "--user", "--inplace", "--logdir", "--project"}


def options(name: str) -> set[str]:
    """Return the options that a command has."""
    flags = ((*parameter.opts, *parameter.secondary_opts) for parameter in command(name).params)
    return OTHERS.union(*flags)


def command(name: str) -> click.Command:
    """Return a command, whatever a test has put in its place."""
    found: click.Command = import_module(f"cnncli.cli.{cli.COMMANDS[name][0]}").command
    return found


def whole_command(text: str) -> list[str]:
    """Return the words behind "cnn" of the command that a message ends with; [] where it ends with none."""
    *_, rest = re.split(r": cnn (?=[a-z])", text)
    return [] if rest is text or rest == text else shlex.split(rest.replace(" $'", " '"))


def wrong(text: str, running: str | None) -> str | None:
    """Return what is wrong with what a message advises; running is the command that says it."""
    name, *words = whole_command(text) or [None]
    if name is not None:
        try:
            parser = command(name).make_parser(click.Context(command(name)))
            left = parser.parse_args(words)[1]
        except click.UsageError as error:
            return f"cannot be typed ({error.format_message()}): {text}"
        if left:
            return f"cannot be typed (too many words, {left}): {text}"
    known = set().union(*(options(each) for each in (*NAMED.findall(text), running) if each))
    unknown = [option for option in OPTION.findall(text) if option not in known]
    return f"{running} has no {unknown}: {text}" if unknown and known else None


def watched(monkeypatch: pytest.MonkeyPatch, seen: Callable[[str, str | None], None]) -> None:
    """Have ``seen`` called with each message of a command that runs in this process, and the command's name."""
    running: list[str | None] = [None]
    begin = Command.make_context

    def make_context(self: Command, info_name: str | None, *args: Any, **extra: Any) -> click.Context:
        running[0] = info_name if self.examples else None  # without them it is no command of the program
        return begin(self, info_name, *args, **extra)

    def looked_at(text: str, *given: object, typed: Callable[..., str]) -> str:
        seen(text, running[0])
        return typed(text, *given)

    monkeypatch.setattr(Command, "make_context", make_context)
    for module in (cli, output):
        monkeypatch.setattr(module, "typed", partial(looked_at, typed=module.typed))
