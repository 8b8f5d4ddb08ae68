"""PyTorch's files (.pth, .pt, .bin) as named arrays, in both of their formats: a zip archive with a pickle and a member
per storage, as torch.save has written since version 1.6, and before that several pickles in a row with the storages
behind them. Nothing of the file is ever executed (pickled.py): it may hold dicts, lists, numbers, strings and tensors,
and whatever else is in it is named and refused. state_dict() finds the tensors in what was saved.
"""

import io
import math
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..errors import ModelError, printable
from ..kernels import Array
from ..model.modelfile import BFLOAT16, widened
from . import pickled
from .pickled import PickleError

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_LARGEST_PICKLE = 8 * 2**20
_LARGEST_FILE = 8 * 2**30
_MOST_DIMENSIONS = 8
_MOST_ITEMS = 100_000
_WHOLES = ("state_dict", "model_state_dict", "model", "net")  # what checkpoints call the state dict in them
_STORAGES = {  # what they hold
    "FloatStorage": np.dtype("<f4"), "DoubleStorage": np.dtype("<f8"), "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": BFLOAT16, "LongStorage": np.dtype("<i8"), "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"), "CharStorage": np.dtype("i1"), "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


@dataclass(frozen=True)
class _Storage:
    """A piece of the file's data: count values under a key."""

    key: str
    kind: Any
    count: int

    @property
    def bytes(self) -> int:
        return self.count * int(self.kind.itemsize)


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage, in values."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch(file: BinaryIO, path: str) -> Any:
    """Return what a file of PyTorch's holds, its tensors as arrays (half precision as float32).

    Raises ModelError, naming path, where it is damaged, or holds something else than tensors and plain values.
    """
    try:
        size = file.seek(0, io.SEEK_END)
        if size > _LARGEST_FILE:
            raise PickleError(f"it has {size:,} bytes")
        file.seek(0)
        is_zip = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        return _read_zip(file, size) if is_zip else _read_pickles(file, size)
    except PickleError as error:
        raise ModelError(f"{printable(path)} cannot be used as weights ({printable(error)}); give a state dict that "
                         "torch.save wrote.") from error


def state_dict(value: Any, path: str) -> dict[str, Array]:
    """Return the tensors by name: of a state dict, or of a checkpoint that has one beside other things. The "module."
    that training on several devices puts before every name is left out. Raises ModelError where there is none."""
    for _ in range(3):
        if isinstance(value, dict):
            arrays = {str(name): array for name, array in value.items() if isinstance(array, np.ndarray)}
            if arrays:
                if all(name.startswith("module.") for name in arrays):
                    arrays = {name.removeprefix("module."): array for name, array in arrays.items()}
                return arrays
            value = next((value[key] for key in _WHOLES if key in value), None)
    raise ModelError(f"{printable(path)} holds no named tensors; give a state dict, as model.state_dict() returns it.")


# ---- what the pickles may name ----


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    """torch._utils._rebuild_tensor_v2, whose other arguments say whether there is a gradient."""
    whole = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides)
    numbers = [offset, *shape, *strides] if whole else []
    if not isinstance(storage, _Storage) or not numbers or len(shape) > _MOST_DIMENSIONS or not all(
            type(number) is int and 0 <= number < 2**48 for number in numbers):
        raise PickleError("one of its tensors has an impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) if 0 not in shape else -1
    if last >= storage.count or math.prod(shape) > storage.count:
        raise PickleError("one of its tensors is larger than its data")
    return _Tensor(storage, offset, shape, strides)


def _ordered(pairs: Iterable[Any] = ()) -> dict[str, Any]:
    return {key: value for key, value in pairs if isinstance(key, str)}


_KNOWN: pickled.Known = {
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    "torch.Size": lambda sizes=(): sizes,
    # Never called, only referred to: the second part of a reference to a storage.
    **{f"torch.{name}": (lambda: None) for name in _STORAGES},
}


class _Storages:
    """What the pickle refers to, by key."""

    def __init__(self) -> None:
        self.found: dict[str, _Storage] = {}

    def __call__(self, reference: Any) -> _Storage:
        """Return the storage of ("storage", type, key, device, count) or, older, with None behind."""
        if not isinstance(reference, tuple) or len(reference) not in (5, 6) or reference[0] != "storage":
            raise PickleError("it refers to data in an unknown way")
        kind, key, count = getattr(reference[1], "name", ""), reference[2], reference[4]
        if len(reference) == 6 and reference[5] is not None:
            raise PickleError("its storages are views of others; save it with a newer PyTorch")
        if not isinstance(key, str) or type(count) is not int or not 0 <= count < 2**48:
            raise PickleError("one of its storages has an impossible size")
        dtype = _STORAGES.get(kind.removeprefix("torch."))
        if dtype is None:
            raise PickleError(f"its data are of the kind {kind or 'unknown'}")
        storage = _Storage(key, dtype, count)
        if self.found.setdefault(key, storage) != storage:
            raise PickleError("it describes a storage in two ways")
        return storage


# ---- the two formats ----


def _read_zip(file: BinaryIO, size: int) -> Any:
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename: info for info in archive.infolist()}
            pickles = [name for name in members if name.rpartition("/")[2] == "data.pkl" and name.count("/") <= 1]
            if len(pickles) != 1:
                raise PickleError("it is a zip archive, but none that torch.save wrote")
            if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
                raise PickleError("its parts are compressed, as torch.save never does it")
            if sum(info.file_size for info in members.values()) > size:
                raise PickleError("its parts overlap")
            folder = pickles[0].removesuffix("data.pkl")
            if f"{folder}byteorder" in members and archive.read(f"{folder}byteorder") != b"little":
                raise PickleError("it was written on a big-endian machine")
            storages = _Storages()
            if members[pickles[0]].file_size > _LARGEST_PICKLE:
                raise PickleError("its description is too long")
            value = pickled.load(io.BytesIO(archive.read(pickles[0])), _KNOWN, storages)
            data = {}
            for key, storage in storages.found.items():
                info = members.get(f"{folder}data/{key}")
                if info is None or info.file_size < storage.bytes:
                    raise PickleError("a part of its data is missing")
                data[key] = archive.read(info)
    # All that zipfile raises: of damage, of a password (RuntimeError), of a method it lacks (NotImplementedError).
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise PickleError("its zip archive is damaged") from error
    return _filled(value, data)


def _read_pickles(file: BinaryIO, size: int) -> Any:
    start = io.BytesIO(file.read(_LARGEST_PICKLE))
    if pickled.load(start, {}) != _MAGIC or pickled.load(start, {}) != _PROTOCOL:
        raise PickleError("it is no file of PyTorch's")
    system = pickled.load(start, {})
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise PickleError("it was written on a big-endian machine")
    storages = _Storages()
    value = pickled.load(start, _KNOWN, storages)
    keys = pickled.load(start, {})
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise PickleError("its list of storages is damaged")
    file.seek(start.tell())
    data = {}
    for key in keys:
        storage, count = storages.found.get(key), int.from_bytes(file.read(8), "little")
        if storage is None or count != storage.count or storage.bytes > size - file.tell():
            raise PickleError("a part of its data is missing")
        data[key] = file.read(storage.bytes)
        if len(data[key]) < storage.bytes:
            raise PickleError("a part of its data is missing")
    if storages.found.keys() - data.keys():
        raise PickleError("a part of its data is missing")
    return _filled(value, data)


def _filled(value: Any, data: dict[str, bytes]) -> Any:
    """Return value with arrays for its tensors, three dicts deep: state dicts lie no deeper. Whatever else is in it
    stays out of sight, unread."""
    room = 2 * sum(map(len, data.values()))  # tensors may share a storage, but not often
    items = 0

    def fill(item: Any, depth: int) -> Any:
        nonlocal room, items
        items += 1
        if items > _MOST_ITEMS:  # few dicts that hold each other often
            raise PickleError("its dicts are too many")
        if isinstance(item, _Tensor):
            room -= math.prod(item.shape) * int(item.storage.kind.itemsize)
            if room < 0:
                raise PickleError("its tensors overlap each other")
            return _array(item, data[item.storage.key])
        if isinstance(item, dict) and depth:
            return {key: fill(part, depth - 1) for key, part in item.items()}
        return None

    return fill(value, 3)


def _array(tensor: _Tensor, data: bytes) -> Array:
    values = np.frombuffer(data, tensor.storage.kind, tensor.storage.count)
    if 0 in tensor.shape:
        return widened(np.zeros(tensor.shape, values.dtype))
    view = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape,
                                           [step * values.itemsize for step in tensor.strides], writeable=False)
    return widened(np.array(view, order="C"))
