"""cnncli/data/decode.py: what is said of a file beside its pixels, for each format and mode."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from cnncli.data import tiff
from cnncli.data.decode import Header, _reason, _refuse_page, examine, read_header
from cnncli.data.depth import NoNumbers
from cnncli.errors import ImageError

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
    (SMALL, "PNG", {"exif": turned(9)}, {"mode": "RGB"}), (SMALL, "JPEG", {"exif": turned(0)}, {"mode": "RGB"}),
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


# ---- why it cannot be read ----

QOI = "its content is a QOI image, which is not read; save it as JPEG or PNG, for example with ImageMagick"
BOMB, DEEP, FLAT = Image.DecompressionBombError("large."), {258: (16,)}, {258: (8,)}


@pytest.mark.parametrize(("cause", "error", "content", "tags", "reason"), [
    ("kind", UnidentifiedImageError("x"), b"text", None, "its content is not PNG, JPEG, BMP, GIF, TIFF or WebP"),
    ("kind", UnidentifiedImageError("x"), b"qoif", None, QOI),
    ("kind", UnidentifiedImageError("x"), b"qoif", {259: (7,), **DEEP},
     "it is a TIFF of unsigned numbers of 16 bits, packed by JPEG; save it with deflate or LZW, or unpacked"),
    ("kind", UnidentifiedImageError("x"), b"qoif", DEEP,
     "it is a TIFF of unsigned numbers of 16 bits in a layout that is not read; save it anew"),
    ("damaged", UnidentifiedImageError("x"), b"MM\0*\0\0\0\x08", None, "it is damaged or cut short"),
    ("too large", BOMB, b"", DEEP, "it is stored in strips or tiles that are too large; save it with smaller ones"),
    ("too large", BOMB, b"", FLAT, "it has more than 100 megapixels"),
    ("too large", BOMB, b"", None, "it has more than 100 megapixels"),
    ("too large", MemoryError(), b"", None, "it asks for more memory than there is"),
    ("missing", FileNotFoundError(2, "No such file"), b"", None, "it is not there"),
    ("damaged", NoNumbers("its values are no numbers"), b"", DEEP, "its values are no numbers"),
    ("permission", PermissionError(13, "Permission denied"), b"qoif", None, "Permission denied"),
    ("damaged", OSError("image file  is\ntruncated."), b"text", None,
     "it is damaged or cut short (image file is truncated)"),
    ("kind", OSError("truncated"), b"qoif", None, QOI),
    ("damaged", OSError("image file is truncated"), b"qoif", FLAT,
     "it is damaged or cut short (image file is truncated)"),
    ("damaged", ValueError(), b"text", None, "it is damaged or cut short (ValueError)")])
def test_reasons(cause: str, error: Exception, content: bytes, tags: dict[int, tuple[int, ...]] | None, reason: str,
                 tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    page = None if tags is None else tiff.Page({262: (1,), **tags}, "<", 1, False)
    assert _reason(str(tmp_path / "a"), error, page) == (reason, cause)


@pytest.mark.parametrize(("bits", "channels", "size"), [(9, 1, 2), (16, 1, 2), (16, 3, 6), (17, 1, 3), (32, 4, 16)])
def test_so_many_bytes_a_pixel_are_asked_for(bits: int, channels: int, size: int,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(import_module("cnncli.data.decode"), "refuse_deep",
                        lambda *given, copies: asked.append((*given, copies)))
    tags = {256: (5,), 257: (4,), 258: (bits,), 262: (2 if channels > 1 else 1,), 277: (channels,)}
    _refuse_page("a", tiff.Page(tags, "<", 1, False))
    assert asked == [("a", (5, 4), size, channels == 4, 3)]
    with pytest.raises(ImageError, match="raw file"):
        _refuse_page("a", tiff.Page({}, "<", 1, True))
