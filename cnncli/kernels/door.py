"""What every module of the door shares: the prepared call, the checks before a pointer is taken, the mapping from
status codes to errors, and the settings of the library as a whole (instruction set, threads).

Importing this loads the extension; it starts no thread and leaves signal handlers and the floating-point state alone.
CNN_ISA and CNN_THREADS are read by ``configure``, which the command line calls.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from .._kernels import ffi, lib
from ..errors import KernelError, UsageError
from ..values import as_hinted

Array = np.ndarray[Any, np.dtype[Any]]

_DTYPES = {np.dtype(np.float32): "float *", np.dtype(np.float64): "double *", np.dtype(np.uint8): "uint8_t *",
           np.dtype(np.int8): "int8_t *", np.dtype(np.uint16): "uint16_t *", np.dtype(np.int32): "int32_t *",
           np.dtype(np.int64): "int64_t *", np.dtype(np.uint64): "uint64_t *"}
_ISAS = {"reference": lib.CNN_ISA_REFERENCE, "baseline": lib.CNN_ISA_BASELINE, "avx2": lib.CNN_ISA_AVX2,
         "avx512": lib.CNN_ISA_AVX512}
_WORDS = {"vnni": lib.CNN_WORD_VNNI, "bf16": lib.CNN_WORD_BF16, "bf16_plain": lib.CNN_WORD_BF16_PLAIN,
          "amx_bf16": lib.CNN_WORD_AMX_BF16, "amx_plain": lib.CNN_WORD_AMX_PLAIN,
          "avx_vnni": lib.CNN_WORD_AVX_VNNI, "avx_vnni_plain": lib.CNN_WORD_AVX_VNNI_PLAIN,
          "amx_int8": lib.CNN_WORD_AMX_INT8}
_FOR_PRODUCTS = 40 << 20  # bytes: what OpenBLAS takes, 32 MiB, and a little
_ISA_NAMES = {number: name for name, number in _ISAS.items()}


class Call:
    """One operation with its arguments checked and its pointers taken, ready to run again and again.

    ``keep`` holds the arrays whose memory the pointers point to, so that it outlives the call. ``function`` is C's of
    that name, or one of Python that returns 0.
    """

    __slots__ = ("arguments", "function", "keep", "name")

    def __init__(self, name: str, *arguments: Any, keep: tuple[Any, ...] = (),
                 function: Callable[..., int] | None = None) -> None:
        self.name = name
        self.function: Callable[..., int] = function or getattr(lib, name)
        self.arguments = arguments
        self.keep = keep

    def __call__(self) -> None:
        """Run it. Raises KernelError or MemoryError where C refuses."""
        status = self.function(*self.arguments)
        if status:
            self.fail(status)

    def fail(self, status: int) -> None:
        """Raise the error that a status code stands for."""
        if status == lib.CNN_NO_MEMORY:
            raise MemoryError(f"{self.name} needs more scratch memory than there is; use a smaller batch.")
        if status == lib.CNN_NO_ISA:
            raise KernelError("this CPU lacks the instruction set asked for; unset CNN_ISA.")
        raise ValueError(f"{self.name} refused its arguments (status {status}); this is a bug in cnncli.")


def pointer(name: str, array: Array | None, shape: tuple[int, ...] | None = None, dtype: Any = np.float32) -> Any:
    """Return the C pointer to an array after checking it, NULL for None.

    Raises TypeError or ValueError, naming the array, where dtype, shape (if given) or contiguity is off.
    """
    if array is None:
        return ffi.NULL
    if array.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype)}, not {array.dtype}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, not {array.shape}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous; pass np.ascontiguousarray({name})")
    return ffi.cast(_DTYPES[array.dtype], array.ctypes.data)


_LARGEST_ARRAY = 2**62  # bytes; numpy has no words for more
_allowance: ContextVar[list[int] | None] = ContextVar("allowance", default=None)


@contextmanager
def allocation_limit(size: int) -> Iterator[None]:
    """Let aligned arrays take that many bytes in all inside a with block, MemoryError beyond: for building what an
    untrusted file describes."""
    token = _allowance.set([size])
    try:
        yield
    finally:
        _allowance.reset(token)


def aligned_empty(shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    """Return an uninitialised array whose data starts on a 64-byte line."""
    return _aligned(np.empty, shape, dtype)


def aligned_zeros(shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    """Return an array of zeros whose data starts on a 64-byte line; memory is taken only where it is written."""
    return _aligned(np.zeros, shape, dtype)


def _aligned(make: Callable[..., Array], shape: tuple[int, ...], dtype: Any) -> Array:
    size = math.prod(shape) * np.dtype(dtype).itemsize
    allowance = _allowance.get()
    if allowance is not None:
        allowance[0] -= size
        if allowance[0] < 0:
            raise MemoryError(f"an array of {size:,} bytes is more than may be taken here")
    if size >= _LARGEST_ARRAY:
        raise MemoryError(f"an array of {size:,} bytes")
    raw = make(size + 64, dtype=np.uint8)
    offset = -raw.ctypes.data % 64
    array: Array = raw[offset : offset + size].view(dtype).reshape(shape)
    return array


def isas() -> list[str]:
    """Return the names of the instruction sets that this machine runs, "reference" first, the best last."""
    return [name for name, number in _ISAS.items() if lib.cnn_isa_supported(number)]


def active_isa() -> str:
    """Return the name of the instruction set in use."""
    return _ISA_NAMES[lib.cnn_isa_active()]


def set_isa(name: str) -> None:
    """Use one instruction set from now on. Raises UsageError where it is unknown or this CPU lacks it."""
    if name not in isas():
        raise UsageError(f"CNN_ISA={name} cannot be used; give one of {', '.join(isas())}, which this machine runs.")
    lib.cnn_isa_set(_ISAS[name])


@contextmanager
def use_isa(name: str) -> Iterator[None]:
    """Use one instruction set inside a with block."""
    before = active_isa()
    set_isa(name)
    try:
        yield
    finally:
        set_isa(before)


def words() -> frozenset[str]:
    """Return the names of the words beyond the instruction set's own that kernels use now, of "vnni", "bf16",
    "amx_bf16" and "amx_int8"; with AVX2 of "avx_vnni"."""
    active = lib.cnn_words_active()
    return frozenset(name for name, bit in _WORDS.items() if active & bit)


def way() -> tuple[int, int]:
    """Return what kernels compute with now, the instruction set and the words, as something to compare."""
    return int(lib.cnn_isa_active()), int(lib.cnn_words_active())


@contextmanager
def use_words(*names: str) -> Iterator[None]:
    """Use only these words inside a with block; results of float32 and int8 are the same. "bf16_plain" has the results
    of "bf16" without its instruction, on any CPU with AVX-512; "amx_plain" has those of "amx_bf16" and "amx_int8" on
    any CPU, with any instruction set but the reference; "avx_vnni_plain" stands for "avx_vnni" on any CPU with AVX2.
    Raises UsageError where this CPU lacks one."""
    before = 0
    for isa in isas():  # each shows its own
        with use_isa(isa):
            before |= lib.cnn_words_active()
    if lib.cnn_words_set(sum(_WORDS[name] for name in names)):
        raise UsageError(f"this CPU lacks one of {', '.join(names)}.")
    try:
        yield
    finally:
        lib.cnn_words_set(before)


def threads() -> int:
    """Return how many threads an operation may use."""
    return int(lib.cnn_threads_get())


@as_hinted
def set_threads(count: int) -> None:
    """Let operations use that many threads, 1 to 256. Raises UsageError otherwise."""
    if not 1 <= count <= 256 or lib.cnn_threads_set(count) != lib.CNN_OK:
        raise UsageError(f"{count} threads cannot be used; give a number from 1 to 256.")


def available_cpus() -> int:
    """Return the CPUs that this process may use: its affinity, cut down to a container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as quota:
            limit, period = quota.read().split()
        if limit != "max":
            count = min(count, max(1, int(limit) // int(period)))
    except (OSError, ValueError):
        pass
    return min(count, 256)


def configure() -> None:
    """Apply CNN_THREADS and CNN_ISA, and have NumPy's library for products take its memory. Raises UsageError where one
    makes no sense, MemoryError where there is too little.

    Not done at import: a bad variable must reach the user as a sentence, through the command line.
    """
    # OpenBLAS takes it for good at the first product that needs it, and ends the process where it gets none. Small
    # products of two matrices do without on CPUs with AVX-512; one matrix with itself always needs it.
    np.empty(_FOR_PRODUCTS, np.uint8)
    square = np.ones((2, 2))
    square @ square.T
    wanted = os.environ.get("CNN_THREADS", "")
    if wanted:
        try:
            set_threads(int(wanted))
        except (ValueError, UsageError):
            raise UsageError(f"CNN_THREADS={wanted} cannot be used; give a number from 1 to 256.") from None
    if os.environ.get("CNN_ISA"):
        set_isa(os.environ["CNN_ISA"])


lib.cnn_threads_set(available_cpus())
