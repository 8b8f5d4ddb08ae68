"""cnncli/__init__.py: each name is offered, found and known to type checkers, at one place and no other; and the calls
that commands are made of need nothing that is not installed by default."""

import ast
import importlib
import inspect
import pydoc
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

import cnncli

from .small_model import small_model


def typed() -> dict[str, tuple[str, str]]:
    """Return name -> (module, the name in it, "" for the module itself) as type checkers see it."""
    [block] = [node for node in ast.parse(Path(cnncli.__file__).read_text(encoding="utf-8")).body
               if isinstance(node, ast.If) and isinstance(node.test, ast.Name)]
    found = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for name in node.names:
            home = (node.module, name.name) if node.module else (name.name, "")
            found[name.asname or name.name] = home
    return found


def test_three_lists_are_one() -> None:
    called = {"explain": ("explain", "")}  # a room that can be called, because it has the function's name
    assert {**typed(), **called} == cnncli._HOMES
    assert cnncli.__all__ == sorted([*cnncli._HOMES, "__version__"])


@pytest.mark.parametrize("name", cnncli.__all__)
def test_a_name_is_what_its_module_has(name: str) -> None:
    value = getattr(cnncli, name)
    if name in cnncli._HOMES:
        module, inside = cnncli._HOMES[name]
        home = importlib.import_module(f"cnncli.{module}")
        assert value is (getattr(home, inside) if inside else home)
    assert name in dir(cnncli)


def test_what_is_not_there_is_said_so() -> None:
    with pytest.raises(AttributeError, match="'cnncli' has no attribute 'evalute'"):
        getattr(cnncli, "evalute")  # noqa: B009 (so that mypy, which refuses the name, passes over it)


def test_the_room_that_has_a_functions_name_is_that_function() -> None:
    import cnncli.explain.boxes
    from cnncli.explain import METHODS, look
    from cnncli.explain.explanation import explain

    assert cnncli.explain is explain
    assert vars(explain)["METHODS"] is METHODS
    assert look.__name__ == "cnncli.explain.look"
    assert vars(explain)["boxes"] is sys.modules["cnncli.explain.boxes"]
    first = pydoc.render_doc(cnncli.explain, renderer=pydoc.plaintext).splitlines()[:3]
    assert "function cnncli.explain" in first[0], first
    assert first[2].startswith("cnncli.explain(model: "), first


def test_what_is_not_offered_is_not_listed() -> None:
    assert {name for name in dir(cnncli) if not name.startswith("__")} == set(cnncli.__all__) - {"__version__"}


def returned(hint: Any) -> set[type]:
    """Return the classes of this package in a type."""
    own = {hint} if isinstance(hint, type) and hint.__module__.startswith("cnncli") else set()
    return own.union(*(returned(each) for each in get_args(hint)))


@pytest.mark.parametrize("name", [name for name in cnncli.__all__ if inspect.isfunction(getattr(cnncli, name))])
def test_what_a_function_returns_is_offered(name: str) -> None:
    for kind in returned(inspect.signature(getattr(cnncli, name)).return_annotation):
        assert getattr(cnncli, kind.__name__) is kind


def test_models_and_networks_say_what_they_are() -> None:
    model = small_model()
    assert repr(model) == r"<Model 5 layers: images (6, 5, 3), 3 classes ('ankle boot', 'zwei\nZeilen', 'été \xff')>"
    model.training, model.path = {"architecture": "lenet5"}, "a.safetensors"
    assert repr(model).startswith("<Model lenet5: images (6, 5, 3), 3 classes (")
    assert repr(model).endswith(", of 'a.safetensors'>")
    assert repr(model.network) == "<Network of 5 layers: (6, 5, 3) to (3,)>"
