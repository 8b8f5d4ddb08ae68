"""The processes that this one was started with: ``world`` finds out once, and imports MPI only if there are several.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from ..errors import UsageError
from ..extras import install
from .launcher import here
from .world import ALONE, World

_found: list[World] = []  # the processes that MPI has started, once they are known


def world() -> World:
    """Return the processes that this one was started with. Raises UsageError if there are some and mpi4py is missing.
    """
    if not _found:
        if here().size == 1:
            return ALONE
        try:
            from .many import Many
        except (ImportError, RuntimeError) as error:  # RuntimeError: mpi4py finds no MPI library
            missing = " is not installed" if isinstance(error, ModuleNotFoundError) else f" cannot be used ({error})"
            raise UsageError(f"several processes were started, and what they speak with, mpi4py,{missing}; install it: "
                             f"{install('mpi')}") from None
        _found.append(Many())
    return _found[0]


@contextmanager
def apart() -> Iterator[None]:
    """Inside the with statement each process works by itself: ``world`` returns one that is alone."""
    before, _found[:] = list(_found), [ALONE]
    try:
        yield
    finally:
        _found[:] = before


def fail(sentence: str, code: int) -> NoReturn:
    """End this process, one of several, and all others, because of an error in this one."""
    for several in _found:
        several.fail(code, sentence)
    os._exit(code)  # it never began to speak with the others, which have the same error


__all__ = ["apart", "fail", "world"]
