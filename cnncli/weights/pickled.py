"""Pickles read without being run. A pickle is a program for a small stack machine, and Python's own machine calls
whatever the file names; this one knows numbers, strings, lists, tuples and dicts, and of everything else only what its
caller puts into a table: name -> a function of ours, which gets the arguments that the file has for it. Any other name
is refused before anything is made of it. torchfile.py reads PyTorch's files with it.

Nothing here recurses or compares values of the file's, keys are strings and numbers, and the number of instructions is
limited: whoever made the file can make it wrong, but neither large nor slow.
"""

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

_MOST_INSTRUCTIONS = 400_000  # some 35 for a tensor
_LONGEST_NUMBER = 16  # bytes

# What a name of the file's stands for: a function of the arguments that follow it.
Known = Mapping[str, Callable[..., Any]]


class PickleError(Exception):
    """What is wrong with a pickle, as a clause that fits behind "because"."""


class _Named:
    """A name of the table's on the stack, not called yet."""

    def __init__(self, name: str, make: Callable[..., Any]) -> None:
        self.name, self.make = name, make


def load(file: io.BytesIO, known: Known, stored: Callable[[Any], Any] | None = None) -> Any:
    """Return the value of the pickle at the file's position, and leave the position behind it.

    stored gets the pickle's references to what lies outside of it (persistent ids). Raises PickleError.
    """
    machine = _Machine(known, stored)
    try:
        for number, (instruction, argument, _) in enumerate(pickletools.genops(file)):
            if number == _MOST_INSTRUCTIONS:
                raise PickleError("it has more instructions than any list of tensors needs")
            if instruction.name == "STOP":
                return machine.pop()
            step = _STEPS.get(instruction.name)
            if step is None:
                raise PickleError(f"it uses the pickle instruction {instruction.name}")
            step(machine, argument)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise PickleError("its pickle is damaged") from error
    raise PickleError("its pickle is cut off")


class _Machine:
    """Stack, marks and memo. Whatever is not of the right kind raises one of the errors that load() expects."""

    def __init__(self, known: Known, stored: Callable[[Any], Any] | None) -> None:
        self.known, self.stored = known, stored
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        return self.stack.pop()

    def mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def since_mark(self) -> list[Any]:
        at = self.marks.pop()
        values = self.stack[at:]
        del self.stack[at:]
        return values

    def name(self, module: Any, name: Any) -> None:
        """Push what a name stands for."""
        full = f"{module}.{name}"
        if full not in self.known:
            raise PickleError(f"it holds an object of the kind {full[:100]}, and cnn takes nothing but tensors")
        self.push(_Named(full, self.known[full]))

    def stack_name(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError
        self.name(module, name)

    def call(self, _: Any) -> None:
        arguments, named = self.pop(), self.pop()
        if not isinstance(named, _Named) or not isinstance(arguments, tuple):
            raise TypeError
        self.push(named.make(*arguments))

    def reference(self, _: Any) -> None:
        if self.stored is None:
            raise PickleError("it refers to data that is not there")
        self.push(self.stored(self.pop()))

    def set_items(self, pairs: list[Any]) -> None:
        table = self.stack[-1]
        if not isinstance(table, dict) or len(pairs) % 2:
            raise TypeError
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, str | int):  # nested tuples can take for ever to hash
                raise TypeError
            table[key] = value

    def append(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError
        self.stack[-1].extend(values)

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.push(values)

    def number(self, value: int) -> None:
        if value.bit_length() > 8 * _LONGEST_NUMBER:
            raise OverflowError
        self.push(value)

    def build(self, _: Any) -> None:
        """Attributes, of which an ordered dict of PyTorch's has some: nobody reads them."""
        self.pop()
        if not isinstance(self.stack[-1], dict):
            raise TypeError


def _pushes(make: Callable[[], Any]) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(make())


def _remember(machine: _Machine, place: int) -> None:
    machine.memo[place] = machine.stack[-1]


def _recall(machine: _Machine, place: int) -> None:
    machine.push(machine.memo[place])


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "MARK": _Machine.mark,
    "POP": lambda machine, _: machine.pop(),
    "NONE": _pushes(lambda: None),
    "NEWTRUE": _pushes(lambda: True),
    "NEWFALSE": _pushes(lambda: False),
    "EMPTY_LIST": _pushes(list),
    "EMPTY_DICT": _pushes(dict),
    "EMPTY_TUPLE": _pushes(tuple),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "BINPUT": _remember,
    "LONG_BINPUT": _remember,
    "MEMOIZE": lambda machine, _: _remember(machine, len(machine.memo)),
    "BINGET": _recall,
    "LONG_BINGET": _recall,
    "GLOBAL": lambda machine, names: machine.name(*names.split(" ", 1)),
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.reference,
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1"), _Machine.number),
    **dict.fromkeys(("BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _Machine.push),
}
