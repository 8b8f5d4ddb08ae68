"""The commands that messages, notes and help advise, collected from the source: each is one that the program takes,
with options that it has. And the advice that names files can be typed as it stands."""

import ast
import re
from functools import cache
from pathlib import Path

import click
import pytest

from cnncli.cli import COMMANDS, cnn, main

from ..shell import words
from ..trained import write_images

PACKAGE = Path(__file__).parents[2] / "cnncli"
ADVICE = re.compile(r"\bcnn ([a-z][a-z-]*)((?: (?:--?[a-z][a-z0-9-]*|[\w./-]+))*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
# Words behind "cnn" that say what the program does, and options of other programs.
NO_COMMANDS = {"is", "does", "did", "wrote", "takes", "never"}
OTHERS = {"--user", "--inplace", "--help", "--version", "--logdir", "--project"}


def filled(part: ast.expr) -> str:
    """Return a piece of an f-string as text."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    return "BARE" if "printable(" in ast.unparse(part) else "FILLED"


@cache
def texts(path: Path) -> list[str]:
    """Return a module's strings, but for docstrings; what is filled in is FILLED, or BARE, where it is not quoted for a
    shell."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    known = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    known |= {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    found = []
    for node in nodes:
        if id(node) not in known and isinstance(node, ast.JoinedStr):
            found.append("".join(map(filled, node.values)))
        elif id(node) not in known and isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def options(name: str) -> set[str]:
    command = cnn.get_command(click.Context(cnn), name)
    assert command is not None
    return {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)} | OTHERS


@pytest.mark.slow
def test_every_command_that_is_advised_is_one() -> None:
    advised = sorted({(path.relative_to(PACKAGE).as_posix(), found[1], found[2]) for path in PACKAGE.rglob("*.py")
                      for text in texts(path) for found in ADVICE.finditer(text) if found[1] not in NO_COMMANDS})
    assert len(advised) > 60
    wrong = [f"{where}: cnn {command}{rest}" for where, command, rest in advised if command not in COMMANDS
             or set(OPTION.findall(rest)) - options(command) or "BARE" in rest]
    assert wrong == []


@pytest.mark.slow
def test_every_option_that_is_named_is_one() -> None:
    every = set().union(*map(options, COMMANDS))
    named = {(path.name, option) for path in PACKAGE.rglob("*.py") for text in texts(path)
             for option in OPTION.findall(text)}
    assert {(where, option) for where, option in named if option not in every} == set()


@pytest.mark.slow
def test_what_check_and_train_advise_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """Folders with spaces and quotes in their names."""
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "my photos", ["one", "two"], 12, seed=1)
    (tmp_path / "my photos" / "one" / "damaged.png").write_bytes(b"")
    (tmp_path / "my photos" / "two" / "another.png").write_bytes(b"")
    (tmp_path / "first.txt").write_text("one/damaged.png")
    main(["check", "my photos", "--exclude", "first.txt", "--exclude-list", "it's out.txt", "--fail-on", "never"])
    [advised] = re.findall(r"out.txt: .*; to train without them: (cnn .*)", capsys.readouterr().err)
    assert {"one/damaged.png", "two/another.png"} <= set((tmp_path / "it's out.txt").read_text().splitlines())
    assert main([*words(advised), "--epochs", "1", "--arch", "lenet5", "--runs", "my runs"]) == 0
    [advised] = re.findall(r"Next: (cnn .*)", capsys.readouterr().err)
    assert main(words(advised)) == 0
