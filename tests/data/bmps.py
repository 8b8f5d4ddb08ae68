"""BMP files written by hand, for what Pillow cannot write: any header, number of bits, mask and packing."""

import struct
from pathlib import Path

import numpy as np


def write(path: Path, size: tuple[int, int], data: bytes, bits: int, packing: int = 0, *, header: int = 40,
          palette: np.ndarray | None = None, masks: tuple[int, ...] = (), used: int = 0,
          gap: bytes = b"") -> Path:
    """Write a BMP of (h, w) of these bytes, its palette (n, 3) of red, green and blue."""
    h, w = size
    if header == 12:
        head = struct.pack("<IHHHH", 12, w, h, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", header, w, h, 1, bits, packing, len(data), 0, 0, used, 0)
        head = head[:header] + struct.pack("<4I", *(masks + (0,) * 4)[:4])[: max(header - 40, 4 * len(masks))]
        head = head.ljust(header, b"\0")
    entries = b"".join(bytes(colour[::-1]) + b"\0" * (header != 12) for colour in (() if palette is None else palette))
    start = 14 + len(head) + len(entries) + len(gap)
    path.write_bytes(b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + entries + gap + data)
    return path


def rows(values: np.ndarray, bits: int = 8) -> bytes:
    """Return rows from the bottom up, each filled up to four bytes; of fewer than 8 bits packed."""
    found = b""
    for row in values.reshape(len(values), -1)[::-1]:
        if bits < 8:
            row = np.packbits(((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8))
        found += row.tobytes() + bytes(-row.nbytes % 4)
    return found


def runs(values: np.ndarray, bits: int) -> bytes:
    """Pack indices: pieces of up to seven as they are, single ones as runs of two."""
    found = b""
    for row in values[::-1]:
        for start in range(0, values.shape[1], 7):
            piece = row[start : start + 7]
            if len(piece) > 2:
                packed = piece.tobytes() if bits == 8 else rows(piece[None], 4)[: -(-len(piece) // 2)]
                found += bytes([0, len(piece)]) + packed + b"\0" * (len(packed) % 2)
            else:
                found += b"".join(bytes([1, value if bits == 8 else value << 4]) for value in piece)
        found += b"\0\0"
    return found[:-2] + b"\0\1"
