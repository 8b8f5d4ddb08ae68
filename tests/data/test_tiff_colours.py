"""cnncli/data/tiff_colours.py: inks, L*a*b*, YCbCr, palettes and transparency in TIFF files that Pillow does not read
give the red, green and blue that they were made of."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.data import tiff, tiff_colours
from cnncli.data.decode import decode, examine, open_image, read_header
from cnncli.data.depth import Scales, Seen
from cnncli.errors import ImageError

from . import tiffs

H, W = 10, 13
Y, X = np.mgrid[:H, :W]
RGB = np.stack([80 + Y * 9, 90 + X * 7, 180 - X * 4 - Y], axis=-1).astype(np.uint8)
ALPHA = (X * 20).astype(np.uint8)
GREY = (X * 11 + Y * 5).astype(np.uint8)
INKS = np.dstack([255 - RGB, X * 3]).astype(np.uint8)
OF_INKS = np.rint((255.0 - INKS[..., :3]) * (255.0 - INKS[..., 3:]) / 255)
PALETTE = np.random.default_rng(0).integers(0, 256, (256, 3))


def on_white(colours: np.ndarray) -> np.ndarray:
    return colours * (ALPHA[..., None] / 255) + 255 - ALPHA[..., None].astype(float)


def three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def deep(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint16) * 257


def lab() -> np.ndarray:
    """Return L* from 0 to 100, a* and b* of RGB, relative to D50."""
    levels = RGB / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169],
                             [0.0139322, 0.0971045, 0.7141733]]).T / [0.96422, 1, 0.82521]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def lab_of(bits: int, icc: bool) -> np.ndarray:
    """Return L*a*b* in TIFF's encodings: of CIE with signed a* and b*, or that of ICC profiles."""
    unit = 1 << (bits - 8)
    if icc:
        found = (lab() + np.array([0, 128, 128])) * [2.55 * unit, unit, unit]
    else:
        found = lab() * [(256 * unit - 1) / 100, unit, unit]
    return np.rint(found).astype(np.int64).astype(f"u{bits // 8}")


def matches(path: Path, colours: np.ndarray, most: float = 2) -> None:
    """Assert that a file gives these colours, that Pillow was not asked, and that the header says the same."""
    with path.open("rb") as file:
        page = tiff.first_page(file)
    assert page is not None
    assert tiff_colours.is_ours(page)
    pixels = decode(path, grey=False)
    assert abs(pixels - np.asarray(colours, float)).max() <= most
    image, header = examine(path)
    assert read_header(path) == (*pixels.shape[:2], image.mode == "L")
    assert (header.height, header.width) == pixels.shape[:2]


@pytest.mark.parametrize(("samples", "photometric", "options", "colours"), [
    (deep(INKS), 5, {"planes": True}, OF_INKS), (deep(INKS), 5, {"planes": True, "deflate": True}, OF_INKS),
    (np.dstack([INKS, ALPHA]), 5, {"tags": {338: (2,)}}, on_white(OF_INKS)),
    (deep(np.dstack([INKS, ALPHA])), 5, {"tags": {338: (2,)}, "order": ">"}, on_white(OF_INKS)),
    (lab_of(8, False), 8, {"planes": True}, RGB), (lab_of(8, True), 9, {}, RGB), (lab_of(16, True), 9, {}, RGB),
    (lab_of(16, False), 8, {}, RGB), (lab_of(16, False), 8, {"order": ">", "strip": 3}, RGB),
    (np.dstack([lab_of(8, False), ALPHA]), 8, {"tags": {338: (2,)}}, on_white(RGB)),
    (GREY, 3, {"tags": {320: tuple(PALETTE.T.ravel())}}, PALETTE[GREY]),
    (GREY.astype(np.uint16), 3, {"tags": {320: tuple(PALETTE.T.ravel() * 257)}}, PALETTE[GREY]),
    (np.dstack([255 - GREY, ALPHA]), 0, {"tags": {338: (2,)}}, on_white(three(GREY))),
    (np.dstack([GREY, ALPHA]), 1, {"tags": {338: (2,)}, "planes": True}, on_white(three(GREY))),
    (np.dstack([RGB, ALPHA]), 2, {"tags": {338: (0,)}, "planes": True}, RGB),
    (np.dstack([np.rint(RGB * (ALPHA[..., None] / 255)).astype(np.uint8), ALPHA]), 2,
     {"tags": {338: (1,)}, "planes": True}, on_white(RGB)),
    (np.dstack([RGB, GREY, ALPHA]), 2, {"tags": {338: (0, 2)}}, on_white(RGB)),
    (np.asarray(Image.fromarray(RGB).convert("YCbCr")), 6, {"planes": True, "tags": {530: (1, 1)}}, RGB)])
def test_what_pillow_does_not_read(samples: np.ndarray, photometric: int, options: dict[str, Any], colours: np.ndarray,
                                   tmp_path: Path) -> None:
    path = tiffs.write(tmp_path / "a.tif", samples, photometric=photometric, **options)
    matches(path, colours, most=3 if photometric == 6 else 2)


def test_what_pillow_reads_is_left_to_it(tmp_path: Path) -> None:
    for samples, photometric, tags in (
            (RGB, 2, {}), (np.dstack([RGB, ALPHA]), 2, {338: (2,)}), (INKS, 5, {}), (deep(INKS), 5, {}), (GREY, 1, {}),
            (GREY, 0, {}), (GREY, 3, {320: tuple(PALETTE.T.ravel() * 257)}), (lab_of(8, False), 8, {}),
            (np.dstack([GREY, ALPHA]), 1, {338: (2,)}), (RGB, 6, {530: (1, 1)}), (RGB, 6, {})):
        path = tiffs.write(tmp_path / "a.tif", samples, photometric=photometric, tags=tags)
        with path.open("rb") as file:
            page = tiff.first_page(file)
        assert page is not None
        assert not tiff_colours.is_ours(page)
        assert decode(path, grey=False).shape == (H, W, 3)


@pytest.mark.parametrize("bits", [3, 5, 6, 7])
@pytest.mark.parametrize("photometric", [0, 1])
def test_bits_without_gaps(bits: int, photometric: int, tmp_path: Path) -> None:
    levels = GREY >> (8 - bits)
    bits_of_rows = ((levels[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(H, -1)
    packed = np.packbits(bits_of_rows.astype(np.uint8), axis=1)
    path = tiffs.write(tmp_path / "a.tif", packed, photometric=photometric, tags={256: (W,), 258: (bits,)})
    shown = levels * (255 / (2**bits - 1))
    matches(path, three(shown if photometric else 255 - shown))
    assert decode(path, grey=True).shape == (H, W, 1)


@pytest.mark.parametrize(("across", "down"), [(2, 1), (2, 2), (4, 1), (4, 4), (1, 2)])
@pytest.mark.parametrize("said", [True, False])
def test_pixels_that_share_their_colour(across: int, down: int, said: bool, tmp_path: Path) -> None:
    """Without a tag two by two do."""
    if not said and (across, down) != (2, 2):
        return
    bright, *pair = (np.asarray(band) for band in Image.fromarray(RGB).convert("YCbCr").split())
    bright = np.pad(bright, ((0, -H % down), (0, -W % across)), "edge")
    data = bytearray()
    shared = np.zeros((*bright.shape, 3), np.uint8)
    shared[..., 0] = bright
    for y in range(0, H, down):
        for x in range(0, W, across):
            colours = [int(channel[y, x]) for channel in pair]
            data += bright[y : y + down, x : x + across].tobytes() + bytes(colours)
            shared[y : y + down, x : x + across, 1:] = colours
    path = tiffs.write(tmp_path / "a.tif", np.frombuffer(data, np.uint8)[None], photometric=6, tags={
        256: (W,), 257: (H,), 258: (8, 8, 8), 277: (3,), 278: (H,), 279: (len(data),),
        **({530: (across, down)} if said else {})})
    matches(path, np.asarray(Image.fromarray(shared[:H, :W], "YCbCr").convert("RGB")), most=0)
    with pytest.raises(ImageError, match="cut off"):
        decode(cut(path, len(data)), grey=False)


@pytest.mark.parametrize(("rows", "strips", "reason"), [(4, 2, None), (6, 2, None), (3, 2, "end within a block"),
                                                        (5, 1, None)])
def test_strips_of_shared_colours_end_with_a_block(rows: int, strips: int, reason: str | None, tmp_path: Path) -> None:
    """Two rows share colours; a strip that is the only one ends where it likes."""
    path = tiffs.write(tmp_path / "a.tif", np.full((1, 6 * 4 * 3), 128, np.uint8), photometric=6, tags={
        256: (8,), 257: (6,), 258: (8, 8, 8), 277: (3,), 278: (rows,), 530: (2, 2),
        273: (8, 8 + 36)[:strips], 279: (36, 36) if strips == 2 else (72,)})
    if reason is None:
        assert decode(path, grey=False).tolist() == [[[128, 128, 128]] * 8] * 6
        return
    with pytest.raises(ImageError, match=reason):
        decode(path, grey=False)


def cut(path: Path, size: int) -> Path:
    """Say in the file that its strip is some bytes shorter."""
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<HHII", 279, 4, 1, size), struct.pack("<HHII", 279, 4, 1, size - 4)))
    return path


def test_turned(tmp_path: Path) -> None:
    path = tiffs.write(tmp_path / "a.tif", deep(INKS), photometric=5, planes=True, tags={274: (6,)})
    assert abs(decode(path, grey=False) - np.rot90(OF_INKS, -1)).max() <= 2
    assert read_header(path) == (W, H, False)


def test_a_set_of_deep_images_has_nothing_to_do_with_them(tmp_path: Path) -> None:
    path, seen = tiffs.write(tmp_path / "a.tif", deep(INKS), photometric=5, planes=True), Seen()
    shown = open_image(path, False, scales=Scales((0, 4095), (0, 1)), seen=seen)
    assert abs(np.asarray(shown) - OF_INKS).max() <= 2
    assert seen.images == 0


@pytest.mark.parametrize(("samples", "photometric", "tags", "reason"), [
    (GREY, 3, {}, "damaged"), (deep(GREY), 3, {320: (1, 2, 3, 4)}, "damaged"),
    (INKS.astype(np.float32), 5, {}, "floats of 32 bits are inks"), (RGB, 10, {}, r"L\*a\*b\*"),
    (np.dstack([GREY, GREY]), 0, {}, "2 channels"), (GREY, 4, {}, "a mask")])
def test_what_is_not_read_is_named(samples: np.ndarray, photometric: int, tags: dict[int, tuple[int, ...]], reason: str,
                                   tmp_path: Path) -> None:
    path = tiffs.write(tmp_path / "a.tif", samples, photometric=photometric, tags=tags)
    with pytest.raises(ImageError, match=reason):
        decode(path, grey=False)
