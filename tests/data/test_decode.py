"""cnncli/data/decode.py: a corpus of every format and mode, made here, and of everything that must be refused."""

import io
import os
import struct
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.data.decode import decode, open_image, read_header
from cnncli.errors import ImageError

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
H, W = 6, 9


@pytest.fixture
def ramp() -> np.ndarray:
    """A colour image (h, w, 3) in which every pixel differs and no two sides are alike."""
    y, x = np.mgrid[:H, :W]
    return np.stack([y * 40, x * 28, 255 - x * 20 - y * 10], axis=-1).astype(np.uint8)


def luma(rgb: np.ndarray) -> np.ndarray:
    return rgb @ np.array([0.299, 0.587, 0.114])


def png(path: Path, bit_depth: int, colour_type: int, rows: list[bytes]) -> Path:
    """Write a PNG by hand, for what Pillow cannot write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    width = len(rows[0]) * 8 // (bit_depth * samples)
    header = struct.pack(">IIBBBBB", width, len(rows), bit_depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


# ---- formats and modes ----


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif", ".tiff", ".webp"])
def test_lossless_formats(suffix: str, ramp: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(ramp).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    assert np.array_equal(decode(path, grey=False), ramp)
    grey = decode(path, grey=True)
    assert grey.shape == (H, W, 1)
    assert abs(grey[..., 0] - luma(ramp)).max() <= 1
    assert read_header(path)[:2] == (H, W)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg(options: dict[str, Any], tmp_path: Path) -> None:
    smooth = np.full((40, 50, 3), (200, 60, 90), np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95, **options)
    assert abs(decode(tmp_path / "a.jpg", grey=False).astype(int) - smooth).max() <= 4


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff(compression: str, ramp: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(ramp).save(tmp_path / "a.tif", compression=compression)
    assert np.array_equal(decode(tmp_path / "a.tif", grey=False), ramp)


def test_grey_and_one_bit(tmp_path: Path, ramp: np.ndarray) -> None:
    Image.fromarray(ramp[..., 0]).save(tmp_path / "l.png")
    assert np.array_equal(decode(tmp_path / "l.png", grey=True)[..., 0], ramp[..., 0])
    assert np.array_equal(decode(tmp_path / "l.png", grey=False), np.repeat(ramp[..., :1], 3, axis=2))
    bits = ramp[..., 0] > 100
    for suffix in ("png", "bmp", "tif", "gif"):
        Image.fromarray(bits).save(tmp_path / f"1.{suffix}")
        assert np.array_equal(decode(tmp_path / f"1.{suffix}", grey=True)[..., 0], bits * 255)
        assert read_header(tmp_path / f"1.{suffix}") == (H, W, True)


def test_palette(tmp_path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    image.frombytes(bytes([0, 1, 2]))
    for suffix in ("png", "gif", "bmp", "tif"):
        image.save(tmp_path / f"p.{suffix}")
        assert decode(tmp_path / f"p.{suffix}", grey=False).tolist() == [[list(RED), list(GREEN), list(BLUE)]]
        assert read_header(tmp_path / f"p.{suffix}") == (1, 3, False)


def test_a_palette_of_greys_is_grey(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 200, 200])
    image.frombytes(b"\0\1")
    image.save(tmp_path / "p.png")
    assert read_header(tmp_path / "p.png") == (1, 2, True)
    assert decode(tmp_path / "p.png", grey=True).ravel().tolist() == [0, 200]


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_alpha_is_laid_on_white(suffix: str, tmp_path: Path) -> None:
    image = Image.new("RGBA", (3, 1))
    image.frombytes(bytes([*RED, 255, *BLUE, 0, *BLACK, 128]))
    image.save(tmp_path / f"a.{suffix}", **({"lossless": True, "exact": True} if suffix == "webp" else {}))
    assert decode(tmp_path / f"a.{suffix}", grey=False).tolist() == [[list(RED), list(WHITE), [127] * 3]]
    assert decode(tmp_path / f"a.{suffix}", grey=True).ravel().tolist() == [76, 255, 127]


def test_grey_with_alpha(tmp_path: Path) -> None:
    image = Image.new("LA", (3, 1))
    image.frombytes(bytes([10, 255, 10, 0, 0, 128]))
    image.save(tmp_path / "la.png")
    assert decode(tmp_path / "la.png", grey=True).ravel().tolist() == [10, 255, 127]
    assert read_header(tmp_path / "la.png") == (1, 3, True)


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    image.frombytes(bytes([0, 1, 2]))
    image.save(tmp_path / "bytes.png", transparency=bytes([255, 0, 128]))
    assert decode(tmp_path / "bytes.png", grey=False).tolist() == [[list(RED), list(WHITE), [127, 127, 255]]]
    for suffix in ("png", "gif"):
        image.save(tmp_path / f"index.{suffix}", transparency=1)
        assert decode(tmp_path / f"index.{suffix}", grey=False).tolist() == [[list(RED), list(WHITE), list(BLUE)]]


def test_one_colour_that_is_transparent(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1))
    image.frombytes(bytes([*RED, *BLUE]))
    image.save(tmp_path / "rgb.png", transparency=BLUE)
    assert decode(tmp_path / "rgb.png", grey=False).tolist() == [[list(RED), list(WHITE)]]
    grey = Image.new("L", (2, 1))
    grey.frombytes(b"\x0a\x14")
    grey.save(tmp_path / "l.png", transparency=20)
    assert decode(tmp_path / "l.png", grey=True).ravel().tolist() == [10, 255]


def test_cmyk(tmp_path: Path) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    image.save(tmp_path / "a.tif")
    assert decode(tmp_path / "a.tif", grey=False)[8, 8].tolist() == list(RED)
    assert decode(tmp_path / "a.tif", grey=True)[8, 8].tolist() == [76]
    image.save(tmp_path / "a.jpg", quality=95)
    assert abs(decode(tmp_path / "a.jpg", grey=False)[8, 8].astype(int) - RED).max() <= 4


def test_ycbcr_and_lab(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), RED).convert("YCbCr").save(tmp_path / "ycc.tif", compression="tiff_lzw")
    assert abs(decode(tmp_path / "ycc.tif", grey=False)[4, 4].astype(int) - RED).max() <= 2
    Image.new("LAB", (8, 8), (255, 128, 128)).save(tmp_path / "lab.tif")
    assert decode(tmp_path / "lab.tif", grey=False)[4, 4].min() >= 250
    assert decode(tmp_path / "lab.tif", grey=True)[4, 4] >= 250
    assert abs(int(decode(tmp_path / "ycc.tif", grey=True)[4, 4, 0]) - 76) <= 2


# ---- more than 8 bits ----

WIDE = np.array([[0, 257, 32896, 65535, 128, 129]], np.uint16)
NARROW = [0, 1, 128, 255, 0, 1]  # rounded, where clipping would give 255 and cutting off 0


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(WIDE).save(tmp_path / f"a.{suffix}")
    assert decode(tmp_path / f"a.{suffix}", grey=True).ravel().tolist() == NARROW
    assert decode(tmp_path / f"a.{suffix}", grey=False)[..., 2].ravel().tolist() == NARROW
    assert read_header(tmp_path / f"a.{suffix}") == (1, 6, True)


def test_sixteen_bit_big_endian_tiff(tmp_path: Path) -> None:
    data = WIDE.astype(">u2").tobytes()
    tags = [(256, 6), (257, 1), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, len(data))]
    directory = struct.pack(">H", len(tags)) + b"".join(struct.pack(">HHII", t, 4, 1, v) for t, v in tags)
    (tmp_path / "a.tif").write_bytes(b"MM\0*" + struct.pack(">I", 8 + len(data)) + data + directory + bytes(4))
    assert decode(tmp_path / "a.tif", grey=True).ravel().tolist() == NARROW


@pytest.mark.parametrize(("colour_type", "samples"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_colour_png(colour_type: int, samples: int, tmp_path: Path) -> None:
    values = np.full((1, 2, samples), 65535, ">u2")
    values[0, 0, : samples - (samples in (2, 4))] = 0x8080
    path = png(tmp_path / "a.png", 16, colour_type, [values.tobytes()])
    assert decode(path, grey=False).tolist() == [[[128] * 3, [255] * 3]]


def test_thirty_two_bit_integers(tmp_path: Path) -> None:
    for values, expected in (([0, 257, 32896, 65535], [0, 1, 128, 255]), ([0, 500_000, 1_000_000, 0], [0, 128, 255, 0]),
                             ([-100, 0, 100, 100], [0, 128, 255, 255]), ([70_000] * 4, [0] * 4)):
        Image.fromarray(np.array([values], np.int32)).save(tmp_path / "a.tif")
        assert decode(tmp_path / "a.tif", grey=True).ravel().tolist() == expected


def test_floats(tmp_path: Path) -> None:
    nan = float("nan")
    for values, expected in (([0, 0.5, 1, 0.25], [0, 128, 255, 64]), ([0.2, 0.2, 0.2, 0.2], [51] * 4),
                             ([-1, 0, 1, 1], [0, 128, 255, 255]), ([0, 100, 200, 50], [0, 128, 255, 64]),
                             ([nan, 0, 1, float("inf")], [0, 0, 255, 0]), ([7, 7, 7, 7], [0] * 4)):
        Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tif")
        assert decode(tmp_path / "a.tif", grey=True).ravel().tolist() == expected
    Image.fromarray(np.full((2, 2), nan, np.float32)).save(tmp_path / "nan.tif")
    with pytest.raises(ImageError, match="finite"):
        decode(tmp_path / "nan.tif", grey=True)


# ---- orientation, frames, reduced decoding ----


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_exif_orientation(orientation: int, suffix: str, tmp_path: Path) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :16] = 255  # the top left corner is white
    stored = {2: np.fliplr(upright), 3: np.rot90(upright, 2), 4: np.flipud(upright), 5: upright.T,
              6: np.rot90(upright), 7: np.rot90(upright, 2).T, 8: np.rot90(upright, 3)}.get(orientation, upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(np.ascontiguousarray(stored)).convert("RGB").save(tmp_path / f"a.{suffix}", exif=exif, **options)
    pixels = decode(tmp_path / f"a.{suffix}", grey=True)[..., 0]
    assert pixels.shape == upright.shape
    assert abs(pixels.astype(int) - upright).max() <= 2
    assert read_header(tmp_path / f"a.{suffix}")[:2] == upright.shape


def test_broken_exif_is_no_reason_to_refuse(tmp_path: Path) -> None:
    Image.new("RGB", (16, 8), RED).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\0\0")
    assert decode(tmp_path / "a.jpg", grey=False).shape == (8, 16, 3)
    assert read_header(tmp_path / "a.jpg")[:2] == (8, 16)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_the_first_frame_counts(suffix: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    assert decode(tmp_path / f"a.{suffix}", grey=False)[4, 4].tolist() == list(RED)


@pytest.mark.slow
def test_a_large_jpeg_is_reduced_while_decoding(tmp_path: Path) -> None:
    y, x = np.mgrid[:800, :1200]
    Image.fromarray(np.stack([y / 4, x / 5, x / 6], axis=-1).astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    assert open_image(tmp_path / "a.jpg", False).size == (1200, 800)
    reduced = open_image(tmp_path / "a.jpg", False, (64, 64))
    assert min(reduced.size) >= 128
    assert reduced.width < 400
    whole = np.asarray(open_image(tmp_path / "a.jpg", False).resize((90, 60))).astype(int)
    assert abs(np.asarray(reduced.resize((90, 60))) - whole).max() <= 6


# ---- what must be refused ----


def refused(path: Path, words: str, header: bool = True) -> ImageError:
    """Assert that an image is refused for that reason, and its header too where it is what cannot be read."""
    with pytest.raises(ImageError, match=words) as caught:
        decode(path, grey=False)
    if header:
        with pytest.raises(ImageError) as early:
            read_header(path)
        assert str(early.value) == str(caught.value)
    assert caught.value.path == str(path)
    assert str(caught.value).startswith(f"{path} cannot be used: ")
    assert str(caught.value).endswith(caught.value.reason + ".")
    return caught.value


def test_content_decides_and_not_the_name(ramp: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(ramp).save(tmp_path / "really.png")
    (tmp_path / "really.png").rename(tmp_path / "a.jpg")
    assert np.array_equal(decode(tmp_path / "a.jpg", grey=False), ramp)
    (tmp_path / "text.png").write_text("I am no image.")
    refused(tmp_path / "text.png", "not PNG, JPEG, BMP, GIF, TIFF or WebP")
    Image.fromarray(ramp).save(tmp_path / "a.ppm")
    (tmp_path / "a.ppm").rename(tmp_path / "b.png")
    refused(tmp_path / "b.png", "its content is a PNM image .* which is not read; save it as JPEG or PNG")


def test_empty_missing_and_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    refused(tmp_path / "a.png", "it is empty")
    refused(tmp_path / "none.png", "it is not there")
    refused(tmp_path, "not a regular file|directory")
    os.mkfifo(tmp_path / "fifo.png")
    refused(tmp_path / "fifo.png", "not a regular file")
    (tmp_path / "loop.png").symlink_to("loop.png")
    refused(tmp_path / "loop.png", "symbolic links")
    with pytest.raises(ImageError, match="cannot be used"):
        decode("a\0b.png", grey=True)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "tif", "webp"])
def test_truncated_at_every_tenth(suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str],
                                  rng: np.random.Generator) -> None:
    image = Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8))
    image.save(tmp_path / f"whole.{suffix}")
    data = (tmp_path / f"whole.{suffix}").read_bytes()
    path = tmp_path / f"a.{suffix}"
    for tenth in range(1, 10):
        path.write_bytes(data[: len(data) * tenth // 10])
        refused(path, ".", header=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "tif", "webp"])
def test_noise_gives_pixels_or_an_image_error(suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str],
                                              rng: np.random.Generator) -> None:
    Image.fromarray(rng.integers(0, 256, (12, 10, 3), np.uint8)).save(tmp_path / f"whole.{suffix}")
    data = np.frombuffer((tmp_path / f"whole.{suffix}").read_bytes(), np.uint8)
    path = tmp_path / f"a.{suffix}"
    for _ in range(150):
        noisy = data.copy()
        places = rng.integers(0, min(len(data), 200), 3)
        noisy[places] = rng.integers(0, 256, 3)
        path.write_bytes(noisy.tobytes())
        for look in (lambda: decode(path, grey=False), lambda: read_header(path)):
            with suppress(ImageError):
                look()
    assert capfd.readouterr() == ("", "")


def test_more_than_100_megapixels_are_refused_before_decoding(tmp_path: Path) -> None:
    for w, h in ((10_001, 10_000), (20_000, 20_000), (65_535, 65_535)):
        header = struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)
        crc = struct.pack(">I", zlib.crc32(b"IHDR" + header))
        idat = b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + header + crc + idat)
        refused(tmp_path / "a.png", "megapixels")
        with pytest.raises(ImageError, match="megapixels"):
            read_header(tmp_path / "a.png")


@pytest.mark.slow
def test_95_megapixels_pass_without_a_warning(tmp_path: Path) -> None:
    Image.new("1", (10_000, 9_500)).save(tmp_path / "a.png")
    assert read_header(tmp_path / "a.png") == (9_500, 10_000, True)


@pytest.mark.alone
def test_a_jpeg_of_too_many_scans_is_refused_at_once(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("L", (64, 64), 128).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    start = data.rindex(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(data[:start] + data[start:-2] * 600 + data[-2:])
    began = time.monotonic()
    refused(tmp_path / "a.jpg", "scans", header=False)
    assert time.monotonic() - began < 1
    (tmp_path / "b.jpg").write_bytes(data[:start] + data[start:-2] * 20 + data[-2:])
    decode(tmp_path / "b.jpg", grey=True)


def test_no_warning_leaks_and_the_filters_are_put_back(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4))
    image.putpalette([*RED, *GREEN])
    image.save(tmp_path / "a.png", transparency=b"\x80\xff")
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: decode(tmp_path / "a.png", grey=False), range(50)))
    assert len(results) == 50
    assert warnings.filters == before


def test_errors_print_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a\nb.png"
    path.write_bytes(b"x")
    with pytest.raises(ImageError, match=r"a\\nb\.png cannot be used"):
        decode(path, grey=True)
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    with pytest.raises(ImageError, match=r"caf\\xe9\.png cannot be used") as caught:
        decode(os.fsdecode(raw), grey=True)
    str(caught.value).encode()
