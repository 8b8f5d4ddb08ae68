"""cnncli/data/bmp.py: BMP files of every layout, written here, give the colours that they were made of; what a browser
(Chromium 156) shows of each was compared by hand."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.data.decode import decode, examine, read_header
from cnncli.errors import ImageError

from . import bmps
from .bmps import rows, runs

H, W = 12, 17
Y, X = np.mgrid[:H, :W]
COLOURS = np.stack([Y * 20, X * 15, 255 - X * 9 - Y * 8], axis=-1).astype(np.uint8)
ALPHA = (X * 15).astype(np.uint8)
GREY = (X * 11 + Y * 5).astype(np.uint8)
PALETTE = np.random.default_rng(0).integers(0, 256, (256, 3)).astype(np.uint8)
BGRA = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def write(path: Path, data: bytes, bits: int, packing: int = 0, **options: Any) -> Path:
    return bmps.write(path, (H, W), data, bits, packing, **options)


def numbers(masks: tuple[int, ...], bits: int) -> np.ndarray:
    """Return COLOURS and ALPHA as numbers of so many bits, each in its mask."""
    found = np.zeros((H, W), np.int64)
    for mask, channel in zip(masks, (*np.moveaxis(COLOURS, 2, 0), ALPHA), strict=False):
        if mask:
            low = mask & -mask
            found |= np.rint(channel * ((mask // low) / 255)).astype(np.int64) * low
    return found.astype(f"<u{bits // 8}")


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[:, :, None] / 255
    return colours * share + 255 * (1 - share)


@pytest.mark.parametrize("header", [40, 56, 108, 124])
@pytest.mark.parametrize(("bits", "masks"), [
    (16, (0x7C00, 0x3E0, 0x1F, 0)), (16, (0xF800, 0x7E0, 0x1F, 0)), (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
    (16, (0xF00, 0xF0, 0xF, 0xF000)), (16, (0xE0, 0x1C, 0x3, 0)), (32, BGRA), (32, (*BGRA[:3], 0)),
    (32, (0xFF, 0xFF00, 0xFF0000, 0)), (32, (0xFF00, 0xFF0000, 0xFF000000, 0xFF)),
    (32, (0xFF000000, 0xFF0000, 0xFF00, 0)), (32, (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000))])
def test_masks(bits: int, masks: tuple[int, ...], header: int, tmp_path: Path) -> None:
    # Headers of 40 bytes have masks behind them, of transparency only where the packing says so.
    packing = 6 if header == 40 and masks[3] else 3
    path = write(tmp_path / "a.bmp", rows(numbers(masks, bits)), bits, packing, header=header,
                 masks=masks if packing == 6 or header > 40 else masks[:3])
    tops = [mask // (mask & -mask) if mask else 0 for mask in masks]
    alpha = np.rint(np.rint(ALPHA * (tops[3] / 255)) * (255 / tops[3])) if tops[3] else np.full((H, W), 255)
    colours = np.stack([np.rint(np.rint(COLOURS[..., c] * (tops[c] / 255)) * (255 / tops[c])) for c in range(3)], -1)
    assert abs(decode(path, grey=False) - on_white(colours, alpha)).max() <= 2
    assert read_header(path) == (H, W, False)
    assert examine(path)[1].transparent == (masks[3] > 0)


def test_transparency_of_32_bits_without_masks(tmp_path: Path) -> None:
    """Only the later headers have a mask of it; where all is transparent, nobody means it."""
    data = rows(np.dstack([COLOURS[..., ::-1], ALPHA]))
    for header, expected in ((40, COLOURS), (56, COLOURS), (108, on_white(COLOURS, ALPHA))):
        masks = BGRA if header > 40 else ()
        path = write(tmp_path / "a.bmp", data, 32, header=header, masks=masks)
        assert abs(decode(path, grey=False) - expected).max() <= 2
    path = write(tmp_path / "a.bmp", rows(np.dstack([COLOURS[..., ::-1], ALPHA * 0])), 32, header=108, masks=BGRA)
    assert np.array_equal(decode(path, grey=False), COLOURS)


@pytest.mark.parametrize("header", [12, 16, 40, 48, 64, 108])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes(bits: int, header: int, tmp_path: Path) -> None:
    values = GREY >> (8 - bits)
    path = write(tmp_path / "a.bmp", rows(values, bits), bits, header=header, palette=PALETTE[: 1 << bits])
    assert np.array_equal(decode(path, grey=False), PALETTE[values])
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)[: 1 << bits]
    path = write(tmp_path / "a.bmp", rows(values, bits), bits, header=header, palette=greys)
    assert np.array_equal(decode(path, grey=True)[..., 0], values)
    assert read_header(path) == (H, W, True)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_a_palette_of_black_and_white_alone(bits: int, tmp_path: Path) -> None:
    for first in (0, 255):
        palette = np.array([[first] * 3, [255 - first] * 3], np.uint8)
        path = write(tmp_path / "a.bmp", rows(GREY & 1, bits), bits, palette=palette, used=2)
        assert np.array_equal(decode(path, grey=True)[..., 0], palette[GREY & 1, 0])


@pytest.mark.parametrize("gap", [b"", b"x"])
@pytest.mark.parametrize(("bits", "packing"), [(8, 1), (4, 2)])
def test_run_lengths(bits: int, packing: int, gap: bytes, tmp_path: Path) -> None:
    values = GREY >> (8 - bits)
    path = write(tmp_path / "a.bmp", runs(values, bits), bits, packing, palette=PALETTE[: 1 << bits], gap=gap)
    assert np.array_equal(decode(path, grey=False), PALETTE[values])


def test_what_run_lengths_leave_out_is_black(tmp_path: Path) -> None:
    # Five pixels of one colour, an empty row, one that a jump of three pixels and two rows leads to, the end.
    data = bytes([5, 7, 0, 0, 0, 0, 0, 2, 3, 2, 40, 9, 0, 1])
    expected = np.zeros((H, W, 3), np.uint8)
    expected[-1, :5], expected[-5, 3:] = PALETTE[7], PALETTE[9]
    assert np.array_equal(decode(write(tmp_path / "a.bmp", data, 8, 1, palette=PALETTE), grey=False), expected)
    every = runs(np.arange(H * W).reshape(H, W).astype(np.uint8), 8)
    assert decode(write(tmp_path / "b.bmp", every, 8, 1, palette=PALETTE), grey=False).shape == (H, W, 3)


@pytest.mark.parametrize(("arguments", "reason"), [
    ((b"\x89PNG", 0, 5), "around a PNG"), ((b"\xff\xd8", 0, 4), "around a JPEG"),
    ((bytes(9000), 64), "64 bits a pixel"), ((bytes(9000), 32, 11), "packed by method 11"),
    ((bytes(9000), 32, 3), "masks mean no colours"), ((bytes(9000), 4, 1), "4 bits a pixel, packed by method 1"),
    ((bytes(5), 4), "cut short"),
    ((bytes([33, 7, 0, 0]), 8, 1), "cut short")])
def test_what_is_not_read_is_named(arguments: tuple[bytes, int, int], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=reason):
        decode(write(tmp_path / "a.bmp", *arguments), grey=False)


def test_large_ones_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bmp", b"\0\1", 8, 1, palette=PALETTE)
    data = bytearray(path.read_bytes())
    for w, h, reason in ((9900, 9900, "of memory"), (2**30, 2**30, "megapixels"), (0, 5, "no pixels"),
                         (-3, 5, "no pixels"), (-(2**31), -(2**31), "pixels")):
        data[18:26] = struct.pack("<ii", w, h)
        path.write_bytes(data)
        with pytest.raises(ImageError, match=reason):
            decode(path, grey=False)
