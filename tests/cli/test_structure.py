"""The commands' files, read and not run: what a command needs of the library is imported when it runs, so that help and
errors come at once; its functions fit a screen; and all but calling the library is rendering: nothing that computes,
opens or decides is imported here, and nothing that the library keeps to itself."""

import ast
from pathlib import Path

import pytest

from cnncli import cli

FOLDER = Path(cli.__file__).parent
PARTS = ("explaining_units", "shortcutting", "trusting")  # of `cnn explain`
COMMANDS = sorted({*PARTS, *(module for module, _ in cli.COMMANDS.values())})
SCREEN = 45  # lines of a function below its docstring
# Beside the standard library.
EARLY = {"click", "..errors", ".command", ".completing", ".output", ".progress", ".train", ".train_options",
         *(f".{part}" for part in PARTS)}
# A command parses, calls, renders. What it would compute with belongs to the library: arrays and pictures, files that
# are written whole or not at all, and the rooms that the library's calls are made of.
BELOW = {"numpy", "PIL", "matplotlib", "safetensors", "jinja2", "..atomic", "..kernels", "..network", "..layers",
         "..optim", "..loss", "..architectures", "..model.checkpoint", "..model.calibration", "..runs.samples"}


def tree(module: str) -> ast.Module:
    return ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))


def imported(node: ast.AST) -> set[str]:
    """Return what a node imports, as it is written."""
    found = set()
    for inside in ast.walk(node):
        if isinstance(inside, ast.ImportFrom):
            found.add("." * inside.level + (inside.module or ""))
            if not inside.module:
                found |= {f"{'.' * inside.level}{name.name}" for name in inside.names}
        elif isinstance(inside, ast.Import):
            found |= {name.name for name in inside.names}
    return found


def early(module: str) -> set[str]:
    """Return what is imported with the module, but for what only type checkers see."""
    return set().union(*(imported(node) for node in tree(module).body if isinstance(node, ast.Import | ast.ImportFrom)))


@pytest.mark.parametrize("module", COMMANDS)
def test_the_library_is_imported_when_a_command_runs(module):
    assert {name for name in early(module) if name.startswith(".") or name == "click"} <= EARLY
    assert not early(module) & BELOW


@pytest.mark.parametrize("module", COMMANDS)
def test_functions_fit_a_screen(module):
    for function in ast.walk(tree(module)):
        if isinstance(function, ast.FunctionDef):
            body = function.body[1:] if ast.get_docstring(function) else function.body
            lines = function.end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= SCREEN, f"{function.name} has {lines} lines"


@pytest.mark.parametrize("module", COMMANDS)
def test_a_command_asks_the_library_and_does_not_do_its_work(module):
    rooms = {name for name in imported(tree(module)) for below in BELOW if f"{name}.".startswith(f"{below}.")}
    assert not rooms - {"..kernels"}, f"{module} does the library's work itself with {rooms}"


@pytest.mark.parametrize("module", COMMANDS)
def test_a_command_uses_nothing_that_the_library_keeps_to_itself(module):
    private = [node.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)
               and node.attr.startswith("_") and not node.attr.startswith("__")]
    assert private == []
    names = [name.name for node in ast.walk(tree(module)) if isinstance(node, ast.ImportFrom) for name in node.names]
    assert [name for name in names if name.startswith("_")] == []
