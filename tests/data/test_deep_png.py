"""cnncli/data/deep_png.py: both bytes of PNG files of 16 bits a value, whatever the colour type."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import deep_png
from cnncli.data.decode import decode, examine, open_image, read_header
from cnncli.data.depth import Scales, Values

from .test_decode import png

H, W = 11, 13
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


def read(path: Path) -> Values:
    with path.open("rb") as file, Image.open(file) as image:
        assert deep_png.is_deep(image)
        return deep_png.read(image, file)


@pytest.mark.parametrize("colour_type", CHANNELS)
def test_both_bytes(colour_type: int, tmp_path: Path) -> None:
    samples = np.random.default_rng(3).integers(0, 65536, (H, W, CHANNELS[colour_type]), np.uint16)
    found = read(png(tmp_path / "a.png", 16, colour_type, [row.astype(">u2").tobytes() for row in samples]))
    colours = samples[:, :, :1] if colour_type in (0, 4) else samples[:, :, :3]
    assert np.array_equal(found.colours, colours.squeeze())
    if colour_type in (4, 6):
        assert found.alpha is not None
        assert abs(found.alpha - samples[:, :, -1] / 65535).max() < 1e-6
    else:
        assert found.alpha is None


def test_twelve_bits_in_colour_are_not_black(tmp_path: Path) -> None:
    small = np.random.default_rng(4).integers(0, 256, (H, W, 3), np.uint8)
    rows = [np.rint(row * (4095 / 255)).astype(">u2").tobytes() for row in small]
    path = png(tmp_path / "a.png", 16, 2, rows)
    assert np.array_equal(np.asarray(open_image(path, False, scales=Scales((0, 4095)))), small)
    assert decode(path, grey=False).max() <= 16  # where nobody says that there are 12 bits


def keyed(path: Path, colour_type: int, key: list[int], rows: list[bytes]) -> Path:
    """Write a PNG with a transparent colour."""
    data = png(path, 16, colour_type, rows).read_bytes()
    body = b"tRNS" + b"".join(value.to_bytes(2, "big") for value in key)
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    path.write_bytes(data[:33] + chunk + data[33:])
    return path


def test_a_transparent_colour_is_compared_with_both_bytes(tmp_path: Path) -> None:
    grey = np.array([[0x1234, 0x1235, 0x8080]], ">u2")
    path = keyed(tmp_path / "a.png", 0, [0x1234], [grey.tobytes()])
    assert decode(path, grey=True).ravel().tolist() == [255, 0x12, 0x80]
    colour = np.array([[[0x1234, 0, 0], [0x1235, 0, 0]]], ">u2")
    path = keyed(tmp_path / "b.png", 2, [0x1234, 0, 0], [colour.tobytes()])
    assert decode(path, grey=False).tolist() == [[[255] * 3, [0x12, 0, 0]]]
    assert examine(path)[1].transparent
    assert examine(path)[1].wide
    assert read_header(path) == (1, 2, False)


def test_scales_and_alpha_of_twelve_bits(tmp_path: Path) -> None:
    values = np.array([[[4095, 4095], [2048, 4095], [4095, 0]]], ">u2")  # grey and alpha
    found = read(png(tmp_path / "a.png", 16, 4, [values.tobytes()]))
    assert found.alpha is not None
    assert found.alpha.tolist() == [[1, 1, 0]]
    shown = decode(tmp_path / "a.png", grey=True)
    assert shown.ravel().tolist() == [16, 8, 255]
    assert list(open_image(tmp_path / "a.png", True, scales=Scales((0, 4095))).tobytes()) == [255, 128, 255]
