"""Small damage to good files, as disks, networks and malice do it: bits, bytes, numbers at their limits, cuts, copies,
and parts of other files. What is drawn depends on the generator alone."""

import random
import struct
from collections.abc import Sequence

LIMITS = (0, 1, -1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1)
WORDS = (b"\0", b"\xff", b"\n", b"\r\n", b'"', b",", b"[", b"{", b"1e999", b"nan", b"-0", b"\xff\xd8", b"\xff\xd9",
         b"\xff\xda", b"IDAT", b"tRNS", b"PK\3\4", b"null", b"99999999999999999999")


def mutated(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return a damaged copy."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        rng.choice(KINDS)(found, others, rng)
    return bytes(found)


def _place(data: bytearray, rng: random.Random) -> int:
    """Return a place, often near the beginning, where headers are."""
    end = len(data) if rng.random() < 0.5 else min(len(data), 120)
    return rng.randrange(end + 1)


def _flip(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[min(_place(data, rng), len(data) - 1)] ^= 1 << rng.randrange(8)


def _set(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[min(_place(data, rng), len(data) - 1)] = rng.randrange(256)


def _number(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    at, value, kind = _place(data, rng), rng.choice(LIMITS), rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(kind)
    data[at : at + size] = struct.pack(kind, value & (1 << 8 * size) - 1)


def _cut(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _remove(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    at = _place(data, rng)
    del data[at : at + rng.choice((1, 2, 4, 16, 100))]


def _insert(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    at = _place(data, rng)
    data[at:at] = rng.choice(WORDS) * rng.choice((1, 1, 2, 300))


def _repeat(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    at, size = _place(data, rng), rng.choice((1, 4, 12, 60))
    data[at:at] = data[at : at + size] * rng.choice((1, 2, 50))


def _splice(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(others)
    at, size = rng.randrange(len(other) + 1), rng.choice((4, 20, 200))
    here = _place(data, rng)
    data[here : here + rng.choice((0, size))] = other[at : at + size]


KINDS = (_flip, _flip, _set, _number, _number, _cut, _remove, _insert, _repeat, _splice)
