"""Guard pages around every array that a kernel sees: a pytest plugin. Each call gets copies of its arrays that end just
before a page nobody may touch (CNN_PAGES=end) or begin just behind one (start), so that reading a single byte too many
ends the process, in whatever test, kernel or instruction set; what was written is copied back. As bytes decide where
arrays begin, all alignments come about that their types allow. test_pages.py runs the kernels' tests so; guard.py
notices what is written, without pages, in every run.
"""

import ctypes
import mmap
import os
import sys
from typing import Any

import numpy as np
import pytest

from cnncli import kernels
from cnncli.kernels import door

PAGE = mmap.PAGESIZE
END = "end"
_NOTHING = 0  # of reading, writing and running
_protect = ctypes.CDLL(None, use_errno=True).mprotect
_protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Paged:
    """A copy of an array between two pages that cannot be read or written."""

    def __init__(self, array: np.ndarray, at_end: bool) -> None:
        self.array = array
        inside = -(-max(array.nbytes, 1) // PAGE) * PAGE
        self._memory = mmap.mmap(-1, inside + 2 * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for page in (start, start + PAGE + inside):
            if _protect(page, PAGE, _NOTHING):
                raise OSError(ctypes.get_errno(), "mprotect")
        offset = PAGE + (inside - array.nbytes if at_end else 0)
        self.copy = np.frombuffer(self._memory, array.dtype, array.size, offset)
        self.address = start + offset

    def put(self) -> None:
        self.copy[:] = self.array.reshape(-1)
        self._before = self.copy.tobytes()

    def take(self) -> None:
        """Copy back what was written; of two arrays over the same memory the one that was read has nothing to say."""
        if self.copy.tobytes() != self._before:
            self.array.reshape(-1)[:] = self.copy


class Pages:
    """Stands in the door: pointers lead to copies, and calls fill them before and empty them after."""

    def __init__(self, at_end: bool) -> None:
        self.at_end, self.pending, self.calls = at_end, [], set()
        self._pointer, self._init, self._call = door.pointer, door.Call.__init__, door.Call.__call__

    def pointer(self, name: str, array: Any, shape: Any = None, dtype: Any = np.float32) -> Any:
        real = self._pointer(name, array, shape, dtype)
        if array is None or not array.nbytes:
            return real
        same = [p for p in self.pending if p.array.ctypes.data == array.ctypes.data and p.array.nbytes == array.nbytes]
        paged = same[0] if same else Paged(array, self.at_end)
        self.pending.append(paged)
        return door.ffi.cast(door.ffi.typeof(real), paged.address)

    def stand_in(self) -> None:
        def init(call: door.Call, name: str, *arguments: Any, keep: tuple[Any, ...] = (), **options: Any) -> None:
            self._init(call, name, *arguments, keep=(*keep, *dict.fromkeys(self.pending)), **options)
            self.pending.clear()

        def run(call: door.Call) -> None:
            self.calls.add(call.name)
            paged = [kept for kept in call.keep if isinstance(kept, Paged)]
            for each in paged:
                each.put()
            try:
                self._call(call)
            finally:
                for each in paged:
                    each.take()

        door.Call.__init__, door.Call.__call__ = init, run  # type: ignore[method-assign]
        for module in [m for name, m in sys.modules.items() if name.startswith(f"{kernels.__name__}.")]:
            if getattr(module, "pointer", None) is self._pointer:
                module.pointer = self.pointer  # type: ignore[attr-defined]


PAGES = Pages(os.environ.get("CNN_PAGES", END) == END)


def pytest_configure(config: pytest.Config) -> None:
    """Stand in the door from the beginning on."""
    PAGES.stand_in()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which kernels ran between pages."""
    terminalreporter.write_line(f"between pages: {' '.join(sorted(PAGES.calls))}")
