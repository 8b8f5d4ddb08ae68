"""TIFF files written by hand, for what Pillow cannot write: any kind of number, byte order, number of channels,
planes, tiles and tags."""

import struct
import zlib
from pathlib import Path

import numpy as np

_FORMATS = {"u": 1, "i": 2, "f": 3, "c": 6}


def write(path: Path, samples: np.ndarray, order: str = "<", photometric: int | None = None, *, planes: bool = False,
          strip: int = 0, deflate: bool = False, tags: dict[int, tuple[int, ...] | bytes] | None = None,
          pages: int = 1) -> Path:
    """Write samples, (h, w) or (h, w, channels), in strips of so many rows (0: one strip); pages repeats the page."""
    samples = samples[:, :, None] if samples.ndim == 2 else samples
    h, w, channels = samples.shape
    stored = samples.astype(samples.dtype.newbyteorder(order))
    parts = [stored[:, :, i] for i in range(channels)] if planes else [stored]
    rows = strip or h
    strips = [part[top : top + rows].tobytes() for part in parts for top in range(0, h, rows)]
    if deflate:
        strips = [zlib.compress(data) for data in strips]
    starts, at = [], 8
    for data in strips:
        starts.append(at)
        at += len(data)
    each = samples.dtype.itemsize * 8
    found: dict[int, tuple[int, ...] | bytes] = {
        256: (w,), 257: (h,), 258: (each,) * channels, 259: (8 if deflate else 1,),
        262: ((2 if channels >= 3 else 1) if photometric is None else photometric,), 273: tuple(starts),
        277: (channels,), 278: (rows,), 279: tuple(map(len, strips)), 284: (2 if planes else 1,),
        339: (_FORMATS[samples.dtype.kind],) * channels, **(tags or {})}
    body = b"".join(strips)
    for page in range(pages):
        body += directory(order, found, 8 + len(body), last=page == pages - 1)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", at)
    path.write_bytes(start + body)
    return path


def directory(order: str, tags: dict[int, tuple[int, ...] | bytes], at: int, last: bool) -> bytes:
    """Return a page's tags as they stand in a file from `at` on."""
    entries, behind, end = [], b"", at + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        packed = value if isinstance(value, bytes) else struct.pack(f"{order}{len(value)}I", *value)
        if len(packed) > 4:
            packed, behind = struct.pack(f"{order}I", end + len(behind)), behind + packed
        kind = 2 if isinstance(value, bytes) else 4
        entries.append(struct.pack(f"{order}HHI", tag, kind, len(value)) + packed.ljust(4, b"\0"))
    after = 0 if last else end + len(behind)
    return struct.pack(f"{order}H", len(tags)) + b"".join(entries) + struct.pack(f"{order}I", after) + behind
