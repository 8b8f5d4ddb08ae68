"""Images of every kind that a browser shows as well, side by side on one page: what Chromium draws is what decode.py
gives, but for rounding. Where they differ on purpose, the last test says so."""

import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.data.decode import decode

from ..report.browser import Browser, browser
from . import bmps

__all__ = ["browser"]

H, W, CELL, COLUMNS = 24, 33, 64, 16
Y, X = np.mgrid[:H, :W]
COLOURS = np.stack([Y * 10, X * 7, 255 - X * 5 - Y * 3], axis=-1).astype(np.uint8)
ALPHA = np.where(Y < 8, 255, np.clip(X * 8, 0, 255)).astype(np.uint8)
GREY = (X * 5 + Y * 3).astype(np.uint8)
PALETTE = np.random.default_rng(0).integers(0, 256, (256, 3)).astype(np.uint8)
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by type of colour
WHOLE, PASSES = [(0, 0, 1, 1)], [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
                                 (1, 0, 2, 1)]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(path: Path, samples: np.ndarray, depth: int, colour: int, interlaced: bool = False, *extra: bytes) -> None:
    """Write a PNG; extra are chunks before its pixels."""
    data = b""
    for top, left, down, right in PASSES if interlaced else WHOLE:
        for row in samples[top::down, left::right]:
            bits = ((row.reshape(-1, 1).astype(np.uint32) >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8)
            data += b"\0" + np.packbits(bits).tobytes()
    header = struct.pack(">IIBBBBB", W, H, depth, colour, 0, 0, interlaced)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra)
                     + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def write_pngs(folder: Path) -> None:
    for depth, interlaced in itertools.product((8, 16), (False, True)):
        times = 257 if depth == 16 else 1
        for colour, samples in ((0, GREY), (2, COLOURS), (4, np.dstack([GREY, ALPHA])),
                                (6, np.dstack([COLOURS, ALPHA]))):
            values = samples.astype(np.uint16) * times
            png(folder / f"{depth}-{colour}-{interlaced}.png", values, depth, colour, interlaced)
        key = struct.pack(">H", int(GREY[5, 5]) * times)
        png(folder / f"key-{depth}-{interlaced}.png", GREY.astype(np.uint16) * times, depth, 0, interlaced,
            chunk(b"tRNS", key))
    early = chunk(b"tRNS", b"\0\x80"), chunk(b"PLTE", PALETTE[:16].tobytes())
    png(folder / "early.png", GREY >> 4, 4, 3, False, *early)
    png(folder / "twice.png", GREY >> 4, 4, 3, False, *early[::-1], chunk(b"tRNS", bytes(16)))
    for depth, interlaced in itertools.product((1, 2, 4, 8), (False, True)):
        colours = chunk(b"PLTE", PALETTE[: 1 << depth].tobytes())
        png(folder / f"palette-{depth}-{interlaced}.png", GREY >> (8 - depth), depth, 3, interlaced, colours,
            chunk(b"tRNS", b"\0\x80"))


def write_bmps(folder: Path) -> None:
    rows = {24: COLOURS[..., ::-1], 32: np.dstack([COLOURS[..., ::-1], ALPHA])}
    for bits, header in itertools.product((24, 32), (40, 108)):
        masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000) if header == 108 else ()
        bmps.write(folder / f"{bits}-{header}.bmp", (H, W), bmps.rows(rows[bits]), bits, header=header, masks=masks)
    shades = (ALPHA.astype(np.uint16) >> 4) << 12 | (GREY.astype(np.uint16) >> 4) << 8 | (X.astype(np.uint16) & 15) << 4
    for header in (56, 124):
        bmps.write(folder / f"16-{header}.bmp", (H, W), bmps.rows(shades), 16, 3, header=header,
                   masks=(0xF00, 0xF0, 0xF, 0xF000))
    for bits, packing in ((1, 0), (2, 0), (4, 0), (8, 0), (4, 2), (8, 1)):
        values = GREY >> (8 - bits)
        bmps.write(folder / f"palette-{bits}-{packing}.bmp", (H, W),
                   bmps.runs(values, bits) if packing else bmps.rows(values, bits), bits, packing,
                   palette=PALETTE[: 1 << bits])
    two = np.array([[0] * 3, [255] * 3], np.uint8)
    bmps.write(folder / "two.bmp", (H, W), bmps.rows(GREY & 1), 8, palette=two, used=2)
    bmps.write(folder / "short.bmp", (H, W), bytes([5, 7, 0, 0, 0, 2, 3, 2, 9, 9, 0, 1]), 8, 1, palette=PALETTE)


def write_others(folder: Path) -> None:
    colour, clear = Image.fromarray(COLOURS), Image.fromarray(np.dstack([COLOURS, ALPHA]))
    indexed = Image.frombytes("P", (W, H), GREY.tobytes())
    indexed.putpalette(PALETTE.tobytes())
    small = indexed.crop((0, 0, 9, 7))
    exif = Image.Exif()
    inks = Image.merge("CMYK", [*colour.convert("CMYK").split()[:3], Image.new("L", (W, H), 40)])
    files: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("a.gif", indexed, {}), ("b.gif", indexed, {"transparency": int(GREY[5, 5]), "interlace": True}),
        ("c.gif", indexed, {"save_all": True, "append_images": [small], "disposal": 2, "duration": 60_000}),
        ("a.webp", colour, {"quality": 90}), ("b.webp", clear, {"quality": 90}),
        ("c.webp", clear, {"lossless": True, "exact": True}),
        ("d.webp", clear, {"lossless": True, "save_all": True, "append_images": [clear.rotate(180)],
                           "duration": 60_000, "background": (0, 255, 0, 255)}),
        ("a.jpg", colour, {"quality": 95, "subsampling": 0}), ("b.jpg", colour, {"quality": 95, "progressive": True}),
        ("c.jpg", inks, {"quality": 95}), ("d.jpg", colour, {"quality": 95, "keep_rgb": True}),
        ("e.jpg", colour.convert("L"), {"quality": 95})]
    for name, image, options in files:
        image.save(folder / name, **options)
    for orientation in range(2, 9):
        exif[0x0112] = orientation
        colour.save(folder / f"turned-{orientation}.jpg", exif=exif, quality=95)
        colour.save(folder / f"turned-{orientation}.png", exif=exif)
    data = (folder / "c.jpg").read_bytes()
    at = data.index(b"Adobe") - 4
    (folder / "f.jpg").write_bytes(data[:at] + data[at + 16 :])  # inks of which nobody says that they are inverted


@pytest.mark.slow
def test_what_a_browser_shows(browser: Browser, tmp_path: Path) -> None:
    for write in (write_pngs, write_bmps, write_others):
        write(tmp_path)
    files = sorted(tmp_path.iterdir())
    places = [(i // COLUMNS * CELL, i % COLUMNS * CELL) for i in range(len(files))]
    page = "".join(f'<img src="{file.name}" style="position:absolute;top:{top}px;left:{left}px">'
                   for file, (top, left) in zip(files, places, strict=True))
    (tmp_path / "page.html").write_text(f"<body style='margin:0;background:white'>{page}")
    browser.open(tmp_path / "page.html", (COLUMNS * CELL, (len(files) // COLUMNS + 1) * CELL))
    browser.screenshot(tmp_path / "shown.png")
    shown = np.asarray(Image.open(tmp_path / "shown.png").convert("RGB")).astype(int)
    for file, (top, left) in zip(files, places, strict=True):
        pixels = decode(file, grey=False)
        h, w = pixels.shape[:2]
        assert abs(shown[top : top + h, left : left + w] - pixels).max() <= 2, file.name
        assert (shown[top + h : top + CELL, left : left + CELL] == 255).all(), file.name


def test_colours_are_taken_as_they_are_stored(tmp_path: Path) -> None:
    """Browsers follow a gamma and colour spaces; who trains on files and uses what was trained on files does not."""
    for extra in (chunk(b"gAMA", struct.pack(">I", 100_000)), chunk(b"cICP", bytes([9, 16, 0, 1])),
                  chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(200)))):
        png(tmp_path / "a.png", COLOURS, 8, 2, False, extra)
        assert np.array_equal(decode(tmp_path / "a.png", grey=False), COLOURS)
