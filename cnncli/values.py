"""What the arguments of public functions may be: ``@as_hinted`` reads it from their type hints and refuses other values
in a sentence, before anything is done. So a flag is True or False, and "no" is not taken for yes. An empty text, as a
variable has that was never set, does not mean the current folder or the latest run. NumPy's numbers become Python's.
What a number may be beyond its type, and which names are known, is checked where they are used.
"""

import inspect
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, wraps
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from . import errors
from .errors import UsageError, brief

P = ParamSpec("P")
R = TypeVar("R")
# What is no option of a command, but named by itself: what sentences call it.
_NAMED = {"data": "the data", "folder": "the folder", "directory": "the folder", "model": "the model",
          "images": "the images", "image": "the image", "path": "the path", "sources": "the files",
          "which": "the run", "named": "the images",
          "out": "the output"}
# Whose class is checked where it is used, in a sentence of its own.
_ELSEWHERE = ("data", "explanation", "found", "loss", "model", "named", "network", "observer", "optimiser", "out",
              "path", "title", "top", "which")
_WORDS: dict[Any, str] = {
    bool: "True or False", int: "a whole number", float: "a number", str: "a text", os.PathLike: "a path",
    Sequence: "a list", Collection: "a list", Iterable: "a list", list: "a list", tuple: "a tuple",
    Mapping: "a mapping", dict: "a mapping", Callable: "a function"}


def as_hinted(function: Callable[P, R]) -> Callable[P, R]:
    """Have the arguments of a function or method checked against its type hints. Raises UsageError at its call."""
    parameters = inspect.signature(function).parameters.values()
    by_name = {p.name: p.annotation for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    several = next(((p.name, p.annotation) for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    in_order = [(p.name, p.annotation) for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    of_a_model = bool(in_order) and in_order[0][0] == "model"

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if args and of_a_model:
            _check_order(function.__name__, in_order, args, "model" in kwargs)
        names = in_order + [several] * (len(args) - len(in_order)) if several else in_order
        given: list[Any] = [taken(name, value, hint) for (name, hint), value in zip(names, args, strict=False)]
        given += args[len(given):]  # more than there may be: Python says so
        for name, value in kwargs.items():
            kwargs[name] = taken(name, value, by_name.get(name, Any))
        return function(*given, **kwargs)

    return call


def _check_order(function: str, in_order: Sequence[tuple[str, Any]], given: Sequence[Any], twice: bool) -> None:
    """Raise UsageError where something else was given before the model, which comes first in all functions. twice: the
    model was given by its name, too.
    """
    models = _objects(in_order[0][1])
    if isinstance(given[0], models):
        return
    for (name, hint), value in zip(in_order[1:], given[:1] if twice else given[1:], strict=False):
        if twice or isinstance(value, models) or isinstance(given[0], _objects(hint)):
            raise UsageError(f"{function} takes the model first, and then the {name}; write {function}(model, {name}).")


def _objects(hint: Any) -> tuple[Any, ...]:
    """Return the classes of a type hint that are not Python's own, such as texts, paths and lists."""
    pythons = ("builtins", "collections", "os")
    return tuple(each for each in _kind(hint).classes if each.__module__.partition(".")[0] not in pythons)


def check_fields(given: Any) -> None:
    """Check the fields of a frozen dataclass, in place. Raises UsageError."""
    for each in fields(given):
        object.__setattr__(given, each.name, taken(each.name, getattr(given, each.name), each.type))


@dataclass(frozen=True)
class _Kind:
    """What an argument may be: of these classes, with NumPy's lists of numbers. No classes: anything."""

    classes: tuple[Any, ...] = ()
    numbers: bool = False  # whether a tuple or list of numbers is meant
    texts: bool = False


def taken(name: str, value: Any, hint: Any) -> Any:
    """Return an argument as a function with this type hint takes it. Raises UsageError where it takes no such value."""
    value, kind = plain(value), _kind(hint)
    if kind.numbers and not isinstance(value, str):
        value = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(value, list | tuple):
            value = (tuple if tuple in kind.classes or isinstance(value, tuple) else list)(map(plain, value))
    if name in _NAMED or (kind.texts and name not in _ELSEWHERE):
        _refuse_empty(name, value)
    if kind.classes and name not in _ELSEWHERE and not any(_is(value, each) for each in kind.classes):
        words = list(dict.fromkeys(map(_word, (each for each in kind.classes if each is not NoneType))))
        raise UsageError(f"{_shown(name)} must be {' or '.join(filter(None, [', '.join(words[:-1]), words[-1]]))}, not "
                         f"{brief(value)}.")
    return value


def _refuse_empty(name: str, value: Any) -> None:
    """Raise UsageError for an empty text, also in a list of files. In a list of images it is one that cannot be used,
    among others that can.
    """
    if isinstance(value, str) and not value:
        what = _NAMED.get(name)
        raise UsageError(f"the path of {what} is empty; name a file or a folder." if what and what != "the path" else
                         f"{_shown(name)} is empty; give a value, or leave it out.")
    if name == "sources" and isinstance(value, list | tuple) and "" in value:
        raise UsageError(f"sources[{value.index('')}] is empty; name a file or a folder.")


def _shown(name: str) -> str:
    if name in _NAMED:
        return _NAMED[name]
    return f"--{name.replace('_', '-')}" if errors.on_command_line else name


def plain(value: Any) -> Any:
    """Return a number of NumPy as Python's; anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def _is(value: Any, kind: Any) -> bool:
    if kind in (int, float):  # True is no number
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if kind is tuple:  # which JSON and many a caller write as a list
        return isinstance(value, tuple | list)
    return isinstance(value, kind)


def _word(kind: Any) -> str:
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    return _WORDS.get(kind) or f"{article} {kind.__name__}"


@cache
def _kind(hint: Any) -> _Kind:
    """Return what a type hint says. What it says in a way that cannot be looked up is not checked."""
    members = _members(hint)
    if str in members:  # then words are named for editors only
        members = [each for each in members if get_origin(each) is not Literal]
    classes = tuple(dict.fromkeys(get_origin(each) or each for each in members))
    listed = [each for each in members if get_origin(each) in (tuple, Sequence)]
    numbers = any({int, float} >= {arg for arg in get_args(each) if arg is not ...} for each in listed)
    known = all(map(_is_class, classes))
    return _Kind(classes if known else (), numbers,
                 str in classes or os.PathLike in classes)


def _is_class(kind: Any) -> bool:
    nothing_said = kind is Any or kind is inspect.Parameter.empty
    return not nothing_said and inspect.isclass(kind) and not getattr(kind, "_is_protocol", False)


def _members(hint: Any) -> list[Any]:
    if get_origin(hint) in (Union, UnionType):
        return [member for part in get_args(hint) for member in _members(part)]
    return [NoneType if hint is None else hint]
