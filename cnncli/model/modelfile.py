"""The model file as bytes: one safetensors file of named arrays. Its metadata are strings, and hold a SHA-256 over the
whole file. Nothing here knows what the arrays mean; read checkpoint.py next.

A file may come from anybody. So every length, offset and shape is checked against the file's size before memory is
taken, nothing in the file is ever executed, and whatever is wrong is a ModelError. The header is read by our own code,
because the digest is in it and the shapes must be checked before the arrays are loaded. Every other safetensors reader
opens the file, too.
"""

import hashlib
import json
import math
import os
import re
import stat
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..errors import ModelError, printable
from ..kernels import Array, aligned_empty

FORMAT, VERSION = "cnn-model", 2  # the latest version that is read …
PLAIN, WITH_INT8 = 1, 2  # … and those that are written: of a model in float32, and of a quantised one
SUFFIX = ".safetensors"

_DIGEST = re.compile(rb'"digest":"([0-9a-f]{64})"')  # quotes inside a JSON string are escaped: only the entry matches
_NO_DIGEST = "0" * 64
_DTYPES = {"F32": np.float32, "F64": np.float64, "U8": np.uint8, "I32": np.int32, "U32": np.uint32, "I64": np.int64,
           "I8": np.int8, "U64": np.uint64, "BOOL": np.bool_}
BFLOAT16 = np.dtype("V2")  # the upper half of a float32; NumPy knows no such type
_FOREIGN_DTYPES = {**_DTYPES, "F16": np.float16, "BF16": BFLOAT16, "I16": np.int16, "U16": np.uint16}
_LARGEST_HEADER = 4 * 2**20  # 20,000 class names and a thousand layers fit several times
_LARGEST_FILE = 8 * 2**30
_MOST_TENSORS = 20_000
_CHUNK = 2**20


@dataclass
class Entry:
    """Where one array lies: bytes[begin:end] of what follows the header."""

    dtype: Any
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass
class Header:
    """The checked first part of a file: which arrays there are and where, and the metadata (without the digest)."""

    tensors: dict[str, Entry]
    metadata: dict[str, str]
    raw: bytes
    digest: str
    data_bytes: int


def pack(tensors: dict[str, Array], metadata: dict[str, str]) -> bytes:
    """Return the file's bytes. The same arrays and metadata give the same bytes, in whatever order they come."""
    from safetensors.numpy import save

    contiguous = {name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}
    plain = save(contiguous, metadata={"format": FORMAT, "version": str(PLAIN), **metadata, "digest": _NO_DIGEST})
    start, data = in_order(plain)
    if len(start) - 8 > _LARGEST_HEADER or len(tensors) > _MOST_TENSORS:
        raise ModelError(f"the model cannot be saved: its description takes {len(start) - 8:,} bytes and it has "
                         f"{len(tensors):,} arrays, more than a model file holds; use fewer classes or layers.")
    digest = hashlib.sha256(start)
    digest.update(data)
    return b"".join((_DIGEST.sub(b'"digest":"' + digest.hexdigest().encode() + b'"', start), data))


def in_order(plain: bytes) -> tuple[bytes, memoryview]:
    """Return a safetensors file's header, sorted, with the length before it, and its data. The library writes metadata
    in a random order.
    """
    length = int.from_bytes(plain[:8], "little")
    header = json.dumps(json.loads(plain[8 : 8 + length]), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    head = header.encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head, memoryview(plain)[8 + length :]


def as_json(value: Any) -> str:
    """Return JSON in one fixed form. Numbers that are not finite become null, which every reader understands."""
    return json.dumps(_finite(value), sort_keys=True, allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def is_model(path: str) -> bool:
    """Return whether a file is a model file by its header, and not the state of a training, which also holds a model.
    """
    try:
        with open_model(path) as file:
            return "progress" not in read_header(file, path).metadata
    except ModelError:
        return False


def is_int8_model(path: str) -> bool:
    """Return whether a file is a model file of a quantised model by its header."""
    if not is_model(path):
        return False
    with open_model(path) as file:
        return "quantisation" in read_header(file, path).metadata


def open_model(path: str) -> BinaryIO:
    """Open a regular file for reading. Raises ModelError for anything else, without waiting for a pipe."""
    shown = printable(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"{shown} cannot be read ({reason.lower()}); name a model file with -m.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ModelError(f"{shown} is not a regular file; name a model file with -m.")
    return os.fdopen(descriptor, "rb", buffering=0)


def read_header(file: BinaryIO, path: str) -> Header:
    """Read and check a file's header. Raises ModelError, naming path, if it is not ours, damaged or of a later version.
    The digest is not compared yet: ``read_tensors`` and ``check_digest`` do that.
    """
    table, raw, data_bytes = _read_table(file, path)
    metadata = table.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise _not_ours(path, "a safetensors file, but without cnn's description")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise damaged(path, "its description is not made of strings")
    _check_version(metadata.pop("version", ""), path)
    digest = metadata.pop("digest", "")
    if _DIGEST.findall(raw) != [digest.encode("utf-8", "replace")]:
        raise damaged(path, "its checksum is not there")
    return Header(_entries(table, _DTYPES, data_bytes, path), metadata, raw, digest, data_bytes)


def _read_table(file: BinaryIO, path: str) -> tuple[dict[str, Any], bytes, int]:
    """Return the JSON of any safetensors file's header, the bytes up to its end, and how many bytes follow."""
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise damaged(path, "it is empty")
    if size > _LARGEST_FILE:
        raise _not_ours(path, f"it has {size:,} bytes")
    start = _read(file, 8)
    length = int.from_bytes(start, "little")
    raw = _read(file, min(length, _LARGEST_HEADER, size - len(start)))
    if length > _LARGEST_HEADER or not raw.startswith(b"{"):
        raise _not_ours(path, _guess(start + raw[:64]))
    if len(raw) < length:
        raise damaged(path, f"it ends after {size:,} bytes, within its description")
    return _json(raw, path), start + raw, size - 8 - length


def read_tensors(file: BinaryIO, header: Header, path: str) -> dict[str, Array]:
    """Read the arrays that follow the header, into one piece of memory. Raises ModelError if the digest is not that of
    the bytes read.
    """
    data = aligned_empty((header.data_bytes,), np.uint8)
    digest = _digest_of_start(header)
    file.seek(len(header.raw))
    for begin in range(0, len(data), _CHUNK):
        part = data.data[begin : begin + _CHUNK]
        _read_into(file, part)
        digest.update(part)
    if digest.hexdigest() != header.digest:
        raise damaged(path, "its checksum does not fit its content")
    return {name: data[e.begin : e.end].view(e.dtype).reshape(e.shape) for name, e in header.tensors.items()}


def is_ours(file: BinaryIO, path: str) -> bool:
    """Return whether a safetensors file claims to be a model of cnn. Raises ModelError if it is no safetensors file."""
    metadata = _read_table(file, path)[0].get("__metadata__")
    return isinstance(metadata, dict) and metadata.get("format") == FORMAT


def read_foreign(file: BinaryIO, path: str) -> dict[str, Array]:
    """Read the arrays of any safetensors file. Half precision becomes float32. Raises ModelError."""
    table, raw, data_bytes = _read_table(file, path)
    table.pop("__metadata__", None)
    entries = _entries(table, _FOREIGN_DTYPES, data_bytes, path)
    data = np.zeros(data_bytes, np.uint8)
    file.seek(len(raw))
    _read_into(file, data.data)
    return {name: widened(data[e.begin : e.end].view(e.dtype)).reshape(e.shape) for name, e in entries.items()}


def widened(values: Array) -> Array:
    """Return floats of any precision, BFLOAT16 too, as float32. Anything else is returned as it is."""
    if values.dtype == BFLOAT16:
        return (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32, copy=False) if values.dtype.kind == "f" else values


def check_digest(file: BinaryIO, header: Header, path: str) -> None:
    """Raise ModelError if the digest is not that of the file. Takes hardly any memory."""
    digest = _digest_of_start(header)
    file.seek(len(header.raw))
    while part := file.read(_CHUNK):
        digest.update(part)
    if digest.hexdigest() != header.digest:
        raise damaged(path, "its checksum does not fit its content")


def parse(text: str, path: str, what: str) -> Any:
    """Return the JSON value of a metadata entry. Raises ModelError, naming what, if it is none."""
    return _json(text, path, what, dict if what != "classes" else list)


def damaged(path: str, why: str) -> ModelError:
    """Return the error for a file that was ours and is damaged, or pretends to be ours."""
    return ModelError(f"{printable(path)} is damaged ({why}); use a whole copy of it, or train again.")


def _not_ours(path: str, why: str) -> ModelError:
    return ModelError(f"{printable(path)} is not a model of cnn ({why}); give a model.safetensors that 'cnn train' "
                      "wrote, or the folder of its run.")


def _guess(start: bytes) -> str:
    """Say what a file that is not ours looks like."""
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "it looks like a zip archive or a PyTorch model"
    if start.startswith(b"\x80") and start[1:2] in b"\x02\x03\x04\x05":
        return "it looks like a pickle, which cnn never opens"
    if start.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")):
        return "it looks like an image"
    if start.isascii() and start.decode("ascii").replace("\n", "").replace("\t", "").replace("\r", "").isprintable():
        return "it looks like a text file"
    return "it does not begin like a safetensors file"


def _check_version(text: str, path: str) -> None:
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) < 1:
        raise damaged(path, "its format version is no number")
    if int(text) > VERSION:
        raise ModelError(f"{printable(path)} was written by a later version of cnn (format {int(text)}; this one reads "
                         f"up to {VERSION}); update cnn ('git pull' and 'pip install .' in the folder that it was "
                         "installed from).")


def _entries(table: dict[str, Any], dtypes: dict[str, Any], data_bytes: int, path: str) -> dict[str, Entry]:
    """Check the table of arrays: known types, sizes that fit, no overlap, no gap, nothing beyond the file."""
    if len(table) > _MOST_TENSORS:
        raise damaged(path, f"it claims {len(table):,} arrays")
    entries: dict[str, Entry] = {}
    for name, value in table.items():
        entry = _entry(value, dtypes)
        if entry is None:
            raise damaged(path, f"its array {printable(name[:60])} has an impossible type or size")
        entries[name] = entry
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != end:
            raise damaged(path, f"its array {printable(name[:60])} overlaps another one or leaves a gap")
        end = entry.end
    if end != data_bytes:
        raise damaged(path, f"it should hold {end:,} bytes of arrays and holds {data_bytes:,}")
    return entries


def _entry(value: Any, dtypes: dict[str, Any]) -> Entry | None:
    """Return one line of the table, None if it is impossible in itself."""
    if not isinstance(value, dict) or not isinstance(value.get("dtype"), str):
        return None
    dtype = dtypes.get(value["dtype"])
    shape, place = _sizes(value.get("shape"), 8), _sizes(value.get("data_offsets"), 2)
    if dtype is None or shape is None or place is None or len(place) != 2:
        return None
    if place[1] - place[0] != math.prod(shape) * np.dtype(dtype).itemsize:
        return None
    return Entry(dtype, shape, place[0], place[1])


def _sizes(value: Any, most: int) -> tuple[int, ...] | None:
    good = isinstance(value, list) and len(value) <= most and all(type(v) is int and 0 <= v < 2**48 for v in value)
    return tuple(value) if good else None


def _json(text: bytes | str, path: str, what: str = "header", kind: type = dict) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        value = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its part {what!r} is no JSON") from error
    if not isinstance(value, kind):
        raise damaged(path, f"its part {what!r} is not of the right kind")
    return value


def _digest_of_start(header: Header) -> Any:
    return hashlib.sha256(header.raw.replace(f'"digest":"{header.digest}"'.encode(),
                                             f'"digest":"{_NO_DIGEST}"'.encode()))


def _read(file: BinaryIO, count: int) -> bytes:
    """Read count bytes; fewer only at the end of the file."""
    parts = []
    while count and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _read_into(file: Any, part: memoryview) -> None:
    """Fill part from the file. If the file has become shorter meanwhile, the rest stays as it is and the digest does
    not fit.
    """
    while part and (got := file.readinto(part)):
        part = part[got:]
