"""PyTorch's files made by hand, in both formats, without PyTorch: from pickle instructions, so that broken ones and
hostile ones can be made as well."""

import io
import pickle
import struct
import zipfile
from typing import Any

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage",
            "uint8": "ByteStorage", "bool": "BoolStorage"}


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value) if abs(value) < 2**31 else b"\x8a\x10" + value.to_bytes(16, "little")


def numbers(values: Any) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def ordered(pairs: bytes = b"") -> bytes:
    """An OrderedDict of instructions that push keys and values in turns."""
    return named("collections", "OrderedDict") + b")R(" + pairs + b"u"


def tensor(key: str, kind: str, count: int, shape: Any, strides: Any, offset: int = 0, legacy: bool = False) -> bytes:
    """The instructions that push a tensor over a storage."""
    storage = (b"(" + text("storage") + named("torch", kind) + text(key) + text("cpu") + number(count)
               + (b"N" if legacy else b"") + b"tQ")
    return (named("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + number(offset) + numbers(shape)
            + numbers(strides) + b"\x89" + ordered() + b"tR")


def strides_of(shape: Any) -> list[int]:
    return [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]


def pickled(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def described(arrays: dict[str, Any], legacy: bool) -> bytes:
    """The pickle of a state dict whose storages are called 0, 1, …"""
    return pickled(ordered(b"".join(
        text(name) + tensor(str(i), STORAGES[str(array.dtype)], array.size, array.shape, strides_of(array.shape),
                            legacy=legacy)
        for i, (name, array) in enumerate(arrays.items()))))


def zipped(description: bytes, storages: dict[str, bytes], compression: int = zipfile.ZIP_STORED,
           byteorder: bytes = b"little") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("weights/data.pkl", description)
        archive.writestr("weights/byteorder", byteorder)
        for key, data in storages.items():
            archive.writestr(f"weights/data/{key}", data)
        archive.writestr("weights/version", b"3\n")
    return file.getvalue()


def in_a_row(description: bytes, storages: dict[str, tuple[int, bytes]], system: Any = SYSTEM,
             magic: int = MAGIC) -> bytes:
    parts = [pickle.dumps(value, 2) for value in (magic, PROTOCOL, system)]
    data = [struct.pack("<q", count) + content for count, content in storages.values()]
    return b"".join([*parts, description, pickle.dumps(list(storages), 2), *data])


def saved(arrays: dict[str, Any], legacy: bool = False) -> bytes:
    """What torch.save makes of a state dict."""
    if legacy:
        return in_a_row(described(arrays, True), {str(i): (a.size, a.tobytes()) for i, a in enumerate(arrays.values())})
    return zipped(described(arrays, False), {str(i): a.tobytes() for i, a in enumerate(arrays.values())})
