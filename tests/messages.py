"""Collects what the program says: ``make messages`` runs the tests with this plugin and writes build/messages.md, each
error and each note that any test provokes, once, by the kind of error or by the command, to be read as one text.

Of sentences that differ in numbers and paths alone it has one, and no folders of tests.
"""

import json
import re
from collections import defaultdict
from pathlib import Path

import click
import pytest

from cnncli import errors
from cnncli.cli import output

BUILD = Path(__file__).parents[1] / "build"
LINES, PAGE = BUILD / "messages.jsonl", BUILD / "messages.md"
_FOLDER = re.compile(r"(?:/[\w.-]+)+/(?:popen-gw\d+|pytest-\d+)/[\w.-]+(?:/here\b)?/?")  # a test's own


def _keep(where: str, text: str) -> None:
    with LINES.open("a", encoding="utf-8") as file:
        file.write(json.dumps([where, text]) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Have every error and every note kept, from now on; whoever starts the tests begins a new list."""
    LINES.parent.mkdir(exist_ok=True)
    if not hasattr(config, "workerinput"):
        LINES.write_text("")
    begin, typed = errors.CnnError.__init__, output.typed

    def kept(self: errors.CnnError, *arguments: object) -> None:
        begin(self, *arguments)
        if type(self).__str__ is Exception.__str__:  # others are whole only later
            _keep(type(self).__name__, str(self))

    def said(text: str, model: object = None) -> str:
        context = click.get_current_context(silent=True)
        _keep(f"cnn {context.invoked_subcommand or context.info_name}" if context else "cnn", text)
        return typed(text, model)

    errors.CnnError.__init__ = kept  # type: ignore[method-assign]
    output.typed = said


def _general(text: str) -> str:
    text = re.sub(r"'[^' ]*[/.][^' ]*'", "'…'", text)
    return re.sub(r"\d[\d,.]*", "N", text)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write the page."""
    if hasattr(config, "workerinput"):
        return
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for line in LINES.read_text(encoding="utf-8").splitlines():
        where, text = json.loads(line)
        text = _FOLDER.sub(lambda found: "" if found[0].endswith("/") else "FOLDER", text)
        found[where].setdefault(_general(text), text)
    parts = [f"## {where}\n\n" + "\n".join(f"- {text}" for _, text in sorted(found[where].items()))
             for where in sorted(found)]
    PAGE.write_text("# What cnn says\n\n" + "\n\n".join(parts) + "\n", encoding="utf-8",
                    errors="backslashreplace")
    print(f"{PAGE}: {sum(map(len, found.values())):,} sentences")
