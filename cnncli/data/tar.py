"""The bytes of tar archives: where each file in one lies, and how a file is written into one. Headers are not trusted.
Only regular files with a path inside the archive are passed on; links, devices and what else a tar may hold are named,
with the reason, and never followed. Nothing is unpacked. archive.py makes a folder of several archives.

The format is POSIX's ustar, with the extensions of pax and GNU for long names.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

BLOCK = 512  # bytes; headers have so many, and data are filled up to the next
_RECORD = 20 * BLOCK  # what the end is filled up to, as tar does
_LONGEST = 4096  # bytes of a path that are read, as the system takes them
_DEEPEST = 64  # folders inside each other
_MOST_WORDS = 1 << 20  # bytes of a header's extension
_ENDS = bytes(BLOCK)
_LONG = b"././@LongLink"
_REGULAR = (b"0", b"\0", b"7")
_KINDS = {b"1": "it is a hard link", b"2": "it is a symbolic link", b"3": "it is a device", b"4": "it is a device",
          b"6": "it is a named pipe", b"S": "it is a sparse file", b"M": "it is a part of a file on several volumes"}
_COMPRESSED = {b"\x1f\x8b": ("gzip", "gunzip"), b"BZ": ("bzip2", "bunzip2"), b"\xfd7": ("xz", "unxz"),
               b"(\xb5": ("zstd", "unzstd")}


class NotTar(Exception):
    """A file is no tar archive; the text says what it is."""


@dataclass(slots=True)
class Contents:
    """What a tar archive holds: the regular files, by their paths, where the bytes of each begin, and how many they
    are; and (path, reason) of what is passed over. cut says how the archive ends too early; "" if it does not.
    """

    paths: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    cut: str = ""


@dataclass(slots=True)
class _Header:
    name: str
    kind: bytes
    size: int
    start: int


def read(file: BinaryIO) -> Contents:
    """Return what an open archive holds, from its headers alone.

    Raises NotTar where it is none, OSError where it cannot be read.
    """
    found, total = Contents(), file.seek(0, os.SEEK_END)
    for header in _headers(file, total, found):
        inside, reason = path_inside(header.name)
        reason = _KINDS.get(header.kind, "" if header.kind in _REGULAR else "it is of no kind that is known") or reason
        if header.kind in _REGULAR and header.name.endswith("/"):
            continue  # a folder, as the oldest programs wrote it
        if not reason and header.start + header.size > total:
            reason = "the archive ends in the middle of it"
        if reason:
            found.refused.append((header.name, reason))
        else:
            found.paths.append(inside)
            found.starts.append(header.start)
            found.sizes.append(header.size)
    return found


def path_inside(name: str) -> tuple[str, str]:
    """Return the path of a file inside its archive, with "/", and why it cannot be used; "" where it can."""
    if name.startswith("/"):
        return name, "its path begins at the root of the disk"
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        return name, "its path leaves the archive"
    if not parts:
        return name, "it has no name"
    if len(parts) > _DEEPEST or len(name) > _LONGEST:
        return name, "its path is too long"
    return "/".join(parts), ""


def fits(header: bytes, size: int) -> bool:
    """Whether a block is the header of a regular file of that many bytes."""
    return len(header) == BLOCK and header[156:157] in _REGULAR and _is_header(header) and _number(
        header[124:136]) == size


def _headers(file: BinaryIO, total: int, found: Contents) -> Iterator[_Header]:
    """Yield the headers of files, folders left out, with what their extensions say."""
    at, words, started = 0, dict[str, str](), False
    if not total:
        raise NotTar(_what(b""))
    while at < total:
        file.seek(at)
        block = file.read(BLOCK)
        if block == _ENDS:
            return
        if len(block) < BLOCK or not _is_header(block):
            if not started:
                raise NotTar(_what(block))
            found.cut = "it ends in the middle of a header" if len(block) < BLOCK else (
                f"the header at byte {at:,} is damaged, and what follows is not read")
            return
        started, kind, size, at = True, block[156:157], _number(block[124:136]), at + BLOCK
        if kind in (b"x", b"g", b"L", b"K"):
            if not 0 <= size <= min(_MOST_WORDS, total - at):
                found.cut = f"the header at byte {at - BLOCK:,} is too long, and what follows is not read"
                return
            given = _said(kind, file.read(size))
            if kind == b"g" and given:
                found.cut = f"the header at byte {at - BLOCK:,} gives all files one path or size; what follows is " \
                            "not read"
                return
            words |= given
        else:
            size = int(words["size"]) if words.get("size", "").isdecimal() else size
            name = words.get("path") or _name(block)
            if size < 0:
                found.cut = f"the header at byte {at - BLOCK:,} has no size, and what follows is not read"
                return
            kind = b"S" if "sparse" in words else kind
            if kind != b"5":
                yield _Header(name, kind, size, at)
            size = 0 if kind in (b"1", b"2", b"3", b"4", b"5", b"6") else size
            words = {}
        at += -(-size // BLOCK) * BLOCK
    found.cut = found.cut or "it has no end; perhaps it is cut off"


def _is_header(block: bytes) -> bool:
    told = _number(block[148:156])
    return told == sum(block) - sum(block[148:156]) + 8 * 32 or told == _signed_sum(block)


def _signed_sum(block: bytes) -> int:
    """Return the sum that some old programs wrote."""
    return sum(byte - 256 * (byte > 127) for byte in block[:148] + b" " * 8 + block[156:])


def _number(text: bytes) -> int:
    """Return a number of a header: in octal, or, where that is too short, in base 256. -1 where it is neither."""
    if text[:1] == b"\x80":
        return int.from_bytes(text[1:], "big")
    digits = text.split(b"\0", 1)[0].strip()
    return int(digits, 8) if re.fullmatch(rb"[0-7]+", digits) else (-1 if digits else 0)


def _name(block: bytes) -> str:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return os.fsdecode(prefix + b"/" + name if prefix else name)


def _said(kind: bytes, data: bytes) -> dict[str, str]:
    """Return what an extension says of the file after it: its path, its size, and whether it is sparse."""
    if kind in (b"L", b"K"):
        return {"path": os.fsdecode(data.split(b"\0", 1)[0])} if kind == b"L" else {}
    said = dict[str, str]()
    while data:
        length = data.split(b" ", 1)[0]
        if not length.isdigit() or len(length) > 9 or not len(length) < int(length) <= len(data):
            break
        record, data = data[len(length) + 1 : int(length)], data[int(length) :]
        key, _, value = record.removesuffix(b"\n").partition(b"=")
        if key.startswith(b"GNU.sparse"):
            said["sparse"] = "yes"
        elif key in (b"path", b"size"):
            said[key.decode()] = os.fsdecode(value)
    return said


def _what(block: bytes) -> str:
    for start, (name, remedy) in _COMPRESSED.items():
        if block.startswith(start):
            return f"it is compressed ({name}), and images are read straight from an archive; decompress it first, " \
                   f"with {remedy}"
    return "it is empty" if not block else "its content is no tar archive"


# ---- writing ----


def header_of(path: str, size: int) -> bytes:
    """Return what stands before the data of a file. The same path and size give the same bytes: there is no time, owner
    or permission of the file's own in it."""
    name = os.fsencode(path)
    before = b""
    if len(name) > 100:
        before = _block(_LONG, len(name) + 1, b"L") + filled(name + b"\0")
    return before + _block(name[:100], size, b"0")


def _block(name: bytes, size: int, kind: bytes) -> bytes:
    number = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    block = b"".join((name.ljust(100, b"\0"), b"0000644\0", b"0000000\0" * 2, number, b"%011o\0" % 0, b" " * 8, kind,
                      bytes(100), b"ustar  \0")).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def filled(data: bytes) -> bytes:
    """Return data filled up to the next block."""
    return data + bytes(-len(data) % BLOCK)


def end_of(size: int) -> bytes:
    """Return what stands at the end of an archive that has so many bytes."""
    return bytes(2 * BLOCK + -(size + 2 * BLOCK) % _RECORD)
