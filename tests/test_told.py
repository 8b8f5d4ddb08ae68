"""Messages name options as they are typed. Whoever calls the library from Python reads arguments in their place, and
those that there are."""

import ast
import functools
import inspect
import re
from pathlib import Path
from typing import is_typeddict

import pytest

import cnncli
from cnncli import errors
from cnncli.errors import DataError, ImageError, told

PACKAGE = Path(cnncli.__file__).parent


@pytest.mark.parametrize(("typed", "said"), [
    ("give another --name, or --force to replace it.", "give another name, or force to replace it."),
    ("use --cache none or a smaller --batch-size.", "use cache='none' or a smaller batch_size."),
    ("use --cache disk or a smaller --size.", "use cache='disk' or a smaller size."),
    ("give --folds 3.", "give folds=3."),
    ("--reject -1.5: it must be between 0 and 1", "reject=-1.5: it must be between 0 and 1"),
    ("--size 32x24 takes them whole.", "size='32x24' takes them whole."),
    ("--group-by '(?:^|/)(p-- [0-9]+)' keeps them", "group_by='(?:^|/)(p-- [0-9]+)' keeps them"),
    ("--group-by=x.csv", "group_by=x.csv"),
    ("a table: --labels FILE.csv. To go on", "a table: labels='FILE.csv'. To go on"),
    ("--no-why leaves that out", "why=False leaves that out"),
    ("--freeze all instead; --freeze all of them", "freeze='all' instead; freeze all of them"),
    ("a-- b, --, x--y", "a-- b, --, x--y"),
    ("name a run folder with -m.", "name a run folder with model."),
    ("-m runs/third takes its model, -m 'my run' too; x-m, -max", "model='runs/third' takes its model, model='my run' "
                                                                 "too; x-m, -max"),
    ("to see why: cnn explain a.png -m runs/x", "to see why: cnn explain a.png -m runs/x"),
    # What can be typed in a shell stays as it is.
    ("no --folds; cross-validate: cnn train DATA --folds 5", "no folds; cross-validate: cnn train DATA --folds 5"),
    ("as 'cnn check --exclude-list x' does; no --exclude", "as 'cnn check --exclude-list x' does; no exclude"),
    ("(cnn train --folds), with --model", "(cnn train --folds), with model"),
    ("get it with: pip install --user x", "get it with: pip install --user x"),
])
def test_arguments_in_place_of_options(monkeypatch: pytest.MonkeyPatch, typed: str, said: str) -> None:
    assert told(typed) == said == told(said)
    assert str(DataError(typed)) == said
    assert str(ImageError("a.png", typed)) == f"a.png cannot be used: {said}."
    monkeypatch.setattr(errors, "on_command_line", True)
    assert told(typed) == str(DataError(typed)) == typed


# Parts of errors that other functions put together, and notes that are told as they are handed over: by gather in
# training/prepare.py, by evaluate, by World.same in ranks/many.py.
ELSEWHERE = {"data/check/findings.py", "data/division.py", "data/folder.py", "data/kinds.py", "data/outputs.py",
             "data/sizes.py", "evaluation/held_out.py", "report/parts.py", "runs/again.py", "runs/run.py",
             "training/choose.py", "training/find_lr.py", "training/options.py", "training/start.py",
             "training/together.py", "watching/tensorboard.py"}
SOURCES = {path.relative_to(PACKAGE).as_posix(): text for path in sorted(PACKAGE.rglob("*.py"))
           if path.relative_to(PACKAGE).parts[0] not in ("cli", "errors.py")
           and ("--" in (text := path.read_text(encoding="utf-8")) or "-m" in text)}
OPTION = re.compile(f"{errors._COMMAND}|{errors._MODEL}|{errors._OPTION}")


@pytest.mark.slow
def test_what_names_an_option_is_an_error_or_is_told() -> None:
    left = set()
    for file in SOURCES:
        texts = _messages(file)
        for node in ast.walk(_tree(file)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and (
                    node.func.id == "told" or node.func.id.endswith("Error")):
                for inside in ast.walk(node):
                    texts.pop(inside, None)
        left |= {file} if texts else set()
    assert left == ELSEWHERE


@pytest.mark.slow
def test_the_arguments_are_there() -> None:
    """Each option that a message of the library names has an argument of a public function, or a public name."""
    called = [value for name in cnncli.__all__
              if callable(value := getattr(cnncli, name)) and not is_typeddict(value)]  # whose names are no arguments
    called += [method for each in called if inspect.isclass(each) for method in vars(each).values()
               if callable(method)]
    known = {argument for each in called for argument in inspect.signature(each).parameters} | {*cnncli.__all__}
    for file in SOURCES:
        for option in (option for text in _messages(file).values() for option in _options(text)):
            said = told(option)
            assert said.partition("=")[0] in known, f"{file}: {option} becomes {said}"


@functools.cache
def _tree(file: str) -> ast.AST:
    return ast.parse(SOURCES[file])


def _messages(file: str) -> dict[ast.AST, str]:
    """Return the texts of a file that name options, without docstrings and without parts of texts."""
    nodes = list(ast.walk(_tree(file)))
    found = {node: text for node in nodes if _options(text := _text(node))}
    for node in nodes:
        inside = ([node.value] if isinstance(node, ast.Expr) else
                  node.values if isinstance(node, ast.JoinedStr) else [])
        for part in inside:
            found.pop(part, None)
    return found


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
    text = node.value if isinstance(node, ast.Constant) else None
    return text if isinstance(text, str) and "\n" not in text else ""


def _options(text: str) -> list[str]:
    return [found[0] for found in OPTION.finditer(text) if found["name"] or found["short"]]
