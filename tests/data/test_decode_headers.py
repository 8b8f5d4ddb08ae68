"""cnncli/data/decode.py: what is said of a file beside its pixels, for each format and mode."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.data.decode import Header, examine, read_header

from .tiffs import write as write_tiff


def turned(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


SMALL = Image.new("RGB", (9, 6), "red")
HEADERS: list[tuple[Image.Image, str, dict[str, Any], dict[str, Any]]] = [
    (SMALL, "PNG", {}, {"mode": "RGB"}), (SMALL, "JPEG", {}, {"mode": "RGB"}), (SMALL, "BMP", {}, {"mode": "RGB"}),
    (SMALL, "WEBP", {}, {"mode": "RGB"}), (SMALL, "GIF", {}, {"mode": "P"}), (SMALL, "TIFF", {}, {"mode": "RGB"}),
    (SMALL.convert("L"), "JPEG", {}, {"mode": "L"}), (SMALL.convert("1"), "PNG", {}, {"mode": "1"}),
    (SMALL, "MPO", {"save_all": True, "append_images": [SMALL]}, {"mode": "RGB", "format": "JPEG"}),
    (SMALL.convert("RGBA"), "PNG", {}, {"mode": "RGBA", "transparent": True}),
    (SMALL.convert("CMYK"), "JPEG", {}, {"mode": "CMYK"}),
    (SMALL, "PNG", {"exif": turned(6)}, {"mode": "RGB", "orientation": 6, "height": 9, "width": 6}),
    (SMALL, "TIFF", {"exif": turned(3)}, {"mode": "RGB", "orientation": 3}),
    (SMALL, "GIF", {"save_all": True, "append_images": [Image.new("RGB", (9, 6)), SMALL]}, {"mode": "P", "frames": 3}),
    (SMALL, "TIFF", {"save_all": True, "append_images": [SMALL, SMALL]}, {"mode": "RGB", "frames": 3}),
    (Image.fromarray(np.zeros((6, 9), np.uint16)), "TIFF", {}, {"mode": "unsigned numbers of 16 bits", "wide": True}),
    (Image.fromarray(np.zeros((6, 9), np.float32)), "TIFF", {"exif": turned(8)},
     {"mode": "floats of 32 bits", "wide": True, "orientation": 8, "height": 9, "width": 6}),
    (Image.fromarray(np.zeros((6, 9), np.int32)), "TIFF", {"exif": turned(9)},
     {"mode": "signed numbers of 32 bits", "wide": True}),
    (Image.fromarray(np.zeros((6, 9), np.uint16)), "PNG", {}, {"mode": "unsigned numbers of 16 bits", "wide": True})]


@pytest.mark.parametrize(("image", "form", "options", "said"), HEADERS)
def test_headers(image: Image.Image, form: str, options: dict[str, Any], said: dict[str, Any], tmp_path: Path) -> None:
    image.save(tmp_path / "a", form, **options)
    usual = dict(format=form, height=6, width=9, orientation=1, frames=1, transparent=False, wide=False, forgiven=())
    found, header = examine(tmp_path / "a")
    assert header == Header(**{**usual, **said})
    assert found.mode == ("L" if image.mode in ("1", "L") or header.wide else "RGB")
    assert read_header(tmp_path / "a") == (header.height, header.width, found.mode == "L")


def test_deep_pages_of_a_tiff_may_be_transparent(tmp_path: Path) -> None:
    values = np.full((6, 9, 4), 9, np.uint16)
    write_tiff(tmp_path / "a.tif", values[:, :, :3], tags={274: (0,)})
    assert examine(tmp_path / "a.tif")[1] == Header("TIFF", "unsigned numbers of 16 bits", 6, 9, 1, 1, False, True)
    write_tiff(tmp_path / "a.tif", values, tags={274: (5,)}, pages=2)
    assert examine(tmp_path / "a.tif")[1] == Header("TIFF", "unsigned numbers of 16 bits", 9, 6, 5, 2, True, True)
