"""cnncli/data/bounds.py: what would take too much memory or time is refused before a pixel is decoded; ordinary large
photographs are not."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cnncli.data import bounds, tiff
from cnncli.data.decode import decode, open_image, read_header
from cnncli.data.jpeg import Jpeg
from cnncli.errors import ImageError

from .test_forgiving import chunk, packed

MEGA = 1_000_000


def flat_png(path: Path, w: int, h: int, depth: int, colour: int) -> Path:
    """Write a PNG of zeros, which is small however many pixels it has."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    size = (1 + (w * bits + 7) // 8) * h
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # the same for every mebibyte
    rest = packer.compress(bytes(size % (1 << 20))) + packer.flush()
    body = b"\x78\x9c" + block * (size >> 20) + rest + struct.pack(">HH", size % 65521, 1)
    palette = chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + palette + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    return path


def scanned_jpeg(path: Path, side: int, scans: int) -> Path:
    """Write a progressive JPEG whose last scan comes again and again."""
    data = packed(Image.new("L", (side, side)), "JPEG", progressive=True, quality=1)
    last = data.rindex(b"\xff\xda")
    path.write_bytes(data[:-2] + data[last:-2] * (scans - data.count(b"\xff\xda")) + data[-2:])
    return path


def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)


def cost(path: Path) -> tuple[float, float, str]:
    """Return the seconds, the mebibytes and the sentence that preparing an image takes, in a process of its own."""
    code = f"""
import time
from cnncli.data.preprocessing import Preprocessing
from cnncli.errors import ImageError
began, said = time.perf_counter(), ""
try:
    Preprocessing((64, 64)).prepare({str(path)!r})
except ImageError as error:
    said = error.reason
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
print(time.perf_counter() - began, peak, said, sep="|")"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, peak, said = done.stdout.strip().split("|")
    return float(seconds), float(peak), said


@pytest.mark.linux
@pytest.mark.alone
@pytest.mark.slow
def test_bombs_cost_nothing(tmp_path: Path) -> None:
    bombs = [flat_png(tmp_path / "rgba.png", 9900, 10000, 8, 6), flat_png(tmp_path / "deep.png", 9900, 10000, 16, 0),
             flat_png(tmp_path / "la.png", 9900, 10000, 8, 4), scanned_jpeg(tmp_path / "a.jpg", 8000, 490),
             scanned_jpeg(tmp_path / "b.jpg", 3000, 490)]
    for bomb in bombs:
        assert bomb.stat().st_size < 1_000_000
        seconds, peak, said = cost(bomb)
        assert "MiB of memory" in said or "scans of" in said
        assert seconds < 1
        assert peak < 300


def test_bytes_count_and_not_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {name: flat_png(tmp_path / f"{name}.png", 400, 100, 8, colour)
            for name, colour in (("grey", 0), ("rgb", 2), ("palette", 3), ("la", 4), ("rgba", 6))}
    # As it is stored, and as it is wanted: a grey one as colour, alpha laid on white.
    for name, grey, least in (("grey", True, 1), ("grey", False, 5), ("rgb", False, 4), ("rgb", True, 5),
                              ("palette", False, 5), ("la", True, 8), ("rgba", False, 8), ("rgba", True, 8)):
        monkeypatch.setattr(bounds, "MOST_BYTES", 40_000 * least)
        decode(made[name], grey)
        monkeypatch.setattr(bounds, "MOST_BYTES", 40_000 * least - 1)
        with pytest.raises(ImageError, match=r"its 400 x 100 pixels .* MiB of memory"):
            decode(made[name], grey)
        assert read_header(made[name])[:2] == (100, 400)


@pytest.mark.slow
def test_turning_takes_memory_and_reducing_spares_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 100)).save(tmp_path / "turned.png", exif=exif)
    Image.new("RGB", (4000, 1000)).save(tmp_path / "a.jpg")
    Image.new("RGB", (4000, 1000)).save(tmp_path / "p.jpg", progressive=True, subsampling=0)
    monkeypatch.setattr(bounds, "MOST_BYTES", 40_000 * 8 - 1)
    with pytest.raises(ImageError, match="MiB"):
        decode(tmp_path / "turned.png", grey=False)
    with pytest.raises(ImageError, match="MiB"):
        decode(tmp_path / "a.jpg", grey=False)
    assert open_image(tmp_path / "a.jpg", False, (50, 50)).size == (500, 125)
    monkeypatch.setattr(bounds, "MOST_BYTES", 4 * MEGA * 6)  # a progressive one keeps all coefficients, however reduced
    with pytest.raises(ImageError, match="MiB"):
        open_image(tmp_path / "p.jpg", False, (50, 50))


def test_scans_count_times_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scanned_jpeg(tmp_path / "a.jpg", 100, 30)
    monkeypatch.setattr(bounds, "MOST_SCANNED", 300_000)
    decode(path, grey=True)
    undecoded(monkeypatch)
    monkeypatch.setattr(bounds, "MOST_SCANNED", 299_999)
    with pytest.raises(ImageError, match="30 scans of 100 x 100 pixels, and would take too long"):
        decode(path, grey=True)


@pytest.mark.parametrize(("form", "options"), [("WEBP", {"lossless": True}), ("TIFF", {"compression": "tiff_lzw"})])
def test_what_decoders_need_beside_counts(form: str, options: dict[str, object], tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(packed(Image.new("RGB", (100, 100)), form, **options))
    needed = 160_000 if form == "WEBP" else 70_000
    monkeypatch.setattr(bounds, "MOST_BYTES", needed)
    decode(tmp_path / "a", grey=False)
    monkeypatch.setattr(bounds, "MOST_BYTES", needed - 1)
    with pytest.raises(ImageError, match="MiB"):
        decode(tmp_path / "a", grey=False)


@pytest.mark.parametrize(("depth", "colour", "least"), [(16, 0, 7), (16, 2, 15), (16, 4, 19), (16, 6, 27)])
def test_deep_values_count_too(depth: int, colour: int, least: int, tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    path = flat_png(tmp_path / "a.png", 400, 100, depth, colour)
    monkeypatch.setattr(bounds, "MOST_DEEP_BYTES", 40_000 * least)
    decode(path, grey=False)
    undecoded(monkeypatch)
    monkeypatch.setattr(bounds, "MOST_DEEP_BYTES", 40_000 * least - 1)
    with pytest.raises(ImageError, match=r"400 x 100 pixels of . bytes would take"):
        decode(path, grey=False)


def test_of_a_large_tiff_only_the_first_page_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page] * 50)
    taken = []
    read = tiff.pieces
    monkeypatch.setattr(tiff, "pieces", lambda *given: taken.append(read(*given)) or taken[-1])
    assert decode(tmp_path / "a.tif", grey=True).shape == (8, 8, 1)
    assert [len(piece) for piece in taken] == [128]


@pytest.mark.parametrize(("form", "tags", "held"), [
    ("PNG", {259: 5}, 0), ("TIFF", {}, 0), ("TIFF", {259: 1}, 0), ("WEBP", {}, 12 * 200), (None, {}, 0),
    ("TIFF", {259: 5}, 200), ("TIFF", {259: 5, 258: (8, 8, 8), 277: 3}, 600),  # one strip
    ("TIFF", {259: 5, 258: (8, 16, 8), 277: 3}, 1200), ("TIFF", {259: 5, 258: 16}, 400), ("TIFF", {259: 5, 258: 1}, 25),
    ("TIFF", {259: 5, 278: 4}, 80), ("TIFF", {259: 5, 278: 99}, 200), ("TIFF", {259: 5, 257: 7}, 140),
    ("TIFF", {259: 5, 278: 6, 257: 7}, 120), ("TIFF", {259: 5, 278: 4, 322: 16, 323: 64}, 1024),  # a tile
    ("TIFF", {259: 5, 278: 4, 322: 16}, 80), ("TIFF", {259: 5, 278: 4, 323: 16}, 80)])
def test_what_a_decoder_holds_beside_the_image(form: str | None, tags: dict[int, object], held: int) -> None:
    image = SimpleNamespace(format=form, width=20, height=10, tag_v2=tags)
    assert bounds._working_memory(image) == held  # type: ignore[arg-type]


@pytest.mark.parametrize(("mode", "held"), [("1", 1), ("L", 1), ("P", 1), ("I;16", 2), ("I;16B", 2), ("LA", 4),
                                            ("RGB", 4), ("RGBA", 4), ("CMYK", 4), ("I", 4), ("F", 4)])
def test_what_a_pixel_takes(mode: str, held: int) -> None:
    assert bounds.bytes_a_pixel(mode) == held


def test_the_least_and_the_most_pixels_and_bytes() -> None:
    bounds.refuse_size("a", (1, 100 * MEGA))
    for size, why in [((1, 100 * MEGA + 1), "its 1 x 100000001 pixels are more than 100 megapixels"),
                      ((0, 5), "it has no pixels"), ((5, 0), "it has no pixels")]:
        with pytest.raises(ImageError, match=rf"^a cannot be used: {why}\.$"):
            bounds.refuse_size("a", size)
    bounds.refuse_held("a", (8, 9), "RGB", 512 << 20)
    with pytest.raises(ImageError, match=r"^a cannot be used: its 8 x 9 pixels \(RGB\) would take 1,024 MiB of memory, "
                                         r"more than 512; make it smaller\.$"):
        bounds.refuse_held("a", (8, 9), "RGB", 1 << 30)
    bounds.refuse_deep("a", (1 << 20, 64), 2, False, 3)  # nine bytes a pixel
    with pytest.raises(ImageError, match=r"^a cannot be used: its 1048576 x 64 pixels of 2 bytes would take 1,088 MiB "
                                         r"of memory, more than 640; make it smaller, or save it with 8 bits a value."):
        bounds.refuse_deep("a", (1 << 20, 64), 2, True, 3)
    with pytest.raises(ImageError, match="no pixels"):
        bounds.refuse_deep("a", (0, 1), 2, False, 3)


def test_the_most_scans() -> None:
    bounds.refuse_scans("a", Jpeg(500, size=(200, 20_000)))
    for jpeg, why in [(Jpeg(501, size=(1, 1)), "this JPEG has more than 500 scans, and would take too long"),
                      (Jpeg(500, size=(200, 20_001)), "this JPEG has 500 scans of 200 x 20001 pixels, and would take "
                                                      "too long; save it anew, with fewer")]:
        with pytest.raises(ImageError, match=rf"^a cannot be used: {why}\.$"):
            bounds.refuse_scans("a", jpeg)


@pytest.mark.linux
@pytest.mark.alone
@pytest.mark.slow
def test_large_photographs_still_work(tmp_path: Path) -> None:
    flat_png(tmp_path / "a.png", 8660, 5774, 8, 2)
    photo = Image.linear_gradient("L").convert("RGB").resize((8660, 5770), Image.Resampling.NEAREST)
    photo.save(tmp_path / "a.jpg", quality=60)
    photo.save(tmp_path / "p.jpg", quality=60, progressive=True)
    for name, most in (("a.png", 420), ("a.jpg", 200), ("p.jpg", 320)):
        seconds, peak, said = cost(tmp_path / name)
        assert said == ""
        assert seconds < 10
        assert peak < most


def test_a_jpeg_in_front_of_a_film_is_no_bomb(tmp_path: Path) -> None:
    data = packed(Image.new("RGB", (300, 300)), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data + b"\0\0\0\x18ftypmp42" + b"\xff\xda\0" * 2000)
    assert decode(tmp_path / "a.jpg", grey=False).shape == (300, 300, 3)
