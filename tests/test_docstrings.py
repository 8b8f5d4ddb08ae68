"""The docstrings of public names: what docs/reference names has a first sentence on a line of its own, and a list that
describes each of its parameters and no other. CONTRIBUTING.md says how they are laid out."""

import importlib
import inspect
import re
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest

from cnncli import errors

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
LISTED = re.compile(r"^ {4}(\*{0,2}\w+): \S", re.MULTILINE)
PAGES = sorted(page.name for page in REFERENCE.glob("*.md") if page.name != "commands.md")
RAISED = {*vars(errors), "KeyboardInterrupt", "ValueError"}
SECTIONS = ("Args", "Returns", "Yields", "Raises", "Attributes", "Example:")


def named(page: str) -> list[str]:
    """Return what a page of the reference shows, by its full name."""
    return re.findall(r"^\.\. auto\w+:: (\S+)$", (REFERENCE / page).read_text(encoding="utf-8"), re.MULTILINE)


def found(name: str) -> Any:
    """Return the module, class or function of that name."""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        for part in parts[split:]:
            value = getattr(value, part)
        return value
    raise LookupError(name)


def is_there(name: str) -> bool:
    """Whether a name leads somewhere."""
    try:
        return found(name) is not None
    except AttributeError:
        return False


def public(value: Any) -> Iterator[Any]:
    """Yield the classes and functions that a name leads to, with the functions that a class defines itself; what has no
    docstring is left out where it overrides another."""
    if isinstance(value, ModuleType):
        for name, each in vars(value).items():
            if not name.startswith("_") and str(getattr(each, "__module__", "")).startswith(value.__name__):
                yield from public(each)
    elif isinstance(value, type):
        yield value
        for name, each in vars(value).items():
            function = next((getattr(each, of) for of in ("fget", "func", "__func__") if hasattr(each, of)), each)
            above = any(hasattr(base, name) for base in value.__mro__[1:])
            if not name.startswith("_") and inspect.isfunction(function) and (function.__doc__ or not above):
                yield function
    elif inspect.isfunction(value):
        yield value


def section(thing: Any, *titles: str) -> set[str]:
    """Return what a docstring describes under these titles."""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):$", inspect.cleandoc(thing.__doc__ or ""), flags=re.MULTILINE)
    return {name for title, part in zip(parts[1::2], parts[2::2], strict=True) if title in titles
            for name in LISTED.findall(part)}


def taken(thing: Callable[..., Any]) -> set[str]:
    """Return the names of the parameters that can be given, with their stars."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return {stars.get(each.kind, "") + each.name for each in inspect.signature(thing).parameters.values()
            if each.name not in ("self", "cls", "_")}


def described(thing: Any) -> set[str]:
    """Return the parameters that a docstring describes; of a dataclass, its fields, those it inherits as well."""
    if not isinstance(thing, type):
        return section(thing, "Args")
    return set().union(*(section(each, "Args", "Attributes") for each in thing.__mro__ if each.__doc__))


def nones(thing: Any) -> list[str]:
    """Return the parameters whose default is None without a word about it in their description."""
    where = thing.__mro__ if isinstance(thing, type) else [thing]
    said = "\n".join(inspect.cleandoc(each.__doc__ or "") for each in where)
    return [each.name for each in inspect.signature(thing).parameters.values() if each.default is None
            and not re.search(rf"^ {{4}}{each.name}: (?:.*\n {{8}})*.*\bNone\b", said, re.MULTILINE)]


def words(thing: Any) -> set[str]:
    """Return the words that the types of parameters name, as Literal["ram", "none"] does."""
    kinds = [each.annotation for each in inspect.signature(thing).parameters.values()]
    parts = [part for kind in kinds for part in (kind, *typing.get_args(kind))]
    return {word for part in parts if typing.get_origin(part) is typing.Literal for word in typing.get_args(part)}


def complaints(thing: Any) -> Iterator[str]:
    """Yield what is wrong with a docstring."""
    name, lines = f"{thing.__module__}.{thing.__qualname__}", inspect.cleandoc(thing.__doc__ or "").splitlines()
    if not lines or not lines[0].endswith((".", "?")) or lines[1:2] not in ([], [""]):
        yield f"{name} does not begin with a sentence on a line of its own"
    if isinstance(thing, type) and issubclass(thing, BaseException) and "__init__" not in vars(thing):
        return
    if typing.is_typeddict(thing):
        yield from (f"{name} does not say what {each} is" for each in {*thing.__annotations__} - described(thing))
        return
    yield from (f"{name} does not say what {each} is" for each in sorted(taken(thing) - described(thing)))
    yield from (f"{name} does not say what None means for {each}" for each in nones(thing))
    yield from (f"{name} does not name {each}" for each in sorted(words(thing)) if f'"{each}"' not in "\n".join(lines))
    yield from (f"{name} takes no {each}" for each in sorted(section(thing, "Args") - taken(thing)))
    yield from (f"{name} names {each}, which is not there"
                for each in re.findall(r"\bcnncli\.[\w.]*\w", "\n".join(lines)) if not is_there(each))
    yield from (f"{name} raises no {each}" for each in sorted(section(thing, "Raises") - RAISED))


@pytest.mark.parametrize("page", PAGES)
def test_public_docstrings_describe_what_is_there(page: str) -> None:
    assert [each for name in named(page) for thing in public(found(name)) for each in complaints(thing)] == []


def _example(one: Literal["this", "that"] | None = None, *more: int, **rest: int) -> None:
    """Do nothing, as an example
    of a docstring by cnncli.trian.

    Args:
        one: Not "that", where two: are not.
        two: Not there.

    Raises:
        UsageErrors: A word too many.
    """


def test_what_is_wrong_is_seen() -> None:
    assert [each.split(" ", 1)[1] for each in complaints(_example)] == [
        "does not begin with a sentence on a line of its own", "does not say what **rest is",
        "does not say what *more is", "does not say what None means for one", "does not name this",
        "takes no two", "names cnncli.trian, which is not there", "raises no UsageErrors"]
